"""Encoders and losses from the user's own files, and that nothing else is ever imported."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from builders import make_recording
from freegaze.config import read_config
from freegaze.errors import CheckpointError, ConfigError, DataError, FreegazeError, RegistryError
from freegaze.fitted.storage import load_encoder
from freegaze.models.behavior_only import BehaviorOnly
from freegaze.plugins import load_own
from freegaze.runs.checkpoint import load_tensors, save_tensors
from freegaze.runs.config import RunConfig
from freegaze.runs.own_code import use_loss, use_model
from freegaze.runs.run_folder import RunFolder
from freegaze.sources.fetching.unpacking import unpack_zip
from freegaze.training.fit import resume, train
from own_files import forget_own, write_own

SMALL = ("data.min_rate_hz=0", "split.gap_s=0.1", "training.max_passes=2", "training.device=cpu")
SMALL += ("training.batch_windows=32", "training.stretch_windows=4", "data.history=2")
RECORDING = make_recording()


class InThisFile(BehaviorOnly):
    """An encoder that a script defines."""


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    forget_own()
    yield
    forget_own()


def fit(folder: Path, model: str = "mean_rate", *settings: str) -> RunFolder:
    config = read_config(RunConfig, None, [*SMALL, f"model.name={model}", *settings])
    return train([RECORDING], config, folder)


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, RunFolder]:
    """A file, and a run of its encoder, in a process that has forgotten both."""
    file, _ = write_own(tmp_path / "code")
    run = fit(tmp_path / "run", use_model(f"{file}:Mine"))
    forget_own()
    return file, run


def sum_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_run_holds_name_checksum_and_copy(own: tuple[Path, RunFolder]):
    file, run = own
    assert run.config().model["name"] == "mine.py:Mine"
    expected = {"model": {"name": "mine.py:Mine", "sha256": sum_of(file)}}
    assert run.manifest()["own_code"] == expected
    assert (run.path / "model_source.py").read_bytes() == file.read_bytes()
    sealed = (run.path / "checksums.sha256").read_text()
    assert f"{sum_of(file)}  model_source.py\n" in sealed


def test_a_new_process_must_be_given_the_file(own: tuple[Path, RunFolder]):
    file, run = own
    with pytest.raises(CheckpointError) as error:
        load_encoder(run.path)
    for part in ("'mine.py:Mine'", sum_of(file), "--model FILE.py:", str(run.path)):
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert not [name for name in sys.modules if name.startswith("freegaze_own_")]
    first = load_encoder(run.path, model=f"{file}:Mine").predict(RECORDING).rates
    again = load_encoder(run.path).predict(RECORDING).rates  # known in this process now
    renamed = file.rename(file.with_name("renamed.py"))
    forget_own()
    other = load_encoder(run.path, model=load_own(f"{renamed}:Mine")).predict(RECORDING).rates
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, other)


def test_changed_source_is_refused_with_both_checksums(own: tuple[Path, RunFolder]):
    file, run = own
    before = sum_of(file)
    write_own(file.parent, "# changed\n")
    with pytest.raises(CheckpointError) as error:
        load_encoder(run.path, model=f"{file}:Mine")
    for part in (before, sum_of(file), "--accept-changed-model"):
        assert part in str(error.value)
    with pytest.raises(CheckpointError, match="not imported by itself"):
        load_encoder(run.path)  # what was refused is not taken afterwards either
    with pytest.raises(ConfigError, match="goes with --model"):
        load_encoder(run.path, accept_changed_model=True)
    encoder = load_encoder(run.path, model=f"{file}:Mine", accept_changed_model=True)
    assert np.isfinite(encoder.predict(RECORDING).rates).all()


def test_another_class_of_the_same_file_is_refused(own: tuple[Path, RunFolder]):
    file, run = own
    with pytest.raises(CheckpointError, match="'mine.py:AbstractEncoder'|'encoder.py:Abstract"):
        load_encoder(run.path, model=f"{file}:AbstractEncoder")


def test_an_encoder_that_a_script_defines(tmp_path: Path):
    run = fit(tmp_path / "run", use_model(InThisFile))
    assert run.config().model["name"] == f"{Path(__file__).name}:InThisFile"
    forget_own()
    with pytest.raises(CheckpointError, match="InThisFile"):
        load_encoder(run.path)
    assert isinstance(load_encoder(run.path, model=InThisFile).encoder, InThisFile)


def test_an_encoder_of_freegaze_needs_no_file(own: tuple[Path, RunFolder], tmp_path: Path):
    file, _ = own
    run = fit(tmp_path / "usual")
    assert run.manifest()["own_code"] == {}
    assert load_encoder(run.path, model="mean_rate").model_name == "mean_rate"
    with pytest.raises(ConfigError, match="is 'mean_rate', not 'mine.py:Mine'; leave it out"):
        load_encoder(run.path, model=f"{file}:Mine")
    assert use_model(BehaviorOnly) == "behavior_only"


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("x = 1\ny = (", "Mine", r"own\.py, line 2: SyntaxError"),
        ("x = 1\nraise ValueError('no')", "Mine", r"own\.py, line 2: ValueError: no"),
        ("import no_such_module", "Mine", r"own\.py, line 1: ModuleNotFoundError"),
        ("x = 1", "Mine", "defines no 'Mine'"),
        ("class Mine: ...", "Mine", "expected a class derived from AbstractEncoder"),
    ],
)
def test_a_file_that_is_no_encoder_is_one_error(tmp_path: Path, text: str, name: str, message: str):
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        use_model(f"{tmp_path / 'own.py'}:{name}")
    assert "\n" not in str(error.value)


def test_a_configuration_cannot_name_a_file(tmp_path: Path):
    file, losses = write_own(tmp_path)
    for setting in (f"model.name={file}:Mine", f"training.loss={losses}:my_poisson"):
        with pytest.raises(RegistryError, match="not imported because a configuration names it"):
            fit(tmp_path / "run", "mean_rate", setting, "training.max_passes=1")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_loss_of_ones_own_is_used_and_needed_to_go_on(tmp_path: Path, monkeypatch):
    _, file = write_own(tmp_path)
    usual = fit(tmp_path / "usual", "behavior_only")
    loss = use_loss(f"{file}:my_poisson")
    whole = fit(tmp_path / "whole", "behavior_only", f"training.loss={loss}")
    assert whole.config().training.loss == "losses.py:my_poisson"
    np.testing.assert_allclose(
        [line["validation_loss"] for line in whole.metrics()],
        [line["validation_loss"] for line in usual.metrics()],
    )
    stopped = RunFolder(tmp_path / "stopped")
    stopped.create(whole.config(), [RECORDING])
    forget_own()
    with pytest.raises(CheckpointError, match=rf"{sum_of(file)}.*--set training.loss=FILE.py:fun"):
        resume(stopped.path, [RECORDING])
    resume(stopped.path, [RECORDING], loss=f"{file}:my_poisson")
    assert stopped.encoder.read_bytes() == whole.encoder.read_bytes()
    load_encoder(stopped.path)  # to predict, no loss is needed


def test_what_is_no_loss_is_refused(tmp_path: Path):
    _, file = write_own(tmp_path)
    with pytest.raises(ConfigError, match="expected a function"):
        use_loss(f"{file}:NUMBER")
    loss = use_loss(f"{file}:per_neuron")
    with pytest.raises(ConfigError, match=r"one number, a tensor of shape \(\), got \(4, 4\)"):
        fit(tmp_path / "run", "behavior_only", f"training.loss={loss}")


MARKER = "import pathlib; pathlib.Path({!r}).write_text('executed')\n"
NAMES = (
    "evil.py:Mine",
    "evil:Mine",
    "evil",
    "../evil.py:Mine",
    "os:system",
    "model_source.py:Mine",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_zipped", [False, True])
def test_a_hostile_run_executes_and_writes_nothing(
    own: tuple[Path, RunFolder], tmp_path: Path, monkeypatch, name: str, is_zipped: bool
):
    """Its configuration, its weights and its manifest name code beside it, and in this folder."""
    file, run = own
    marker = tmp_path / "marker"
    evil = file.read_text() + MARKER.format(str(marker))
    for place in (run.path / "evil.py", tmp_path / "evil.py", run.path / "model_source.py"):
        place.write_text(evil)
    for part in ("config.yaml", "manifest.json"):
        text = (run.path / part).read_text()
        (run.path / part).write_text(text.replace("mine.py:Mine", name))
    weights, state = load_tensors(run.encoder)
    save_tensors(run.encoder, weights, state | {"model": state["model"] | {"name": name}})
    (run.path / "link.py").symlink_to(tmp_path / "evil.py")
    folder = run.path
    if is_zipped:
        with zipfile.ZipFile(tmp_path / "run.zip", "w") as archive:
            for path in run.path.iterdir():
                archive.write(path, path.name)
        folder = unpack_zip(tmp_path / "run.zip", tmp_path / "unpacked", 10**8)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = snapshot(tmp_path)
    for use in (load_encoder, lambda path: resume(path, [RECORDING])):
        with pytest.raises(FreegazeError) as error:
            use(folder)
        assert "\n" not in str(error.value)
    assert not marker.exists()
    assert "evil" not in sys.modules
    assert snapshot(tmp_path) == before


def test_a_hostile_zip_writes_nothing(own: tuple[Path, RunFolder], tmp_path: Path):
    _, run = own
    link = zipfile.ZipInfo("model_source.py")
    link.external_attr = 0o120777 << 16
    for i, (member, content) in enumerate(
        [("../model_source.py", b"x"), (link, b"/etc/passwd"), ("zeros", bytes(3_000_000))]
    ):
        archive = tmp_path / f"{i}.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.write(run.path / "config.yaml", "config.yaml")
            opened.writestr(member, content)
        before = snapshot(tmp_path)
        with pytest.raises(DataError):
            unpack_zip(archive, tmp_path / "unpacked", 1_000_000)
        assert snapshot(tmp_path) == before


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for what Python compiles."""
    files = [
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in str(path)
    ]
    return {str(path): path.read_bytes() for path in files}


def test_a_manifest_without_checksum_is_refused(own: tuple[Path, RunFolder]):
    file, run = own
    manifest = run.manifest()
    for value in (None, [], {"model": 3}, {"model": {"sha256": "x"}}):
        manifest["own_code"] = value
        (run.path / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(CheckpointError, match="holds no checksum of the source"):
            load_encoder(run.path, model=f"{file}:Mine")
    assert os.listdir(file.parent)
