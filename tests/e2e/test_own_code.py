"""An encoder and a loss from a user's own files, through every verb and from another folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import freegaze as freegaze_package
from e2e_options import SMALL, SMALL_EXPLANATION
from freegaze.plugins import load_own
from own_files import forget_own, write_own

OPTIONS = ("--set", "split.gap_s=0.5", *SMALL)


@pytest.fixture(autouse=True)
def forgotten():
    """Each test begins as a new process would, and leaves nothing behind."""
    forget_own()
    yield
    forget_own()


def test_a_fit_goes_on_only_with_its_own_files(freegaze, mouse, tmp_path, monkeypatch):
    model, loss = write_own(tmp_path / "code")
    monkeypatch.chdir(model.parent)
    own = ("--model", "mine.py:Mine", "--set", "training.loss=losses.py:my_poisson")
    freegaze("train", mouse, *own, "--out", tmp_path / "run", *OPTIONS)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    forget_own()
    run = tmp_path / "run"
    weights = (run / "encoder.safetensors").read_bytes()
    for name in ("encoder.safetensors", "checkpoint.safetensors", "checksums.sha256"):
        (run / name).unlink()
    resume = ("train", "--resume", run, "--quiet")
    told = freegaze(*resume, status=2).stderr
    assert "'mine.py:Mine'" in told
    assert "--model FILE.py:NAME" in told
    told = freegaze(*resume, "--model", "../code/mine.py:Mine", status=2).stderr
    assert "--set training.loss=FILE.py:function" in told
    both = ("--model", f"{model}:Mine", "--set", f"training.loss={loss}:my_poisson")
    for unread in (("--set", "training.seed=3"), ("--out", "x"), ("--source", "store")):
        assert "leave out" in freegaze(*resume, *both, *unread, status=2).stderr
    freegaze(*resume, *both)
    assert (run / "encoder.safetensors").read_bytes() == weights
    told = freegaze("verify", run).stdout.splitlines()
    for name in ("model_source.py", "loss_source.py"):
        assert any(line.startswith("ok: ") and line.endswith(name) for line in told)


def test_every_verb_works_from_another_folder(freegaze, mouse, runs, tmp_path, monkeypatch):
    model, _ = write_own(tmp_path / "code")
    run = tmp_path / "run"
    freegaze("train", mouse, "--model", f"{model}:Mine", "--out", run, *OPTIONS)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    explaining = ("explain", "../run", *SMALL_EXPLANATION)
    predicting = ("predict", "../run", "--out", "predictions.npz")
    for words in (
        ("evaluate", "../run", "--draws", 50),
        predicting,
        explaining,
        ("report", "../run"),
    ):
        forget_own()
        told = freegaze(*words, status=2).stderr
        assert hashlib.sha256(model.read_bytes()).hexdigest() in told
        assert len(told.splitlines()) == 1
        freegaze(*words, "--model", "../code/mine.py:Mine")
    forget_own()
    freegaze("compare", "../run", runs["cnn_gru"], "--out", "differences.csv")
    assert (run / "report.html").stat().st_size > 100_000
    assert Path("differences.csv").exists()
    before = hashlib.sha256(model.read_bytes()).hexdigest()
    write_own(model.parent, "# changed\n")
    told = freegaze(*predicting, "--model", f"{model}:Mine", status=2).stderr
    assert before in told
    assert hashlib.sha256(model.read_bytes()).hexdigest() in told
    freegaze(*predicting, "--model", f"{model}:Mine", "--accept-changed-model")


def test_python_takes_a_class_and_a_function(mouse, tmp_path):
    files = write_own(tmp_path / "code")
    recordings = freegaze_package.open_recordings("simulation", mouse, min_rate_hz=0)
    model, loss = load_own(f"{files[0]}:Mine"), load_own(f"{files[1]}:my_poisson")
    settings = {"training.loss": loss, "training.max_passes": 1, "split.gap_s": 0.5}
    encoder = freegaze_package.fit(recordings, tmp_path / "run", model=model, settings=settings)
    forget_own()
    with pytest.raises(freegaze_package.FreegazeError, match="model=..."):
        freegaze_package.load_encoder(tmp_path / "run")
    model = load_own(f"{files[0]}:Mine")
    again = freegaze_package.load_encoder(tmp_path / "run", model=model)
    first, second = (e.predict(recordings[0], "test").rates for e in (encoder, again))
    np.testing.assert_array_equal(first, second)
