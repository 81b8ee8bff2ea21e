"""Do bfloat16, and windows that share frames, reach the validation loss of the slow way?

    python benchmarks/same_loss.py --out runs/same_loss.json            # 36 fits: hours
    python benchmarks/same_loss.py --out runs/same_loss.json --quick    # does it run?

Fits the default encoder, and the original's with history 8 (``all_prod``, in the recipe of
``time_to_loss``), on one simulated session of 10 minutes and 60 neurons: in float32 and bfloat16,
with stretches of 1, 8 and 32 windows, by the same three seeds each. A fit counts with the lowest
validation loss of its passes. Every variant is compared with float32 on independent windows seed by
seed; a difference is no larger than chance where it is within what seeds alone make of that one.
Finished fits are kept in the output, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freegaze.allocator import keep_freed_memory
from freegaze.config import build_config
from freegaze.paper.presets import preset
from freegaze.recording.recording import Recording
from freegaze.runs.config import RunConfig, resolve_config
from freegaze.simulation import SimulationConfig, simulate
from freegaze.training.fit import train
from time_to_loss import RECIPE

PRECISIONS, STRETCHES = ("float32", "bfloat16"), (1, 8, 32)
BASE = ("float32", 1)
QUICK = {"max_passes": 1}
Losses = dict[str, dict[str, float]]


def default_encoder() -> dict[str, Any]:
    """Return the defaults."""
    return RunConfig().model_dump(mode="json")


def paper_encoder() -> dict[str, Any]:
    """Return the original's encoder with history 8; every variant normalizes over all frames."""
    values = preset("table3", "history_8", "paper").model_dump(mode="json")
    values["model"]["encode_per_frame"] = False
    values["data"] |= {"standardize": True, "nan_policy": "interpolate"}
    values["training"] |= {**RECIPE, "validation_mean": "windows"}
    return values


ENCODERS = {"default": default_encoder, "paper": paper_encoder}


def main() -> None:
    """Fit what is missing, and print the comparison."""
    parser = argparse.ArgumentParser(description="validation loss of the fast ways")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="one pass, five minutes, two seeds")
    parser.add_argument("--encoders", nargs="+", choices=ENCODERS, default=list(ENCODERS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    minutes, seeds = (5, options.seeds[:2]) if options.quick else (10, options.seeds)
    config = SimulationConfig(minutes=minutes, n_neurons=60, seed=1, track="standard")
    recording, _ = simulate(config)
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    work = itertools.product(options.encoders, seeds, PRECISIONS, STRETCHES)
    for encoder, seed, precision, stretch in work:
        losses = found.setdefault(encoder, {}).setdefault(name(precision, stretch), {})
        if str(seed) in losses:
            continue
        recipe = {"precision": precision, "stretch_windows": stretch, "seed": seed}
        start = time.perf_counter()
        losses[str(seed)] = best_loss(recording, encoder, recipe | (QUICK if options.quick else {}))
        seconds = time.perf_counter() - start
        print(
            f"{encoder} {name(precision, stretch)} seed {seed}: {losses[str(seed)]:.4f}, "
            f"{seconds:.0f} s",
            flush=True,
        )
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    for encoder in options.encoders:
        print(f"\n{encoder}\n{table(found[encoder])}")


def name(precision: str, stretch: int) -> str:
    """Name a variant."""
    return f"{precision}, stretches of {stretch}"


def best_loss(recording: Recording, encoder: str, recipe: Mapping[str, Any]) -> float:
    """Fit once; return the lowest validation loss of its passes."""
    values = ENCODERS[encoder]()
    values["training"] |= {**recipe, "device": "cpu"}
    config = resolve_config(build_config(RunConfig, values, where="benchmark"))
    with tempfile.TemporaryDirectory() as folder:
        run = train([recording], config, Path(folder) / "run")
        return min(entry["validation_loss"] for entry in run.metrics())


def table(found: Losses) -> str:
    """Return medians over seeds, and differences seed by seed, as a Markdown table."""
    base = found[name(*BASE)]
    spread = max(base.values()) - min(base.values())
    lines = [f"Seeds alone: {spread:.4f} between the lowest and the highest of {name(*BASE)}", ""]
    lines += ["| variant | median (lowest to highest) | minus independent float32, seed by seed |"]
    lines += ["|---|---|---|"]
    for variant, losses in found.items():
        values = np.array(list(losses.values()))
        pairs = [losses[seed] - base[seed] for seed in losses if seed in base]
        differences = ", ".join(f"{pair:+.4f}" for pair in pairs)
        within = "within" if abs(float(np.median(pairs))) <= spread else "beyond"
        lines.append(
            f"| {variant} | {np.median(values):.4f} ({values.min():.4f} to {values.max():.4f}) | "
            f"{differences}: {within} seeds |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
