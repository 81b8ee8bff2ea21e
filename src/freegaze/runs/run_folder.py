"""The run folder: configuration, provenance, passes, checkpoint and fitted encoder.

config.yaml            resolved configuration
manifest.json          its hash, the commit, package versions, checksums of the data
metrics.jsonl          one line per pass
checkpoint.safetensors state of the unfinished fit, and its best weights so far
encoder.safetensors    the fitted encoder's weights, and all it needs to predict
refit/                 checkpoint of the fit to training and validation windows (`training.refit`)
seeds/NUMBER/          run folders of the fits that became one encoder (`training.seeds`)
model_source.py        source of an encoder, and of a loss (loss_source.py), of the user's own
checksums.sha256       of all these once the fit has ended, as `sha256sum` writes them
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freegaze.config import config_hash, dump_yaml, read_config
from freegaze.errors import CheckpointError, ClaimError
from freegaze.files.arrays import file_sha256
from freegaze.files.artifact import CHECKSUMS, read_json
from freegaze.files.checksums import checksum_lines
from freegaze.files.claims import Claim, claimed
from freegaze.recording.recording import Recording
from freegaze.runs.checkpoint import write_atomically
from freegaze.runs.config import RunConfig
from freegaze.runs.own_code import copy_of, own_code_of

CLAIM = ".claim"
PACKAGES = ("freegaze", "torch", "numpy", "scipy", "timm", "accelerate", "safetensors")


@dataclass(frozen=True)
class RunFolder:
    """Paths and small files of one run.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def checkpoint(self) -> Path:
        """State of the unfinished fit."""
        return self.path / "checkpoint.safetensors"

    @property
    def encoder(self) -> Path:
        """The fitted encoder."""
        return self.path / "encoder.safetensors"

    @property
    def refit(self) -> RunFolder:
        """Folder of the fit to training and validation windows together."""
        return RunFolder(self.path / "refit")

    @property
    def is_refitted(self) -> bool:
        """Whether the kept weights are fitted to training and validation windows together."""
        return self.refit.checkpoint.exists()

    def member(self, number: int) -> RunFolder:
        """Return the run folder of one of the fits that become one encoder, from 0."""
        return RunFolder(self.path / "seeds" / f"{number:03d}")

    @property
    def is_finished(self) -> bool:
        """Return whether the fit came to its end."""
        return self.encoder.exists()

    def make(self) -> None:
        """Make the folder, unless it holds a run.

        Raises:
            CheckpointError: If it holds a run, or cannot be made.
        """
        if (self.path / "config.yaml").exists():
            raise CheckpointError(
                f"{self.path} already holds a run; continue it with `freegaze train --resume "
                f"{self.path}`, or choose another folder"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"cannot make the run folder {self.path}: {error}") from None

    def create(
        self,
        config: RunConfig,
        recordings: Sequence[Recording],
        n_fitted: Mapping[str, int] | None = None,
        checksums: Mapping[str, str] | None = None,
    ) -> None:
        """Write configuration and manifest before the first step.

        Args:
            config: Everything the run depends on.
            recordings: The sessions.
            n_fitted: Number of neurons that are fitted, by session.
            checksums: Checksum of each session, where they are known.

        Raises:
            CheckpointError: If the folder holds another run, or cannot be written.
        """
        self.make()
        for part, code in own_code_of(config).items():
            write_atomically(copy_of(self.path, part), code.source)
        manifest = describe_run(config, recordings, checksums)
        if n_fitted is not None:
            recorded = {r.session_id: r.n_neurons for r in recordings}
            manifest["neurons"] = {
                name: {"recorded": recorded[name], "fitted": n} for name, n in n_fitted.items()
            }
        write_atomically(self.path / "manifest.json", json.dumps(manifest, indent=2).encode())
        write_atomically(self.path / "config.yaml", dump_yaml(config).encode())

    def config(self) -> RunConfig:
        """Read the run's configuration.

        Raises:
            CheckpointError: If there is no run in the folder.
        """
        if not (self.path / "config.yaml").is_file():
            raise CheckpointError(f"{self.path} holds no run (no config.yaml); check the path")
        return read_config(RunConfig, self.path / "config.yaml")

    def manifest(self) -> dict[str, Any]:
        """Read the manifest.

        Raises:
            CheckpointError: If it is missing or broken.
        """
        return read_json(self.path / "manifest.json")

    @property
    def is_sealed(self) -> bool:
        """Return whether the checksums of the finished fit are there."""
        return (self.path / CHECKSUMS).exists()

    def seal(self) -> None:
        """Write the checksums of a finished fit's files, for `freegaze verify`.

        Raises:
            CheckpointError: If they cannot be written.
            DataError: If a file cannot be read.
        """
        names = ("config.yaml", "manifest.json", "metrics.jsonl", self.checkpoint.name)
        files = [self.path / name for name in (*names, self.encoder.name)]
        files += [copy_of(self.path, part) for part in ("model", "loss")]
        files += [self.refit.path / "metrics.jsonl", self.refit.checkpoint]
        written = [file for file in files if file.exists()]
        sums = {file.relative_to(self.path).as_posix(): file_sha256(file) for file in written}
        write_atomically(self.path / CHECKSUMS, checksum_lines(sums))

    def check_data(
        self, recordings: Sequence[Recording], only: Collection[str] | None = None
    ) -> None:
        """Make sure that the data are still those the run was started on.

        Args:
            recordings: The sessions.
            only: Sessions to read; all by default. Of others the names are compared.

        Raises:
            CheckpointError: Naming the session that changed, or if the manifest is broken.
        """
        before = self.manifest().get("data")
        if not isinstance(before, dict):
            raise CheckpointError(f"{self.path / 'manifest.json'} names no data; restore it")
        names = {r.session_id for r in recordings}
        read = names if only is None else set(only)
        now = {name: before.get(name) for name in names - read}
        now |= {r.session_id: recording_checksum(r) for r in recordings if r.session_id in read}
        for session in sorted(before.keys() | now.keys()):
            if before.get(session) != now.get(session):
                raise CheckpointError(
                    f"{self.path}: the data of session {session!r} are not those the run was "
                    "started on; restore them, or start a new run"
                )

    def metrics(self, is_validated: bool = True) -> list[dict[str, Any]]:
        """Read the passes so far, one dictionary each; a last line cut short is left out.

        Args:
            is_validated: Whether each pass must have a validation loss.

        Raises:
            CheckpointError: If the file is broken.
        """
        file = self.path / "metrics.jsonl"
        if not file.exists():
            return []
        try:
            lines = [line for line in file.read_text().splitlines() if line.endswith("}")]
            passes = [json.loads(line) for line in lines]
            for number, line in enumerate(passes, start=1):
                _check_pass(line, number, is_validated)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise CheckpointError(
                f"{file} is broken ({error!r}); restore it from a copy, or fit again"
            ) from None
        return passes

    def seconds(self) -> float:
        """Return the seconds of all passes, of the refit, and of what was fitted after passes.

        Raises:
            CheckpointError: If a file of passes is broken.
        """
        lines = self.metrics() + self.refit.metrics(is_validated=False)
        return sum(line["seconds"] + line.get("completion_s", 0.0) for line in lines)

    def kept_pass(self) -> dict[str, Any]:
        """Return the pass whose weights were kept: the best in what the recipe monitors.

        Raises:
            CheckpointError: If no pass is written down.
        """
        passes = self.metrics()
        if not passes:
            raise CheckpointError(
                f"{self.path / 'metrics.jsonl'} is missing or empty; restore it from a copy, or "
                "fit again"
            )
        if self.config().training.monitor == "loss":
            return min(passes, key=lambda line: line["validation_loss"])
        known = [line for line in passes if line.get("validation_correlation") is not None]
        return max(known or passes[:1], key=lambda line: line.get("validation_correlation") or 0)

    def write_metrics(self, passes: Sequence[Mapping[str, Any]]) -> None:
        """Write all passes so far."""
        text = "".join(json.dumps(line) + "\n" for line in passes)
        write_atomically(self.path / "metrics.jsonl", text.encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one process.

        Raises:
            CheckpointError: If another process is working in it, or it cannot be written.
            ClaimError: If another process took it over, and this one was about to write to it.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(self.claimed())
            except ClaimError:
                owner = Claim(self.path / CLAIM).owner
                by = "" if owner is None else f" ({owner.description})"
                raise CheckpointError(
                    f"another process is working in {self.path}{by}; wait for it, or choose "
                    "another run folder"
                ) from None
            except OSError as error:
                raise CheckpointError(
                    f"cannot work in {self.path}: {error.strerror or error}; make it writable, or "
                    "choose another run folder"
                ) from None
            yield

    def claimed(self, wait_s: float = 0.0) -> AbstractContextManager[Claim]:
        """Return a context in which this thread holds the folder; see ``claims.claimed``.

        Args:
            wait_s: Seconds to wait for another process.
        """
        return claimed(self.path / CLAIM, wait_s)


def describe_run(
    config: RunConfig,
    recordings: Sequence[Recording],
    checksums: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the manifest: everything needed to repeat a run.

    Args:
        config: Everything the run depends on.
        recordings: The sessions.
        checksums: Checksum of each session, where they are known.
    """
    known = checksums or {}
    return {
        "config_hash": config_hash(config),
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "n_threads": torch.get_num_threads(),
        "packages": {name: version(name) for name in PACKAGES},
        "data": {
            r.session_id: known.get(r.session_id) or recording_checksum(r) for r in recordings
        },
        "own_code": {
            part: {"name": code.name, "sha256": code.sha256}
            for part, code in own_code_of(config).items()
        },
    }


def _check_pass(line: dict[str, Any], number: int, is_validated: bool) -> None:
    if line["pass"] != number:
        raise ValueError(f"line {number} is pass {line['pass']}")
    for name in ("train_loss", "seconds", *(["validation_loss"] if is_validated else [])):
        float(line[name])
    if line.get("validation_correlation") is not None:
        float(line["validation_correlation"])


def recording_checksum(recording: Recording) -> str:
    """Return a checksum of everything in a recording that a fit reads."""
    digest = hashlib.sha256()
    for array in (recording.frame_index, recording.behavior, recording.responses):
        digest.update(np.ascontiguousarray(array).data)
    for start in range(0, len(recording.frames), 4096):  # a memory-mapped video stays on disk
        digest.update(np.ascontiguousarray(recording.frames[start : start + 4096]).data)
    description = (recording.bin_width_s, recording.behavior_names, recording.unit_ids)
    digest.update(repr((*description, recording.segments)).encode())
    return digest.hexdigest()


def _commit() -> str | None:
    """Commit of the checkout that this package runs from, if it runs from one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
