"""How time and memory grow with a session's length, its neurons, its frames, and history.

    python benchmarks/growth.py --out runs/growth.json --figure docs/figures/growth
    python benchmarks/growth.py --draw benchmarks/results/growth_2_cores.json --figure FIGURE

Each point is measured in a process of its own, on one processor, with the default encoder: a store
is opened and prepared, fitted for one pass by ``train``, predicted, evaluated, and behavior
saliency of 128 windows is taken. Time is the processor's, which other work on the machine changes
little; memory is the peak that the work adds to what is imported. Printed is the exponent of each
curve: the slope of its logarithm over all points and, in brackets, between the last two, where
constants weigh least. One is linear.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freegaze.allocator import keep_freed_memory
from freegaze.config import build_config
from freegaze.evaluation.evaluate import evaluate
from freegaze.explanation.saliency.derivatives import behavior_saliency
from freegaze.fitted.prediction import predict_windows
from freegaze.fitted.storage import load_encoder
from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.recording.store import open_store, save_store
from freegaze.runs.config import RunConfig, resolve_config
from freegaze.training.fit import prepare_sessions, train
from growth_figure import draw_growth
from process_memory import process_bytes, watched_peak
from sides import COLUMNS

SALIENCY_WINDOWS = 128


@dataclass(frozen=True)
class Size:
    """What a session and its encoder are measured by.

    Args:
        minutes: Length, in bins of 48 ms.
        neurons: Number of neurons.
        height: Of a frame in pixels; it is 4/3 as wide.
        history: Input bins of a window.
    """

    minutes: float = 10
    neurons: int = 68
    height: int = 60
    history: int = 6

    @property
    def n_bins(self) -> int:
        """Bins of 48 ms."""
        return round(self.minutes * 60 / 0.048)

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return (self.height, self.height * 4 // 3)


SMALL = Size(2, neurons=4, height=30, history=1)
"""What is gone through first, so that everything is imported before memory is looked at."""

AXES: dict[str, list[float]] = {
    "minutes": [5, 10, 20, 40],
    "neurons": [50, 100, 200, 400],
    "height": [30, 60, 90, 120],
    "history": [2, 4, 8, 16],
}
"""What each axis is set to, the rest as in ``Size``. Frames grow as the square of their height."""

STAGES = ("prepare", "train", "predict", "evaluate", "saliency")


def main() -> None:
    """Measure, print the exponents, write the numbers, draw."""
    parser = argparse.ArgumentParser(description="growth of time and memory")
    parser.add_argument("--out", type=Path, default=Path("runs/growth.json"))
    parser.add_argument("--figure", type=Path, help="where to draw, without ending")
    parser.add_argument("--draw", type=Path, help="draw numbers measured before")
    parser.add_argument("--only", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        size, root, store = options.measure
        print(json.dumps(measure(Size(**json.loads(size)), Path(root), store)))
        return
    if options.draw:
        found = json.loads(options.draw.read_text())
    else:
        found = {axis: measure_axis(axis, options.repeats) for axis in options.only}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(exponent_table(found))
    if options.figure:
        draw_growth(found, options.figure)


def measure_axis(axis: str, repeats: int) -> list[dict[str, Any]]:
    """Measure an axis's points in turn, several times; return medians, point by point."""
    sizes = [replace(Size(), **{axis: value}) for value in AXES[axis]]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        save_store(noise_session(SMALL), root / "small")
        for i, size in enumerate(sizes):
            save_store(noise_session(size), root / f"store_{i}")
        turns = [
            [in_own_process(size, root, f"store_{i}") for i, size in enumerate(sizes)]
            for _ in range(repeats)
        ]
    rows = []
    for size, *found in zip(sizes, *turns, strict=True):
        medians = {key: float(np.median([turn[key] for turn in found])) for key in found[0]}
        rows.append({"x": amount(axis, size), **asdict(size), **medians})
        print(rows[-1], flush=True)
    return rows


def amount(axis: str, size: Size) -> float:
    """Return what an axis's exponents are with respect to: pixels rather than heights."""
    return float(np.prod(size.frame_size)) if axis == "height" else getattr(size, axis)


def in_own_process(size: Size, root: Path, store: str) -> dict[str, float]:
    """Measure one point in a fresh process."""
    command = [sys.executable, __file__, "--measure", json.dumps(asdict(size)), str(root), store]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


def measure(size: Size, root: Path, store: str) -> dict[str, float]:
    """Do all the work on one session; return seconds of each stage, and bytes."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as the command line does
    with tempfile.TemporaryDirectory() as folder:
        work(root / "small", SMALL, Path(folder) / "first")  # imports everything
        before = {field: process_bytes(field) for field in ("VmRSS", "RssAnon")}
        with watched_peak("RssAnon") as own:
            seconds = work(root / store, size, Path(folder) / "run")
    return {
        **seconds,
        "own_peak": own["peak"] - before["RssAnon"],
        "all_peak": process_bytes("VmHWM") - before["VmRSS"],
    }


def work(store: Path, size: Size, run: Path) -> dict[str, float]:
    """Go the whole way from a store to saliency; return the processor's seconds of each stage."""
    seconds: dict[str, float] = {}

    def timed(stage: str, what: Callable[[], Any]) -> Any:
        start = time.process_time()
        result = what()
        seconds[stage] = time.process_time() - start
        return result

    config = run_config(size.history)
    recording = open_store(store)
    sessions = timed("prepare", lambda: prepare_sessions([open_store(store)], config))
    (session,) = sessions.values()
    timed("train", lambda: train([recording], config, run))
    fitted = load_encoder(run)
    tensors = fitted.tensors(recording)
    targets = fitted.targets(recording, None)
    timed("predict", lambda: predict_windows(fitted.encoder, tensors, targets))
    prediction = fitted.predict(recording)
    timed("evaluate", lambda: evaluate(fitted, recording, predictions=[prediction]))
    firsts = torch.from_numpy(session.targets("test")[:SALIENCY_WINDOWS].copy())
    batch = tensors.gather(firsts, 1)
    names = fitted.behavior_names
    timed("saliency", lambda: behavior_saliency(fitted.encoder, batch.video, batch.behavior, names))
    return seconds


def noise_session(size: Size) -> Recording:
    """Make a session of noise: time and memory depend on its sizes alone."""
    rng, n = np.random.default_rng(0), size.n_bins
    return Recording(
        session_id="noise",
        bin_width_s=0.048,
        frames=rng.integers(0, 256, (n, *size.frame_size), dtype=np.uint8),
        frame_index=np.arange(n),
        behavior=rng.normal(size=(n, len(COLUMNS))).astype(np.float32),
        behavior_names=COLUMNS,
        behavior_units=("cm/s", "deg", "deg", "deg", "deg", "px"),
        responses=rng.poisson(0.3, (n, size.neurons)).astype(np.float32),
        response_kind=ResponseKind.SPIKE_COUNTS,
        unit_ids=tuple(map(str, range(size.neurons))),
        segments=(Segment(0, n),),
    )


def run_config(history: int) -> RunConfig:
    """Return the defaults, for one pass."""
    values = {
        "data": {"history": history, "min_rate_hz": 0.0},
        "training": {"device": "cpu", "max_passes": 1},
    }
    return resolve_config(build_config(RunConfig, values, where="benchmark"))


def exponents(rows: list[dict[str, Any]], key: str) -> tuple[float, float]:
    """Return the slope of a curve's logarithm, over all points and between the last two."""
    x, y = (np.log([row[name] for row in rows]) for name in ("x", key))
    return float(np.polyfit(x, y, 1)[0]), float((y[-1] - y[-2]) / (x[-1] - x[-2]))


def exponent_table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Return the exponents as a Markdown table."""
    keys = (*STAGES, "own_peak", "all_peak")
    lines = ["| against | " + " | ".join(keys) + " |", "|---|" + "---|" * len(keys)]
    for axis, rows in found.items():
        cells = ["{:.2f} ({:.2f})".format(*exponents(rows, key)) for key in keys]
        lines.append(f"| {axis} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
