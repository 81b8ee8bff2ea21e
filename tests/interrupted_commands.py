"""Commands that are killed or run into trouble, and what must be the same in the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pandas as pd

from e2e_options import SMALL, SMALL_EXPLANATION
from freegaze.recording.store import save_store
from freegaze.sources.source import open_recordings

SERVER = get_context("forkserver")
"""Makes processes of one that has all modules; to import them takes longer than most commands."""

SERVER.set_forkserver_preload(
    [
        *("freegaze.cli.app", "freegaze.explanation.explain", "freegaze.paper.grid_page"),
        *("freegaze.reports", "freegaze.workflow", "freegaze.sources.targets"),
        "freegaze.studies.bench",
    ]
)


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


def make_verbs(mouse: Path, run: Path, asked: tuple[str, ...], sessions: Path) -> dict[str, Verb]:
    """Commands that write for a while.

    Args:
        mouse: A simulated session.
        run: A fitted encoder to explain.
        asked: A grid to reproduce, without its folder.
        sessions: Empty folder for what is converted.
    """
    fit = [
        *("train", mouse, "--model", "behavior_only", *SMALL, "--set", "split.gap_s=0.5"),
        *("--set", "training.checkpoint_every_s=1e-9", "--set", "training.max_passes=4"),
        *("--set", "training.patience=4", "--set", "training.batch_windows=16"),
    ]
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
        "bench": Verb(
            lambda out: [
                *("bench", mouse, "--models", "mean_rate,behavior_only", "--out", out, *SMALL),
                *("--set", "split.gap_s=0.5", "--draws", 20, "--seeds", 2),
            ],
            benched,
        ),
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
            lambda out: shutil.copytree(run, out),
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
    for run in (path.parent for path in grid.glob("fits/*/*/*/config.yaml")):
        found |= {f"{run.relative_to(grid)}/{k}": v for k, v in fitted(run).items()}
        found[f"{run.relative_to(grid)}/evaluation"] = tree(run / "evaluation")
    assert len(found) == len(names) + 2 * 5
    return found


def benched(bench: Path) -> dict[str, Any]:
    """Tables without times, and the fits."""
    found: dict[str, Any] = {"bench.yaml": (bench / "bench.yaml").read_bytes()}
    found["differences.csv"] = (bench / "differences.csv").read_bytes()
    found["bench.csv"] = pd.read_csv(bench / "bench.csv").drop(columns="seconds").to_csv()
    for run in (path.parent for path in bench.glob("fits/*/*/*/config.yaml")):
        found |= {f"{run.relative_to(bench)}/{k}": v for k, v in fitted(run).items()}
        found[f"{run.relative_to(bench)}/evaluation"] = tree(run / "evaluation")
    assert len(found) == 3 + 4 * 5
    return found


def start_command(words: list[Any], killed_at_flush: int = 0) -> BaseProcess:
    """Start a command in a process that has its modules already.

    Args:
        words: The command.
        killed_at_flush: Number of the flush to the disk at which it is killed, if any.
    """
    process = SERVER.Process(target=_run, args=(list(map(str, words)), killed_at_flush))
    process.start()
    return process


def _run(words: list[str], killed_at_flush: int) -> None:
    from freegaze.cli.app import run

    flush, left = os.fsync, killed_at_flush

    def fsync(handle: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        flush(handle)

    os.fsync = fsync

    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    sys.argv = ["freegaze", *words]
    run()
