import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from freegaze.errors import ConfigError, DataError
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.metrics.metric import ScoreContext
from freegaze.metrics.nulls import equal_trials, permutation_null, time_shift_null

BIN_WIDTH_S = 1.0


def slow(rng, n_bins, n_columns, decay=0.9):
    return lfilter([1.0], [1.0, -decay], rng.standard_normal((n_bins + 60, n_columns)), axis=0)[60:]


def make_context(n_bins, n_columns, n_segments=1):
    ids = np.arange(n_bins) * n_segments // n_bins
    return ScoreContext(np.zeros(n_columns), ids, BIN_WIDTH_S, "fluorescence")


@pytest.mark.parametrize("true_shift", [70, -70])
def test_a_prediction_that_is_late_or_early_is_found_at_its_shift(true_shift):
    rng = np.random.default_rng(7)
    observed, predicted = np.zeros((400, 1)), 1e-6 * rng.normal(size=(400, 1))
    observed[200], predicted[200 + true_shift] = 1.0, 1.0
    null = time_shift_null("mse", predicted, observed, make_context(400, 1), None, 70.0, 2)
    assert null.n_bins == 260
    # right at one of two shifts; wrong by two spikes at none and by one at the other (out of sight)
    np.testing.assert_allclose(null.value * 260, 2, rtol=1e-3)
    np.testing.assert_allclose(null.mean * 260, (0 + 1) / 2, rtol=1e-3)


def test_null_scores_equal_a_plain_loop():
    rng = np.random.default_rng(0)
    predicted, observed = slow(rng, 500, 3), slow(rng, 500, 3)
    context = make_context(500, 3, 2)
    null = time_shift_null("correlation", predicted, observed, context, None, 40.0, 20)
    bins = np.r_[40:210, 290:460]  # two segments of 250 bins without 40 at both ends
    shifts = [s for s in range(-40, 41, 4) if s]
    loop = np.array([single_bin_correlation(predicted[bins + s], observed[bins]) for s in shifts])
    value = single_bin_correlation(predicted[bins], observed[bins])
    np.testing.assert_allclose(null.value, value)
    np.testing.assert_allclose(null.mean, loop.mean(0))
    np.testing.assert_allclose(null.percentile_95, np.quantile(loop, 0.95, axis=0))
    n_reached = 1 + (loop >= value).sum(0)
    np.testing.assert_allclose(null.p_value, n_reached / 21)
    np.testing.assert_allclose(null.p_conservative, np.minimum(1, n_reached / 11))


def test_scored_bins_are_fixed_while_predictions_come_from_the_whole_session():
    rng = np.random.default_rng(1)
    observed = slow(rng, 600, 2)
    predicted = observed + 0.1 * rng.normal(size=observed.shape)
    scored = np.arange(600) % 200 >= 150
    null = time_shift_null(
        "smoothed_correlation", predicted, observed, make_context(600, 2), scored, 100.0, 4
    )
    assert null.n_bins == 100  # bins 150-199 and 350-399; 550 and later are too near to the end
    assert (null.value > 0.9).all()
    assert (null.p_value == 1 / 5).all()
    assert (null.percentile_95 < null.value).all()


def test_small_errors_are_as_good_as_large_scores():
    rng = np.random.default_rng(2)
    observed = slow(rng, 600, 2)
    null = time_shift_null("mse", observed, observed, make_context(600, 2), None, 100.0, 4)
    assert (null.value == 0).all()
    assert (null.p_value == 1 / 5).all()
    assert (null.percentile_95 < null.mean).all()


def count_small(p, level):
    low, high = binom.ppf([0.001, 0.999], len(p), level)
    return low <= (p <= level).sum() <= high


def test_shift_p_values_are_bounds_for_unrelated_slow_signals():
    """600 independent pairs; at most the level plus two standard errors of a binomial share.

    Bins as independent would not do: these signals have an effective sample of n / 19, so that a
    naive test at 5 % rejects half of the time.
    """
    rng = np.random.default_rng(3)
    predicted, observed = slow(rng, 900, 600), slow(rng, 900, 600)
    null = time_shift_null(
        "correlation", predicted, observed, make_context(900, 600), None, 300.0, 600
    )
    for level in (0.01, 0.05, 0.2, 0.5):
        allowed = level + 2 * np.sqrt(level * (1 - level) / 600)
        assert (null.p_conservative <= level).mean() <= allowed


def test_permutation_p_values_are_uniform_for_unrelated_trials():
    rng = np.random.default_rng(4)
    predicted, observed = (
        np.concatenate([slow(rng, 30, 600) for _ in range(20)]) for _ in range(2)
    )
    null = permutation_null("correlation", predicted, observed, make_context(600, 600, 20))
    for level in (0.05, 0.2, 0.5):
        assert count_small(null.p_value, level), level
    np.testing.assert_array_equal(null.p_value, null.p_conservative)


def test_trials_are_cut_to_the_length_that_keeps_most_bins():
    trials = equal_trials(np.repeat(np.arange(5), [4, 6, 1, 5, 4]))
    assert trials.shape == (4, 4)  # 5 x 1, 4 x 4, 2 x 5 or 1 x 6 bins
    assert trials.ravel().tolist() == [*range(4), *range(4, 8), *range(11, 15), *range(16, 20)]


def test_permuted_trials_are_never_in_their_place_and_of_one_length():
    """One trial of one bin is left out; cutting all to it would leave 4 of 13 bins."""
    ids = np.repeat([0, 1, 2, 3], [4, 4, 1, 4])
    context = ScoreContext(np.zeros(1), ids, BIN_WIDTH_S, "fluorescence")
    level = 10.0 * np.array([0, 1, 9, 2])[ids][:, None] + np.arange(13)[:, None] % 2
    null = permutation_null("mse", level, level, context, n_permutations=30)
    assert null.n_bins == 12
    assert null.n_null == 30
    np.testing.assert_allclose(null.value, 0)
    np.testing.assert_allclose(null.p_value, 1 / 31)
    # in both derangements of three, the trials are off by 10, 10 and 20
    assert 199 <= null.mean[0] <= 202


def test_a_constant_neuron_has_no_null():
    rng = np.random.default_rng(5)
    predicted, observed = slow(rng, 400, 2), slow(rng, 400, 2)
    observed[:, 1] = 1.0
    null = time_shift_null("mse", predicted, observed, make_context(400, 2), None, 90.0, 10)
    for values in (null.value, null.mean, null.percentile_95, null.p_value, null.p_conservative):
        np.testing.assert_array_equal(np.isnan(values), [False, True])


def test_what_leaves_no_null_is_refused():
    rng = np.random.default_rng(6)
    x, context = slow(rng, 300, 1), make_context(300, 1)
    with pytest.raises(DataError, match="permute segments"):
        time_shift_null("mse", x, x, context)
    for limits in ((0.0, 10), (0.9, 10), (90.0, 1)):
        with pytest.raises(ConfigError, match="no shift"):
            time_shift_null("mse", x, x, context, None, *limits)
    with pytest.raises(DataError, match="at least two segments"):
        permutation_null("mse", x, x, context)
    with pytest.raises(ConfigError, match="at least one permutation"):
        permutation_null("mse", x, x, make_context(300, 1, 3), 0)
