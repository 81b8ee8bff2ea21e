"""Explaining a run from the command line: once, again, and shown in the report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from e2e_options import SMALL_EXPLANATION
from interrupted_commands import tree


@pytest.fixture(scope="module")
def explained(freegaze, runs, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("explained") / "run"
    shutil.copytree(runs["cnn_gru"], run)
    told = freegaze("explain", run, *SMALL_EXPLANATION)
    assert "deviance added" in told.stdout
    assert "at least 150 s are needed to shift behavior in time" in told.stdout
    return run


def contents(run: Path) -> dict[str, bytes]:
    (folder,) = (run / "explanation").iterdir()
    found = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    suffixes = [Path(name).suffix for name in found if not name.startswith("truth")]
    assert suffixes.count(".csv") == suffixes.count(".parquet") == 12
    assert len(suffixes) == 27, "tables, fields.npz, checksums and about.json, and nothing else"
    assert len(found) == 27 + 6, "three tables, arrays, checksums and truth.json of the truth"
    return found


def test_an_explained_run_is_read_and_shown(freegaze, explained: Path) -> None:
    before = contents(explained)
    stamps = {p: p.stat().st_mtime_ns for p in (explained / "explanation").rglob("*")}
    freegaze("explain", explained, *SMALL_EXPLANATION)
    assert contents(explained) == before
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    freegaze("report", explained)
    page = (explained / "report.html").read_text()
    for text in ("Receptive fields", "What behavior adds", "Sensitivity to behavior"):
        assert text in page


def copied(run: Path, place: Path) -> Path:
    """Copy a run without its explanation."""
    return shutil.copytree(run, place, ignore=shutil.ignore_patterns("explanation", "report.html"))


def test_parts_share_the_neurons_of_a_session(freegaze, explained: Path, tmp_path: Path) -> None:
    options = ("--only", "contributions,saliency", *SMALL_EXPLANATION)
    run, whole = (copied(explained, tmp_path / name) for name in ("run", "whole"))
    for number in (2, 1):
        freegaze("explain", run, "--part", f"{number}/2", *options)
    (session,) = (run / "explanation").iterdir()
    pieces = {path.stem for path in session.rglob("pieces/*/*.npz")}
    assert pieces >= {"drive", "saliency", *(f"contribution_{neuron:04d}" for neuron in range(5))}
    assert not (session / "about.json").exists()  # nothing is put together yet
    freegaze("explain", run, "--parts", 2, *options)
    freegaze("explain", whole, *options)
    assert tree(run / "explanation") == tree(whole / "explanation")


@pytest.mark.slow
def test_worker_processes_share_the_neurons(freegaze, explained: Path, tmp_path: Path) -> None:
    run = copied(explained, tmp_path / "run")
    freegaze("explain", run, "--workers", 2, "--parts", 2, *SMALL_EXPLANATION)
    assert tree(run / "explanation") == tree(explained / "explanation")


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
    told = freegaze("explain", unfitted, *SMALL_EXPLANATION, status=2)
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
        told = freegaze(verb, run, *(SMALL_EXPLANATION if verb == "explain" else ()), status=2)
        assert "Traceback" not in told.stderr
        (line,) = [x for x in told.stderr.splitlines() if x.startswith("freegaze:")]
        assert "remove about.json there" in line
    shutil.rmtree(fields.parent)
    freegaze("report", run)  # as one that was not explained
    assert "Receptive fields" not in (run / "report.html").read_text()


@pytest.mark.slow
def test_a_run_that_does_not_look_is_explained(freegaze, runs, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["behavior"], run)
    freegaze("explain", run, *SMALL_EXPLANATION)
    (saliency,) = run.rglob("saliency.csv")
    table = pd.read_csv(saliency)
    assert (table["absolute"] > 0).any()
    assert (table["via_gaze"] == 0).all()
    freegaze("report", run)
    assert "Sensitivity to behavior" in (run / "report.html").read_text()


def test_fields_stand_beside_those_of_another_recording(
    freegaze, explained: Path, tmp_path
) -> None:
    """Here the other recording is the same once more: what is kept and shown is the point."""
    run = tmp_path / "run"
    shutil.copytree(explained, run)
    told = freegaze("explain", run, *SMALL_EXPLANATION, "--against", "min_rate_hz=0")
    assert "neurons paired at random reach" in " ".join(told.stdout.split())
    (folder,) = (run / "explanation").iterdir()
    table = pd.read_csv(folder / "against.csv")
    assert set(table["method"]) == {"linear", "triggered"}
    assert {"unit_id", "correlation", "mismatched", "p"} <= set(table.columns)
    page = Path(freegaze("report", run).stdout.strip())
    assert "from the other recording" in page.read_text()
    refused = freegaze("explain", run, *SMALL_EXPLANATION, "--against", "hfwn", status=2)
    assert "block" in refused.stderr
