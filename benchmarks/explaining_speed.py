"""How fast is behavior saliency? Against plain loops, in one process, one method after the other.

    python benchmarks/explaining_speed.py --out runs/explaining_speed.json

Every derivative is that of 68 neurons by 66 features in 256 windows of noise at 60 x 80 pixels, in
float32, with weights as a fit starts from: time does not depend on them. Methods take turns, so
that a busy machine slows all of them; a ratio is the median over turns of the ratio in a turn.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import FEATURE_SETS
from freegaze.explanation.saliency.derivatives import behavior_saliency
from freegaze.models.cnn_gru import CNNGRUConfig
from freegaze.models.encoder import AbstractEncoder, build_encoder

NAMES = FEATURE_SETS["all_prod"]
ENCODERS = {
    "cnn_gru paper": (CNNGRUConfig.paper(), 1),
    "cnn_gru default": (CNNGRUConfig(features="all_prod"), 6),
}
FAST, LOOP, BACKWARDS, WITH_WEIGHTS = (
    "behavior_saliency",
    "forward and backward for each neuron",
    "one forward, then a backward for each neuron",
    "forward and `backward()` for each neuron, gradients of weights too",
)

Method = Callable[[AbstractEncoder, Tensor, Tensor], np.ndarray]


def fast(encoder: AbstractEncoder, video: Tensor, behavior: Tensor) -> np.ndarray:
    """Return both paths, which are more than the loops tell apart."""
    return behavior_saliency(encoder, video, behavior, NAMES).total


def forward_and_backward(encoder: AbstractEncoder, video: Tensor, behavior: Tensor) -> np.ndarray:
    """Differentiate one neuron after the other."""
    found = []
    for neuron in range(encoder.sessions["s"].n_neurons):
        point = behavior.clone().requires_grad_()
        rate = encoder(video, point)[:, neuron].sum()
        found.append(torch.autograd.grad(rate, point)[0].sum(1))
    return torch.stack(found, 1).numpy()


def backwards(encoder: AbstractEncoder, video: Tensor, behavior: Tensor) -> np.ndarray:
    """Differentiate one neuron after the other, predicted once."""
    point = behavior.clone().requires_grad_()
    rates = encoder(video, point).sum(0)
    found = [torch.autograd.grad(rate, point, retain_graph=True)[0].sum(1) for rate in rates]
    return torch.stack(found, 1).numpy()


def with_weights(encoder: AbstractEncoder, video: Tensor, behavior: Tensor) -> np.ndarray:
    """Differentiate one neuron after the other as one does who does not think of weights."""
    found = []
    encoder.requires_grad_(True)
    for neuron in range(encoder.sessions["s"].n_neurons):
        point = behavior.clone().requires_grad_()
        encoder(video, point)[:, neuron].sum().backward()
        assert point.grad is not None
        found.append(point.grad.sum(1))
    encoder.requires_grad_(False).zero_grad()
    return torch.stack(found, 1).numpy()


METHODS: dict[str, Method] = {
    FAST: fast,
    LOOP: forward_and_backward,
    BACKWARDS: backwards,
    WITH_WEIGHTS: with_weights,
}


def main() -> None:
    """Measure, print a table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), choices=list(ENCODERS))
    parser.add_argument("--quick", action="store_true", help="few windows and neurons")
    options = parser.parse_args()
    n_neurons, n_windows = (4, 16) if options.quick else (68, 256)
    rows = []
    for name in options.encoders:
        config, history = ENCODERS[name]
        dims = EncoderDims(n_neurons, NAMES, (60, 80), history, recorded=FEATURE_SETS["orig"])
        encoder = build_encoder("cnn_gru", config, {"s": dims}, seed=0).eval()
        encoder.requires_grad_(False)  # as the fast way does; it helps the loops too
        generator = torch.Generator().manual_seed(0)
        video = torch.randn(n_windows, history, 1, 60, 80, generator=generator)
        behavior = torch.randn(n_windows, history, len(NAMES), generator=generator)
        rows += measure(name, encoder, video, behavior, options.repeats)
    machine = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    machine["processor"] = platform.processor() or platform.machine()
    sizes = {"n_neurons": n_neurons, "n_windows": n_windows, "n_features": len(NAMES)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"machine": machine, **sizes, "rows": rows}, indent=1))
    print("| encoder | method | median s | least s | times slower | largest difference |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        times = f"{row['median_s']:.2f} | {row['least_s']:.2f} | {row['ratio']:.1f}"
        print(f"| {row['encoder']} | {row['method']} | {times} | {row['difference']:.0e} |")


def measure(
    name: str, encoder: AbstractEncoder, video: Tensor, behavior: Tensor, repeats: int
) -> list[dict[str, str | float | list[float]]]:
    """Time every method in turns, after one call of each with few windows."""
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    results = {}
    for method in METHODS.values():
        method(encoder, video[:2], behavior[:2])
    for _ in range(repeats):
        for method, function in METHODS.items():
            start = perf_counter()
            results[method] = function(encoder, video, behavior)
            seconds[method].append(perf_counter() - start)
    scale = np.abs(results[LOOP]).max()
    return [
        {
            "encoder": name,
            "method": method,
            "seconds": times,
            "median_s": float(np.median(times)),
            "least_s": min(times),
            "ratio": float(np.median(np.divide(times, seconds[FAST]))),
            "difference": float(np.abs(results[method] - results[LOOP]).max() / scale),
        }
        for method, times in seconds.items()
    ]


if __name__ == "__main__":
    main()
