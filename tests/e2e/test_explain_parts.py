"""Explanations in parts end with the bytes of one process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builders import make_recording
from e2e_options import SMALL
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.shares import PARTS_FOLDER, ExplanationWork, shares_of
from freegaze.sources.arrays.layout import write_arrays
from interrupted_commands import tree


@pytest.fixture(scope="module")
def joint(freegaze, tmp_path_factory) -> Path:
    """A run of three sessions that share their encoder."""
    folder = tmp_path_factory.mktemp("joint")
    (folder / "mice").mkdir()
    for i in range(3):
        recording = make_recording(n_bins=420, n_neurons=2 + i, seed=i, session_id=f"mouse{i}")
        write_arrays(recording, folder / "mice" / f"mouse{i}.npz")
    words = ("--set", "data.history=3", "--set", "split.gap_s=0.1", *SMALL)
    freegaze("train", folder / "mice", "--model", "mean_rate", "--out", folder / "run", *words)
    return folder / "run"


def test_parts_have_whole_sessions(freegaze, joint: Path, tmp_path: Path) -> None:
    whole, apart = tmp_path / "whole", tmp_path / "apart"
    for copy in (whole, apart):
        shutil.copytree(joint, copy)
    options = ("--only", "contributions,tuning", "--set", "n_shifts=4", "--quiet")
    freegaze("explain", whole, *options)
    for number in (2, 1, 3):
        told = freegaze("explain", apart, "--part", f"{number}/3", *options)
        assert told.stdout == f"{number}/3: done\n"
    work = ExplanationWork(apart, ExplainConfig(n_shifts=4), ("contributions", "tuning"))
    assert all(work.is_done(part) for part in work.parts())
    for path in (apart / "explanation" / "mouse1").rglob("pieces/*/*.npz"):
        path.unlink()
    assert [work.is_done(part) for part in work.parts()] == [True, False, True]
    (broken, *_) = sorted((apart / "explanation" / "mouse2").rglob("pieces/*/*.npz"))
    broken.write_bytes(broken.read_bytes()[:-1])  # its checksum is of something else
    work(work.part("2/3"), None)
    assert all(work.is_done(part) for part in work.parts())
    freegaze("explain", apart, "--parts", 3, *options)
    assert tree(apart / "explanation") == tree(whole / "explanation")
    assert len(list((apart / "explanation").iterdir())) == 3
    assert not (apart / PARTS_FOLDER).exists()


def test_wrong_parts_are_one_line(freegaze, joint: Path) -> None:
    for name in ("0/2", "3/2", "2", "a/b"):
        told = freegaze("explain", joint, "--part", name, status=2)
        assert "expected --part I/N with I from 1 to N" in told.stderr


@pytest.mark.parametrize(("n_sessions", "n_parts"), [(1, 4), (3, 3), (3, 2), (2, 5), (5, 1)])
def test_shares_cover_every_neuron_once(n_sessions: int, n_parts: int) -> None:
    covered = [
        (session, neuron)
        for part in range(n_parts)
        for session, share in shares_of(n_sessions, part, n_parts)
        for neuron in range(7)
        if share.has(neuron)
    ]
    assert sorted(covered) == [(s, n) for s in range(n_sessions) for n in range(7)]
