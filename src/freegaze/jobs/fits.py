"""One fit of a grid: its folder, its state, and the claim that a process has on it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from freegaze.errors import ClaimError, FreegazeError, StopRequestError
from freegaze.files.atomic import remove_leftovers, write_file
from freegaze.jobs.records import JobRecord, Recorder, read_record
from freegaze.progress import Progress
from freegaze.runs.run_folder import RunFolder

Outcome = Literal["done", "failed", "taken"]


@dataclass(frozen=True)
class Fit:
    """One entry of a grid: a row, a session and a seed.

    Args:
        row: Name of the grid's row, which decides on the configuration.
        session_id: The session.
        seed: Seed of the fit.
        folder: The grid's folder of fits.
    """

    row: str
    session_id: str
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """Name on the command line, ``ROW/SESSION/seed-K``."""
        return f"{self.row}/{self.session_id}/seed-{self.seed}"

    @property
    def run(self) -> RunFolder:
        """Run folder."""
        return RunFolder(self.folder / self.name)

    @property
    def error_file(self) -> Path:
        """File with the reason of a failure."""
        return self.folder / f"{self.name}.error.txt"

    @property
    def state(self) -> Literal["waiting", "done", "failed"]:
        """Progress on disk: ``done`` once the fit is evaluated."""
        if (self.run.path / "evaluation" / "summary.json").is_file():
            return "done"
        return "failed" if self.error_file.is_file() else "waiting"

    @property
    def error(self) -> str:
        """First line of the reason of a failure; empty if there was none."""
        if not self.error_file.is_file():
            return ""
        return (self.error_file.read_text(encoding="utf-8").splitlines() or [""])[0]

    @property
    def record(self) -> JobRecord | None:
        """Record of the work on it; ``None`` if it was never begun."""
        return read_record(self.record_file)

    @property
    def record_file(self) -> Path:
        """File with the record of the work on it."""
        return self.folder / f"{self.name}.job.json"

    def write_error(self, text: str) -> None:
        """Record a failure."""
        write_file(self.error_file, text + "\n")

    @contextmanager
    def claimed(self, wait_s: float = 0.0) -> Iterator[bool]:
        """Claim the fit's run folder for this process; yields whether the claim was granted.

        Args:
            wait_s: Seconds to wait for another process.
        """
        self.run.path.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(self.run.claimed(wait_s))
            except ClaimError:
                yield False
                return
            yield True


@runtime_checkable
class Work(Protocol):
    """Work on each fit of a grid.

    Worker processes receive a copy, so it holds plain values and functions of modules.
    """

    def is_done(self, fit: Fit) -> bool:
        """Return whether nothing is left to do."""
        ...

    def __call__(self, fit: Fit, progress: Progress | None) -> None:
        """Do it, or continue where it was stopped."""
        ...


def run_fit(work: Work, fit: Fit, progress: Progress | None = None, wait_s: float = 0.0) -> Outcome:
    """Do the work of one fit, or continue where it was stopped.

    A failure is written to the fit's error file and does not raise. A fit that is done is left as
    it is; one that failed before is tried again.

    Args:
        work: What is done.
        fit: The fit.
        progress: Called after every step.
        wait_s: Seconds to wait for another process that works on it.

    Returns:
        ``done``, ``failed``, or ``taken`` if another process works on it, or has taken it over.

    Raises:
        StopRequestError: If ``progress`` raised it; the fit has kept what it has.
    """
    with fit.claimed(wait_s) as is_ours:
        if not is_ours:
            return "taken"
        if work.is_done(fit):
            return "done"
        fit.error_file.unlink(missing_ok=True)
        remove_leftovers(fit.error_file)
        try:
            recorder = Recorder(fit.record_file)
            return _work_on(work, fit, recorder, progress)
        except ClaimError:
            return "taken"


def _work_on(work: Work, fit: Fit, recorder: Recorder, progress: Progress | None) -> Outcome:
    outcome: Outcome = "done"
    try:
        work(fit, recorder.watched(progress))
    except StopRequestError:
        recorder.finish("stopped")
        raise
    except ClaimError:
        raise
    except FreegazeError as error:
        fit.write_error(" ".join(str(error).split()))
        outcome = "failed"
    except Exception as error:  # a bug in one fit must not end the others
        fit.write_error(f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}")
        outcome = "failed"
    recorder.finish(outcome)
    return outcome
