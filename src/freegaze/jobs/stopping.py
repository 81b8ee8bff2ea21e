"""Stop work at a signal, after it has kept what it has."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from freegaze.errors import StopRequestError
from freegaze.progress import Progress


@contextmanager
def stopping_at_signal(progress: Progress | None, name: str = "SIGUSR1") -> Iterator[Progress]:
    """Stop the work of a block when a signal arrives; see ``freegaze.progress``.

    Args:
        progress: Called with the progress of the work, too.
        name: Name of the signal; where the system has none of that name, nothing stops the work.

    Yields:
        The progress to give to the work. The first call after the signal raises
        ``StopRequestError``.
    """
    is_requested = False

    def request(*_: object) -> None:
        nonlocal is_requested
        is_requested = True

    def report(description: str, done: int, total: int) -> None:
        if progress is not None:
            progress(description, done, total)
        if is_requested:
            raise StopRequestError(f"{name} arrived")

    number = getattr(signal, name, None)
    before = None if number is None else signal.signal(number, request)
    try:
        yield report
    finally:
        if number is not None:
            signal.signal(number, before)
