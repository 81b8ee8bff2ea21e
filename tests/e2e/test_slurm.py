"""Grids as array jobs of a real SLURM: two nodes on this machine, started by the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from e2e_options import SMALL, SMALL_CORE
from freegaze.jobs.records import JobRecord, read_record
from interrupted_commands import fitted, tree
from slurm_cluster import Cluster, process_of, wait_for

OPTIONS = ("--on", "slurm", "--set", "slurm.poll_s=0.5", "--set", "slurm.partition=main")
TABLE = ("--scale", "tiny", *SMALL, *SMALL_CORE, "--set", "split.gap_s=0.5")


def test_an_array_makes_the_table(on_cluster, cluster: Cluster, asked, tmp_path: Path) -> None:
    out = tmp_path / "grid"
    told = on_cluster(*asked, "--out", out, "--status", "--again", "no", status=2)
    assert "--again takes only failed" in told.stderr
    told = on_cluster(*asked, "--out", out, *OPTIONS, "--set", "slurm.partition=no", status=2)
    assert "sbatch failed" in told.stderr
    assert "invalid partition" in told.stderr
    on_cluster(*asked, "--out", out, *OPTIONS)
    assert set(pd.read_csv(out / "table.csv")["row"]) == {"cnn", "S"}
    records = [read_record(path) for path in sorted(out.rglob("*.job.json"))]
    assert all(record is not None and record.starts == 1 for record in records)
    assert {record.task for record in records if record is not None} == {"1_0", "1_1"}
    logs = [path.read_text() for path in sorted((out / "jobs").rglob("*.log"))]
    assert [log.rpartition(": ")[2] for log in logs] == ["done\n"] * 2
    again = on_cluster("reproduce", "table2", "--out", out, *OPTIONS, "--again", "failed")
    assert "table.csv" in again.stdout
    assert cluster.call("squeue", "--noheader", "--states=all").count("\n") == 2  # and no more


class Grid:
    """A grid under way on a cluster."""

    def __init__(self, out: Path, cluster: Cluster, driver: subprocess.Popen[str]) -> None:
        self.out, self.cluster, self.driver = out, cluster, driver

    def begun(self, node: str, without: set[str]) -> dict[str, JobRecord]:
        """Fits of a node that have a run folder and no end, by name, but some."""
        lines = self.cluster.call("squeue", "-h", "--array", "--format=%F_%K %N").splitlines()
        nodes = dict(line.split(" ", 1) for line in lines)
        found = {}
        for path in (self.out / "fits").rglob("*.job.json"):
            name = str(path.relative_to(self.out / "fits")).removesuffix(".job.json")
            record = read_record(path)
            is_begun = (path.parent / name.rpartition("/")[2] / "config.yaml").exists()
            if record is None or record.end or not is_begun or name in without:
                continue
            if nodes.get(record.task, "") == node and not self.encoder(name).exists():
                found[name] = record
        return found

    def encoder(self, name: str) -> Path:
        return self.out / "fits" / name / "encoder.safetensors"

    def pick(self, node: str, without: set[str]) -> tuple[str, JobRecord]:
        found: dict[str, JobRecord] = {}

        def is_found() -> bool:
            assert self.driver.poll() is None, f"the grid ended before a fit on {node} was caught"
            found.update(self.begun(node, without))
            return bool(found)

        wait_for(is_found, f"fit on {node}")
        return next(iter(found.items()))

    def signal(self, node: str) -> str:
        """Send the signal that SLURM sends before the time limit, and return the fit's name.

        SLURM refuses it for a task that has just begun or is about to end; it is sent again then.
        """
        while True:
            name, record = self.pick(node, set())
            try:
                self.cluster.call("scancel", "--batch", "--signal=USR1", record.task)
            except AssertionError as error:
                if "Job can not be altered now" not in str(error):
                    raise
                time.sleep(0.2)
            else:
                return name


@pytest.mark.slow
@pytest.mark.parametrize("rows", [("cnn", "S", "all_prod", "no_behavior"), ()], ids=["few", "all"])
def test_signals_kills_and_lost_nodes_change_nothing(
    on_cluster, cluster: Cluster, mouse: Path, tmp_path: Path, rows: tuple[str, ...]
) -> None:
    """The array ends as two workers of this machine do, and no finished fit runs twice."""
    words = ("reproduce", "table2", "--source", "simulation", mouse, *TABLE)
    words += tuple(word for row in rows for word in ("--row", row))
    # Fits are long enough that a look at the queue finds each of them at work.
    words += ("--set", "training.max_passes=12", "--set", "training.patience=12")
    words += ("--set", "training.batch_windows=16")
    whole, out = tmp_path / "whole", tmp_path / "grid"
    on_cluster(*words, "--out", whole, "--workers", 2)
    command = [sys.executable, "-m", "freegaze", *map(str, (*words, "--out", out, *OPTIONS))]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    grid = Grid(out, cluster, driver)

    requeued = grid.signal("n1")
    wait_for(lambda: (r := read_record(job_file(out, requeued))) is not None and r.end != "", "end")
    stopped = read_record(job_file(out, requeued))
    assert stopped is not None
    assert stopped.end == "stopped"
    assert (out / "fits" / requeued / "checkpoint.safetensors").exists()

    killed, record = grid.pick("n1", {requeued})
    os.kill(process_of(record), signal.SIGKILL)

    lost, record = grid.pick("n2", {requeued, killed})
    process = process_of(record)
    parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    cluster.kill("n2")
    for number in (parent, process):
        os.kill(number, signal.SIGKILL)

    _, errors = driver.communicate()
    assert driver.returncode == 0, errors
    assert f"killed: {killed}" in " ".join(errors.split())
    status = on_cluster("reproduce", "table2", "--out", out, "--status").stdout
    assert f"killed: {killed}" in " ".join(status.split())
    assert "\nfailed:" not in status
    on_cluster("reproduce", "table2", "--out", out, *OPTIONS, "--again", "failed")

    starts = dict.fromkeys(names_of(whole), 1) | {requeued: 2, killed: 2, lost: 2}
    assert {name: read_record(job_file(out, name)).starts for name in names_of(out)} == starts
    for name in ("table.csv", "differences.csv", "table.md"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    for name in names_of(whole):
        ours, theirs = (folder / "fits" / name for folder in (out, whole))
        assert fitted(ours) == fitted(theirs), name
        assert tree(ours / "evaluation") == tree(theirs / "evaluation"), name


def job_file(out: Path, name: str) -> Path:
    return out / "fits" / f"{name}.job.json"


def names_of(out: Path) -> list[str]:
    fits = out / "fits"
    return sorted(str(path.parent.relative_to(fits)) for path in fits.glob("*/*/*/config.yaml"))
