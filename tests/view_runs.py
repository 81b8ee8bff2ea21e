"""A run and a recording for the explorer, with everything that it shows, without any training."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from fake_encoder import built_fit
from freegaze.evaluation.evaluate import evaluate
from freegaze.evaluation.storage import save_evaluation
from freegaze.evaluation.timeline import save_timeline
from freegaze.explanation.result import save_explanation
from freegaze.recording.recording import Recording
from freegaze.recording.store import save_store
from freegaze.runs.config import RunConfig
from freegaze.runs.run_folder import RunFolder
from freegaze.sources import open_recordings
from report_runs import make_explanation, make_session

SHIFTER = {"shifter": {"kind": "image", "columns": ["theta", "phi"]}}


def make_viewed_run(
    folder: Path, *, n_neurons: int = 6, n_bins: int = 2400, has_shifter: bool = True
) -> tuple[Path, Recording]:
    """Make a store, an encoder with random weights fitted to it, its scores and its fields."""
    recording = make_session("mouse", n_neurons, n_bins, unit_ids=units(n_neurons))
    frames = np.array(recording.frames)
    frames[400:420] = frames[400]  # a camera that hung
    recording = replace(recording, frames=frames)
    save_store(recording, folder / "data" / "mouse")
    [recording] = open_recordings("store", folder / "data")
    shifter = SHIFTER if has_shifter else {"shifter": {"kind": "none"}}
    encoder = built_fit([recording], "glm", shifter)
    run = folder / "run"
    RunFolder(run).create(RunConfig(), [recording])
    keep = partial(save_timeline, run, encoder)
    save_evaluation(run, evaluate(encoder, [recording], draws=20, keep=keep))
    fields = make_explanation(recording, frame_size=recording.frame_size)
    save_explanation(run, fields, {})
    return run, recording


class Served:
    """A running ``freegaze view`` with the file that opens its page."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-u", "-m", "freegaze", "view", str(path), "--no-browser", "-q"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(r"file://\S+", line):
                self.address = found[0]
                return
        raise AssertionError("".join(self.lines))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        assert not Path(unquote(self.address.removeprefix("file://"))).parent.exists()
        self.process.stdout.close()


def units(n: int) -> tuple[str, ...]:
    """Return names of neurons; the first is meant to break out of where it stands."""
    return ("<script>alert(1)</script>", *(f"unit_{i}" for i in range(1, n)))
