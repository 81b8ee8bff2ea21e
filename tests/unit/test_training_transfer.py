"""Several seeds as one encoder, and fits that start from the core of another run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_training_fit import CONVOLUTIONAL, SMALL, StopError, assert_same_weights, small_config

import freegaze
from builders import make_recording
from freegaze.cli.train import command
from freegaze.errors import CheckpointError, ConfigError
from freegaze.fitted.storage import load_encoder
from freegaze.models.averaged import AveragedEncoder
from freegaze.models.parts.gaze import GazeCorrection
from freegaze.recording.recording import Recording
from freegaze.recording.store import save_store
from freegaze.reports.inputs import ReportInputs
from freegaze.reports.sections.training import build_training
from freegaze.runs.checkpoint import load_tensors
from freegaze.runs.run_folder import RunFolder
from freegaze.training import fit
from freegaze.training.fit import resume, train
from freegaze.training.search import searched

SHIFTED = (*CONVOLUTIONAL, "model.shifter.columns=[theta, phi]")
FEW = {"n_windows": 4, "n_starts": 1, "ascent_steps": 2, "n_shifts": 2, "n_saliency_windows": 8}


def recording_with_gaze(session: str = "s") -> Recording:
    return make_recording(frame_size=(10, 12), session_id=session)


def fit_seeds(folder: Path, *overrides: str) -> RunFolder:
    config = small_config(*SHIFTED, "training.seeds=3", "training.seed=5", *overrides)
    return train([recording_with_gaze()], config, folder)


def gaze_weights(run: Path) -> torch.Tensor:
    gazes = [m for m in load_encoder(run).encoder.modules() if isinstance(m, GazeCorrection)]
    return torch.cat([p.flatten() for gaze in gazes for p in gaze.parameters()])


def test_an_averaged_encoder_predicts_the_mean_rate_of_its_members(tmp_path: Path):
    recording, run = recording_with_gaze(), fit_seeds(tmp_path / "run")
    encoder = load_encoder(run.path)
    members = [load_encoder(run.path / "seeds" / f"00{k}") for k in range(3)]
    rates = [member.predict(recording).rates for member in members]
    assert np.abs(rates[0] - rates[1]).max() > 1e-3
    np.testing.assert_allclose(encoder.predict(recording).rates, np.mean(rates, 0), rtol=1e-5)
    seeds = [RunFolder(run.path / "seeds" / f"00{k}").config().training.seed for k in range(3)]
    assert seeds == [5, 6, 7]
    line = run.kept_pass()
    kept = [RunFolder(m.run).kept_pass() for m in members if m.run is not None]
    assert line["train_loss"] == pytest.approx(np.mean([k["train_loss"] for k in kept]))
    # The loss is convex in the rate (Jensen): the average is at least as good as the mean member.
    assert line["validation_loss"] <= np.mean([k["validation_loss"] for k in kept])


def test_members_share_the_gaze_correction_of_the_first(tmp_path: Path):
    run = fit_seeds(tmp_path / "run")
    alone = train(
        [recording_with_gaze()], small_config(*SHIFTED, "training.seed=6"), tmp_path / "alone"
    )
    first, second, third = (gaze_weights(run.path / "seeds" / f"00{k}") for k in range(3))
    assert len(first) > 10
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    assert not torch.equal(gaze_weights(alone.path), first)


def test_an_averaged_encoder_is_explained(tmp_path: Path):
    recording, run = recording_with_gaze(), fit_seeds(tmp_path / "run", "training.max_passes=1")
    parts = ["fields.gradient", "saliency"]
    (found,) = freegaze.explain(run.path, recording, settings=FEW, only=parts)
    assert len(found.neurons) == recording.n_neurons
    encoder = load_encoder(run.path)
    assert isinstance(encoder.encoder, AveragedEncoder)
    evaluation = freegaze.evaluate(encoder, recording, draws=5)
    section = build_training(ReportInputs(run, [recording], encoder, evaluation))
    assert section is not None
    assert section.content["lead"].startswith("The encoder predicts the mean rate of 3 fits")
    shift = encoder.displacement(recording)
    first = load_encoder(run.path / "seeds" / "000").displacement(recording)
    np.testing.assert_array_equal(shift, first)


@pytest.mark.parametrize("stop_at", [1, 8, 17])
def test_a_stopped_fit_of_seeds_goes_on_bit_for_bit(tmp_path: Path, stop_at: int):
    few = ("training.checkpoint_every_s=1e-9", "training.max_passes=2")
    undisturbed = fit_seeds(tmp_path / "undisturbed", *few)
    config = undisturbed.config()
    seen = 0

    def stop(what: str, done: int, total: int) -> None:
        nonlocal seen
        seen += 1
        if seen == stop_at:
            raise StopError

    with pytest.raises(StopError):
        train([recording_with_gaze()], config, tmp_path / "stopped", stop)
    stopped = resume(tmp_path / "stopped", [recording_with_gaze()])
    assert_same_weights(undisturbed, stopped)
    for part in ("", "seeds/000", "seeds/001", "seeds/002"):
        files = [run.path / part / "encoder.safetensors" for run in (undisturbed, stopped)]
        assert files[0].read_bytes() == files[1].read_bytes()


def fit_with_core(folder: Path, core: Path, *overrides: str) -> RunFolder:
    config = small_config(*SHIFTED, f"training.core_from={core}", *overrides)
    return train([recording_with_gaze("new")], config, folder)


def core_of(run: RunFolder) -> dict[str, torch.Tensor]:
    core = load_encoder(run.path).encoder.get_submodule("core")
    return {name: weight.detach() for name, weight in core.named_parameters()}


def test_a_core_is_taken_over_frozen_then_freed(tmp_path: Path):
    first = train([recording_with_gaze()], small_config(*SHIFTED), tmp_path / "first")
    frozen = fit_with_core(tmp_path / "frozen", first.path, "training.frozen_passes=3")
    freed = fit_with_core(tmp_path / "freed", first.path, "training.frozen_passes=2")
    before = core_of(first)
    assert all(torch.equal(weight, before[name]) for name, weight in core_of(frozen).items())
    last, _ = load_tensors(freed.checkpoint)  # after the last step, whichever pass is kept
    for name, weight in before.items():
        assert not torch.equal(last[f"weights/core.{name}"], weight)


@pytest.mark.parametrize("stop_at", [2, 6, 11])
def test_a_stopped_fit_with_a_core_goes_on_bit_for_bit(tmp_path: Path, stop_at: int):
    first = train([recording_with_gaze()], small_config(*SHIFTED), tmp_path / "first")
    few = ("training.checkpoint_every_s=1e-9", "training.frozen_passes=1")
    undisturbed = fit_with_core(tmp_path / "undisturbed", first.path, *few)

    def stop(what: str, done: int, total: int) -> None:
        if done == stop_at:
            raise StopError

    with pytest.raises(StopError):
        train([recording_with_gaze("new")], undisturbed.config(), tmp_path / "stopped", stop)
    assert_same_weights(undisturbed, resume(tmp_path / "stopped", [recording_with_gaze("new")]))


def test_a_core_that_does_not_fit_is_refused(tmp_path: Path):
    first = train([recording_with_gaze()], small_config(*SHIFTED), tmp_path / "first")
    with pytest.raises(CheckpointError, match=r"model\.core and model\.planes of"):
        fit_with_core(tmp_path / "wide", first.path, "model.core.channels=[6]")
    plain = train([recording_with_gaze()], small_config(), tmp_path / "plain")
    with pytest.raises(ConfigError, match="the encoder of .*plain has no core"):
        fit_with_core(tmp_path / "none", plain.path)
    with pytest.raises(CheckpointError, match="holds no run"):
        fit_with_core(tmp_path / "missing", tmp_path / "nothing")


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("training.seeds=2", "a fit of several seeds"),
        ("training.core_from=a", "another run's core"),
    ],
)
def test_several_processes_are_refused(tmp_path: Path, monkeypatch, setting: str, what: str):
    monkeypatch.setattr(fit, "make_accelerator", lambda _: SimpleNamespace(num_processes=2))
    with pytest.raises(ConfigError, match=f"{what} runs in one process"):
        train([recording_with_gaze()], small_config(*SHIFTED, setting), tmp_path / "run")


def test_the_command_takes_seeds_and_chooses_whether_to_take_a_core(tmp_path: Path, capsys):
    mouse, run = tmp_path / "mouse", tmp_path / "run"
    save_store(recording_with_gaze(), mouse)
    few = [*SMALL, *SHIFTED, "training.max_passes=1"]
    command(path=mouse, out=run, settings=few, seeds=2, quiet=True)
    assert len(load_encoder(run).encoder.get_submodule("members")._modules) == 2
    capsys.readouterr()
    command(path=mouse, out=tmp_path / "other", settings=few, core_from=run, quiet=True)
    lines = capsys.readouterr().out.splitlines()
    other = RunFolder(tmp_path / "other")
    trials = [trial for trial, _ in searched(other)]
    assert [trial.config().training.core_from for trial in trials] == [None, run]
    losses = [trial.kept_pass()["validation_loss"] for trial in trials]
    assert losses[0] != losses[1]
    best = trials[int(np.argmin(losses))]
    assert_same_weights(other, best)
    tried = (None, run)
    assert lines[:2] == [
        f"tried training.core_from = {core}: validation loss {loss:.4f}"
        for core, loss in zip(tried, losses, strict=True)
    ]
    with pytest.raises(ConfigError, match="leave out --seeds, --core-from"):
        command(resume=run, seeds=2, core_from=run, quiet=True)
