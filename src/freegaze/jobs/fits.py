"""One fit of a grid: its folder, its state, and the claim that a process has on it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from filelock import FileLock, Timeout

from freegaze.errors import FreegazeError
from freegaze.files.atomic import remove_leftovers, write_file
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

    def write_error(self, text: str) -> None:
        """Record a failure."""
        write_file(self.error_file, text + "\n")

    @contextmanager
    def claimed(self) -> Iterator[bool]:
        """Claim the fit for this process; yields whether the claim was granted.

        The system releases the lock when its process ends, however it ends.
        """
        lock = FileLock(self.folder / f"{self.name}.lock", timeout=0)
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()


@runtime_checkable
class Work(Protocol):
    """What is done for each fit of a grid.

    Worker processes receive a copy, so it holds plain values and functions of modules.
    """

    def is_done(self, fit: Fit) -> bool:
        """Return whether nothing is left to do."""
        ...

    def __call__(self, fit: Fit, progress: Progress | None) -> None:
        """Do it, or continue where it was stopped."""
        ...


def run_fit(work: Work, fit: Fit, progress: Progress | None = None) -> Outcome:
    """Do the work of one fit, or continue where it was stopped.

    A failure is written to the fit's error file and does not raise. A fit that is done is left as
    it is; one that failed before is tried again.

    Args:
        work: What is done.
        fit: The fit.
        progress: Called after every step.

    Returns:
        ``done``, ``failed``, or ``taken`` if another process works on it.
    """
    with fit.claimed() as is_ours:
        if not is_ours:
            return "taken"
        if work.is_done(fit):
            return "done"
        fit.error_file.unlink(missing_ok=True)
        remove_leftovers(fit.error_file)
        try:
            work(fit, progress)
        except FreegazeError as error:
            fit.write_error(" ".join(str(error).split()))
            return "failed"
        except Exception as error:  # a bug in one fit must not end the others
            fit.write_error(f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}")
            return "failed"
        return "done"
