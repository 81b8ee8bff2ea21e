"""Explaining a run from the command line: once, again, killed, and shown in the report."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
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
    (folder,) = (run / "explanation").iterdir()
    found = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    suffixes = [Path(name).suffix for name in found]
    assert suffixes.count(".csv") == suffixes.count(".parquet") == 6
    assert len(found) == 14, "tables, fields.npz and about.json, and nothing else"
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
    unfitted = tmp_path / "unfitted"
    skipped = shutil.ignore_patterns("explanation", "encoder.safetensors")
    shutil.copytree(explained, unfitted, ignore=skipped)
    told = freegaze("explain", unfitted, *QUICK, status=2)
    assert "is not finished" in told.stderr
    assert not (unfitted / "explanation").exists()


def test_a_broken_explanation_is_one_line(freegaze, explained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(explained, run)
    (fields,) = run.rglob("fields.npz")
    content = bytearray(fields.read_bytes())
    content[len(content) // 2] ^= 255
    fields.write_bytes(content)
    for verb in ("explain", "report"):
        told = freegaze(verb, run, *(QUICK if verb == "explain" else ()), status=2)
        assert "Traceback" not in told.stderr
        (line,) = [x for x in told.stderr.splitlines() if x.startswith("freegaze:")]
        assert "remove that folder" in line
    shutil.rmtree(fields.parent)
    freegaze("report", run)  # as one that was not explained
    assert "Receptive fields" not in (run / "report.html").read_text()


@pytest.mark.slow
def test_a_run_that_does_not_look_is_explained(freegaze, runs, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["behavior"], run)
    freegaze("explain", run, *QUICK)
    (saliency,) = run.rglob("saliency.csv")
    table = pd.read_csv(saliency)
    assert (table["absolute"] > 0).any()
    assert (table["via_gaze"] == 0).all()
    freegaze("report", run)
    assert "Sensitivity to behavior" in (run / "report.html").read_text()


def stopped_at(command: list[str], run: Path, moment: int | str) -> subprocess.Popen[bytes]:
    """Start a process, and stop it when it has so many pieces, or when it has written a file."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pattern, n = ("pieces/*/*.npz", moment) if isinstance(moment, int) else (moment, 1)
    while len(list(run.rglob(pattern))) < n:  # work, not seconds, says how far it is
        assert process.poll() is None, "ended before it was stopped"
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGSTOP)
    return process


LONG = (2, 4, 6, 8, 12, 14, 16, 18, 20, "fields.npz", "saliency.csv", "gaze_shifts.csv")


@pytest.mark.parametrize("moments", [(1, 9), pytest.param(LONG, marks=pytest.mark.slow)])
def test_a_killed_explanation_goes_on_to_the_same_end(
    freegaze, explained: Path, tmp_path: Path, moments: tuple[int | str, ...]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(explained, run, ignore=shutil.ignore_patterns("explanation"))
    command = [sys.executable, "-c", "import freegaze.cli as c; c.main()"]
    command += ["explain", str(run), *QUICK]
    for moment in moments:
        process = stopped_at(command, run, moment)
        assert not list(run.rglob("about.json"))
        if moment == moments[0]:
            told = freegaze("explain", run, *QUICK, status=2)
            assert "another process is working" in told.stderr
            assert "Traceback" not in told.stderr
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        for file in (run / "explanation").rglob(str(moment)):
            file.unlink()  # the next process shall come to it anew
    freegaze("explain", run, *QUICK)
    assert contents(run) == contents(explained)
    assert not list(run.rglob("pieces"))


def test_fields_stand_beside_those_of_another_recording(
    freegaze, explained: Path, tmp_path
) -> None:
    """Here the other recording is the same once more: what is kept and shown is the point."""
    run = tmp_path / "run"
    shutil.copytree(explained, run)
    told = freegaze("explain", run, *QUICK, "--against", "min_rate_hz=0")
    assert "neurons paired at random reach" in " ".join(told.stdout.split())
    (folder,) = (run / "explanation").iterdir()
    table = pd.read_csv(folder / "against.csv")
    assert set(table["method"]) == {"linear", "triggered"}
    assert {"unit_id", "correlation", "mismatched", "p"} <= set(table.columns)
    page = Path(freegaze("report", run).stdout.strip())
    assert "from the other recording" in page.read_text()
    refused = freegaze("explain", run, *QUICK, "--against", "hfwn", status=2)
    assert "block" in refused.stderr
