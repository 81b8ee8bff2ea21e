"""Is what an explanation finds there? Fields, classes and coefficients against the truth.

    python benchmarks/looking_inside.py --out runs/inside --sessions affine:1:40 standard:1:40

Each session is TRACK:SEED:MINUTES (60 neurons). Simulates, fits a CNN-GRU, evaluates and explains
what is not there yet in ``--out``, and prints tables; they are also written there as CSV.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from freegaze.evaluation.displacement import displacement_against_truth
from freegaze.evaluation.storage import load_evaluation
from freegaze.explanation.fields.gradients import summarize_field
from freegaze.explanation.fields.linear import smooth_linear_fit
from freegaze.explanation.result import load_explanation
from freegaze.explanation.session import ExplainedSession
from freegaze.explanation.truth import (
    compare_contributions,
    compare_fields,
    compare_saliency,
    correlate,
)
from freegaze.fitted.storage import load_encoder
from freegaze.nn.warp import rotation_center, warp_frames
from freegaze.paper.classes import modulation
from freegaze.paper.saliency import paper_saliency
from freegaze.runs.recordings import open_run_recordings
from freegaze.sources.simulation import load_truth

HALF = 0.5
"""Only neurons above this share of their attainable score count for receptive fields."""

CARRIES = 0.05
"""A group that carries this share of the attainable deviance should be found."""


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sessions", nargs="+", required=True, metavar="TRACK:SEED:MINUTES")
    options = parser.parse_args()
    tables: dict[str, list[pd.DataFrame]] = {"fields": [], "classes": [], "saliency": []}
    rule = []
    for name in options.sessions:
        track, seed, minutes = name.split(":")
        run = prepare(options.out, track, seed, minutes)
        for key, table in compare(run).items():
            tables[key].append(table.assign(session=name, track=track))
        if track == "null":
            rule.append(original_rule(options.out, f"{track}_{seed}_{minutes}"))
    found = {key: pd.concat(parts, ignore_index=True) for key, parts in tables.items()}
    for key, table in found.items():
        table.to_csv(options.out / f"{key}.csv", index=False)
    print_fields(found["fields"])
    print_classes(found["classes"])
    print_saliency(found["saliency"])
    if rule:
        print("The original's rule where nothing is modulated: neurons it calls modulated")
        print(pd.DataFrame(rule).to_string(index=False))


def prepare(out: Path, track: str, seed: str, minutes: str) -> Path:
    """Simulate, fit, evaluate and explain what is not there yet."""
    mark = f"{track}_{seed}_{minutes}"
    data, run = out / f"data_{mark}", out / f"cnn_gru_{mark}"
    if not data.exists():
        freegaze(
            *("simulate", "--minutes", minutes, "--neurons", 60, "--seed", seed),
            *("--track", track, "--out", data),
        )
    if not (run / "config.yaml").exists():
        freegaze("train", data, "--model", "cnn_gru", "--out", run, "--quiet")
    elif not (run / "encoder.safetensors").exists():
        freegaze("train", "--resume", run, "--quiet")
    if not (run / "evaluation" / "summary.json").exists():
        freegaze("evaluate", run)
    freegaze("explain", run, "--quiet")
    return run


def freegaze(*arguments: object) -> None:
    """Run the command line."""
    command = [
        sys.executable,
        "-c",
        "from freegaze.cli.app import run; run()",
        *map(str, arguments),
    ]
    subprocess.run(command, check=True)


def compare(run: Path) -> dict[str, pd.DataFrame]:
    """Put one explained session beside its truth."""
    encoder = load_encoder(run)
    (recording,) = open_run_recordings(run)
    session = ExplainedSession(encoder, recording)
    explanation = load_explanation(run, recording.session_id)
    whole = load_truth(recording.provenance["truth"])
    place = [recording.unit_ids.index(unit) for unit in explanation.unit_ids]
    truth = whole.select_neurons(np.array(place))
    movement = next(iter(displacement_against_truth(encoder, [recording]).values()))
    fields = compare_fields(explanation, truth, movement.shift_px, movement.rotation_deg)
    given = true_gaze_fields(session, truth)
    fields = pd.concat([fields, given.assign(method="linear, true gaze")], ignore_index=True)
    scores = load_evaluation(run).table.set_index("unit_id")
    share = scores["correlation"] / scores["attainable_correlation"]
    fields["share"] = fields["unit_id"].map(share)
    classes = compare_contributions(explanation, truth, session)
    return {
        "fields": fields,
        "classes": classes,
        "saliency": compare_saliency(explanation, truth, session),
    }


def true_gaze_fields(session: ExplainedSession, truth) -> pd.DataFrame:
    """Fit smooth linear fields on video moved by the true gaze, as a perfect shifter would."""
    affine = torch.from_numpy(truth.best_affine).float()
    center = rotation_center(session.recording.frame_size)

    def frames(bins: np.ndarray) -> torch.Tensor:
        numbers = torch.from_numpy(np.ascontiguousarray(bins))
        return warp_frames(session.video(numbers), affine[numbers], center)[:, 0]

    training, validation = session.targets["train"], session.targets["validation"]
    responses = session.recording.responses
    fit = smooth_linear_fit(
        *(frames, training, responses[training], validation, responses[validation]),
        *(session.history, session.lag),
    )
    return pd.DataFrame(
        {
            "unit_id": unit,
            "kind": truth.kind[i],
            "correlation": correlate(
                summarize_field(fit.fields[i]).spatial, truth.receptive_field[i, 0]
            ),
        }
        for i, unit in enumerate(session.recording.unit_ids)
        if truth.kind[i] == "simple" and truth.receptive_field[i].any()
    )


def original_rule(out: Path, mark: str) -> dict[str, object]:
    """Fit the original's kind of encoder, dropout and products in it, and apply its rule."""
    run = out / f"rule_{mark}"
    if not (run / "encoder.safetensors").exists():
        freegaze(
            *("train", out / f"data_{mark}", "--model", "cnn_gru", "--out", run, "--quiet"),
            *("--set", "data.history=1", "--set", "model.features=all_prod"),
            *("--set", "model.core.dropout=0.5", "--set", "data.standardize=false"),
            *("--set", "model.normalize_behavior=true"),
        )
    encoder, (recording,) = load_encoder(run), open_run_recordings(run)
    found = modulation(paper_saliency(encoder, recording, 1000), encoder.behavior_names)
    counts = dict(zip(found.variables, found.is_modulated.sum(0).tolist(), strict=True))
    n_any = int(found.is_modulated.any(1).sum())
    return {"session": mark, "neurons": len(found.z), "by any": n_any, **counts}


def print_fields(fields: pd.DataFrame) -> None:
    """Print correlations with the truth and distances of centers, by session and method."""
    good = fields[fields["share"] > HALF]
    rows = []
    for (session, method), part in good.groupby(["session", "method"], sort=False):
        simple, complex_ = part[part["kind"] == "simple"], part[part["kind"] == "complex"]
        rows.append(
            {
                "session": session,
                "method": method,
                "simple": len(simple),
                "median r": simple["correlation"].median(),
                "quartile r": simple["correlation"].quantile(0.25),
                "within 2 px": (simple["distance_px"] <= 2).mean(),
                "envelope": (simple["envelope_distance_px"] <= 2).mean(),
                "complex": len(complex_),
                "median overlap": complex_["correlation"].median(),
                "within 3 px": (complex_["distance_px"] <= 3).mean(),
                "its envelope": (complex_["envelope_distance_px"] <= 3).mean(),
            }
        )
    print(f"Receptive fields of neurons above {HALF:.0%} of their attainable correlation:")
    print(pd.DataFrame(rows).round(3).to_string(index=False))


def print_classes(classes: pd.DataFrame) -> None:
    """Print false discoveries and sensitivity, pooled over the sessions of a track."""
    rows = []
    for track, part in classes.groupby("track", sort=False):
        found, real = part["is_found"], part["is_real"]
        strong = part[real & (part["share"] >= CARRIES)]
        rows.append(
            {
                "track": track,
                "sessions": part["session"].nunique(),
                "tests": len(part),
                "found": int(found.sum()),
                "false": int((found & ~real).sum()),
                "false discovery rate": (found & ~real).sum() / max(1, found.sum()),
                "strong": len(strong),
                "sensitivity": strong["is_found"].mean(),
            }
        )
        for group, own in part.groupby("group", sort=False):
            false = int((own["is_found"] & ~own["is_real"]).sum())
            rows[-1][group] = f"{int(own['is_found'].sum())} ({false} false)"
    print("\nGroups of behavior that add something:")
    print(pd.DataFrame(rows).round(3).to_string(index=False))


def print_saliency(saliency: pd.DataFrame) -> None:
    """Print how signs and sizes of saliency agree with true effects, by session."""
    rows = []
    for session, part in saliency.groupby("session", sort=False):
        real = part[part["true"] != 0]
        if not len(real):
            continue
        every = part[["true", "found"]]
        large = real[real["true"].abs() > real["true"].abs().median()]
        rows.append(
            {
                "session": session,
                "effects": len(real),
                "signs right above the median": (
                    np.sign(large["true"]) == np.sign(large["found"])
                ).mean(),
                "correlation of sizes": np.corrcoef(real["true"].abs(), real["found"].abs())[0, 1],
                "correlation, signed": np.corrcoef(real["true"], real["found"])[0, 1],
                "with zeros: n": len(every),
                "with zeros: sizes": np.corrcoef(*every.abs().to_numpy().T)[0, 1],
                "with zeros: signed": np.corrcoef(*every.to_numpy().T)[0, 1],
            }
        )
    print("\nSaliency (signed mean for one sd, retinal image held) against true effects:")
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
