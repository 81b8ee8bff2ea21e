"""What this process holds in memory, as the kernel counts it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SAMPLING_S = 0.002


def process_bytes(field: str, process: int | str = "self") -> int:
    """Read a field of a process's status; ``ru_maxrss`` would hold its parent's peak too.

    Args:
        field: Its name.
        process: Number of the process; this one by default.
    """
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024


@contextmanager
def watched_peak(field: str = "RssAnon") -> Iterator[dict[str, int]]:
    """Sample a field while something runs; the kernel keeps a peak only of all pages together.

    Args:
        field: ``RssAnon`` is what the process owns; pages of mapped files, which the kernel takes
            back when others need room, are ``RssFile``.

    Yields:
        A dictionary whose ``peak`` is the greatest value seen so far.
    """
    seen, is_over = {"peak": process_bytes(field)}, threading.Event()

    def watch() -> None:
        while not is_over.wait(SAMPLING_S):
            seen["peak"] = max(seen["peak"], process_bytes(field))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()
        seen["peak"] = max(seen["peak"], process_bytes(field))
