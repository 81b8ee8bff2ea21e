"""Noise ceilings: against direct formulas for equal repeats, plain loops, and a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from freegaze.errors import ShapeError
from freegaze.metrics.ceilings import (
    cc_norm,
    explainable_variance,
    feve,
    noise_ceiling,
    noise_variance,
)
from freegaze.metrics.correlation import single_bin_correlation


def flatten(repeats):
    """Return repeats (repeat, time, neuron) as bins one after the other, and their groups."""
    n_repeats, n_times, n_neurons = repeats.shape
    return repeats.reshape(-1, n_neurons), np.tile(np.arange(n_times), n_repeats)


@pytest.fixture(scope="module")
def simulated():
    """Many bins, so that estimates meet the truth: signal variance 2, noise variance 6."""
    rng = np.random.default_rng(0)
    signal = rng.normal(1.0, np.sqrt(2.0), (40_000, 2))
    observed, groups = flatten(signal + rng.normal(0.0, np.sqrt(6.0), (5, *signal.shape)))
    return signal, observed, groups


def direct_feve(predicted, repeats):
    """FEVE of Cadena et al. (2019) for equally many repeats, written out."""
    noise = repeats.var(0, ddof=1).mean(0)
    error = ((repeats - predicted) ** 2).mean((0, 1))
    return 1 - (error - noise) / (repeats.reshape(-1, repeats.shape[2]).var(0, ddof=1) - noise)


def direct_signal_variance(repeats):
    """Signal variance of Sahani and Linden (2003), "SP" in Schoppe et al. (2016)."""
    n_repeats = len(repeats)
    of_sum = repeats.sum(0).var(0, ddof=1)
    return (of_sum - repeats.var(1, ddof=1).sum(0)) / (n_repeats * (n_repeats - 1))


def direct_cc_norm(predicted, repeats):
    """CC_norm of Schoppe et al. (2016) for equally many repeats."""
    largest = np.sqrt(direct_signal_variance(repeats) / repeats.mean(0).var(0, ddof=1))
    return single_bin_correlation(predicted, repeats.mean(0)) / largest


def noisy_repeats(n_repeats=5, n_times=40, n_neurons=3, seed=0):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_times, n_neurons))
    return signal, signal + rng.normal(size=(n_repeats, n_times, n_neurons))


def test_variances_by_hand():
    observed, groups = flatten(np.array([[[0.0], [2.0]], [[2.0], [8.0]]]))
    np.testing.assert_allclose(noise_variance(observed, groups), (2 + 18) / 2)
    total = np.var([0, 2, 2, 8], ddof=1)
    np.testing.assert_allclose(explainable_variance(observed, groups), total - 10)


def test_equal_repeats_give_the_usual_feve_and_cc_norm():
    signal, repeats = noisy_repeats(n_times=400)
    observed, groups = flatten(repeats)
    predicted = np.tile(0.7 * signal, (5, 1))
    expected = direct_feve(0.7 * signal, repeats)
    np.testing.assert_allclose(feve(predicted, observed, groups), expected)
    # the usual one subtracts each repeat's own mean, which hides 1/400 of the variance here
    expected = direct_cc_norm(0.7 * signal, repeats)
    np.testing.assert_allclose(cc_norm(predicted, observed, groups), expected, atol=5e-3)
    share = direct_signal_variance(repeats) / repeats.var(1, ddof=1).mean(0)
    np.testing.assert_allclose(noise_ceiling(observed, groups), np.sqrt(share), atol=5e-3)


def test_estimates_meet_the_truth(simulated):
    _, observed, groups = simulated
    # standard error of a variance of 40,000 values: sqrt(2 / 40,000) = 0.7 % of it
    np.testing.assert_allclose(explainable_variance(observed, groups), 2.0, rtol=0.05)
    np.testing.assert_allclose(noise_variance(observed, groups), 6.0, rtol=0.02)
    np.testing.assert_allclose(noise_ceiling(observed, groups), 0.5, rtol=0.03)


def test_the_signal_itself_is_a_perfect_model(simulated):
    signal, observed, groups = simulated
    predicted = np.tile(signal, (5, 1))
    np.testing.assert_allclose(cc_norm(predicted, observed, groups), 1.0, atol=0.02)
    np.testing.assert_allclose(cc_norm(3 * predicted - 7, observed, groups), 1.0, atol=0.02)
    np.testing.assert_allclose(feve(predicted, observed, groups), 1.0, atol=0.02)


def test_half_a_signal_explains_a_known_fraction(simulated):
    signal, observed, groups = simulated
    rng = np.random.default_rng(1)
    noisy = np.tile(signal + rng.normal(0.0, np.sqrt(2.0), signal.shape), (5, 1))
    np.testing.assert_allclose(cc_norm(noisy, observed, groups), np.sqrt(0.5), atol=0.02)
    np.testing.assert_allclose(feve(noisy, observed, groups), 0.0, atol=0.03)  # error = signal
    half = np.tile(1 + (signal - 1) / 2, (5, 1))
    np.testing.assert_allclose(feve(half, observed, groups), 0.75, atol=0.02)
    mean = np.broadcast_to(signal.mean(0), observed.shape)
    np.testing.assert_allclose(feve(mean, observed, groups), 0.0, atol=0.02)
    assert np.isnan(cc_norm(mean, observed, groups)).all()


def test_parts_of_the_variance_match_a_plain_loop():
    rng = np.random.default_rng(1)
    groups = np.array([4, 4, 4, 9, 9, 2])
    observed = rng.normal(size=(6, 1))
    squares = 0.0
    for group in (4, 9, 2):
        members = observed[groups == group, 0]
        squares += ((members - members.mean()) ** 2).sum()
    noise = noise_variance(observed, groups)[0]
    assert noise == pytest.approx(squares / (6 - 3))
    expected = np.var(observed, ddof=1) - noise
    assert explainable_variance(observed, groups)[0] == pytest.approx(expected)


def test_unequal_repeats_find_the_signal_on_average():
    rng = np.random.default_rng(2)
    counts = rng.integers(2, 9, 400)
    groups = np.repeat(np.arange(400), counts)
    found, shares, lost = [], [], []
    for _ in range(100):
        signal = rng.normal(0, 0.6, (400, 1))
        observed = signal[groups] + rng.normal(0, 1.0, (len(groups), 1))
        found.append(cc_norm(signal[groups], observed, groups)[0])
        shares.append(noise_ceiling(observed, groups)[0])
        lost.append(feve(signal[groups], observed, groups)[0])
    # one estimate has an sd of 0.03 (cc_norm), 0.02 (ceiling), 0.05 (FEVE), their mean a tenth of
    # that: four of those, and 0.005 for the bias of a ratio, which falls with the number of groups
    assert np.mean(found) == pytest.approx(1.0, abs=0.017)
    assert np.mean(shares) == pytest.approx(np.sqrt(0.36 / 1.36), abs=0.013)
    assert np.mean(lost) == pytest.approx(1.0, abs=0.025)


def test_predictions_of_single_trials_are_averaged():
    signal, repeats = noisy_repeats()
    observed, groups = flatten(repeats)
    noisy = np.tile(signal, (5, 1)) + np.random.default_rng(3).normal(size=observed.shape)
    mean = np.tile(noisy.reshape(5, 40, 3).mean(0), (5, 1))
    np.testing.assert_allclose(feve(noisy, observed, groups), feve(mean, observed, groups))


def test_a_neuron_without_explainable_variance_has_no_ceiling():
    groups = np.array([0, 0, 1, 1])
    observed = np.array([[1.0], [-1.0], [1.0], [-1.0]])  # the groups' means are equal
    observed = np.concatenate([observed, np.zeros((4, 1))], axis=1)  # and one never changes
    assert np.isnan(noise_ceiling(observed, groups)).all()
    assert np.isnan(feve(observed, observed, groups)).all()
    assert np.isnan(cc_norm(observed, observed, groups)).all()


def test_a_ceiling_needs_repeats():
    for groups in ([0, 1, 2], [0, 0, 0]):
        with pytest.raises(ShapeError, match="at least two stimuli or times"):
            noise_variance(np.ones((3, 1)), np.array(groups))
