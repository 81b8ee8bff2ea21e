"""Does a fit find what is there? Encoders on the virtual mouse, by kind of cell, and the shifter.

    python benchmarks/truth_found.py --out runs/truth --tracks affine standard --seeds 1 2

Simulates each session (20 minutes, 60 neurons), fits each model, evaluates it and prints tables.
What exists already in ``--out`` is kept, so that a stopped run can be continued.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from freegaze.evaluation.displacement import displacement_against_truth
from freegaze.evaluation.storage import load_evaluation
from freegaze.fitted.storage import load_encoder
from freegaze.runs.recordings import open_run_recordings
from freegaze.sources.simulation import load_truth

MODELS = {
    "cnn_gru": ["--model", "cnn_gru"],
    "glm": ["--model", "glm", "--set", "search={model.smoothness: [1.0, 10.0]}"],
    "behavior_only": ["--model", "behavior_only"],
}
KINDS = ("all", "visual only", "simple", "complex", "behavior only")


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tracks", nargs="+", default=["affine", "standard"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--neurons", type=int, default=60)
    options = parser.parse_args()
    rows, shifts = [], []
    for track in options.tracks:
        for seed in options.seeds:
            data = options.out / f"data_{track}_{seed}"
            if not data.exists():
                freegaze(
                    *("simulate", "--minutes", options.minutes, "--neurons", options.neurons),
                    *("--seed", seed, "--track", track, "--out", data),
                )
            for model in options.models:
                run = options.out / f"{model}_{track}_{seed}"
                fit(run, data, model)
                rows += [{"track": track, "seed": seed, "model": model, **r} for r in scores(run)]
                shifts += [{"track": track, "seed": seed, "model": model, **s} for s in shift(run)]
    table = pd.DataFrame(rows).pivot_table(
        index=["track", "seed", "model"], columns="cells", values="share", sort=False
    )
    print("Share of the attainable single-bin correlation (mean over neurons / mean attainable):")
    print(table[list(KINDS)].round(3).to_string())
    print("\nShifter against the truth, tracked bins, one common shift and rotation taken out:")
    print(pd.DataFrame(shifts).round(2).to_string(index=False))


def freegaze(*arguments: object) -> None:
    """Run the command line."""
    command = [
        sys.executable,
        "-c",
        "from freegaze.cli.app import run; run()",
        *map(str, arguments),
    ]
    subprocess.run(command, check=True)


def fit(run: Path, data: Path, model: str) -> None:
    """Fit and evaluate what is not there yet."""
    if not (run / "config.yaml").exists():
        freegaze("train", data, *MODELS[model], "--out", run, "--quiet")
    elif not (run / "encoder.safetensors").exists():
        freegaze("train", "--resume", run, "--quiet")
    if not (run / "evaluation" / "summary.json").exists():
        freegaze("evaluate", run)


def scores(run: Path) -> list[dict[str, object]]:
    """Return mean correlation over mean attainable correlation, by kind of cell."""
    table = load_evaluation(run).table
    (recording,) = open_run_recordings(run)
    truth = load_truth(recording.provenance["truth"])
    place = [recording.unit_ids.index(unit) for unit in table["unit_id"]]
    kind, modulation = np.array(truth.kind)[place], np.array(truth.modulation)[place]
    is_visual = ~np.isin(modulation, ["behavior_only", "untuned"])
    # An untuned cell has nothing to attain: its share is not a number, and it is left out.
    has_share = table["attainable_correlation"].notna().to_numpy()
    table, kind, modulation, is_visual = (
        part[has_share] for part in (table, kind, modulation, is_visual)
    )
    chosen = {
        "all": np.ones(len(table), bool),
        "visual only": modulation == "visual_only",
        "simple": is_visual & (kind == "simple"),
        "complex": is_visual & (kind == "complex"),
        "behavior only": modulation == "behavior_only",
    }
    return [
        {
            "cells": name,
            "n": int(mask.sum()),
            "share": table["correlation"][mask].mean()
            / table["attainable_correlation"][mask].mean(),
        }
        for name, mask in chosen.items()
    ]


def shift(run: Path) -> list[dict[str, float]]:
    """Return slopes and residuals of the shifter, where the model has one."""
    recordings = open_run_recordings(run)
    fits = displacement_against_truth(load_encoder(run), recordings)
    return [
        {
            **dict(zip(("slope_x", "slope_y", "slope_angle"), fit.slope, strict=True)),
            **dict(zip(("rms_x_px", "rms_y_px", "rms_angle_deg"), fit.rms, strict=True)),
        }
        for fit in fits.values()
    ]


if __name__ == "__main__":
    main()
