"""`freegaze reproduce` as a user runs it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from freegaze.paper.presets import TABLES


@pytest.fixture(scope="module")
def reproduced(freegaze, asked, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("grid") / "whole"
    freegaze(*asked, "--out", out)
    return out


def files_of(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in ("table.csv", "differences.csv")}


def test_two_rows_at_scale_tiny_end_in_a_table(freegaze, tmp_path):
    out = tmp_path / "grid"
    told = freegaze(
        *("reproduce", "table3", "--scale", "tiny", "--workers", 2, "--quiet", "--out", out),
        *("--row", "history_1", "--row", "history_4"),
    ).stdout
    table = pd.read_csv(out / "table.csv")
    assert set(table["row"]) == {"history_1", "history_4"}
    assert set(table["session_id"]) == {"mouse_1", "mouse_2", "mouse_3"}
    assert {"bits_per_spike", "paper_correlation", "attainable_correlation"} <= set(table["metric"])
    own = table[table["metric"] != "attainable_correlation"]  # a bound, which has no interval
    assert (own["block_low"] <= own["value"]).all()
    assert table["printed"].isna().all()  # a simulated mouse is none of the paper's
    differences = pd.read_csv(out / "differences.csv")
    assert set(differences["first"]) == {"history_1"}
    assert "history 4" in (out / "table.md").read_text()
    assert "http://" not in (out / "table.html").read_text().replace("http://www.w3.org", "")
    for name in ("table.csv", "differences.csv", "table.md", "table.html"):
        assert str(out / name) in told


@pytest.mark.slow
@pytest.mark.parametrize("table", list(TABLES))
def test_every_row_at_scale_tiny(freegaze, tmp_path, table):
    out = tmp_path / "grid"
    freegaze(
        *("reproduce", table, "--scale", "tiny", "--no-pretrained", "--jobs", 2),
        *("--quiet", "--out", out),
    )
    found = pd.read_csv(out / "table.csv")
    assert set(found["row"]) == {row.name for row in TABLES[table].rows}
    assert np.isfinite(found["value"]).all()


@pytest.mark.slow
def test_the_papers_version_of_a_row_runs(freegaze, tmp_path):
    out = tmp_path / "grid"
    freegaze(
        *("reproduce", "table1", "--scale", "tiny", "--version", "paper", "--quiet"),
        *("--row", "cnn_shifter_off", "--row", "cnn_shifter_on", "--out", out),
    )
    assert len(set(pd.read_csv(out / "table.csv")["row"])) == 2


def test_asking_again_changes_nothing_and_takes_what_was_asked(freegaze, reproduced):
    before = files_of(reproduced)
    weights = {p: p.stat().st_mtime_ns for p in reproduced.rglob("encoder.safetensors")}
    assert len(weights) == 2
    freegaze("reproduce", "table2", "--out", reproduced, "--quiet")
    assert files_of(reproduced) == before
    assert {p: p.stat().st_mtime_ns for p in weights} == weights


def test_rows_are_listed_and_states_and_scores_so_far_printed(freegaze, reproduced) -> None:
    told = freegaze("reproduce", "table2", "--rows").stdout
    assert all(row.name in told for row in TABLES["table2"].rows)
    before = {p: p.stat().st_mtime_ns for p in reproduced.rglob("*") if p.is_file()}
    told = freegaze("reproduce", "table2", "--status", "--out", reproduced).stdout
    assert {p: p.stat().st_mtime_ns for p in reproduced.rglob("*") if p.is_file()} == before
    assert re.search(r"S +│ +1 +│ +0 +│ +0 ", told)
    assert "bits_per_spike" in told
    told = freegaze("reproduce", "table2", "--status", status=2)
    assert "--out" in told.stderr


def test_a_row_selects_within_a_grid(freegaze, asked, tmp_path) -> None:
    out = tmp_path / "grid"
    freegaze(*asked, "--out", out, "--emit-jobs", tmp_path / "jobs.txt")
    told = freegaze("reproduce", "table2", "--row", "S", "--out", out)
    plan = " ".join(told.stderr.split())
    assert "1 fit of table2" in plan
    assert "0 done, 1 to run, at most about" in plan
    assert {p.parent.parent.parent.name for p in out.rglob("encoder.safetensors")} == {"S"}
    told = freegaze("reproduce", "table2", "--status", "--out", out).stdout
    assert re.search(r"cnn +│ +0 +│ +0 +│ +1 ", told)
    told = freegaze("reproduce", "table2", "--row", "orig", "--out", out, status=2)
    assert "has no row 'orig'" in told.stderr


def test_a_grid_of_version_0_1_is_continued(freegaze, reproduced, tmp_path) -> None:
    old = tmp_path / "grid"
    shutil.copytree(reproduced, old)
    (old / "fits").rename(old / "cells")
    files = files_of(old)
    freegaze("reproduce", "table2", "--out", old, "--quiet")
    assert files_of(old) == files
    assert not (old / "fits").exists()


def test_another_question_needs_another_folder(freegaze, reproduced):
    told = freegaze("reproduce", "table2", "--seeds", 2, "--out", reproduced, status=2)
    assert "choose another folder" in told.stderr
    told = freegaze("reproduce", "table3", "--out", reproduced, status=2)
    assert "table2" in told.stderr


def test_independent_commands_make_the_same_table(freegaze, asked, reproduced, tmp_path):
    out, jobs = tmp_path / "grid", tmp_path / "jobs.txt"
    freegaze(*asked, "--out", out, "--emit-jobs", jobs)
    assert not (out / "fits").exists()
    commands = [shlex.split(line) for line in jobs.read_text().splitlines()]
    assert len(commands) == 2
    n_threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)  # as many as the one worker of the other grid had
    try:
        for command in commands:
            assert command[0] == "freegaze"
            assert "done" in freegaze(*command[1:]).stdout
    finally:
        torch.set_num_threads(n_threads)
    freegaze("reproduce", "table2", "--out", out, "--quiet")
    assert files_of(out) == files_of(reproduced)


def test_a_failing_fit_does_not_end_the_others(freegaze, asked, tmp_path):
    out = tmp_path / "grid"
    freegaze(*asked, "--out", out, "--emit-jobs", tmp_path / "jobs.txt")
    fit = shlex.split((tmp_path / "jobs.txt").read_text().splitlines()[0])[-1]
    run = out / "fits" / fit
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("model: [unclosed\n")
    told = freegaze("reproduce", "table2", "--out", out, "--quiet", status=2)
    assert f"failed: {fit}" in told.stderr
    assert "1 of 2 fits failed" in told.stderr
    assert set(pd.read_csv(out / "table.csv")["row"]) == {"S"}
    assert "Failed fits" in (out / "table.html").read_text()
    told = freegaze("reproduce", "table2", "--fit", fit, "--out", out, "--quiet", status=2)
    assert "config.yaml" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("table7",), "table1"),
        (("table1", "--scale", "medium"), "small"),
        (("table1", "--row", "cnn"), "cnn_shifter_on"),
        (("table1", "--set", "training.precision"), "a.b=value"),
        (("table1", "--set", "training.precision=float8"), "training.precision"),
        (("table1", "--source", "xu2024", "nowhere"), "xu2023"),
        (("table1", "--fit", "cnn/mouse_1/seed-0"), "holds no grid"),
    ],
)
def test_a_wrong_question_gets_one_line(freegaze, tmp_path, arguments, words):
    told = freegaze("reproduce", *arguments, "--out", tmp_path / "grid", "--quiet", status=2)
    assert words in told.stderr
    assert "Traceback" not in told.stderr
    assert not list(tmp_path.glob("grid/fits/*"))
