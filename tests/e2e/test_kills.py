"""Killed at any moment, a command goes on when it is given again, and ends with the same bytes.

Moments are drawn from fixed seeds, uniformly over the time that an undisturbed process takes once
it has its modules. Every third case is killed a second time, at another moment, while it goes on.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interrupted_commands import start_command, tree

N_KILLS = {"train": 13, "reproduce": 12, "convert": 13, "explain": 12, "bench": 12}
CASES = [
    pytest.param(verb, seed, id=f"{verb}-{seed}", marks=[pytest.mark.slow] if seed else [])
    for verb, n in N_KILLS.items()
    for seed in range(n)
]


def kill(words: list[Any], after_s: float) -> bool:
    """Start a command and kill it after some time; return whether it was still there."""
    process = start_command(words)
    process.join(after_s)
    process.kill()
    process.join()
    assert process.exitcode in (0, -9)
    time.sleep(0.3)  # workers take that long to see that they are alone
    return process.exitcode != 0


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_a_killed_command_goes_on_to_the_same_end(
    freegaze, verbs, undisturbed, tmp_path: Path, name: str, seed: int
) -> None:
    verb, place = verbs[name], tmp_path / "killed"
    seconds, expected = undisturbed(name)
    rng = np.random.default_rng([list(N_KILLS).index(name), seed])
    share = rng.uniform()
    verb.prepare(place)
    while not kill(verb.words(place), share * seconds):  # faster than the undisturbed one was
        share *= 0.9
        shutil.rmtree(place)
        verb.prepare(place)
    if seed % 3 == 2:
        kill(verb.words(place), rng.uniform() * (1 - share) * seconds)
    left = sorted(p.name for p in tmp_path.rglob(".*"))
    print(f"{name} {seed}: killed at {share:.2f} of {seconds:.1f} s, half-written: {left}")
    freegaze(*verb.words(place))
    found = verb.results(place)
    assert found.keys() == expected.keys()
    for key, content in expected.items():
        assert found[key] == content, key
    hidden = [p for p in tmp_path.rglob(".*") if p.is_dir() and tree(p)]
    assert not hidden, "what the killed process had half-written is gone"


def test_there_are_at_least_fifty_kills() -> None:
    assert sum(N_KILLS.values()) == 62
    assert len(CASES) - sum(bool(case.marks) for case in CASES) == len(N_KILLS) == 5
