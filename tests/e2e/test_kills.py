"""Killed at any moment, a command goes on when it is given again, and ends with the same bytes.

Moments are drawn from fixed seeds, uniformly over the time that an undisturbed process takes once
it has its modules. Every third case is killed a second time, at another moment, while it goes on.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2e_options import SMALL, SMALL_EXPLANATION
from freegaze.recording.store import save_store
from freegaze.sources.source import open_recordings

PROGRAM = "import freegaze.cli.app as app; print('ready', flush=True); app.run()"
N_KILLS = {"train": 13, "reproduce": 12, "convert": 13, "explain": 12}
CASES = [
    pytest.param(verb, seed, id=f"{verb}-{seed}", marks=[pytest.mark.slow] if seed else [])
    for verb, n in N_KILLS.items()
    for seed in range(n)
]


@dataclass(frozen=True)
class Verb:
    """A command to kill.

    Args:
        words: The command, from the folder that it writes.
        results: What must be the same in the end.
        prepare: Makes the folder, where the command needs one.
    """

    words: Callable[[Path], list[Any]]
    results: Callable[[Path], dict[str, Any]]
    prepare: Callable[[Path], Any] = lambda place: None


@pytest.fixture(scope="module")
def verbs(mouse: Path, runs: dict[str, Path], asked, tmp_path_factory) -> dict[str, Verb]:
    fit = [
        *("train", mouse, "--model", "behavior_only", *SMALL, "--set", "split.gap_s=0.5"),
        *("--set", "training.checkpoint_every_s=1e-9", "--set", "training.max_passes=6"),
        *("--set", "training.patience=6", "--set", "training.batch_windows=16"),
    ]
    sessions = tmp_path_factory.mktemp("sessions")
    (recording,) = open_recordings("simulation", mouse, min_rate_hz=0)
    for name in ("a", "b", "c"):
        save_store(replace(recording, session_id=name), sessions / name)
    return {
        "train": Verb(
            lambda out: (
                ["train", "--resume", out, "--quiet"]
                if (out / "config.yaml").exists()
                else [*fit, "--out", out]
            ),
            fitted,
        ),
        "reproduce": Verb(lambda out: [*asked, "--out", out], reproduced),
        "convert": Verb(
            lambda out: [
                *("convert", "store", sessions, "--to", "store", "--out", out, "--quiet"),
                *("--resize", 45, 60, "--segments", 4),
            ],
            lambda out: tree(out),
        ),
        "explain": Verb(
            lambda out: ["explain", out, *SMALL_EXPLANATION],
            lambda out: tree(out / "explanation"),
            lambda out: shutil.copytree(runs["cnn_gru"], out),
        ),
    }


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def fitted(run: Path) -> dict[str, Any]:
    """Weights and all that stands beside them to the byte; of the passes all but their seconds."""
    names = ("encoder.safetensors", "config.yaml", "manifest.json")
    passes = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [{k: v for k, v in line.items() if k != "seconds"} for line in passes]
    return {name: (run / name).read_bytes() for name in names} | {"metrics.jsonl": losses}


def reproduced(grid: Path) -> dict[str, Any]:
    names = ("table.csv", "differences.csv", "table.md", "grid.yaml")
    found: dict[str, Any] = {name: (grid / name).read_bytes() for name in names}
    for run in (path.parent for path in grid.glob("cells/*/*/*/config.yaml")):
        found |= {f"{run.relative_to(grid)}/{k}": v for k, v in fitted(run).items()}
        found[f"{run.relative_to(grid)}/evaluation"] = tree(run / "evaluation")
    assert len(found) == len(names) + 2 * 5
    return found


def start(words: list[Any]) -> subprocess.Popen[str]:
    """Start a command, and return when it has its modules."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(words: list[Any], after_s: float) -> bool:
    """Start a command and kill it after some time; return whether it was still there."""
    process = start(words)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    assert process.returncode in (0, -9)
    time.sleep(0.3)  # workers take that long to see that they are alone
    return process.returncode != 0


@pytest.fixture(scope="module")
def undisturbed(verbs, tmp_path_factory) -> Callable[[str], tuple[float, dict[str, Any]]]:
    """Seconds that a command takes once it has its modules, and what it ends with."""

    @functools.cache
    def run(name: str) -> tuple[float, dict[str, Any]]:
        place = tmp_path_factory.mktemp(name) / "whole"
        verbs[name].prepare(place)
        process = start(verbs[name].words(place))
        begin = time.monotonic()
        process.communicate()
        assert process.returncode == 0
        return time.monotonic() - begin, verbs[name].results(place)

    return run


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
    left = sorted(p.name for p in tmp_path.rglob(".*") if p.name != ".lock")
    print(f"{name} {seed}: killed at {share:.2f} of {seconds:.1f} s, half-written: {left}")
    freegaze(*verb.words(place))
    found = verb.results(place)
    assert found.keys() == expected.keys()
    for key, content in expected.items():
        assert found[key] == content, key
    hidden = [p for p in tmp_path.rglob(".*") if p.is_dir() and tree(p)]
    assert not hidden, "what the killed process had half-written is gone"


def test_there_are_fifty_kills() -> None:
    assert sum(N_KILLS.values()) == 50
    assert len(CASES) - sum(bool(case.marks) for case in CASES) == len(N_KILLS) == 4
