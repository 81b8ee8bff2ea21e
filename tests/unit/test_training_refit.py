"""Refit to training and validation windows together, with the passes that the validation chose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from builders import make_recording
from freegaze.config import read_config
from freegaze.models.encoder import build_encoder
from freegaze.recording.recording import Recording
from freegaze.recording.verification import verify_files
from freegaze.runs.checkpoint import load_tensors
from freegaze.runs.config import RunConfig, TrainingConfig, model_config
from freegaze.runs.run_folder import RunFolder
from freegaze.training.fit import prepare_sessions, resume, train
from freegaze.training.loop import Fit

SMALL = (
    "model.name=behavior_only",
    "data.history=2",
    "data.min_rate_hz=0",
    "split.gap_s=0.1",
    "training.max_passes=3",
    "training.batch_windows=16",
    "training.stretch_windows=4",
    "training.device=cpu",
)


def small_config(*overrides: str) -> RunConfig:
    return read_config(RunConfig, None, [*SMALL, *overrides])


def weights_of(run: RunFolder) -> dict[str, torch.Tensor]:
    return load_tensors(run.encoder)[0]


def are_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def with_other_validation(recording: Recording) -> Recording:
    """Return a recording with other responses in its validation bins."""
    responses = recording.responses.copy()
    responses[recording.bins_of("validation")] += 3
    return replace(recording, responses=responses)


@pytest.mark.parametrize("is_refitted", [True, False])
def test_validation_responses_reach_the_kept_weights_only_by_a_refit(tmp_path, is_refitted: bool):
    recording = make_recording()
    config = small_config("training.max_passes=1", f"training.refit={str(is_refitted).lower()}")
    pair = [recording, with_other_validation(recording)]
    runs = [train([one], config, tmp_path / str(i)) for i, one in enumerate(pair)]
    assert are_equal(*(weights_of(run) for run in runs)) is not is_refitted
    assert runs[0].refit.path.exists() is is_refitted


def test_a_refit_is_a_fit_whose_training_bins_are_both(tmp_path: Path):
    """The same batches, taken one by one from a fit whose roles were merged by hand."""
    recording = make_recording()
    config = small_config("training.average_decay=0")
    run = train([recording], config, tmp_path / "a")
    sessions = prepare_sessions([recording], config)
    (session,) = sessions.values()
    dims = {"s": session.dims}
    encoder = build_encoder("behavior_only", model_config(config), dims, seed=0)
    encoder.initialize("s", torch.from_numpy(session.mean_response))
    fit = Fit(encoder, sessions, config.training, RunFolder(tmp_path))
    merged = np.union1d(session.targets("train"), session.targets("validation"))
    fit.train_targets = {"s": merged}
    encoder.train()
    for number in range(int(run.kept_pass()["pass"])):
        turns = fit._turns(number)
        fit.state.passes = number
        for step, turn in enumerate(turns):
            fit._step(turn, step, len(turns))
    assert are_equal(weights_of(run), dict(encoder.state_dict()))


def test_a_refit_has_as_many_passes_as_the_validation_chose(tmp_path: Path):
    settings = ("training.max_passes=20", "training.learning_rate=0.3", "training.patience=2")
    config = small_config(*settings, "training.schedule=constant")
    run = train([make_recording()], config, tmp_path / "a")
    chosen = run.kept_pass()["pass"]
    assert chosen < len(run.metrics())
    assert [line["pass"] for line in run.refit.metrics(is_validated=False)][-1] == chosen
    assert run.seconds() > sum(line["seconds"] for line in run.metrics())
    assert {check.verdict for check in verify_files(run.path)} == {"ok"}


def test_the_validated_passes_are_those_of_a_fit_without_refit(tmp_path: Path):
    found = []
    for refit in ("true", "false"):
        config = small_config(f"training.refit={refit}")
        run = train([make_recording()], config, tmp_path / refit)
        found.append([line["validation_loss"] for line in run.metrics()])
    assert found[0] == found[1]


@pytest.mark.parametrize("stop_at", [2, 5])
def test_a_stopped_refit_goes_on_bit_for_bit(tmp_path: Path, stop_at: int):
    recording = make_recording()
    config = small_config("training.checkpoint_every_s=1e-9")
    undisturbed = train([recording], config, tmp_path / "undisturbed")
    n_refit_steps = 0

    def stop(what: str, done: int, total: int) -> None:
        nonlocal n_refit_steps
        n_refit_steps += what.startswith("refit")
        if n_refit_steps == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train([recording], config, tmp_path / "stopped", stop)
    stopped = resume(tmp_path / "stopped", [recording])
    assert are_equal(weights_of(undisturbed), weights_of(stopped))


def test_members_of_an_average_are_refitted_and_its_validation_is_not(tmp_path: Path):
    recording = make_recording()
    config = small_config("training.seeds=2", "training.max_passes=1")
    pair = [recording, with_other_validation(recording)]
    first, second = (train([one], config, tmp_path / str(i)) for i, one in enumerate(pair))
    assert not are_equal(weights_of(first), weights_of(second))
    config = small_config("training.seeds=2", "training.max_passes=1", "training.refit=false")
    held_out = train([recording], config, tmp_path / "held_out")
    kept = [run.kept_pass()["validation_loss"] for run in (first, held_out)]
    assert kept[0] == kept[1]


def test_a_course_that_depends_on_validation_is_not_repeated():
    assert TrainingConfig().is_refitted
    assert not TrainingConfig(rounds=2).is_refitted
    assert not TrainingConfig(schedule="plateau").is_refitted
    assert not TrainingConfig(refit=False).is_refitted
