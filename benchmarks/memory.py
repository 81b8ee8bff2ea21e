"""Peak memory that a 20-minute session and 200 steps of training add to a fresh process.

    python benchmarks/memory.py reference FOLDER
    python benchmarks/memory.py ours FOLDER

FOLDER holds a stored recording. The reference loads its video as 32-bit numbers, once, in a process
without workers; freegaze maps it from the disk. Pages of mapped files count.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from freegaze.allocator import keep_freed_memory
from freegaze.recording.store import open_store, save_store
from freegaze.training.fit import train
from process_memory import process_bytes
from reference import plain
from sides import BATCH, N_NEURONS, EnoughError, noise_recording, run_config

STEPS, MINUTES = 200, 20


def peak_bytes(who: str) -> int:
    """Measure one side in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        save_store(noise_recording(int(MINUTES * 60 / 0.048)), Path(folder) / "noise")
        command = [sys.executable, __file__, who, str(Path(folder) / "noise")]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def fit_reference(store: Path) -> None:
    """Load and fit by the plain rendering."""
    frames, responses = np.load(store / "frames.npy"), np.load(store / "responses.npy")
    signals = np.random.default_rng(1).normal(size=(len(frames), plain.N_SIGNALS))
    windows = plain.Windows(frames, signals, responses, history=1)
    del frames
    encoder = plain.Encoder(N_NEURONS)
    adam = torch.optim.Adam(encoder.parameters(), 2e-4)
    done = 0
    while done < STEPS:
        for batch in plain.loader(windows, BATCH, workers=0):
            plain.train_step(encoder, adam, batch)
            done += 1
            if done == STEPS:
                return


def fit_ours(store: Path) -> None:
    """Load and fit by freegaze, as its command line does."""
    keep_freed_memory()
    done = 0

    def watch(what: str, step: int, total: int) -> None:
        nonlocal done
        done += 1
        if done == STEPS:
            raise EnoughError

    with tempfile.TemporaryDirectory() as folder:
        try:
            train([open_store(store)], run_config(1), Path(folder) / "run", watch)
        except EnoughError:
            return


def main() -> None:
    """Fit, and print how many bytes the peak is above what the imports took."""
    torch.set_num_threads(2)
    before = process_bytes("VmRSS")
    {"reference": fit_reference, "ours": fit_ours}[sys.argv[1]](Path(sys.argv[2]))
    print(process_bytes("VmHWM") - before)


if __name__ == "__main__":
    main()
