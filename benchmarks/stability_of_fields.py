"""Measure how well the stability of fields over refits on halves separates true from false fields.

    python benchmarks/stability_of_fields.py --out runs/stability --sessions affine:300:6

Each session is TRACK:SEED:MINUTES. Simulates, fits, explains and refits what is not there yet in
``--out``, compares the fields of the whole fit with the true ones, and prints the area under the
curve of stability for "correlation with the truth at least .6", and how many of the fields called
reliable lie within 3 px of a frame of 60 x 80 px (``--height 30`` simulates frames of 30 x 40 px,
whose distances count twice). A neuron without a visual drive has no true field: its fitted field
counts as farther than 3 px, and its correlation as 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu

import freegaze
from freegaze.evaluation.displacement import displacement_against_truth
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.explain import explain
from freegaze.explanation.session import ExplainedSession
from freegaze.explanation.stability import METHOD
from freegaze.explanation.truth import compare_fields
from freegaze.simulation.tracks import SimulationConfig
from freegaze.sources.simulation import load_truth
from freegaze.studies.refits import stability_of

LEAST_R = 0.6
LARGEST_PX = 3.0
PART = f"fields.{METHOD}"


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sessions", nargs="+", required=True, metavar="TRACK:SEED:MINUTES")
    parser.add_argument("--neurons", type=int, default=30)
    parser.add_argument("--height", type=int, default=60, help="of frames, in px")
    parser.add_argument("--model", default="cnn_gru")
    parser.add_argument("--refits", type=int, default=2)
    options = parser.parse_args()
    tables = []
    for name in options.sessions:
        track, seed, minutes = name.split(":")
        table = compare(options, track, int(seed), float(minutes)).assign(session=name)
        tables.append(table)
        print(name, describe(table), flush=True)
    whole = pd.concat(tables, ignore_index=True)
    whole.to_csv(options.out / f"stability_{options.model}.csv", index=False)
    print("\nAll sessions:", describe(whole))
    print("Visual neurons alone:", describe(whole[whole["is_visual"]]))
    print("\nThreshold, share of fields called reliable within 3 px, share of those within called")
    for threshold in np.arange(0.3, 0.96, 0.05):
        print(f"{threshold:.2f}  {rates_at(whole, threshold)}")


def compare(options: argparse.Namespace, track: str, seed: int, minutes: float) -> pd.DataFrame:
    """Return stability and truth of each neuron of a session."""
    mark = f"{track}_{seed}_{minutes:g}"
    data, run = options.out / f"data_{mark}", options.out / f"{options.model}_{mark}"
    if not data.exists():
        size = (options.height, options.height * 4 // 3)
        settings = SimulationConfig(minutes, options.neurons, seed, track, frame_size=size)
        freegaze.simulate(data, config=settings)
    recordings = freegaze.open_recordings("auto", data)
    if not (run / "encoder.safetensors").exists():
        freegaze.fit(recordings, run, model=options.model)
    encoder = freegaze.load_encoder(run)
    (recording,) = recordings
    config = ExplainConfig()
    explanation = explain(encoder, recording, run, config, only=[PART])
    (stability,) = stability_of(run, recordings, options.refits, config, parts=[PART])
    session = ExplainedSession(encoder, recording)
    truth = load_truth(recording.provenance["truth"], session.recording)
    fits = displacement_against_truth(encoder, [recording])
    common = fits.get(recording.session_id)
    shift, rotation = (common.shift_px, common.rotation_deg) if common else ((0.0, 0.0), 0.0)
    true = compare_fields(explanation, truth, shift, rotation).set_index("unit_id")
    table = stability.table[["unit_id", "field", "halves", "distance_px"]].copy()
    table["is_visual"] = table["unit_id"].isin(true.index)
    table["r"] = table["unit_id"].map(true["correlation"]).fillna(0.0)
    table["off_px"] = table["unit_id"].map(true["distance_px"]).fillna(np.inf)
    table[["distance_px", "off_px"]] *= 60 / options.height
    return table


def describe(table: pd.DataFrame) -> str:
    """Return the area under the curve in words."""
    known = table[table["field"].notna()]
    is_true = known["r"] >= LEAST_R
    if is_true.all() or not is_true.any():
        return f"{len(known)} neurons, {is_true.sum()} with r of at least {LEAST_R}"
    u = mannwhitneyu(known.loc[is_true, "field"], known.loc[~is_true, "field"]).statistic
    area = u / (is_true.sum() * (~is_true).sum())
    return (
        f"{len(known)} of {len(table)} neurons, {is_true.sum()} with r of at least {LEAST_R}: "
        f"area under the curve {area:.3f}"
    )


def rates_at(table: pd.DataFrame, threshold: float) -> str:
    """Return precision and recall of a threshold for fields within 3 px, as counts."""
    is_called = table["field"] >= threshold
    is_near = table["off_px"] <= LARGEST_PX
    both = int((is_called & is_near).sum())
    return (
        f"{both} of {is_called.sum()} ({both / max(1, is_called.sum()):.0%}), "
        f"{both} of {is_near.sum()} ({both / max(1, is_near.sum()):.0%})"
    )


if __name__ == "__main__":
    main()
