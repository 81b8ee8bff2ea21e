"""Poisson scores and squared errors against scipy's log-likelihoods and values by hand."""

import numpy as np
import pytest
from scipy.stats import norm, poisson

from freegaze.metrics.error import mse, variance_explained
from freegaze.metrics.likelihood import RATE_FLOOR, bits_per_spike, deviance_explained
from freegaze.metrics.metric import ScoreContext


@pytest.fixture
def spikes():
    rng = np.random.default_rng(0)
    rate = rng.gamma(2.0, 0.3, (80, 3))
    return rate, rng.poisson(rate).astype(float), np.array([0.4, 0.7, 1.0])


def context_of(baseline, n_bins, kind="spike_counts"):
    return ScoreContext(np.asarray(baseline), np.zeros(n_bins, int), 0.05, kind)


def log_likelihood(counts, rate):
    return poisson.logpmf(counts, np.broadcast_to(rate, counts.shape)).sum(0)


def deviance(rate, counts):
    """Return the deviance that the metric sums over bins."""
    context = context_of(np.ones(rate.shape[1]), len(rate))
    return deviance_explained.per_bin(rate, counts, context)[0].sum(0)


def test_bits_per_spike_is_the_gain_in_log_likelihood(spikes):
    rate, counts, baseline = spikes
    gain = log_likelihood(counts, rate) - log_likelihood(counts, baseline)
    expected = gain / np.log(2) / counts.sum(0)
    np.testing.assert_allclose(bits_per_spike(rate, counts, context_of(baseline, 80)), expected)


def test_deviance_is_twice_the_gain_of_a_perfect_model(spikes):
    rate, counts, baseline = spikes
    perfect = poisson.logpmf(counts, counts).sum(0)  # a count of 0 at a rate of 0 is certain
    expected = 2 * (perfect - log_likelihood(counts, rate))
    np.testing.assert_allclose(deviance(rate, counts), expected)
    of_baseline = 2 * (perfect - log_likelihood(counts, baseline))
    explained = deviance_explained(rate, counts, context_of(baseline, 80))
    np.testing.assert_allclose(explained, 1 - expected / of_baseline)


def test_scores_by_hand():
    counts = np.array([[0.0], [2.0]])
    assert deviance(np.array([[3.0]]), np.array([[0.0]])) == pytest.approx(6.0)
    np.testing.assert_allclose(
        deviance(np.array([[2.0], [1.0]]), counts), 2 * (2 + 2 * np.log(2) - 1)
    )
    np.testing.assert_allclose(bits_per_spike(counts, counts, context_of([1.0], 2)), 1.0)


def test_a_spike_at_rate_zero_costs_much_but_not_all():
    rate, counts = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    expected = 2 * (np.log(1 / RATE_FLOOR) - 1 + RATE_FLOOR + 2 * np.log(2) - 1)
    np.testing.assert_allclose(deviance(rate, counts), expected)
    assert np.isfinite(bits_per_spike(rate, counts, context_of([1.0], 2))).all()


def test_a_neuron_without_a_baseline_or_spikes_has_no_score(spikes):
    rate, counts, baseline = spikes
    counts = counts.copy()
    counts[:, 0] = 0
    context = context_of(baseline * [1, 0, 1], 80)
    for score in (bits_per_spike, deviance_explained):
        np.testing.assert_array_equal(
            np.isnan(score(rate, counts, context)), [True, True, False], err_msg=score.name
        )


def test_error_and_variance_by_hand():
    observed = np.array([[0.0, 1.0], [2.0, 3.0]])
    predicted = np.array([[1.0, 1.0], [2.0, 5.0]])
    context = context_of([1.0, 5.0], 2, "fluorescence")
    np.testing.assert_allclose(mse(predicted, observed, context), [0.5, 2.0])
    got = variance_explained(predicted, observed, context)
    np.testing.assert_allclose(got, [1 - 1 / 2, 1 - 4 / 20])
    constant = np.array([[0.0, 1.0], [2.0, 1.0]])
    assert np.isnan(variance_explained(predicted, constant, context)[1])


def test_variance_explained_is_gaussian_deviance_explained():
    rng = np.random.default_rng(1)
    predicted, observed = rng.normal(size=(2, 30, 2))
    baseline = np.array([0.3, -0.2])

    def gaussian_deviance(mean):
        return 2 * (norm.logpdf(0.0) - norm.logpdf(observed, mean)).sum(0)

    expected = 1 - gaussian_deviance(predicted) / gaussian_deviance(baseline)
    got = variance_explained(predicted, observed, context_of(baseline, 30, "fluorescence"))
    np.testing.assert_allclose(got, expected)
