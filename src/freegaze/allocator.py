"""Allocator settings: freed memory is kept for the next step, or returned to the system."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -3, -4, -8
_TOP_PAD_BYTES = 256 << 20
"""Fetched from the system beyond what is asked for, so that the heap grows in few steps."""


def keep_freed_memory() -> bool:
    """Set the C library to keep freed memory; for processes that fit or predict.

    A training step frees maps of 100 MB and more and allocates them again. By default glibc returns
    them to the system, which clears every page again: a third of the time of a fit with the
    original's core. It holds for the whole process and cannot be undone, so the command line
    calls this where a run starts and no module does when it is imported.

    Returns:
        Whether the C library took it: only glibc does.

    Source: ``man mallopt``; measured in ``docs/performance.md``.
    """
    return _set(
        {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1, _M_TOP_PAD: _TOP_PAD_BYTES},
    )


def return_freed_memory() -> bool:
    """Set the C library to return freed memory to the system; for a server that waits.

    Threads share two heaps, so that what one of them frees is used by the next.

    Returns:
        Whether the C library took it: only glibc does.

    Source: ``man mallopt``; its own defaults but the number of heaps.
    """
    small = 128 << 10
    return _set(
        {
            _M_MMAP_MAX: 65536,
            _M_MMAP_THRESHOLD: small,
            _M_TRIM_THRESHOLD: small,
            _M_TOP_PAD: small,
            _M_ARENA_MAX: 2,
        }
    )


def _set(settings: dict[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    taken = [mallopt(parameter, value) == 1 for parameter, value in settings.items()]
    return all(taken)
