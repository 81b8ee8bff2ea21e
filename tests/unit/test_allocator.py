"""Memory that is freed and asked for again comes without page faults."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from freegaze.allocator import keep_freed_memory, return_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
elif sys.argv[1] == "return":
    assert keep_freed_memory() and return_freed_memory()
def faults():
    np.ones(32 << 20, dtype=np.uint8)  # 8,192 pages, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
first = faults()
print(faults() - first)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_memory_is_kept_only_where_it_was_asked_for() -> None:
    counts = {
        what: int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM, what], capture_output=True, text=True, check=True
            ).stdout
        )
        for what in ("keep", "return")
    }
    assert counts["keep"] < 100
    assert counts["return"] > 10 * counts["keep"] + 10  # huge pages make few faults of many
