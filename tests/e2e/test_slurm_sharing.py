"""Explanations and sweeps that tasks of a real SLURM share, some of which are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e_options import SMALL, SMALL_EXPLANATION
from freegaze.jobs.records import read_record
from interrupted_commands import tree
from slurm_cluster import Cluster, process_of, wait_for

OPTIONS = ("--on", "slurm", "--set", "slurm.poll_s=0.5")


class Driver:
    """A command that waits for its tasks.

    Args:
        words: The command.
        records: Folder with the records of its tasks.
    """

    def __init__(self, words: tuple[object, ...], records: Path) -> None:
        command = [sys.executable, "-m", "freegaze", *map(str, words)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
        self.records, self.killed = records, set[str]()

    def working(self) -> dict[str, int]:
        """Return the tasks that are at work, by name, and their processes."""
        found = {}
        for path in sorted(self.records.rglob("*.job.json")):
            record = read_record(path)
            name = path.relative_to(self.records).as_posix().removesuffix(".job.json")
            if record is not None and not record.end and name not in self.killed:
                found[name] = process_of(record)
        return found

    def kill_one(self) -> None:
        """Kill a task that is at work and was not killed before."""

        def is_killed() -> bool:
            assert self.process.poll() is None, "it ended before a task was caught at work"
            for name, process in self.working().items():
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                self.killed.add(name)
                return True
            return False

        wait_for(is_killed, "task at work")

    def wait(self) -> str:
        """Wait for its end, which is no success, and return what it printed about it."""
        _, errors = self.process.communicate()
        assert self.process.returncode == 2, errors
        return " ".join(errors.split())


@pytest.mark.slow
def test_tasks_explain_the_neurons_of_a_session(
    on_cluster: Callable, cluster: Cluster, runs: dict[str, Path], tmp_path: Path
) -> None:
    whole, run = (shutil.copytree(runs["cnn_gru"], tmp_path / name) for name in ("whole", "run"))
    on_cluster("explain", whole, *SMALL_EXPLANATION)
    words = ("explain", run, "--parts", 3, *OPTIONS, *SMALL_EXPLANATION)
    driver = Driver(words, run / "explanation_parts")
    driver.kill_one()
    errors = driver.wait()
    (killed,) = driver.killed
    assert f"killed: {killed.partition('/')[2]}" in errors
    assert "1 of 3 parts are not done" in errors
    on_cluster(*words)
    assert tree(run / "explanation") == tree(whole / "explanation")
    assert cluster.call("squeue", "--noheader", "--array", "--states=all").count("\n") == 3 + 1


@pytest.mark.slow
def test_tasks_of_a_sweep_that_are_killed_run_each_trial_once(
    on_cluster: Callable, cluster: Cluster, mouse: Path, tmp_path: Path
) -> None:
    space, out = tmp_path / "space.yaml", tmp_path / "sweep"
    space.write_text("training.learning_rate: {low: 0.001, high: 0.1, log: true}\n")
    words = ("sweep", mouse, "--model", "behavior_only", "--space", space, "--trials", 8)
    words += ("--out", out, *SMALL, "--set", "split.gap_s=0.5", *OPTIONS)
    driver = Driver((*words, "--set", "training.max_passes=20"), out / "trials")
    driver.kill_one()
    driver.kill_one()
    errors = driver.wait()
    assert "2 of 8 trials have not ended" in errors
    on_cluster("sweep", "--out", out, *OPTIONS, "--quiet", "--again", "failed")
    ends = [json.loads(path.read_text()) for path in out.glob("trials/*/end.json")]
    assert sorted(end["number"] for end in ends) == list(range(8))
    starts = {
        path.name.removesuffix(".job.json"): record.starts
        for path in (out / "trials").glob("*.job.json")
        if (record := read_record(path)) is not None
    }
    assert starts == {name: 1 + (name in driver.killed) for name in starts}
    assert len(starts) == 8
    assert cluster.call("squeue", "--noheader", "--array", "--states=all").count("\n") == 8 + 2
