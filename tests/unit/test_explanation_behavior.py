"""Saliency in no unit, tuning curves against a plain loop, responses around gaze shifts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from builders import make_recording
from fake_encoder import SpeedEncoder, built_fit, fake_fit
from figure_runs import make_behaving
from freegaze.dataset.behavior import fit_behavior_transform
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.saliency.saliency import mean_ends, saliency_table
from freegaze.explanation.session import ExplainedSession
from freegaze.explanation.tuning.tuning import tuning_tables
from freegaze.fitted.encoder import FittedEncoder
from freegaze.metrics.blocks import TimeBlocks
from freegaze.metrics.bootstrap import draw_blocks
from freegaze.recording.recording import Recording, Segment

CONFIG = ExplainConfig(n_saliency_windows=40)


def raw_fit(recording: Recording, weight: np.ndarray, bias: np.ndarray) -> FittedEncoder:
    """``softplus(weight * speed + bias)`` of speed in its own unit."""
    encoder = fake_fit([recording])
    training = encoder.split(recording).bins("train")
    behavior = fit_behavior_transform(recording, ("speed",), training, standardize=False)
    fitted = encoder.sessions["s"]
    preparation = replace(fitted.preparation, behavior=behavior)
    encoder.sessions["s"] = replace(fitted, preparation=preparation)
    assert isinstance(encoder.encoder, SpeedEncoder)
    head = encoder.encoder.head("s")
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight)[:, None])
        head.bias.copy_(torch.from_numpy(bias))
    return encoder


def explained(recording: Recording, encoder: FittedEncoder) -> pd.DataFrame:
    session = ExplainedSession(encoder, recording)
    return saliency_table(session, CONFIG)


def test_saliency_is_for_one_sd_and_does_not_know_the_unit() -> None:
    recording = make_recording(n_bins=900)
    weight, bias = np.array([0.5, -0.3, 0.0, 1.0]), np.array([0.1, 0.2, -0.3, 0.0])
    table = explained(recording, raw_fit(recording, weight, bias))
    session = ExplainedSession(raw_fit(recording, weight, bias), recording)
    seen = session.sample("test", 40, 0) - session.lag
    speed = recording.column("speed").astype(np.float64)
    slope = weight / (1 + np.exp(-(speed[seen][:, None] * weight + bias)))
    sd = speed[session.encoder.split(recording).bins("train")].std()
    np.testing.assert_allclose(table["signed"], slope.mean(0) * sd, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(table["absolute"], np.abs(slope).mean(0) * sd, rtol=1e-4, atol=1e-7)
    # The same speed with another unit and another zero, and weights that make up for it.
    behavior = recording.behavior.copy()
    behavior[:, 0] = 10 * behavior[:, 0] + 30
    other = replace(recording, behavior=behavior)
    again = explained(other, raw_fit(other, weight / 10, bias - 3 * weight))
    for column in ("absolute", "signed", "via_gaze", "integrated"):
        np.testing.assert_allclose(again[column], table[column], rtol=1e-3, atol=1e-5)


def test_intervals_of_a_mean_are_those_of_its_standard_error() -> None:
    """Blocks of one window each: 95 % of normal means lie within 1.96 standard errors."""
    rng = np.random.default_rng(0)
    values = rng.normal(0.3, 1.0, (200, 150, 2))
    blocks = TimeBlocks(np.arange(200), 200)
    low, high = mean_ends(values, blocks, draw_blocks(200, 2000, rng))
    error = values.std(0, ddof=1) / np.sqrt(200)
    np.testing.assert_allclose((high - low) / (2 * 1.96 * error), 1, atol=0.12)
    # The center is known to 1 / sqrt(2,000 draws) = 0.02 standard errors; four times that.
    assert (np.abs((high + low) / 2 - values.mean(0)) < 0.13 * error).all()
    covered = ((low <= 0.3) & (high >= 0.3)).mean()
    assert 0.91 <= covered <= 0.985  # of 300, three standard errors of 0.0126 around 0.95


def test_slow_states_widen_intervals_by_blocks() -> None:
    rng = np.random.default_rng(1)
    state = np.repeat(rng.normal(size=(20, 40)), 30, axis=0)[:, :, None]  # 30 windows alike
    blocks = TimeBlocks(np.arange(20) * 30, 600)
    low, high = mean_ends(state, blocks, draw_blocks(20, 1000, rng))
    error = state[::30].std(0, ddof=1) / np.sqrt(20)
    assert ((high - low) / (2 * error)).mean() == pytest.approx(2.09, abs=0.15)  # Student's t, 19
    few = TimeBlocks(np.arange(3) * 200, 600)
    assert all(np.isnan(end).all() for end in mean_ends(state, few, draw_blocks(3, 100, rng)))


def test_saliency_has_intervals_over_blocks_of_test_bins() -> None:
    edges = {"train": (0, 400), "validation": (400, 500), "test": (500, 4500)}
    segments = [Segment(first, stop, role) for role, (first, stop) in edges.items()]
    recording = make_recording(n_bins=4500, segments=segments)
    weight, bias = np.array([0.5, -0.3, 0.0, 1.0]), np.array([0.1, 0.2, -0.3, 0.0])
    table = explained(recording, raw_fit(recording, weight, bias)).set_index("unit_id")
    for name in ("absolute", "signed"):
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_high"]).all()
    is_moved = table.index != "unit_2"  # its weight is 0
    assert (table["signed_low"] * table["signed_high"] > 0)[is_moved].all()
    assert (table.loc["unit_2", ["signed_low", "signed_high"]] == 0).all()


def test_integrated_saliency_is_the_way_from_the_mean_of_training() -> None:
    """Of one signal and no gaze it is all of the rate less that at mean behavior."""
    recording = make_recording(n_bins=900)
    weight, bias = np.array([0.5, -0.3, 0.0, 1.0]), np.array([0.1, 0.2, -0.3, 0.0])
    encoder = raw_fit(recording, weight, bias)
    session = ExplainedSession(encoder, recording)
    speed = recording.column("speed").astype(np.float64)
    seen = speed[session.sample("test", 40, 0) - session.lag]
    middle = speed[encoder.split(recording).bins("train")].mean()
    rate = np.logaddexp(0, seen[:, None] * weight + bias) - np.logaddexp(0, middle * weight + bias)
    found = explained(recording, encoder)["integrated"]
    np.testing.assert_allclose(found, np.abs(rate).mean(0), rtol=1e-3, atol=1e-5)


def test_what_only_sees_depends_on_the_eye_through_gaze_alone() -> None:
    recording = make_behaving("s")
    core = {"channels": [4], "kernels": [5], "strides": [2]}
    table = explained(recording, built_fit([recording], "cnn", {"core": core}))
    assert (table["absolute"] < 1e-7).all()
    assert (table["signed"].abs() < 1e-7).all()
    assert (table["via_gaze"] > 1e-6).any()


def test_what_the_shifter_does_not_read_does_not_come_through_gaze() -> None:
    recording = make_behaving("s")
    core = {"channels": [4], "kernels": [5], "strides": [2]}
    table = explained(recording, built_fit([recording], "cnn_gru", {"core": core}))
    speed, theta = (table[table["signal"] == name] for name in ("speed", "theta"))
    assert (speed["absolute"] > 1e-5).all()
    assert (speed["via_gaze"] < 1e-7).all()
    assert (theta["via_gaze"] > 1e-7).any()
    assert (table["signed"].abs() <= table["absolute"] * (1 + 1e-6)).all()


def test_products_and_derivatives_name_the_column_behind_them() -> None:
    recording = make_behaving("s")
    features = {"features": ["speed", "d_theta", "speed*pitch"]}
    table = explained(recording, built_fit([recording], "behavior_only", features))
    one = table[table["unit_id"] == "unit_0"].set_index("signal")["base"].to_dict()
    assert one == {"speed": "speed", "d_theta": "theta", "pitch": "pitch"}


def test_tuning_is_a_plain_mean_over_levels() -> None:
    recording = make_recording(n_bins=1500, n_neurons=3, lost_share=0.1)
    session = ExplainedSession(fake_fit([recording]), recording)
    prediction = session.encoder.predict(recording, targets=session.targets["test"])
    table = tuning_tables(session)["tuning"]
    assert list(table["signal"].unique()) == ["speed", "theta", "phi"]
    for signal in ("speed", "theta"):
        value = recording.column(signal)[prediction.targets - 1].astype(np.float64)
        known = np.isfinite(value)
        assert signal == "speed" or not known.all()
        edges = np.quantile(value[known], np.linspace(0, 1, 11))
        level = np.digitize(value[known], edges[1:-1])
        for unit in range(3):
            rows = table[(table["signal"] == signal) & (table["unit_id"] == f"unit_{unit}")]
            plain = pd.DataFrame(
                {
                    "level": value[known],
                    "observed": recording.responses[prediction.targets][known, unit],
                    "predicted": prediction.rates[known, unit],
                }
            ).astype(np.float64)
            grouped = plain.groupby(level)
            assert rows["n_bins"].tolist() == grouped.size().tolist()
            for column in plain:
                np.testing.assert_allclose(rows[column], grouped[column].mean(), rtol=1e-6)


def test_without_behavior_there_is_nothing_to_tabulate() -> None:
    base = make_recording(n_bins=600)
    recording = replace(base, behavior=base.behavior[:, :0], behavior_names=(), behavior_units=())
    session = ExplainedSession(built_fit([recording], "mean_rate"), recording)
    table = saliency_table(session, CONFIG)
    assert not len(table)
    assert {"unit_id", "signal", "base", "absolute", "via_gaze", "integrated"} <= set(table)
    tuning = tuning_tables(session)["tuning"]
    assert not len(tuning)
    assert {"unit_id", "signal", "level", "observed", "predicted", "n_bins"} <= set(tuning)


@pytest.mark.parametrize("n", [1, 40, 10**6])
def test_saliency_takes_as_many_windows_as_there_are(n: int) -> None:
    recording = make_recording(n_bins=300, n_neurons=2)
    session = ExplainedSession(fake_fit([recording]), recording)
    found = saliency_table(session, ExplainConfig(n_saliency_windows=n))
    assert found["unit_id"].tolist() == ["unit_0", "unit_1"]
    assert np.isfinite(found["integrated"]).all()
