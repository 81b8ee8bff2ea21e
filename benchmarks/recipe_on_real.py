"""Real mouse V1 (calcium, gratings): our recipe beside the original's, for one encoder.

    python benchmarks/recipe_on_real.py DATA/park2023_mouse_v1/mrcuts28.npz --out runs/recipe.json

Fits the default encoder (no shifter, as heads were fixed) by either recipe to the same trials,
three seeds each, and prints the best validation loss and the pass that had it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import freegaze
from freegaze.paper.presets import preset
from freegaze.training.run_folder import RunFolder
from real_recordings import SETTINGS

SEEDS = range(3)


def main() -> None:
    """Fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--history", type=int, default=16)
    options = parser.parse_args()
    (recording,) = freegaze.open_recordings("arrays", options.recording)
    model = {k: v for k, v in SETTINGS["cnn_gru"].items() if k.startswith("model.")}
    theirs = preset("table2", "all_prod", "paper").model_dump(mode="json")["training"]
    recipes = {
        "ours": {"training.stretch_windows": 8},
        "original": {f"training.{key}": value for key, value in theirs.items()},
    }
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in recipes}
    for seed in SEEDS:
        for name, recipe in recipes.items():
            common = {"data.history": options.history, "training.validation_mean": "windows"}
            settings = {**model, **recipe, **common, "training.seed": seed}
            with TemporaryDirectory() as folder:
                run = Path(folder) / "run"
                freegaze.fit(recording, run, model="cnn_gru", settings=settings)
                losses = [entry["validation_loss"] for entry in RunFolder(run).metrics()]
            best = min(losses)
            found[name].append((best, losses.index(best) + 1))
            print(f"{name}, seed {seed}: {best:.4f} in pass {found[name][-1][1]}", flush=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
