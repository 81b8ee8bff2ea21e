"""Allocator settings: freed memory stays with the process for the next step."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
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
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, _TOP_PAD_BYTES))
    taken = [mallopt(parameter, value) == 1 for parameter, value in settings]
    return all(taken)
