"""An encoder and a loss from a user's own files, through every verb and from another folder."""

from __future__ import annotations

import pytest

from e2e_options import SMALL
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
