"""Random processes against loops and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freegaze.simulation.processes import (
    BIN_S,
    STEP_S,
    STEPS_PER_BIN,
    bin_mean,
    low_pass,
    normal_scores,
    on_off,
    ornstein_uhlenbeck,
    slow_process,
)
from freegaze.simulation.streams import STREAMS, random_streams


def test_a_bin_is_three_steps_of_16_ms():
    assert STEPS_PER_BIN == 3
    assert pytest.approx(0.048) == BIN_S


def test_low_pass_is_the_recursion_written_out():
    signal = np.random.default_rng(0).standard_normal((50, 2))
    keep = np.exp(-STEP_S / 0.1)
    expected, last = [], signal[0]
    for row in signal:
        last = keep * last + (1 - keep) * row
        expected.append(last)
    np.testing.assert_allclose(low_pass(signal, 0.1), expected)


def test_low_pass_of_a_step_reaches_63_percent_after_its_time_constant():
    step = low_pass(np.ones(1000), 0.8, initial=np.zeros(1))
    assert step[round(0.8 / STEP_S) - 1] == pytest.approx(1 - np.exp(-1), abs=1e-9)


def test_ornstein_uhlenbeck_has_unit_variance_and_its_time_constant():
    """200,000 steps of 12.5 steps' memory: about 8,000 independent values, so 3 sd are 5 %."""
    signal = ornstein_uhlenbeck(np.random.default_rng(1), 200_000, 0.2)[:, 0]
    assert signal.var() == pytest.approx(1.0, abs=0.05)
    lag = round(0.2 / STEP_S)
    assert np.mean(signal[:-lag] * signal[lag:]) == pytest.approx(
        np.exp(-lag * STEP_S / 0.2), abs=0.05
    )


def test_slow_process_has_its_spectrum_in_every_session():
    for seed in range(3):
        signal = slow_process(np.random.default_rng(seed), 60_000, 20.0, 0.5)
        assert signal.mean() == pytest.approx(0.0, abs=1e-12)
        assert signal.var() == pytest.approx(1.0)
        lag = round(20.0 / STEP_S)
        circular = np.mean(signal * np.roll(signal, lag))
        assert circular == pytest.approx(np.exp(-1), abs=0.05)


def test_normal_scores_keep_the_order_and_are_normal():
    signal = np.random.default_rng(2).exponential(size=10_001)
    scores = normal_scores(signal)
    assert (np.argsort(scores) == np.argsort(signal)).all()
    assert np.median(scores) == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(np.percentile(scores, [2.275, 97.725]), [-2, 2], atol=0.01)


def test_bouts_have_the_share_and_the_shortest_length_asked_for():
    on = on_off(np.random.default_rng(3), 500_000, on_s=2.0, off_s=6.0, min_s=0.5)
    assert on.mean() == pytest.approx(0.25, abs=0.02)
    edges = np.flatnonzero(np.diff(on.astype(int)))
    assert np.diff(edges).min() >= 0.5 / STEP_S - 1


@given(st.integers(1, 20), st.integers(1, 3))
def test_bin_mean_averages_threes(n_bins, n_columns):
    signal = np.arange(3.0 * n_bins * n_columns).reshape(-1, n_columns)
    expected = [signal[3 * i : 3 * i + 3].mean(axis=0) for i in range(n_bins)]
    np.testing.assert_allclose(bin_mean(signal), expected)


def test_streams_are_named_reproducible_and_different():
    one, two = random_streams(7), random_streams(7)
    assert tuple(one) == STREAMS
    draws = {name: rng.random() for name, rng in one.items()}
    assert draws == {name: rng.random() for name, rng in two.items()}
    assert len(set(draws.values())) == len(STREAMS)
