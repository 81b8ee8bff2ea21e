"""Explaining a run from the command line: once, again, killed, and shown in the report."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

QUICK = (
    *("--set", "n_windows=4", "--set", "n_starts=2", "--set", "ascent_steps=2"),
    *("--set", "n_saliency_windows=8", "--set", "n_shifts=4", "--quiet"),
)


@pytest.fixture(scope="module")
def explained(freegaze, runs, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("explained") / "run"
    shutil.copytree(runs["cnn_gru"], run)
    told = freegaze("explain", run, *QUICK)
    assert "median deviance" in told.stdout
    return run


def contents(run: Path) -> dict[str, bytes]:
    files = sorted((run / "explanation").rglob("*.csv"))
    assert len(files) == 6
    found = {file.name: file.read_bytes() for file in files}
    (fields,) = (run / "explanation").rglob("fields.npz")
    with np.load(fields) as npz:
        found |= {name: npz[name].tobytes() for name in npz.files}
    return found


def test_an_explained_run_is_read_and_shown(freegaze, explained: Path) -> None:
    before = contents(explained)
    stamps = {p: p.stat().st_mtime_ns for p in (explained / "explanation").rglob("*")}
    freegaze("explain", explained, *QUICK)
    assert contents(explained) == before
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    freegaze("report", explained)
    page = (explained / "report.html").read_text()
    for text in ("Receptive fields", "What behavior adds", "Sensitivity to behavior"):
        assert text in page


def test_unknown_settings_and_unfinished_runs_are_one_line(
    freegaze, explained: Path, tmp_path: Path
) -> None:
    told = freegaze("explain", explained, "--set", "n_window=4", status=2)
    assert "n_windows" in told.stderr
    told = freegaze("explain", tmp_path, status=2)
    assert "holds no run" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    "moments", [(1, 9), pytest.param((2, 4, 6, 8, 12, 14, 16, 18), marks=pytest.mark.slow)]
)
def test_a_killed_explanation_goes_on_to_the_same_end(
    freegaze, explained: Path, tmp_path: Path, moments: tuple[int, ...]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(explained, run, ignore=shutil.ignore_patterns("explanation"))
    command = [sys.executable, "-c", "import freegaze.cli as c; c.main()"]
    command += ["explain", str(run), *QUICK]
    for n_pieces in moments:  # pieces, not seconds, say how far it is
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(list(run.rglob("pieces/*/*.npz"))) < n_pieces:
            assert process.poll() is None, "ended before it was killed"
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not list(run.rglob("about.json"))
    freegaze("explain", run, *QUICK)
    assert contents(run) == contents(explained)
    assert not list(run.rglob("pieces"))
