"""Score against minutes of a new animal, with and without a core from other animals.

    python benchmarks/transfer_curve.py --out runs/transfer --donors 3 --animal 40 --minutes 5 10 20

Simulates the donors, fits one encoder to all of them, and fits the new animal from the first
minutes of its training and validation bins: from initial weights, and with the donors' core. All
fits are scored on the same test bins. What exists already in ``--out`` is kept.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import freegaze
from freegaze.dataset.splits import ROLES, UNUSED, split_recording
from freegaze.evaluation.compare import compare
from freegaze.evaluation.evaluation import Evaluation
from freegaze.recording.recording import Recording, Segment


def main() -> None:
    """Simulate, fit, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--track", default="standard")
    parser.add_argument("--donors", type=int, default=3, help="number of other animals")
    parser.add_argument("--first-donor", type=int, default=10, help="seed of the first of them")
    parser.add_argument("--donor-minutes", type=float, default=20)
    parser.add_argument("--animal", type=int, default=40, help="seed of the new animal")
    parser.add_argument("--minutes", nargs="+", type=float, default=[5, 10, 20, 60])
    parser.add_argument("--neurons", type=int, default=60)
    parser.add_argument("--model", default="cnn_gru")
    options = parser.parse_args()
    seeds = range(options.first_donor, options.first_donor + options.donors)
    others = [simulated(options, seed, options.donor_minutes) for seed in seeds]
    core = options.out / "core"
    if not (core / "encoder.safetensors").exists():
        freegaze.fit(others, core, model=options.model)
    # Of 60 simulated minutes a third is test bins.
    animal = simulated(options, options.animal, 1.5 * max(options.minutes))
    print("minutes  alone  with core  difference in correlation (95 %)")
    for minutes in options.minutes:
        short = shorten(animal, minutes)
        alone = scores(options, short, f"alone_{minutes:g}", {})
        helped = scores(options, short, f"core_{minutes:g}", {"training.core_from": str(core)})
        found = compare({"alone": [alone], "core": [helped]}, metrics=["correlation"]).headline
        means = [float(np.mean(e.table["correlation"].to_numpy())) for e in (alone, helped)]
        print(f"{minutes:7g}  {means[0]:.3f}  {means[1]:.3f}", found.round(4).to_dict("records"))


def simulated(options: argparse.Namespace, seed: int, minutes: float) -> Recording:
    """Return a simulated animal, from the disk if it is there."""
    folder = options.out / f"data_{options.track}_{seed}_{minutes:g}"
    if not folder.exists():
        freegaze.simulate(
            folder, track=options.track, seed=seed, minutes=minutes, n_neurons=options.neurons
        )
    (recording,) = freegaze.open_recordings("simulation", folder)
    return recording


def shorten(recording: Recording, minutes: float) -> Recording:
    """Return a recording whose training and validation bins are the first of some minutes."""
    codes = split_recording(recording).codes.copy()
    learned = np.isin(codes, [ROLES.index("train"), ROLES.index("validation")])
    codes[learned & (np.cumsum(learned) * recording.bin_width_s > 60 * minutes)] = UNUSED
    segments = []
    for segment in recording.segments:
        edges = segment.start + 1 + np.flatnonzero(np.diff(codes[segment.start : segment.stop]))
        for start, stop in zip([segment.start, *edges], [*edges, segment.stop], strict=True):
            role = None if codes[start] == UNUSED else ROLES[codes[start]]
            segments.append(Segment(int(start), int(stop), role, segment.trial))
    return replace(recording, segments=tuple(segments))


def scores(
    options: argparse.Namespace, recording: Recording, name: str, settings: dict[str, str]
) -> Evaluation:
    """Fit, unless that was done, and score on test bins."""
    run = options.out / name
    if not (run / "encoder.safetensors").exists():
        given = {"split.method": "given", **settings}
        freegaze.fit(recording, run, model=options.model, settings=given)
    return freegaze.evaluate(freegaze.load_encoder(run), recording)


if __name__ == "__main__":
    main()
