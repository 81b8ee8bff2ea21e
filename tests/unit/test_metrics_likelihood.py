import numpy as np
import pytest
from scipy.stats import norm, poisson

from freegaze.metrics.error import mean_squared_error, variance_explained
from freegaze.metrics.likelihood import (
    RATE_FLOOR,
    bits_per_spike,
    deviance_explained,
    poisson_deviance,
    poisson_nll,
)


@pytest.fixture
def spikes():
    rng = np.random.default_rng(0)
    rate = rng.gamma(2.0, 0.3, (80, 3))
    return rate, rng.poisson(rate).astype(float), np.array([0.4, 0.7, 1.0])


def log_likelihood(counts, rate):
    return poisson.logpmf(counts, np.broadcast_to(rate, counts.shape)).sum(0)


def test_bits_per_spike_is_the_gain_in_log_likelihood(spikes):
    rate, counts, baseline = spikes
    gain = log_likelihood(counts, rate) - log_likelihood(counts, baseline)
    expected = gain / np.log(2) / counts.sum(0)
    np.testing.assert_allclose(bits_per_spike(rate, counts, baseline), expected)


def test_deviance_is_twice_the_gain_of_a_perfect_model(spikes):
    rate, counts, baseline = spikes
    perfect = poisson.logpmf(counts, counts).sum(0)  # a count of 0 at a rate of 0 is certain
    expected = 2 * (perfect - log_likelihood(counts, rate))
    np.testing.assert_allclose(poisson_deviance(rate, counts), expected)
    of_baseline = 2 * (perfect - log_likelihood(counts, baseline))
    explained = deviance_explained(rate, counts, baseline)
    np.testing.assert_allclose(explained, 1 - expected / of_baseline)


def test_deviance_by_hand():
    rate, counts = np.array([[2.0], [1.0]]), np.array([[0.0], [2.0]])
    np.testing.assert_allclose(poisson_deviance(rate, counts), 2 * (2 + 2 * np.log(2) - 1))


def test_the_loss_is_the_likelihood_but_for_what_no_model_changes(spikes):
    rate, counts, _ = spikes
    constant = poisson.logpmf(counts, counts + 1) - counts * np.log(counts + 1) + counts + 1
    expected = -(poisson.logpmf(counts, rate) - constant).mean(0)
    np.testing.assert_allclose(poisson_nll(rate, counts, epsilon=0.0), expected)
    np.testing.assert_allclose(poisson_nll(np.zeros((1, 1)), np.ones((1, 1))), -np.log(1e-8))


def test_a_spike_at_rate_zero_costs_much_but_not_all():
    rate, counts = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    expected = 2 * (np.log(1 / RATE_FLOOR) - 1 + RATE_FLOOR + 2 * np.log(2) - 1)
    np.testing.assert_allclose(poisson_deviance(rate, counts), expected)
    assert np.isfinite(bits_per_spike(rate, counts, np.array([1.0]))).all()


def test_a_neuron_without_a_baseline_or_spikes_has_no_score(spikes):
    rate, counts, baseline = spikes
    counts = counts.copy()
    counts[:, 0] = 0
    baseline = baseline * [1, 0, 1]
    for score in (bits_per_spike, deviance_explained):
        np.testing.assert_array_equal(
            np.isnan(score(rate, counts, baseline)), [True, True, False], err_msg=score.__name__
        )


def test_error_and_variance_by_hand():
    observed = np.array([[0.0, 1.0], [2.0, 1.0]])
    predicted = np.array([[1.0, 1.0], [2.0, 3.0]])
    np.testing.assert_allclose(mean_squared_error(predicted, observed), [0.5, 2.0])
    got = variance_explained(predicted, observed, np.array([1.0, 5.0]))
    np.testing.assert_allclose(got, [1 - 1 / 2, np.nan])


def test_variance_explained_is_gaussian_deviance_explained():
    rng = np.random.default_rng(1)
    predicted, observed = rng.normal(size=(2, 30, 2))
    baseline = np.array([0.3, -0.2])

    def deviance(mean):
        return 2 * (norm.logpdf(0.0) - norm.logpdf(observed, mean)).sum(0)

    expected = 1 - deviance(predicted) / deviance(baseline)
    np.testing.assert_allclose(variance_explained(predicted, observed, baseline), expected)
