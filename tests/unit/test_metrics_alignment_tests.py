"""Tests of alignment: bounds for unrelated slow signals and drifts, and what they find."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.signal import lfilter

from freegaze.errors import DataError
from freegaze.metrics.alignment_tests import (
    FEWEST_TRIALS,
    shift_test,
    shifted_correlations,
    trial_test,
)
from freegaze.metrics.whitening import autocovariance, filter_columns, whitening_filter

WIDTH_S = 0.5


def slow(rng: np.random.Generator, n: int, k: int, tau: float) -> np.ndarray:
    """Ornstein-Uhlenbeck signals of variance 1, correlated over ``tau`` bins."""
    keep = np.exp(-1 / tau)
    noise = rng.standard_normal((n, k)) * np.sqrt(1 - keep**2)
    noise[0] /= np.sqrt(1 - keep**2)
    return lfilter([1.0], [1.0, -keep], noise, axis=0)


def assert_bound(p: np.ndarray, *levels: float) -> None:
    """P(p <= level) is at most the level plus two standard errors."""
    for level in levels:
        allowed = level + 2 * np.sqrt(level * (1 - level) / len(p))
        assert (p <= level).mean() <= allowed, level


def test_filters_are_those_of_the_normal_equations() -> None:
    rng = np.random.default_rng(0)
    x = slow(rng, 400, 2, 5.0)
    lags = autocovariance(x, 3)
    centered = x - x.mean(0)
    for lag in range(4):
        loop = (centered[: 400 - lag] * centered[lag:]).sum(0) / 400
        np.testing.assert_allclose(lags[lag], loop)
    weights = whitening_filter(lags)
    for neuron in range(2):
        expected = np.linalg.solve(toeplitz(lags[:3, neuron]), lags[1:, neuron])
        np.testing.assert_allclose(weights[1:, neuron], -expected, atol=1e-4)
        filtered = lfilter(weights[:, neuron], [1.0], centered[:, neuron])
        np.testing.assert_allclose(filter_columns(weights, x)[:, neuron], filtered, atol=1e-10)
    constant = whitening_filter(autocovariance(np.ones((9, 1)), 2))
    np.testing.assert_array_equal(constant, [[1], [0], [0]])


def test_correlations_of_shifts_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(1)
    x, y = 5 + slow(rng, 200, 3, 9.0), slow(rng, 200, 3, 9.0)
    window = np.zeros(200, dtype=bool)
    window[30:170] = rng.random(140) < 0.7
    found = shifted_correlations(x, y, window, 30)
    bins = np.flatnonzero(window)
    for shift in (-30, -1, 0, 7, 30):
        for neuron in range(3):
            loop = np.corrcoef(x[bins + shift, neuron], y[bins, neuron])[0, 1]
            assert found[shift + 30, neuron] == pytest.approx(loop, abs=1e-9)


FULL = [
    pytest.param(2000, minutes, tau_s, marks=pytest.mark.slow)
    for minutes in (10, 20, 40, 60)
    for tau_s in (5.0, 10.0, 20.0, 30.0, 100.0, 300.0)
]


@pytest.mark.parametrize(
    ("n_runs", "minutes", "tau_s"), [(300, 20, 5.0), (300, 20, 30.0), (300, 20, 300.0), *FULL]
)
def test_unrelated_slow_signals_are_no_discoveries(n_runs: int, minutes: int, tau_s: float) -> None:
    """The bound without shifts below 60 s gave .05 to .13 at .0196 over 20 minutes."""
    rng, n = np.random.default_rng(2), int(60 * minutes / WIDTH_S)
    p = []
    for _ in range(n_runs // 100):
        x, y = (slow(rng, n, 100, tau_s / WIDTH_S) for _ in range(2))
        found = shift_test(x, y, np.ones(n, dtype=bool), n // 4, WIDTH_S)
        assert found.least_p == pytest.approx(1 / (1 + n // 4))
        p.append(found.p)
    assert_bound(np.concatenate(p), found.least_p, 0.01, 0.05)


def far_shifts_p(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The bound of version 0.1: correlations at 50 shifts from 60 to 180 s to each side."""
    n, longest = len(x), int(180 / WIDTH_S)
    window = (np.arange(n) >= longest) & (np.arange(n) < n - longest)
    r = shifted_correlations(x, y, window, longest)
    shifts = np.linspace(60 / WIDTH_S, longest, 50).astype(int)
    null = np.concatenate([r[longest + shifts], r[longest - shifts]])
    return (1 + (null >= r[longest]).sum(0)) / 51


@pytest.mark.parametrize("n_runs", [200, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("noise_tau", [0.0, 1.0])
@pytest.mark.parametrize("tau_s", [2.0, 10.0, 30.0])
def test_power_is_kept_at_equal_false_positives(
    n_runs: int, noise_tau: float, tau_s: float
) -> None:
    """At least 80 % of the power of version 0.1 at p <= .02, less two standard errors.

    The level of the present test is the quantile of its p without an effect at the share of false
    positives that version 0.1 has. Noise is white, or as slow as the prediction.
    """
    rng, n = np.random.default_rng(8), 2400
    shares = {}
    for effect in (0.0, 0.1, 0.2, 0.3):
        x = slow(rng, n, n_runs, tau_s / WIDTH_S)
        noise = slow(rng, n, n_runs, max(noise_tau * tau_s / WIDTH_S, 0.01))
        y = effect * x + np.sqrt(1 - effect**2) * noise
        p = shift_test(x, y, np.ones(n, dtype=bool), n // 4, WIDTH_S).p
        before = (far_shifts_p(x, y) <= 0.02).mean()
        if effect == 0:
            level = np.quantile(p, before)
            continue
        shares[effect] = (p <= level).mean(), before
    for effect, (now, before) in shares.items():
        error = np.sqrt(2 * before * (1 - before) / n_runs)
        assert now >= 0.8 * before - 2 * error, effect


def test_a_weak_true_relation_is_found_behind_slow_noise() -> None:
    rng, n = np.random.default_rng(3), 2400
    x, noise = slow(rng, n, 100, 20.0), slow(rng, n, 100, 20.0)
    y = 0.2 * x + np.sqrt(1 - 0.2**2) * noise
    assert (shift_test(x, y, np.ones(n, dtype=bool), n // 4, WIDTH_S).p <= 0.01).mean() > 0.8


def test_a_constant_signal_is_not_tested() -> None:
    x = slow(np.random.default_rng(4), 400, 2, 5.0)
    y = x.copy()
    y[:, 1] = 3.0
    scored = np.ones(400, dtype=bool)
    for pair in ((x, y), (y, x)):
        np.testing.assert_array_equal(np.isnan(shift_test(*pair, scored, 100, 1.0).p), [0, 1])
    with pytest.raises(DataError, match="lower `reach`"):
        shift_test(x, y, scored, 200, 1.0)


def drifting(
    rng: np.random.Generator, n_trials: int, k: int, tau: float, share: float
) -> np.ndarray:
    """Trials of 10 bins: a drift over trials of the given share of the variance, and noise."""
    drift = slow(rng, n_trials, k, tau)[:, None]
    noise = rng.standard_normal((n_trials, 10, k))
    return (np.sqrt(share) * drift + np.sqrt(1 - share) * noise).reshape(-1, k)


@pytest.mark.parametrize("n_runs", [200, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("n_trials", [16, 40, 120])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_unrelated_drifts_over_trials_are_no_discoveries(
    n_runs: int, n_trials: int, share: float
) -> None:
    """Permutations of the trials as they are give .17 at .01 (tau 10 trials)."""
    rng = np.random.default_rng(5)
    x, y = (drifting(rng, n_trials, n_runs, 10.0, share) for _ in range(2))
    trials = np.arange(len(x)).reshape(n_trials, 10)
    assert_bound(trial_test(x, y, trials).p, 0.01, 0.05)


def test_what_follows_trials_is_found() -> None:
    rng = np.random.default_rng(6)
    x, y = (drifting(rng, 40, 100, 10.0, 0.5) for _ in range(2))
    trials = np.arange(400).reshape(40, 10)
    assert (trial_test(x, 0.4 * x + y, trials).p <= 0.05).mean() > 0.9


def test_what_all_trials_share_and_too_few_trials_tell_nothing() -> None:
    course = np.tile(np.sin(np.arange(10.0)), 40)[:, None]
    trials = np.arange(400).reshape(40, 10)
    noisy = course + np.random.default_rng(7).normal(size=(400, 1))
    assert np.isnan(trial_test(course, noisy, trials).p).all()
    few = trial_test(noisy, noisy, trials[: FEWEST_TRIALS - 1])
    assert np.isnan(few.p).all()
    assert np.isnan(few.least_p)
