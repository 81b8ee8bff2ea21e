"""A fit shared by processes ends with the weights of one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from builders import make_recording
from freegaze.runs.checkpoint import load_tensors
from freegaze.runs.run_folder import RunFolder
from freegaze.sources.arrays.layout import write_arrays

# No batch normalization behind a bias here: such a bias has no gradient but rounding, which Adam
# makes as large as any other.
SETTINGS = (
    "model.name=cnn_gru",
    *("model.core.channels=[4]", "model.core.kernels=[3]", "model.core.strides=[2]"),
    *("model.core.downsample=1", "model.core.dropout=0", "model.n_hidden=8"),
    *("model.shifter.columns=[theta,phi]", "model.shifter.linear=false"),
    *("model.normalize_behavior=true", "model.normalize_streams=true"),
    *("data.history=3", "data.min_rate_hz=0", "split.gap_s=0.1", "training.device=cpu"),
    *("training.max_passes=3", "training.batch_windows=32", "training.stretch_windows=8"),
)
OPTIONS = ("--quiet", *(part for setting in SETTINGS for part in ("--set", setting)))
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture(scope="module")
def three_sessions(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mice")
    for i, n_neurons in enumerate((4, 2, 3)):
        recording = make_recording(
            n_bins=420 + 30 * i, n_neurons=n_neurons, seed=i, session_id=f"mouse{i}"
        )
        write_arrays(recording, folder / f"mouse{i}.npz")
    return folder


def train_by_two(*arguments: str | Path) -> subprocess.CompletedProcess:
    """Call ``freegaze train`` in two processes at once."""
    command = [sys.executable, *TWO, "-m", "freegaze", "train", *map(str, arguments), *OPTIONS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def test_two_processes_end_with_the_weights_of_one(freegaze, three_sessions, tmp_path):
    freegaze("train", three_sessions, "--out", tmp_path / "one", *OPTIONS)
    done = train_by_two(three_sessions, "--out", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("validation loss") == 1  # only one process prints
    one, two = (RunFolder(tmp_path / name) for name in ("one", "two"))
    first, second = (load_tensors(run.encoder)[0] for run in (one, two))
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(second[name], first[name], rtol=0, atol=1e-5, msg=name)
    for a, b in zip(one.metrics(), two.metrics(), strict=True):
        assert b["train_loss"] == pytest.approx(a["train_loss"], rel=1e-5)
        assert b["validation_loss"] == pytest.approx(a["validation_loss"], rel=1e-5)


def test_a_mistake_ends_all_processes_and_is_told_once(three_sessions, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "config.yaml").write_text("{}")
    done = train_by_two(three_sessions, "--out", tmp_path / "taken")
    assert done.returncode != 0
    assert done.stderr.count("already holds a run") == 1
