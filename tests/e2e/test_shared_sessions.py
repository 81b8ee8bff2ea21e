"""Joint fits whose sessions are shared by processes end with the weights of one process."""

from __future__ import annotations

import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from builders import make_recording
from freegaze.errors import ConfigError
from freegaze.runs.checkpoint import load_tensors
from freegaze.runs.run_folder import RunFolder
from freegaze.sources.arrays.layout import write_arrays
from freegaze.training.sharing import Sharing
from interrupted_commands import fitted
from slurm_cluster import Cluster, wait_for

# As in `test_several_processes.py`, no batch normalization behind a bias.
SETTINGS = (
    "model.name=cnn_gru",
    *("model.core.channels=[4]", "model.core.kernels=[3]", "model.core.strides=[2]"),
    *("model.core.downsample=1", "model.core.dropout=0.2", "model.n_hidden=8"),
    *("model.shifter.columns=[theta,phi]", "model.shifter.linear=false"),
    *("model.normalize_behavior=true", "model.normalize_streams=true"),
    *("data.history=3", "data.min_rate_hz=0", "split.gap_s=0.1", "training.device=cpu"),
    *("training.max_passes=3", "training.batch_windows=32", "training.stretch_windows=8"),
    "training.sessions_per_step=2",
)
OPTIONS = ("--quiet", *(part for setting in SETTINGS for part in ("--set", setting)))
LONG = (
    *("--set", "training.max_passes=12", "--set", "training.patience=12"),
    *("--set", "training.checkpoint_every_s=0.01"),
)
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture(scope="module")
def three_sessions(tmp_path_factory) -> Path:
    """Sessions of unlike length, so that a group has no batches left in the last steps."""
    folder = tmp_path_factory.mktemp("mice")
    for i, n_neurons in enumerate((4, 2, 3)):
        recording = make_recording(
            n_bins=420 + 60 * i, n_neurons=n_neurons, seed=i, session_id=f"mouse{i}"
        )
        write_arrays(recording, folder / f"mouse{i}.npz")
    return folder


@pytest.fixture(scope="module")
def alone(freegaze, three_sessions: Path, tmp_path_factory) -> RunFolder:
    """The fit of one process."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    freegaze("train", three_sessions, "--out", folder, *OPTIONS)
    return RunFolder(folder)


def by_two(*arguments: str | Path) -> list[str]:
    """Return the command of ``freegaze train`` in two processes."""
    return [sys.executable, *TWO, "-m", "freegaze", "train", *map(str, arguments)]


def start(command: list[str], more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, **(more or {}), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=environment, start_new_session=True
    )


def assert_alike(one: RunFolder, other: RunFolder) -> None:
    """Check that two fits agree to 1e-5."""
    first, second = (load_tensors(run.encoder)[0] for run in (one, other))
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(second[name], first[name], rtol=0, atol=1e-5, msg=name)
    for a, b in zip(one.metrics(), other.metrics(), strict=True):
        assert b["train_loss"] == pytest.approx(a["train_loss"], rel=1e-5)
        assert b["validation_loss"] == pytest.approx(a["validation_loss"], rel=1e-5)
    assert one.manifest()["neurons"] == other.manifest()["neurons"]
    assert one.manifest()["data"] == other.manifest()["data"]


def test_processes_with_their_own_sessions_end_with_the_weights_of_one(
    three_sessions: Path, alone: RunFolder, tmp_path: Path
) -> None:
    process = start(by_two(three_sessions, "--out", tmp_path / "two", *OPTIONS))
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert out.count("validation loss") == 1  # only one process prints
    assert_alike(alone, RunFolder(tmp_path / "two"))


def test_sessions_belong_to_groups_and_groups_to_processes() -> None:
    names = tuple("abcdefg")
    shares = [Sharing(names, 3, process, 2) for process in range(2)]
    assert [share.own for share in shares] == [("a", "c", "d", "f", "g"), ("b", "e")]
    assert [share.own_groups for share in shares] == [[0, 2], [1]]
    assert Sharing(names, 1, 1, 2).own == names  # each batch is divided instead
    with pytest.raises(ConfigError, match="only 2 sessions"):
        Sharing(("a", "b"), 3)
    with pytest.raises(ConfigError, match="4 processes cannot share 3 batches"):
        Sharing(names, 3, 0, 4)


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(three_sessions: Path, tmp_path: Path) -> None:
    """A fit of two processes that is killed ten times has the bytes of its undisturbed run."""
    options = (*OPTIONS, *LONG)
    began = time.monotonic()
    process = start(by_two(three_sessions, "--out", tmp_path / "whole", *options))
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    seconds, killed = time.monotonic() - began, tmp_path / "killed"
    rng, n_kills = random.Random(0), 0
    while not RunFolder(killed).is_sealed:
        is_begun = (killed / "config.yaml").exists()
        words = ("--resume", killed, "--quiet") if is_begun else (three_sessions, "--out", killed)
        process = start(by_two(*words, *(() if is_begun else options)))
        if n_kills < 10:
            time.sleep(rng.uniform(0.2, 1.0) * seconds)
        else:
            process.wait(600)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            n_kills += 1
        _, errors = process.communicate()
        assert n_kills < 10 or process.returncode in (0, -signal.SIGKILL), errors
    assert n_kills >= 2
    assert fitted(killed) == fitted(tmp_path / "whole")


def over_nodes(*arguments: str | Path) -> list[str]:
    """Return the command of ``freegaze train`` on two nodes of a cluster, a process on each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    python = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    python += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    train = ["-m", "freegaze", "train", *map(str, arguments)]
    script = f"exec {shlex.join(python)} --node-rank=$SLURM_NODEID {shlex.join(train)}"
    return [
        "srun",
        "--nodes=2",
        "--ntasks-per-node=1",
        "--kill-on-bad-exit=1",
        "bash",
        "-c",
        script,
    ]


@pytest.mark.slow
def test_two_nodes_end_with_the_weights_of_one_and_continue_after_a_loss(
    cluster: Cluster, three_sessions: Path, alone: RunFolder, tmp_path: Path
) -> None:
    def finish(process: subprocess.Popen[str]) -> None:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors

    environment = cluster.environment
    finish(start(over_nodes(three_sessions, "--out", tmp_path / "nodes", *OPTIONS), environment))
    assert_alike(alone, RunFolder(tmp_path / "nodes"))
    options = (*OPTIONS, *LONG)
    finish(start(over_nodes(three_sessions, "--out", tmp_path / "whole", *options), environment))
    lost = RunFolder(tmp_path / "lost")
    process = start(over_nodes(three_sessions, "--out", lost.path, *options), environment)
    wait_for(lost.checkpoint.exists, "checkpoint")
    cluster.lose("n2")
    process.communicate(timeout=300)
    assert process.returncode != 0
    assert not lost.is_finished
    cluster.start_node("n2")
    cluster.wait_until_idle(120)
    finish(start(over_nodes("--resume", lost.path, "--quiet"), environment))
    assert fitted(lost.path) == fitted(tmp_path / "whole")
