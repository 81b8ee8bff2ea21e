"""Real mouse V1 (calcium, gratings): encoders against behavior alone and means over trials.

    python benchmarks/real_recordings.py DATA/park2023_mouse_v1/mrcuts28.npz --out runs/real

Fits a video encoder and a behavior-only encoder, compares both with the mean response by direction
and time in the trial, and by time alone, on the same held-out trials; intervals resample trials.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import freegaze
from freegaze.evaluation.compare import compare
from freegaze.evaluation.condition_mean import condition_mean
from freegaze.evaluation.evaluate import score_sessions
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.scored_session import scored_session
from freegaze.fitted.encoder import FittedEncoder
from freegaze.recording.recording import Recording

CONDITION = "stimulus_direction_deg"
FEATURES = ["speed", "pupil_radius", "d_speed", "d_pupil_radius"]
SETTINGS = {
    "cnn_gru": {
        "model.shifter": "none",
        "model.features": FEATURES,
        "training.max_passes": 40,
        "training.patience": 10,
        "training.stretch_windows": 8,
    },
    "behavior_only": {"model.features": FEATURES, "training.max_passes": 40},
}


def main() -> None:
    """Fit, score, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--history", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    (recording,) = freegaze.open_recordings("arrays", options.recording)
    evaluations, encoder = {}, None
    for model, settings in SETTINGS.items():
        run = options.out / f"{options.recording.stem}_{model}_{options.history}_{options.seed}"
        if not (run / "encoder.safetensors").exists():
            common = {"data.history": options.history, "training.seed": options.seed}
            freegaze.fit(recording, run, model=model, settings={**settings, **common})
        encoder = freegaze.load_encoder(run)
        evaluations[model] = freegaze.evaluate(encoder, recording, condition=CONDITION)
    assert encoder is not None
    evaluations["direction and time"] = baseline(encoder, recording, CONDITION)
    evaluations["time alone"] = baseline(encoder, recording, None)
    print(f"{options.recording.stem}, history {options.history}, seed {options.seed}")
    for name, evaluation in evaluations.items():
        mean = evaluation.summary["pooled"]["scores"]["correlation"]
        table = evaluation.table
        null = table["correlation_null"].mean() if "correlation_null" in table else np.nan
        print(
            f"{name:20s} correlation {mean['mean']:.3f} "
            f"({mean['mean_low']:.3f} to {mean['mean_high']:.3f}), permuted trials {null:.3f}"
        )
    comparison = compare({k: [v] for k, v in evaluations.items()}, metrics=["correlation"])
    print(comparison.headline.round(4).to_string(index=False))


def baseline(encoder: FittedEncoder, recording: Recording, condition: str | None) -> Evaluation:
    """Score the mean over training trials on the encoder's own test bins."""
    split, targets = encoder.split(recording), encoder.targets(recording, "test")
    prediction = condition_mean(recording, split, condition, targets=targets)
    baseline = recording.responses[split.bins("train")].mean(0)
    scored = scored_session(recording, prediction, baseline, targets, condition=CONDITION)
    return score_sessions([scored])


if __name__ == "__main__":
    main()
