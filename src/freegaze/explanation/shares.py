"""Explanations in parts: processes or tasks of a cluster that share sessions and neurons.

::

    RUN/explanation_parts/MARK/N/I/done.json    part I of N has ended; names of its pieces
    RUN/explanation_parts/MARK/jobs/            submissions, see freegaze.jobs.slurm
    RUN/explanation/SESSION/pieces/             what all parts write, and ``explain`` puts together

With at least as many sessions as parts, each part has whole sessions. With more parts than
sessions, several parts share the neurons of a session: each one computes the pieces of its own
neurons. What depends on all neurons, such as the control of false discoveries, is computed when the
parts are put together, so that the result has the same bytes as that of one process.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from freegaze.errors import ConfigError
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.contributions.contributions import contribution_tables
from freegaze.explanation.explain import (
    FIELDS,
    PROBED,
    Plan,
    compute_parts,
    named_parts,
    plan_explanation,
)
from freegaze.explanation.fields.fields import possible_methods
from freegaze.explanation.probes.probes import probe_tables
from freegaze.explanation.saliency.saliency import saliency_arrays
from freegaze.explanation.saliency.significance import signal_tests
from freegaze.explanation.session import ExplainedSession
from freegaze.files.arrays import file_sha256
from freegaze.files.atomic import write_file
from freegaze.files.pieces import ElsewhereError, Pieces, Share
from freegaze.fitted.encoder import FittedEncoder
from freegaze.fitted.storage import load_encoder
from freegaze.jobs.fits import Fit
from freegaze.progress import Progress
from freegaze.recording.recording import Recording
from freegaze.runs.recordings import open_run_recordings
from freegaze.runs.run_folder import RunFolder

PARTS_FOLDER, DONE_FILE = "explanation_parts", "done.json"


class ExplanationPart(Fit):
    """One part of an explanation; ``seed`` is its number, from 1, and ``row`` the number of parts.

    Example:
        >>> ExplanationPart("4", "", 2, Path("parts")).name
        '2/4'
    """

    @property
    def name(self) -> str:
        """Name on the command line, ``I/N``."""
        return f"{self.seed}/{self.row}"

    @property
    def done_file(self) -> Path:
        """File that is written when the part has ended."""
        return self.run.path / DONE_FILE


@dataclass(frozen=True)
class ExplanationWork:
    """The work of each part of an explanation; see ``freegaze.jobs.fits.Work``.

    Args:
        run: The run folder.
        config: Settings of the explanation.
        only: Names of the parts of the explanation, such as ``tuning``, that are computed.
        device: Device to compute on.
        model: The encoder's class, ``FILE.py:Class``, if it is the user's own.
        accept_changed_model: Whether to go on if its source is not that of the fit.
    """

    run: Path
    config: ExplainConfig
    only: tuple[str, ...] | None = None
    device: str = "auto"
    model: str | None = None
    accept_changed_model: bool = False

    @property
    def folder(self) -> Path:
        """Folder of the parts of this explanation; its name depends on settings and weights."""
        asked = [self.config.model_dump(mode="json"), named_parts(self.only), version("freegaze")]
        text = json.dumps([*asked, file_sha256(RunFolder(self.run).encoder)], sort_keys=True)
        return self.run / PARTS_FOLDER / hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def n_sessions(self) -> int:
        """Number of sessions that the run was fitted on."""
        return max(1, len(RunFolder(self.run).manifest().get("data") or ()))

    def parts(self, n_parts: int | None = None) -> list[ExplanationPart]:
        """Return all parts.

        Args:
            n_parts: Their number; by default one per session.

        Raises:
            CheckpointError: If the run's manifest or encoder cannot be read.
        """
        n, folder = n_parts or self.n_sessions, self.folder
        return [ExplanationPart(str(n), "", number, folder) for number in range(1, n + 1)]

    def part(self, name: str) -> ExplanationPart:
        """Return a part by its name.

        Args:
            name: ``I/N``, with I from 1 to N.

        Raises:
            ConfigError: If the name is of another form.
            CheckpointError: If the run's encoder cannot be read.
        """
        number, _, n = name.partition("/")
        if not (number.isdecimal() and n.isdecimal() and 1 <= int(number) <= int(n)):
            raise ConfigError(f"expected --part I/N with I from 1 to N, such as 2/4, got {name!r}")
        return self.parts(int(n))[int(number) - 1]

    def is_done(self, fit: Fit) -> bool:
        """Return whether a part has ended, and its pieces are on the disk."""
        assert isinstance(fit, ExplanationPart), "only parts are asked about"
        try:
            names = json.loads(fit.done_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return all((self.run / name).is_file() for name in names)

    def __call__(self, fit: Fit, progress: Progress | None) -> None:
        """Compute the pieces of a part that are not on the disk.

        Raises:
            FreegazeError: If the run or its recordings cannot be read, or the disk refuses.
        """
        assert isinstance(fit, ExplanationPart), "only parts are computed"
        encoder = load_encoder(self.run, self.device, self.model, self.accept_changed_model)
        recordings, written = open_run_recordings(self.run), []
        for session, share in shares_of(len(recordings), fit.seed - 1, int(fit.row)):
            written += self._explain(encoder, recordings[session], share, progress)
        names = [path.relative_to(self.run).as_posix() for path in written]
        write_file(fit.done_file, json.dumps(names))

    def _explain(
        self,
        encoder: FittedEncoder,
        recording: Recording,
        share: Share,
        progress: Progress | None,
    ) -> list[Path]:
        plan = plan_explanation(encoder, recording, self.run, self.config, self.only)
        if not plan.missing:
            return []
        pieces = Pieces(plan.pieces, share)
        session = ExplainedSession(encoder, recording, pieces, progress)
        whole: list[Callable[[], Any]] = [partial(compute_parts, session, plan)]
        for step in whole if share.of == 1 else _steps(session, plan):
            with suppress(ElsewhereError):
                step()
        return pieces.own


def shares_of(n_sessions: int, part: int, n_parts: int) -> list[tuple[int, Share]]:
    """Return the sessions of a part by number, and the share of neurons that it has of each.

    Args:
        n_sessions: Number of sessions.
        part: Number of the part, from 0.
        n_parts: Number of parts.

    Example:
        >>> shares_of(3, 0, 2)
        [(0, Share(number=0, of=1)), (2, Share(number=0, of=1))]
        >>> shares_of(2, 2, 3)
        [(0, Share(number=1, of=2))]
    """
    if n_parts <= n_sessions:
        return [(session, Share()) for session in range(part, n_sessions, n_parts)]
    session = part % n_sessions
    return [(session, Share(part // n_sessions, len(range(session, n_parts, n_sessions))))]


def remove_parts(run: Path) -> None:
    """Remove the records of all parts of a run's explanation, once they are put together.

    Args:
        run: The run folder.
    """
    shutil.rmtree(run / PARTS_FOLDER, ignore_errors=True)


def _steps(session: ExplainedSession, plan: Plan) -> Sequence[Callable[[], Any]]:
    """Return the computations of a session of which processes have shares, independent ones apart.

    Descriptions of fields need the fields of all neurons, so that they are no part of it.
    """
    config, parts = plan.config, plan.missing
    methods = [p.removeprefix(f"{FIELDS}.") for p in parts if p.startswith(f"{FIELDS}.")]
    found: list[Callable[[], Any]] = [
        partial(method.find, session, config)
        for method in possible_methods(session, methods).values()
    ]
    if "contributions" in parts:
        found.append(partial(contribution_tables, session, config))
    if "saliency" in parts:
        found += [partial(f, session, config) for f in (saliency_arrays, signal_tests)]
    probes = [p.removeprefix(f"{PROBED}.") for p in parts if p.startswith(f"{PROBED}.")]
    return [*found, *(partial(probe_tables, session, config, [probe]) for probe in probes)]
