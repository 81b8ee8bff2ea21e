"""Stimulus-locked and trial-to-trial parts, where both have a closed form."""

from __future__ import annotations

import numpy as np
import pytest

from freegaze.evaluation.condition_mean import ConditionMeans, join_means
from freegaze.evaluation.trial_to_trial import TrialToTrial, trial_to_trial
from freegaze.metrics.alignment_tests import residual_trial_test
from freegaze.metrics.ceilings import correlation_without_noise

N_CONDITIONS, N_BINS, K_TRAIN, K_TEST = 4, 6, 3, 10
N_TRIALS = N_CONDITIONS * K_TEST


def responses(rng, n_trials, signal):
    """Return trials of all conditions: signal plus noise of variance 1, and their conditions."""
    condition = np.tile(np.arange(N_CONDITIONS), n_trials)
    return signal[condition] + rng.normal(size=(len(condition), *signal.shape[1:])), condition


def made(seed=0, n_neurons=200, n_bins=N_BINS, signal_sd=0.5):
    """Return signal, training means with their noise, and test trials."""
    rng = np.random.default_rng(seed)
    signal = signal_sd * rng.normal(size=(N_CONDITIONS, n_bins, n_neurons))
    training, condition = responses(rng, K_TRAIN, signal)
    by_condition = np.stack([training[condition == c] for c in range(N_CONDITIONS)])
    test, condition = responses(rng, K_TEST, signal)
    places = (condition[:, None] * n_bins + np.arange(n_bins)).ravel()

    def flat(values):
        return values[condition].reshape(-1, n_neurons)

    means = ConditionMeans(
        flat(by_condition.mean(1)), flat(by_condition.var(1, ddof=1)) / K_TRAIN, places
    )
    return flat(signal), means, test.reshape(-1, n_neurons), condition


def locate(condition):
    """Return repeat cells, segments and conditions of the bins."""
    cells = (condition[:, None] * N_BINS + np.arange(N_BINS)).ravel()
    return cells, np.repeat(np.arange(len(condition)), N_BINS), np.repeat(condition, N_BINS)


def test_the_condition_mean_without_noise_scores_like_the_signal():
    """The plain mean is attenuated by sqrt(s / (s + 1 / K)); the corrected one is not."""
    signal, means, test, _ = made(n_neurons=100, n_bins=240)
    corrected = correlation_without_noise(means.rates, means.noise, test, means.places)
    of_signal, plain = (
        np.array([np.corrcoef(x[:, i], test[:, i])[0, 1] for i in range(100)])
        for x in (signal, means.rates)
    )
    # 9,600 bins, 100 neurons; a quotient of estimates from 960 means is 0.4 % too high.
    assert np.nanmean(corrected) == pytest.approx(of_signal.mean(), abs=0.006)
    expected = np.sqrt(0.25 / (0.25 + 1 / K_TRAIN))
    assert plain.mean() / of_signal.mean() == pytest.approx(expected, abs=0.03)
    assert np.isfinite(corrected).mean() > 0.95


def test_the_subtracted_variance_has_a_closed_form():
    """The variance of the means less the mean noise, plus that of the grand mean."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(5), [1, 2, 3, 4, 10])
    rates, noise = (rng.random((5, 1))[groups] for _ in range(2))
    noise *= 0.01
    observed = rates + rng.normal(size=(20, 1))
    share = np.bincount(groups) / 20
    per_group = noise[np.unique(groups, return_index=True)[1], 0]
    signal = rates.var() - (share * per_group).sum() + (share**2 * per_group).sum()
    expected = np.cov(rates[:, 0], observed[:, 0], ddof=0)[0, 1] / np.sqrt(signal * observed.var())
    found = correlation_without_noise(rates, noise, observed, groups)
    np.testing.assert_allclose(found, expected)
    assert np.isnan(correlation_without_noise(rates, noise + 10, observed, groups)).all()


def test_predictions_locked_to_the_stimulus_are_not_tested():
    signal, means, test, condition = made()
    found = trial_to_trial(signal, test, means, *locate(condition))
    assert set(found.answers) == {"not tested"}
    assert "do not differ between trials" in found.sentence()
    assert np.isnan(found.correlation).all()


@pytest.mark.parametrize("drift", [0.0, 1.0])
def test_unrelated_changes_are_found_as_often_as_the_level_allows(drift):
    """200 neurons, 40 trials; slow drifts over ten trials that both have do not count."""
    rng = np.random.default_rng(2)
    signal, _, test, condition = made(3, n_neurons=200)
    slow = [np.zeros((N_TRIALS, 200)) for _ in range(2)]
    for series in slow:
        for i in range(1, N_TRIALS):
            series[i] = np.exp(-0.1) * series[i - 1] + np.sqrt(1 - np.exp(-0.2)) * rng.normal(
                size=200
            )
    own, other = (drift * np.repeat(s, N_BINS, axis=0) for s in slow)
    predicted = signal + 0.3 * rng.normal(size=signal.shape) + own
    trials = np.arange(N_TRIALS * N_BINS).reshape(N_TRIALS, N_BINS)
    p = residual_trial_test(predicted, test + other, trials, condition).p
    assert np.isfinite(p).all()
    for level in (0.01, 0.05):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / 200)


def test_changes_that_are_followed_are_found():
    rng = np.random.default_rng(4)
    signal, means, test, condition = made(5)
    gain = rng.normal(size=test.shape)
    found = trial_to_trial(signal + 0.3 * gain, test + gain, means, *locate(condition))
    assert (found.answers == "yes").mean() > 0.95
    # Noise and gain of variance 1 each: correlation sqrt(1 / 2) after the means of 10 trials.
    assert np.nanmean(found.correlation) == pytest.approx(np.sqrt(0.5), abs=0.02)
    assert "beyond chance in" in found.sentence()


def test_too_few_trials_are_not_tested_and_say_so():
    signal, means, test, condition = made()
    n = 16 * N_BINS
    cells, segments, conditions = (x[:n] for x in locate(condition))
    rates = signal[:n] + np.random.default_rng(6).normal(size=signal[:n].shape)
    found = trial_to_trial(rates, test[:n], means.select(slice(n)), cells, segments, conditions)
    assert set(found.answers) == {"not tested"}
    assert "too few trials" in found.sentence()


def test_plain_values_come_back_and_neurons_are_selected():
    signal, means, test, condition = made(n_neurons=5)
    noisy = signal + np.random.default_rng(7).normal(size=signal.shape)
    found = trial_to_trial(noisy, test, means, *locate(condition))
    again = TrialToTrial.from_dict(found.to_dict())
    for name, column in found.columns().items():
        np.testing.assert_array_equal(again.columns()[name], column)
    some = found.select(np.array([3, 1]))
    np.testing.assert_array_equal(some.p, found.p[[3, 1]])


def test_means_of_folds_are_joined_with_places_of_their_own():
    _, means, _, _ = made(n_neurons=2)
    joined = join_means([means, means])
    first, second = np.split(joined.places, 2)
    assert not set(first) & set(second)
    np.testing.assert_array_equal(np.diff(first), np.diff(second))
