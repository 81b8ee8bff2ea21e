"""Recipes of the original's encoders: patience, rounds, plateau, monitored value, losses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_training_fit import StopError, assert_same_weights, small_config

from builders import make_recording
from fake_encoder import SpeedConfig, SpeedEncoder
from freegaze.dataset.batches import Batch
from freegaze.dataset.dims import EncoderDims
from freegaze.fitted.storage import load_encoder
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.models.encoder import build_encoder
from freegaze.recording.recording import ResponseKind
from freegaze.runs.checkpoint import load_tensors
from freegaze.runs.config import RunConfig, model_config
from freegaze.runs.run_folder import RunFolder
from freegaze.training import fit_state
from freegaze.training.fit import prepare_sessions, resume, train
from freegaze.training.loop import Fit
from freegaze.training.losses import choose_loss, poisson_loss
from freegaze.training.objective import Objective


def make_fit(folder: Path, *overrides: str) -> Fit:
    config: RunConfig = small_config(*overrides)
    sessions = prepare_sessions([make_recording()], config)
    dims = {name: session.dims for name, session in sessions.items()}
    encoder = build_encoder(config.model["name"], model_config(config), dims, 0)
    folder.mkdir()
    return Fit(encoder, sessions, config.training, RunFolder(folder))


def finish_passes(fit: Fit, monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> list[float]:
    """Let the fit see these validation losses; return the learning rates' factors after each."""
    rates = []
    for loss in losses:
        if fit.is_over():
            break
        monkeypatch.setattr(fit, "validate", lambda loss=loss: (loss, 0.5))
        fit._finish_pass({"train_loss": 1.0}, 0.0)
        rates.append(fit.state.rate)
    return rates


@pytest.mark.parametrize(("patience", "original"), [(6, "ct > 5"), (5, "ct >= 5")])
def test_patience_counts_bad_passes_as_the_original(tmp_path, monkeypatch, patience, original):
    fit = make_fit(tmp_path / "run", f"training.patience={patience}", "training.max_passes=50")
    losses = [3.0, 2.0, *[2.5] * 30]
    count, epochs = 0, 0
    for epoch, loss in enumerate(losses):  # the original's loop, in one line a statement
        count = 0 if loss < min([*losses[:epoch], np.inf]) else count + 1
        epochs += 1
        if eval(original, {"ct": count}):
            break
    finish_passes(fit, monkeypatch, losses)
    assert fit.state.passes == epochs


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from([0.5, 0.6, 0.7, 0.700001, 0.8]), min_size=1, max_size=40))
def test_plateau_is_pytorchs_schedule(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("plateau")
    recipe = ("training.schedule=plateau", "training.learning_rate=0.009", "training.patience=99")
    fit = make_fit(folder / "run", *recipe, "training.max_passes=99")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.009)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "min", factor=0.3, patience=5, threshold=1e-6, threshold_mode="abs", min_lr=1e-4
    )
    expected = []
    for value in values:
        oracle.step(value)
        expected.append(optimizer.param_groups[0]["lr"])
    with pytest.MonkeyPatch.context() as monkeypatch:
        rates = finish_passes(fit, monkeypatch, values)
    np.testing.assert_allclose(0.009 * np.array(rates), expected, rtol=1e-9)


def test_the_steps_take_the_lowered_rate(tmp_path):
    fit = make_fit(tmp_path / "run", "training.schedule=plateau", "training.learning_rate=0.01")
    fit.state.rate = 0.3
    fit._run_pass(None)
    assert all(group["lr"] == pytest.approx(0.003) for group in fit.optimizer.param_groups)


def test_each_round_takes_up_the_best_weights_again(tmp_path, monkeypatch):
    recipe = ("training.patience=2", "training.rounds=3", "training.max_passes=99")
    fit = make_fit(tmp_path / "run", *recipe, "training.average_decay=0")
    weight = next(p for p in fit.encoder.parameters() if p.requires_grad)
    seen = []
    losses = iter([1.0, 2.0, 2.0, 0.5, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    while not fit.is_over():
        loss = next(losses)
        weight.data.fill_(loss)
        monkeypatch.setattr(fit, "validate", lambda loss=loss: (loss, 0.5))
        fit._finish_pass({"train_loss": 1.0}, 0.0)
        seen.append(weight.flatten()[0].item())
    # Patience of 2 runs out after passes 3, 6 and 8; the last round leaves the weights to `run`.
    assert seen == [1.0, 2.0, 1.0, 0.5, 2.0, 0.5, 2.0, 2.0]
    assert fit.best[_name_of(fit, weight)].flatten()[0].item() == 0.5


def _name_of(fit: Fit, weight: torch.Tensor) -> str:
    return next(name for name, p in fit.encoder.named_parameters() if p is weight)


def test_the_monitored_correlation_decides_what_is_kept(tmp_path):
    recipe = ("training.monitor=correlation", "training.max_passes=6", "training.seed=3")
    recipe += ("training.refit=false",)  # or the kept weights are fitted to validation bins too
    recording = make_recording()
    run = train([recording], small_config(*recipe, "training.learning_rate=0.1"), tmp_path / "run")
    correlations = [line["validation_correlation"] for line in run.metrics()]
    assert run.kept_pass()["pass"] == int(np.argmax(correlations)) + 1
    predicted = load_encoder(run.path).predict(recording, "validation")
    observed = recording.responses[predicted.targets]
    ours = single_bin_correlation(predicted.rates, observed).mean()
    assert ours == pytest.approx(max(correlations), abs=1e-5)


@pytest.mark.parametrize("stop_at", [3, 21, 22, 25, 26])
def test_a_stopped_fit_with_rounds_and_plateau_goes_on_bit_for_bit(tmp_path, monkeypatch, stop_at):
    """The first new round and the first lower rate come after step 20."""
    monkeypatch.setattr(fit_state, "PLATEAU_PATIENCE", 0)
    recording = make_recording()
    recipe = (
        *("training.schedule=plateau", "training.monitor=correlation", "training.rounds=3"),
        *("training.patience=1", "training.max_passes=12", "training.checkpoint_every_s=1e-9"),
        *("training.loss=poisson_sum", "training.learning_rate=0.003"),
    )
    undisturbed = train([recording], small_config(*recipe), tmp_path / "undisturbed")

    def stop(what: str, done: int, total: int) -> None:
        if done == stop_at:
            raise StopError

    with pytest.raises(StopError):
        train([recording], small_config(*recipe), tmp_path / "stopped", stop)
    stopped = resume(tmp_path / "stopped", [recording])
    assert_same_weights(undisturbed, stopped)
    for a, b in zip(undisturbed.metrics(), stopped.metrics(), strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}
    states = [load_tensors(run.checkpoint)[1] for run in (undisturbed, stopped)]
    assert states[0]["round"] == states[1]["round"] == 3
    assert states[0]["rate"] == states[1]["rate"] < 1


class RatesAsGiven(SpeedEncoder):
    """Answers with the behavior itself."""

    def respond_sequence(self, features, session=None):
        return features


def test_the_summed_poisson_loss_is_scaled_by_windows():
    torch.manual_seed(0)
    rate, count = torch.rand(2, 4, 3) + 0.1, torch.poisson(torch.ones(2, 4, 3))
    encoder = RatesAsGiven(SpeedConfig(), {"s": EncoderDims(3, ("speed",), (2, 2), 1)})
    observed = count.flatten(0, 1)
    loss = choose_loss("poisson_sum", ResponseKind.SPIKE_COUNTS, observed, torch.arange(8))
    objective = Objective(encoder, {"s": loss}, {"s": 200})

    def minimized(rows: slice, share: float = 1.0, n_windows: int | None = None) -> float:
        video = torch.zeros(len(rate[rows]), 4, 1, 2, 2)
        batch = Batch("s", video, rate[rows], count[rows])
        return float(objective(batch, share, n_windows)[0])

    by_hand = sum(
        float(rate[i, j, k] - count[i, j, k] * torch.log(rate[i, j, k] + 1e-8))
        for i in range(2)
        for j in range(4)
        for k in range(3)
    )
    whole = minimized(slice(None))
    assert whole == pytest.approx((200 / 8) ** 0.5 * by_hand, rel=1e-5)
    parts = [minimized(slice(i, i + 1), 1.0, 8) for i in (0, 1)]  # halves, in two processes
    assert np.mean(parts) == pytest.approx(whole, rel=1e-5)


def test_q23_the_mean_over_batches_weighs_the_last_one_too_much(tmp_path):
    fit = make_fit(tmp_path / "run", "training.batch_windows=32")
    (name,) = fit.tensors
    targets = fit.validation.targets[name]
    assert len(targets) % 32  # the last batch is smaller
    losses = {}
    for rule in ("windows", "batches"):
        config = fit.config.model_copy(update={"validation_mean": rule})
        losses[rule] = replace(fit.validation, config=config)(fit.encoder)[0]
    fit.encoder.eval()
    observed = fit.tensors[name].responses[torch.from_numpy(targets)]
    with torch.no_grad():
        windows = [fit.tensors[name].gather(torch.tensor([t]), 1) for t in targets.tolist()]
        predicted = torch.cat([fit.encoder(w.video, w.behavior, name) for w in windows])
    means = [
        float(poisson_loss(predicted[i : i + 32], observed[i : i + 32]))
        for i in range(0, len(targets), 32)
    ]
    assert losses["windows"] == pytest.approx(float(poisson_loss(predicted, observed)), rel=1e-5)
    assert losses["batches"] == pytest.approx(np.mean(means), rel=1e-5)
    assert losses["batches"] != pytest.approx(losses["windows"], rel=1e-6)
