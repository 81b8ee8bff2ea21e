"""Record of the work on a fit: starts, the last process, progress, and the end."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from freegaze.files.atomic import write_file
from freegaze.files.owners import Owner
from freegaze.progress import Progress

RECORD_EVERY_S = 10.0
"""Least time between two records of progress."""


@dataclass(frozen=True)
class JobRecord:
    """What is known of the work on a fit.

    Args:
        starts: Number of times that a process began or continued it.
        process: The last of these processes, in words.
        task: SLURM's name of the last task, ``JOB_INDEX``; empty without SLURM.
        description: What it was doing.
        done: Steps done.
        total: Steps in all.
        end: How it ended; empty while it works, and after it was killed.
    """

    starts: int = 0
    process: str = ""
    task: str = ""
    description: str = ""
    done: int = 0
    total: int = 0
    end: Literal["", "done", "failed", "taken", "stopped"] = ""


def read_record(path: Path) -> JobRecord | None:
    """Read a record; ``None`` if there is none, or it cannot be read."""
    try:
        return JobRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class Recorder:
    """Writes the record of a fit while this process works on it.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._written_at = path, 0.0
        before = read_record(path) or JobRecord()
        self.record = JobRecord(
            starts=before.starts + 1, process=Owner.here().description, task=task_name()
        )
        self._write()

    def watched(self, progress: Progress | None) -> Progress:
        """Return a progress that is recorded now and then, and passed on."""

        def report(description: str, done: int, total: int) -> None:
            self.record = replace(self.record, description=description, done=done, total=total)
            if time.monotonic() - self._written_at >= RECORD_EVERY_S:
                self._write()
            if progress is not None:
                progress(description, done, total)

        return report

    def finish(self, end: Literal["done", "failed", "taken", "stopped"]) -> None:
        """Record how the work ended."""
        self.record = replace(self.record, end=end)
        self._write()

    def _write(self) -> None:
        write_file(self.path, json.dumps(asdict(self.record)))
        self._written_at = time.monotonic()


def task_name() -> str:
    """Return SLURM's name of the array task that this process is; empty if it is none."""
    job, index = (os.environ.get(f"SLURM_ARRAY_{what}_ID") for what in ("JOB", "TASK"))
    return f"{job}_{index}" if job and index else ""
