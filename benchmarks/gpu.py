"""The comparison of ``speed.py`` on a GPU, and how long a whole Table 3 takes there.

    python benchmarks/gpu.py --out runs/gpu.json                       # a few minutes
    python benchmarks/gpu.py --out runs/gpu.json --table3 grids/table3 # and Table 3, full size

Both sides run on the GPU: the plain reference moves each batch there as its loader makes it; ours
keeps the session on the device and replays recorded steps. They take turns in one process; a ratio
is the median over turns of the ratio in a turn. Table 3 is three simulated sessions of full size,
histories 1 to 8, each fitted and evaluated; simulating the sessions is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import UTC, datetime
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freegaze import __version__
from freegaze.explanation.saliency.derivatives import behavior_saliency
from freegaze.fitted.prediction import predict_windows
from freegaze.models.encoder import AbstractEncoder, build_encoder
from freegaze.paper.grid_config import SCALES
from freegaze.runs.config import model_config
from freegaze.simulation import SimulationConfig, simulate
from freegaze.sources.simulation import write_simulation
from freegaze.training.fit import prepare_sessions, train
from limits import measure_limits, training_gflop, wait
from reference import plain
from sides import BATCH, N_NEURONS, STRETCH, EnoughError, noise_recording, run_config
from speed import AIMS, table

N_BINS = 50_000
"""Bins of the session, 40 minutes: a pass has enough steps to time."""

WARM_UP, TIMED = 24, 72
"""Steps of a fit before, and while, time is taken."""

PLAIN_STEPS = {1: (4, 24), 8: (2, 8)}
"""The same of the reference, by history."""


def main() -> None:
    """Measure, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description="freegaze beside a plain rendering, on a GPU")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--skip", nargs="*", default=[], help="works not to measure")
    parser.add_argument("--table3", type=Path, help="folder for the grid of Table 3")
    parser.add_argument("--jobs", type=int, default=4, help="fits at a time, for Table 3")
    parser.add_argument("--version", default="default", help="of Table 3: default or paper")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py: no CUDA device; nothing was measured")
    simulating = simulate_sessions(options.table3) if options.table3 else None
    limits = measure_limits("cuda")
    print(limits, flush=True)
    works: dict[str, dict[str, Any]] = {}
    for key, (reference, ours) in WORKS.items():
        if key not in options.skip:
            works[key] = take_turns(reference, ours, options.turns)
            print(key, works[key], flush=True)
    result: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "gpu": torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "freegaze": __version__,
            "cores": os.cpu_count(),
        },
        "limits": limits,
        "shares": shares(works, limits),
        "ratios": {key: row["ratio"] for key, row in works.items()},
        "aims": AIMS,
        "works": works,
    }
    write(options.out, result)
    print(table(result), flush=True)
    if simulating is not None:
        for done in simulating:
            done.result()
        result["table3"] = whole_table3(options.table3, options.jobs, options.version)
        print(result["table3"])
        write(options.out, result)


def write(out: Path, result: dict[str, Any]) -> None:
    """Write the numbers so far."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")


def take_turns(
    reference: Callable[[], float], ours: Callable[[], float], turns: int
) -> dict[str, Any]:
    """Let both sides do their work in turns, after one turn that does not count."""
    rates = [(reference(), ours()) for _ in range(turns + 1)][1:]
    plain_rates, our_rates = (list(side) for side in zip(*rates, strict=True))
    ratios = np.divide(our_rates, plain_rates)
    spread = {"least": float(ratios.min()), "greatest": float(ratios.max())}
    sides = {"reference": plain_rates, "ours": our_rates}
    return {"ratio": float(np.median(ratios)), **spread, "unit": "1/s", **sides}


@cache
def windows(history: int) -> plain.Windows:
    """Return the reference's data."""
    recording = noise_recording(N_BINS)
    signals = np.random.default_rng(1).normal(size=(N_BINS, plain.N_SIGNALS))
    return plain.Windows(recording.frames, signals, recording.responses, history)


def train_plain(history: int) -> float:
    """Return windows a second of the reference's training."""
    model = plain.Encoder(N_NEURONS).cuda()
    adam = torch.optim.Adam(model.parameters(), 2e-4)
    batches = iter(plain.loader(windows(history), BATCH, workers=2))
    n_before, n_timed = PLAIN_STEPS[history]
    for _ in range(n_before):
        plain.train_step(model, adam, next(batches))
    start = time.perf_counter()
    for _ in range(n_timed):
        plain.train_step(model, adam, next(batches))
    return n_timed * BATCH / (time.perf_counter() - start)


def train_ours(history: int, precision: str) -> float:
    """Return windows a second of a fit, between two steps that the GPU is waited for at."""
    times: list[float] = []

    def watch(what: str, done: int, total: int) -> None:
        if done in (WARM_UP, WARM_UP + TIMED):
            wait()
            times.append(time.perf_counter())
        if len(times) == 2:
            raise EnoughError

    with tempfile.TemporaryDirectory() as folder:
        try:
            config = run_config(history, precision, "cuda")
            train([noise_recording(N_BINS)], config, Path(folder) / "run", watch)
        except EnoughError:
            return TIMED * BATCH / (times[1] - times[0])
    raise AssertionError("the fit ended before enough steps were timed")


def predict_plain(history: int) -> float:
    """Return windows a second of the reference's prediction."""
    part = torch.utils.data.Subset(windows(history), range({1: 8192, 8: 2048}[history]))
    model = plain.Encoder(N_NEURONS).cuda()
    start = time.perf_counter()
    plain.predict(model, plain.loader(part, BATCH, 0, shuffle=False))
    return len(part) / (time.perf_counter() - start)


def predict_ours(history: int) -> float:
    """Return windows a second of prediction."""
    (session,) = prepare_sessions([noise_recording(N_BINS)], run_config(history)).values()
    tensors, targets = session.tensors("cuda"), session.targets("train")
    model = encoder(history).cuda().eval()
    predict_windows(model, tensors, targets[:256])
    wait()
    start = time.perf_counter()
    predict_windows(model, tensors, targets).cpu()
    return len(targets) / (time.perf_counter() - start)


def batch_plain() -> float:
    """Return samples a second of the reference's loader, of one process, on the way to the GPU."""
    batches = iter(plain.loader(windows(8), BATCH, workers=0))
    next(batches)
    start = time.perf_counter()
    for _ in range(8):
        [part.cuda(non_blocking=True) for part in next(batches)]
    wait()
    return 8 * BATCH / (time.perf_counter() - start)


def batch_ours() -> float:
    """Return samples a second of features and batches."""
    (session,) = prepare_sessions([noise_recording(N_BINS)], run_config(8)).values()
    tensors, targets = session.tensors("cuda"), session.targets("train")
    firsts = torch.from_numpy(targets[: 8 * 40 * 100 : 40].copy()).cuda().split(BATCH // STRETCH)
    tensors.gather(firsts[0], STRETCH)
    wait()
    start = time.perf_counter()
    for batch in firsts[1:]:
        tensors.gather(batch, STRETCH)
    wait()
    return BATCH * (len(firsts) - 1) / (time.perf_counter() - start)


def saliency_plain() -> float:
    """Return windows a second whose behavior saliency of all neurons is known."""
    model = plain.Encoder(N_NEURONS).cuda().eval()
    video, behavior = inputs(66)
    start = time.perf_counter()
    plain.saliency(model, video, behavior)
    wait()
    return len(video) / (time.perf_counter() - start)


def saliency_ours() -> float:
    """Return windows a second whose saliency is known, both paths apart."""
    model = encoder(1).cuda().eval()
    names = next(iter(model.sessions.values())).behavior_names
    video, behavior = inputs(len(names))
    start = time.perf_counter()
    behavior_saliency(model, video, behavior, names)
    wait()
    return len(video) / (time.perf_counter() - start)


def inputs(n_features: int, n: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """Return windows of noise."""
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(n, 1, 1, 60, 80, generator=generator)
    return video.cuda(), torch.randn(n, 1, n_features, generator=generator).cuda()


def encoder(history: int) -> AbstractEncoder:
    """Return the encoder with the weights that a fit starts from."""
    config = run_config(history)
    dims = next(iter(prepare_sessions([noise_recording(12_500)], config).values())).dims
    return build_encoder("cnn_gru", model_config(config), {"noise": dims}, seed=0)


WORKS: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
    "train_history1_float32": (lambda: train_plain(1), lambda: train_ours(1, "float32")),
    "train_history1_bfloat16": (lambda: train_plain(1), lambda: train_ours(1, "bfloat16")),
    "train_history8_float32": (lambda: train_plain(8), lambda: train_ours(8, "float32")),
    "train_history8_bfloat16": (lambda: train_plain(8), lambda: train_ours(8, "bfloat16")),
    "predict_history1": (lambda: predict_plain(1), lambda: predict_ours(1)),
    "predict_history8": (lambda: predict_plain(8), lambda: predict_ours(8)),
    "batching_history8": (batch_plain, batch_ours),
    "saliency_all_neurons": (saliency_plain, saliency_ours),
}
"""By key: the reference, which always computes in 32 bits, and ours."""


def shares(works: dict[str, Any], limits: dict[str, float]) -> dict[str, float]:
    """Return what share of the chip's rates training reaches; frames shared are counted once."""
    found = {}
    frames = {1: 1.0, 8: (STRETCH + 7) / STRETCH}
    for history, frames_a_window in frames.items():
        for precision in ("float32", "bfloat16"):
            row = works.get(f"train_history{history}_{precision}")
            if row is not None:
                rate = training_gflop(N_NEURONS) * frames_a_window * float(np.median(row["ours"]))
                name = f"history{history}_{precision}"
                for limit in ("product", "convolution"):
                    found[f"{name}_of_{limit}"] = rate / limits[f"{limit}_{precision}_gflops"]
    return found


def simulate_sessions(folder: Path) -> list[Future[None]]:
    """Begin to simulate the sessions of Table 3, each in a process of its own."""
    pool = ProcessPoolExecutor(3, mp_context=get_context("spawn"))
    target = folder / "sessions"
    target.mkdir(parents=True, exist_ok=True)
    return [pool.submit(simulate_session, c, target) for c in SCALES["full"].simulations()]


def simulate_session(config: SimulationConfig, folder: Path) -> None:
    """Simulate a session, unless it is there."""
    torch.set_num_threads(2)
    if not (folder / str(config.session_id)).is_dir():
        write_simulation(*simulate(config), folder)


def whole_table3(folder: Path, n_jobs: int, version: str) -> dict[str, Any]:
    """Return the wall time of Table 3 at full size, on sessions that are there."""
    reproduce = [sys.executable, "-m", "freegaze", "reproduce", "table3", "--out", str(folder)]
    asked = ["--scale", "full", "--version", version, "--set", "training.precision=bfloat16"]
    start = time.perf_counter()
    subprocess.run([*reproduce, *asked, "--jobs", str(n_jobs), "--quiet"], check=True)
    return {
        "version": version,
        "jobs": n_jobs,
        "seconds": time.perf_counter() - start,
        "seconds_of_passes": fit_seconds(folder),
    }


def fit_seconds(folder: Path) -> dict[str, float]:
    """Return the seconds that each cell's passes took, from their logs."""
    found = {}
    for file in sorted(folder.glob("cells/*/*/*/metrics.jsonl")):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        found[str(file.parent.relative_to(folder / "cells"))] = sum(x["seconds"] for x in lines)
    return found


if __name__ == "__main__":
    main()
