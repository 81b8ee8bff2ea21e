"""Controls on responses that follow their own past, or a common drive, by construction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from builders import make_recording
from fake_encoder import fake_fit
from freegaze.errors import ConfigError, DataError
from freegaze.evaluation.controls import COUPLING, HISTORY, LAGS, control_rates, past_means
from freegaze.evaluation.evaluate import evaluate
from freegaze.fitted.encoder import Prediction
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.recording.recording import Recording, ResponseKind, Segment

N = 6000
EDGES = {"train": (0, 3000), "validation": (3000, 3200), "test": (3200, N)}
SEGMENTS = [Segment(first, stop, role) for role, (first, stop) in EDGES.items()]
TRAINING, SCORED = np.arange(100, 3000), np.arange(3300, N)


def made(responses: np.ndarray, kind: ResponseKind = ResponseKind.SPIKE_COUNTS) -> Recording:
    base = make_recording(n_bins=N, n_neurons=responses.shape[1], segments=SEGMENTS, kind=kind)
    return replace(base, responses=responses.astype(np.float32))


def flat(recording: Recording) -> Prediction:
    """Predict one rate in every bin."""
    rates = np.full((N, recording.n_neurons), recording.responses.mean())
    return Prediction(recording.session_id, np.arange(N), rates, recording.unit_ids)


def scores(recording: Recording, controls=("history", "coupling")) -> dict[str, np.ndarray]:
    found = control_rates(recording, flat(recording), TRAINING, SCORED, controls)
    observed = recording.responses[SCORED]
    return {name: single_bin_correlation(rates, observed) for name, rates in found.items()}


def test_past_means_are_those_of_a_plain_loop():
    recording = make_recording(n_bins=90)
    source = np.random.default_rng(0).normal(size=90)
    found = past_means(source, recording, includes_now=True)
    np.testing.assert_array_equal(found[:, 0], source)
    for segment in recording.segments:
        for t in range(segment.start, segment.stop):
            for column, (first, last) in enumerate(LAGS, start=1):
                past = [source[t - k] for k in range(first, last + 1) if t - k >= segment.start]
                expected = np.mean(past) if past else source.mean()
                assert found[t, column] == pytest.approx(expected)


def test_history_finds_a_neuron_that_follows_its_own_past():
    rng = np.random.default_rng(1)
    counts = np.zeros((N, 3))
    for t in range(1, N):  # only the first neuron has a memory
        counts[t] = rng.poisson([0.3 + 0.6 * min(counts[t - 1, 0], 5), 0.7, 0.7])
    found = scores(made(counts))
    assert found[HISTORY][0] > 0.3
    assert np.abs(found[HISTORY][1:]).max() < 0.08  # 2,700 bins: four standard errors
    assert np.abs(found[COUPLING]).max() < 0.08


def test_coupling_finds_a_common_drive_in_the_same_bin():
    rng = np.random.default_rng(2)
    common = np.exp(rng.normal(0, 0.6, N))[:, None] * np.array([[1.0] * 8 + [0.0]])
    found = scores(made(rng.poisson(common + np.array([0.2] * 8 + [1.0]))))
    assert (found[COUPLING][:8] > 0.2).all()  # ten standard errors of no correlation
    assert abs(found[COUPLING][8]) < 0.08
    assert np.abs(found[HISTORY]).max() < 0.08  # the drive has no memory


def test_the_encoder_is_kept_where_the_controls_know_nothing():
    rng = np.random.default_rng(3)
    rates = np.exp(rng.normal(0, 0.7, (N, 2)))
    recording = made(rng.poisson(rates))
    prediction = replace(flat(recording), rates=rates)
    found = control_rates(recording, prediction, TRAINING, SCORED, ["history"])[HISTORY]
    np.testing.assert_allclose(found, rates[SCORED], rtol=0.35)
    assert np.corrcoef(found[:, 0], rates[SCORED, 0])[0, 1] > 0.98


def test_fluorescence_is_fitted_linearly():
    rng = np.random.default_rng(4)
    trace = np.zeros((N, 2))
    for t in range(1, N):
        trace[t] = np.array([0.9, 0.0]) * trace[t - 1] + rng.normal(size=2)
    found = scores(made(trace, ResponseKind.FLUORESCENCE), ["history"])
    assert found[HISTORY][0] == pytest.approx(0.9, abs=0.03)


def test_controls_have_columns_of_their_own():
    recording = make_recording(n_bins=N, segments=SEGMENTS)
    encoder = fake_fit([recording])
    without = evaluate(encoder, recording, draws=10)
    found = evaluate(encoder, recording, draws=10, controls=["history", "coupling"])
    for name in without.table:
        if name not in ("session_id", "unit_id"):
            np.testing.assert_array_equal(found.table[name], without.table[name])
    for name in (HISTORY, COUPLING):
        assert np.isfinite(found.table[f"{name}_bits_per_spike"]).all()


def test_what_cannot_be_fitted_is_refused():
    recording = make_recording(n_bins=N, segments=SEGMENTS, n_neurons=1)
    with pytest.raises(ConfigError, match="no control is called 'past'"):
        control_rates(recording, flat(recording), TRAINING, SCORED, ["past"])
    with pytest.raises(DataError, match="coupling needs at least 2 neurons"):
        control_rates(recording, flat(recording), TRAINING, SCORED, ["coupling"])
    with pytest.raises(DataError, match="none is predicted"):
        control_rates(recording, flat(recording), np.array([N]), SCORED, ["history"])
