"""`freegaze reproduce figureN` as a user runs it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from e2e_options import SMALL, SMALL_CORE
from freegaze.evaluation.storage import load_evaluation
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.paper.presets import FIGURES

PROGRAM = [sys.executable, "-c", "from freegaze.cli.app import run; run()"]
QUICK = ("--scale", "tiny", *SMALL, *SMALL_CORE)
ASCENT = ("--set", "figure.steps=3", "--set", "figure.images=2")


@pytest.fixture(scope="module")
def drawn(freegaze, mouse: Path, tmp_path_factory) -> Path:
    """Figure 3 on a recording that is there already."""
    out = tmp_path_factory.mktemp("grid") / "figure3"
    told = freegaze(
        *("reproduce", "figure3", "--source", "simulation", mouse, *QUICK),
        *("--set", "split.gap_s=0.5", "--out", out),
    ).stdout
    for suffix in ("pdf", "svg", "png", "csv", "md"):
        assert str(out / f"figure3.{suffix}") in told
    return out


@pytest.fixture(scope="module")
def paper_grid(freegaze, mouse: Path, tmp_path_factory) -> Path:
    """The original's rule of classes on one session, and with it a fit in the paper's version."""
    out = tmp_path_factory.mktemp("grid") / "paper"
    freegaze(
        *("reproduce", "figure5", "--version", "paper", "--source", "simulation", mouse, *QUICK),
        *("--set", "figure.windows=64", "--out", out),
    )
    return out


def test_figure_3_shows_what_the_runs_say(drawn: Path) -> None:
    assert (drawn / "figure3.pdf").read_bytes().startswith(b"%PDF")
    assert (drawn / "figure3.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (drawn / "figure3.svg").read_text()
    table = pd.read_csv(drawn / "figure3.csv")
    for column, row in (("vision", "cnn_shifter_on"), ("multimodal", "all_prod")):
        (run,) = (drawn / "fits" / row).glob("*/seed-0")
        evaluation = load_evaluation(run)
        session = evaluation.sessions[0]
        assert table["unit_id"].astype(str).tolist() == list(session.unit_ids)
        expected = single_bin_correlation(session.rates, session.observed)
        np.testing.assert_allclose(table[column], expected, rtol=1e-5)
    tests = pd.read_csv(drawn / "figure3_tests.csv")
    assert tests["difference"][0] == pytest.approx(table["difference"].mean())
    assert "scale tiny" in (drawn / "figure3.md").read_text()


def test_drawing_again_fits_nothing_and_changes_nothing(freegaze, drawn: Path) -> None:
    files = {p: p.read_bytes() for p in drawn.glob("figure3*")}
    weights = {p: p.stat().st_mtime_ns for p in drawn.rglob("encoder.safetensors")}
    assert len(weights) == 2
    freegaze("reproduce", "figure3", "--out", drawn, "--quiet")
    assert {p: p.read_bytes() for p in files} == files
    assert {p: p.stat().st_mtime_ns for p in weights} == weights


@pytest.mark.slow
def test_default_figures_reuse_the_fits_and_ask_for_an_explanation(
    freegaze, drawn: Path, tmp_path: Path
) -> None:
    out = tmp_path / "grid"
    shutil.copytree(drawn, out)
    for name in ("figure4", "figurec1", "figure5"):
        told = freegaze("reproduce", name, "--out", out, "--quiet").stdout
        assert str(out / f"{name}.csv") in told
    assert list(out.glob("figure5_gaze_shifts_*.pdf"))
    assert len(list(out.rglob("encoder.safetensors"))) == 2


@pytest.mark.slow
def test_paper_figures_share_one_fit(freegaze, paper_grid: Path) -> None:
    counts = pd.read_csv(paper_grid / "figure5.csv")
    assert set(counts["variable"]) == {*("speed", "pitch", "roll", "phi", "theta", "pupil_radius")}
    told = freegaze(
        "reproduce",
        "figurec1",
        "--out",
        paper_grid,
        "--quiet",
        "--set",
        "figure.neurons=2",
        *ASCENT,
    ).stdout
    table = pd.read_csv(paper_grid / "figurec1.csv")
    assert table["picture"].tolist() == ["repeat 1", "repeat 2"] * 2
    assert "figurec1" in told
    assert len(list(paper_grid.rglob("encoder.safetensors"))) == 1


@pytest.mark.slow
def test_independent_commands_do_the_work_of_a_figure(
    freegaze, paper_grid: Path, tmp_path: Path
) -> None:
    jobs, options = tmp_path / "jobs.txt", ("--set", "figure.neurons=1", *ASCENT)
    freegaze("reproduce", "figure4", "--out", paper_grid, "--emit-jobs", jobs, *options)
    (command,) = [shlex.split(line) for line in jobs.read_text().splitlines()]
    assert "--set=figure.neurons=1" in command
    freegaze(*command[1:])
    freegaze("reproduce", "figure4", "--out", paper_grid, "--emit-jobs", jobs, *options)
    assert not jobs.read_text()


@pytest.mark.slow
def test_a_killed_figure_4_continues(freegaze, paper_grid: Path, tmp_path: Path) -> None:
    options = ("--quiet", "--set", "figure.neurons=4", "--set", "figure.steps=4")
    outs = [tmp_path / name for name in ("whole", "killed")]
    for out in outs:
        shutil.copytree(paper_grid, out, ignore=shutil.ignore_patterns("most_exciting"))
    whole, killed = outs
    freegaze("reproduce", "figure4", "--out", whole, *options)
    command = [*PROGRAM, "reproduce", "figure4", "--out", str(killed), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (kept := list(killed.rglob("most_exciting/**/*.npz"))) and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # a worker takes that long to see that it is alone
    kept = list(killed.rglob("most_exciting/**/*.npz"))
    assert kept
    times = {path: path.stat().st_mtime_ns for path in kept}
    freegaze("reproduce", "figure4", "--out", killed, *options)
    assert {path: path.stat().st_mtime_ns for path in kept} == times
    for path in whole.glob("figure4*"):
        assert path.read_bytes() == (killed / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("figure6",), "figure5"),
        (("figure4", "--version", "paper", "--set", "figure.batch=2"), "batches"),
        (("table1", "--set", "figure.batches=2"), "is no figure"),
        (("figure4", "--row", "cnn_shifter_on"), "all_prod"),
    ],
)
def test_a_wrong_question_gets_one_line(freegaze, tmp_path: Path, arguments, words) -> None:
    told = freegaze("reproduce", *arguments, "--out", tmp_path / "grid", "--quiet", status=2)
    assert words in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.slow
def test_a_grid_without_the_rows_is_named(freegaze, paper_grid: Path) -> None:
    told = freegaze("reproduce", "figure3", "--out", paper_grid, "--quiet", status=2)
    assert "without the row 'cnn_shifter_on'" in told.stderr


@pytest.mark.slow
@pytest.mark.parametrize("version", ["default", "paper"])
def test_every_figure_at_scale_tiny(freegaze, tmp_path: Path, version: str) -> None:
    out = tmp_path / "grid"
    first, *rest = FIGURES
    freegaze("reproduce", first, "--scale", "tiny", "--version", version, "--out", out, "--quiet")
    for name in rest:
        freegaze("reproduce", name, "--out", out, "--quiet")
    for name in FIGURES:
        assert (out / f"{name}.csv").is_file()
        assert len(list(out.glob(f"{name}*.pdf"))) >= 1
