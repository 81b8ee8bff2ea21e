"""Are fields found in a freely moving mouse those that white noise shows, in the same neurons?

    python benchmarks/against_white_noise.py --out runs/white_noise

The virtual mouse's sessions as the published file of Parker et al. (2022) would hold them: a freely
moving block (``fm1``, 30 x 40 pixels) and, for the same neurons, ten minutes of head-fixed white
noise (``hfwn``). An encoder is fitted to the first and explained against the second, through the
command line. That neurons agree with themselves and not with others is what real recordings can be
asked too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

from freegaze.explanation.fields.against import in_words, load_comparison
from freegaze.recording.recording import Recording
from freegaze.simulation import SimulationConfig, simulate
from freegaze.simulation.white_noise import show_white_noise
from freegaze.sources import open_recordings
from freegaze.sources.niell.niell2022 import BEHAVIOR_KEYS


def main() -> None:
    """Simulate, fit, explain, and print what came out."""
    parser = argparse.ArgumentParser(description="fields beside those that white noise shows")
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    parser.add_argument("--track", default="affine")
    parser.add_argument("--minutes", type=float, default=40, help="of free movement")
    parser.add_argument("--noise-minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1, help="of the simulation")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    config = SimulationConfig(
        minutes=options.minutes,
        n_neurons=60,
        seed=options.seed,
        track=options.track,
        frame_size=(30, 40),
    )
    free, truth = simulate(config)
    file, run = options.out / "ModelData_all.h5", options.out / "run"
    write_blocks(file, fm1=free, hfwn=show_white_noise(config, options.noise_minutes))
    freegaze("train", file, "--source", "niell2022", "--out", run, "--quiet")
    freegaze("evaluate", run)
    freegaze("explain", run, "--against", "hfwn", "--quiet")
    comparison = load_comparison(run, "mouse")
    assert comparison is not None
    print(in_words(comparison))
    (fixed,) = open_recordings("niell2022", file, block="hfwn")
    kinds = dict(zip(fixed.unit_ids, truth.kind, strict=True))
    rows = comparison.table.assign(kind=comparison.table["unit_id"].map(kinds))
    told = rows.groupby(["method", "kind"])[["correlation", "mismatched"]]
    print(told.describe().round(2).T.to_string())
    print({method: told for method, told in comparison.about.items() if method != "other"})


def write_blocks(file: Path, **blocks: Recording) -> None:
    """Write recordings as blocks of one session of the published file."""
    with h5py.File(file, "w") as stream:
        for block, r in blocks.items():
            columns = {
                k: name for k, (name, _) in BEHAVIOR_KEYS.items() if name in r.behavior_names
            }
            values = {key: r.column(name) for key, name in columns.items()}
            values |= {"model_nsp": r.responses, "model_vid_sm": r.video()}
            values["model_t"] = np.arange(r.n_bins) * r.bin_width_s
            for key, value in (values | {"unit_nums": np.arange(r.n_neurons)}).items():
                stream[f"mouse/{block}/{key}"] = value


def freegaze(*arguments: object) -> None:
    """Run a command."""
    subprocess.run([sys.executable, "-m", "freegaze", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
