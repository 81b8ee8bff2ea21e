"""Real mouse V1 (calcium, gratings): our recipe beside the original's, for one encoder.

    python benchmarks/recipe_on_real.py DATA/park2023_mouse_v1/mrcuts28.npz --out runs/recipe.json

Fits the default encoder (no shifter, as heads were fixed) by either recipe to the same trials,
a few seeds each, and prints the best validation loss, the pass that had it, and the seconds of all
passes. The original's patience of 5 passes ends its fits before they begin, as rates start far from
fluorescence; so it is fitted for all its passes as well. It draws windows by themselves, so that
frames are encoded once for each window. Finished fits are kept in the output, and a stopped run
goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import freegaze
from freegaze.paper.presets import preset
from freegaze.runs.run_folder import RunFolder
from real_recordings import SETTINGS


def main() -> None:
    """Fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--history", type=int, default=16)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    (recording,) = freegaze.open_recordings("arrays", options.recording)
    model = {k: v for k, v in SETTINGS["cnn_gru"].items() if k.startswith("model.")}
    theirs = preset("table2", "all_prod", "paper").model_dump(mode="json")["training"]
    original = {f"training.{key}": value for key, value in theirs.items()}
    recipes = {
        "ours": {"training.stretch_windows": 8},
        "original": original,
        "original, all passes": original | {"training.patience": theirs["max_passes"]},
    }
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    for seed, (name, recipe) in product(options.seeds, recipes.items()):
        fits = found.setdefault(name, {})
        if str(seed) in fits:
            continue
        common = {"data.history": options.history, "training.validation_mean": "windows"}
        settings = {**model, **recipe, **common, "training.seed": seed}
        start = time.perf_counter()
        with TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            freegaze.fit(recording, run, model="cnn_gru", settings=settings)
            losses = [entry["validation_loss"] for entry in RunFolder(run).metrics()]
        fits[str(seed)] = {
            "loss": min(losses),
            "pass": losses.index(min(losses)) + 1,
            "passes": len(losses),
            "seconds": time.perf_counter() - start,
        }
        print(f"{name}, seed {seed}: {fits[str(seed)]}", flush=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
