"""Cost of each violation of what encoders assume, on the second virtual mouse.

    python benchmarks/violations.py --out runs/violations --seed 1 --minutes 20 --neurons 60

Simulates VM-2 without violations, with each alone, and with all, fits and explains encoders, and
prints a table. What exists already in ``--out`` is kept, so that a stopped run can be continued.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd

from freegaze.evaluation.storage import load_evaluation
from freegaze.explanation.truth import load_truth_comparison
from freegaze.runs.recordings import open_run_recordings
from freegaze.simulation import VIOLATIONS, SimulationConfig
from freegaze.sources.simulation import simulate

HALF = 0.5
"""Only neurons above this share of their attainable score count for receptive fields."""

CHOICES = {"none": (), "all": tuple(VIOLATIONS)}

CARRIES = 0.05
"""A group that carries this share of the attainable deviance should be found."""


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--neurons", type=int, default=60)
    parser.add_argument("--height", type=int, default=60, help="of the frames in pixels")
    parser.add_argument("--models", nargs="+", default=["local_energy", "cnn_gru"])
    parser.add_argument("--sessions", nargs="+", default=["none", *VIOLATIONS, "all"])
    options = parser.parse_args()
    rows = []
    for violations in options.sessions:
        data = options.out / f"data_{violations}"
        if not data.exists():
            config = SimulationConfig(
                minutes=options.minutes,
                n_neurons=options.neurons,
                seed=options.seed,
                frame_size=(options.height, options.height * 4 // 3),
                mouse="VM-2",
                violations=CHOICES.get(violations, (violations,)),
            )
            simulate(data, config=config)
        for model in options.models:
            run = options.out / f"{model}_{violations}"
            fit(run, data, model)
            rows.append({"violations": violations, "model": model, **measure(run)})
            table = pd.DataFrame(rows)
            table.to_csv(options.out / "violations.csv", index=False)
    print(table.round(3).to_string(index=False))


def freegaze(*arguments: object) -> None:
    """Run the command line."""
    subprocess.run([sys.executable, "-m", "freegaze", *map(str, arguments)], check=True)


def fit(run: Path, data: Path, model: str) -> None:
    """Fit, evaluate and explain what is not there yet."""
    if not (run / "config.yaml").exists():
        freegaze("train", data, "--model", model, "--out", run, "--quiet")
    elif not (run / "encoder.safetensors").exists():
        freegaze("train", "--resume", run, "--quiet")
    if not (run / "evaluation" / "summary.json").exists():
        freegaze("evaluate", run)
    if not list(run.glob("explanation/*/truth_fields.csv")):
        freegaze("explain", run, "--only", "fields.gradient,contributions", "--quiet")


def measure(run: Path) -> dict[str, object]:
    """Return scores, agreement of fields, false discoveries and sensitivity of one fit."""
    scores = load_evaluation(run).table.set_index("unit_id")
    share = scores["correlation"] / scores["attainable_correlation"]
    (recording,) = open_run_recordings(run)
    compared = load_truth_comparison(run, recording.session_id)
    assert compared is not None
    fields = compared.fields[compared.fields["unit_id"].map(share) > HALF]
    by_kind = fields.groupby("kind")["correlation"].median()
    classes = compared.contributions
    found, real = classes["is_found"].astype(bool), classes["is_real"].astype(bool)
    strong = classes[real & (classes["share"] >= CARRIES)]
    return {
        "neurons": len(scores),
        "r": scores["correlation"].mean(),
        "attainable r": scores["attainable_correlation"].mean(),
        "share": scores["correlation"].mean() / scores["attainable_correlation"].mean(),
        "fields": len(fields),
        "field r": by_kind.get("simple", float("nan")),
        "pair overlap": by_kind.get("complex", float("nan")),
        "found": int(found.sum()),
        "false": int((found & ~real).sum()),
        "strong": len(strong),
        "sensitivity": strong["is_found"].astype(bool).mean(),
    }


if __name__ == "__main__":
    main()
