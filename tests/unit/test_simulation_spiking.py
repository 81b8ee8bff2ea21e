"""Spike counts against the distributions that they are drawn from."""

import numpy as np
import pytest
from scipy import stats

from freegaze.errors import ConfigError, NumericsError
from freegaze.simulation.spiking import GAMMA_SHAPE, REFRACTORY_S, _poisson, draw_spikes
from type_checks import unchecked

BIN = 0.048


def test_poisson_counts_are_the_quantiles_of_their_uniform_numbers():
    rng = np.random.default_rng(0)
    mean = rng.exponential(1.5, (500, 4))
    uniform = rng.random((500, 4))
    np.testing.assert_array_equal(_poisson(mean, uniform), stats.poisson.ppf(uniform, mean))


def test_poisson_mean_and_variance():
    """40,000 draws of mean 0.7: the standard error of mean and variance is 0.004 and 0.006."""
    counts = draw_spikes(np.full((20_000, 2), 0.7), BIN, "poisson", np.random.default_rng(1))
    assert counts.mean() == pytest.approx(0.7, abs=0.02)
    assert counts.var() == pytest.approx(0.7, abs=0.03)


def test_a_rate_that_differs_in_the_last_digit_leaves_other_bins_alone():
    rate = np.random.default_rng(2).random((300, 3))
    nudged = rate.copy()
    nudged[0, 0] *= 1.5
    one = draw_spikes(rate, BIN, "poisson", np.random.default_rng(5))
    two = draw_spikes(nudged, BIN, "poisson", np.random.default_rng(5))
    assert np.count_nonzero(one != two) <= 1


def test_gamma_poisson_has_the_variance_of_a_negative_binomial():
    counts = draw_spikes(np.full((50_000, 2), 1.2), BIN, "gamma_poisson", np.random.default_rng(3))
    assert counts.mean() == pytest.approx(1.2, abs=0.03)
    assert counts.var() == pytest.approx(1.2 + 1.2**2 / GAMMA_SHAPE, abs=0.06)


def test_a_dead_time_keeps_the_mean_and_lowers_the_variance():
    """At 60 Hz and 3 ms the Fano factor of long counts is (1 - 0.18)**2 = 0.67."""
    counts = draw_spikes(
        np.full((60_000, 1), 60 * BIN), BIN, "refractory", np.random.default_rng(4)
    )
    assert counts.mean() == pytest.approx(60 * BIN, rel=0.01)
    windows = counts.reshape(-1, 20).sum(axis=1)
    assert windows.var() / windows.mean() == pytest.approx((1 - 60 * REFRACTORY_S) ** 2, abs=0.06)


def test_a_rate_of_zero_is_silent_for_every_kind():
    for kind in ("poisson", "refractory", "gamma_poisson"):
        assert not draw_spikes(np.zeros((50, 2)), BIN, kind, np.random.default_rng(6)).any()


@unchecked()
def test_impossible_rates_and_kinds_are_refused():
    rng = np.random.default_rng(7)
    with pytest.raises(NumericsError, match="finite and >= 0"):
        draw_spikes(np.array([[-0.1]]), BIN, "poisson", rng)
    with pytest.raises(NumericsError, match="finite and >= 0"):
        draw_spikes(np.array([[np.nan]]), BIN, "poisson", rng)
    with pytest.raises(NumericsError, match="too high for a dead time"):
        draw_spikes(np.array([[400 * BIN]]), BIN, "refractory", rng)
    with pytest.raises(ConfigError, match="spiking must be"):
        draw_spikes(np.ones((1, 1)), BIN, "bursty", rng)
