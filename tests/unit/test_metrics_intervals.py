"""Intervals of neurons and of their mean: resampling against plain loops, and every edge."""

import numpy as np
import pytest

from freegaze.errors import ConfigError
from freegaze.evaluation.evaluate import score_sessions
from freegaze.metrics.blocks import TimeBlocks, cut_blocks, relabel_runs
from freegaze.metrics.bootstrap import draw_blocks, draw_counts, neuron_errors, resample
from freegaze.metrics.correlation import single_bin_correlation, smoothed_correlation
from freegaze.metrics.error import mse
from freegaze.metrics.intervals import mean_weights, median_weights, neuron_intervals
from freegaze.metrics.metric import METRICS, ScoreContext, metrics_for
from freegaze.metrics.sampled_scores import (
    MOST_WIDENED,
    SampledScore,
    center_and_distances,
    error_factor,
    interval_ends,
    sampled_interval,
    sampled_p,
)
from freegaze.metrics.scales import FISHER_Z, IDENTITY, LOG, LOG_REMAINDER
from scored_arrays import scored_arrays

N_BINS, BIN_WIDTH_S = 240, 1.0


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    rate = rng.gamma(2.0, 0.4, (N_BINS, 4))
    observed = rng.poisson(rate).astype(float)
    return rate, observed, ScoreContext(rate.mean(0), np.repeat(np.arange(8), 30), BIN_WIDTH_S)


@pytest.mark.parametrize("name", ["correlation", "bits_per_spike", "deviance_explained", "mse"])
def test_a_resampled_score_is_the_score_of_the_repeated_bins(name, data):
    predicted, observed, context = data
    metric, blocks = METRICS.get(name), cut_blocks(context.segment_ids, BIN_WIDTH_S)
    counts = draw_blocks(blocks.n_blocks, 5, np.random.default_rng(1))
    statistics = metric.statistics(predicted, observed, context, blocks)
    drawn = resample(statistics, metric.from_statistics, counts).drawn
    for row, count in zip(drawn, counts.astype(int), strict=True):
        bins = np.repeat(np.arange(N_BINS), count[blocks.ids()])
        again = ScoreContext(context.baseline_rate, np.zeros(len(bins), int), BIN_WIDTH_S)
        np.testing.assert_allclose(row, metric(predicted[bins], observed[bins], again))


def test_the_standard_error_of_a_mean_is_that_of_block_means():
    """For an average over equal blocks the infinitesimal jackknife is the textbook formula."""
    rng = np.random.default_rng(2)
    observed = rng.normal(size=(100, 2))
    blocks = TimeBlocks(np.arange(10) * 10, 100)
    context = ScoreContext(np.zeros(2), np.zeros(100, int), BIN_WIDTH_S, "fluorescence")
    statistics = mse.statistics(np.zeros((100, 2)), observed, context, blocks)
    block_means = (observed**2).reshape(10, 10, 2).mean(1)
    drawn = resample(statistics, mse.from_statistics, draw_blocks(10, 3, rng))
    error, drawn_error = neuron_errors(drawn)
    np.testing.assert_allclose(error, block_means.std(0, ddof=1) / np.sqrt(10), rtol=1e-6)
    for got, count in zip(drawn_error, drawn.counts.astype(int), strict=True):
        picked = np.repeat(block_means, count, axis=0)
        np.testing.assert_allclose(got, picked.std(0, ddof=1) / np.sqrt(9), rtol=1e-6)


def test_draws_hold_one_block_fewer_than_there_are():
    rng = np.random.default_rng(3)
    assert (draw_blocks(7, 20, rng).sum(1) == 6).all()
    assert (draw_blocks(1, 20, rng).sum(1) == 1).all()
    assert (draw_counts(7, 20, rng).sum(1) == 7).all()
    with pytest.raises(ConfigError, match="at least 1"):
        draw_counts(0, 20, rng)


def test_an_interval_by_hand():
    value, error = np.array([10.0]), np.array([0.5])
    drawn = np.array([11.0, 12.0, 13.0, 14.0, 15.0])[:, None]
    drawn_error = np.array([0.25, 0.5, 0.5, 0.5, 1.0])[:, None]
    center, distance = center_and_distances(value, error, drawn, drawn_error, IDENTITY)
    np.testing.assert_allclose(center, 7.0)  # resampled scores are 3 too high on average
    np.testing.assert_allclose(distance.ravel(), [-4, -1, 0, 1, 1])
    # Sizes 0, 1, 1, 1, 4: their quantile of 75 % is 1. Draws that are far too low, of which the
    # quantile of 87.5 % of 4, 1, 0, -1, -1 is 2.5, show how far the score itself may be too low.
    low, high = interval_ends(center, distance, 6, IDENTITY, 0.75)
    np.testing.assert_allclose([low[0], high[0]], [6, 9.5])
    mirrored = interval_ends(center, -distance, 6, IDENTITY, 0.75)
    np.testing.assert_allclose([mirrored[0][0], mirrored[1][0]], [4.5, 8])
    assert np.isnan(interval_ends(center, distance, 5, IDENTITY, 0.75)).all()
    with pytest.raises(ConfigError, match="between 0 and 1"):
        interval_ends(center, distance, 6, IDENTITY, 95.0)


def sampled(value, drawn, drawn_error, left_out, widening=1.0):
    """Return one score with an error of 0.5."""
    columns = (np.asarray(x, float)[:, None] for x in (drawn, drawn_error, left_out))
    return SampledScore(np.array([value]), np.array([0.5]), *columns, widening=np.array([widening]))


def test_an_interval_holds_its_score_and_is_widened():
    drawn, drawn_error = [11.0, 12.0, 13.0, 14.0, 15.0], [0.25, 0.5, 0.5, 0.5, 1.0]
    left_out, n = [9.0, 11.0] * 3, np.array([6])
    one, twice = (
        sampled_interval(sampled(10.0, drawn, drawn_error, left_out, w), IDENTITY, n, 0.75)
        for w in (1.0, 2.0)
    )
    np.testing.assert_allclose([one.low[0], one.high[0]], [6, 10])  # 9.5 is below the score
    np.testing.assert_allclose([twice.low[0], twice.high[0]], [5, 12])


@pytest.mark.parametrize("value", [-1.3, -0.4, 0.2, 0.9, 1.6])
def test_p_is_below_the_level_where_the_interval_leaves_out_zero(value):
    rng = np.random.default_rng(5)
    drawn = value + rng.gamma(1.0, 0.5, 999) - 0.5  # skewed
    score = sampled(value, drawn, np.full(999, 0.5), value + rng.normal(size=8), 1.2)
    p = sampled_p(score)[0]
    for level in (0.5, 0.8, 0.9, 0.95, 0.99):
        found = sampled_interval(score, IDENTITY, np.array([8]), level)
        is_outside = bool(found.low[0] > 0 or found.high[0] < 0)
        if abs(p - (1 - level)) > 0.003:  # one rank of 999
            assert is_outside == (p < 1 - level), (level, p)


def test_the_error_by_leaving_out_blocks_of_a_mean_is_the_textbook_one():
    """A mean is linear: both errors are the same. Leaving out blocks may double it at most."""
    blocks = np.random.default_rng(6).normal(size=8)
    value, error = np.asarray(blocks.mean()), blocks.std(ddof=1) / np.sqrt(8)
    left_out = (blocks.sum() - blocks) / 7
    for size, expected in ((1.0, 1.0), (0.8, 1.25), (5.0, 1.0), (0.1, MOST_WIDENED)):
        ratio = error_factor(value, np.array(error * size), left_out, IDENTITY)
        np.testing.assert_allclose(ratio, expected)


def test_bias_of_short_recordings_is_taken_off_on_the_scale():
    value, drawn = np.array([0.5]), np.array([[0.3], [0.5], [0.6]])
    center, distance = center_and_distances(
        value, np.array([0.1]), drawn, np.array([[0.1], [0.2], [0.1]]), FISHER_Z
    )
    z, bias = np.arctanh(drawn), np.arctanh(drawn).mean() - np.arctanh(0.5)
    np.testing.assert_allclose(center, np.arctanh(0.5) - bias)
    drawn_error = np.array([[0.1], [0.2], [0.1]]) / (1 - drawn**2)
    expected = (z - np.arctanh(0.5) - bias) / drawn_error * 0.1 / 0.75
    np.testing.assert_allclose(distance, expected)


@pytest.mark.parametrize("scale", [IDENTITY, FISHER_Z, LOG, LOG_REMAINDER], ids=lambda s: s.name)
def test_scales_turn_back_and_know_their_derivative(scale):
    x = np.array([0.05, 0.3, 0.9])
    np.testing.assert_allclose(scale.backward(scale.forward(x)), x)
    slope = (scale.forward(x + 1e-6) - scale.forward(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(scale.derivative(x), slope, rtol=1e-6)
    assert np.isfinite(scale.forward(np.array([1.0]))).all()
    assert np.isfinite(scale.forward(np.array([0.0]))).all()


def test_weights_of_mean_and_median():
    values = np.array([[3.0, 1.0, np.nan, 2.0], [3.0, 1.0, 0.0, 2.0], [np.nan] * 4])
    np.testing.assert_allclose(
        mean_weights(values), [[1 / 3, 1 / 3, 0, 1 / 3], [0.25] * 4, [0] * 4]
    )
    expected = [[0, 0, 0, 1], [0, 0.5, 0, 0.5], [0] * 4]
    np.testing.assert_allclose(median_weights(values), expected)


SCORES = metrics_for("spike_counts")


def score(data, draws=100, **kwargs):
    """Return the table of neurons and the summary of their scores, as an evaluation has them."""
    evaluation = score_sessions([scored_arrays(*data, **kwargs)], draws=draws)
    return evaluation.table, evaluation.summary["sessions"]["s"]


def test_intervals_surround_their_values(data):
    table, summary = score(data, draws=200)
    assert summary["n_blocks"] == 8
    for name in SCORES:
        value = table[name]
        np.testing.assert_allclose(value, METRICS.get(name)(*data))
        assert (table[f"{name}_low"] < value).all()
        assert (value < table[f"{name}_high"]).all()
        found = summary["scores"][name]
        np.testing.assert_allclose(found["mean"], value.mean())
        np.testing.assert_allclose(found["median"], np.median(value))
        for which in ("mean", "median"):
            assert found[f"{which}_low"] < found[which] < found[f"{which}_high"]
        assert found["n_undefined"] == 0


def test_levels_nest(data):
    statistics = mse.statistics(*data, cut_blocks(data[2].segment_ids, BIN_WIDTH_S))
    drawn = resample(statistics, mse.from_statistics, draw_blocks(8, 100, np.random.default_rng(0)))
    wide, narrow = (neuron_intervals(drawn, mse.scale, level) for level in (0.95, 0.5))
    assert (wide.low < narrow.low).all()
    assert (narrow.high < wide.high).all()


def test_tracked_bins_are_scored_apart_without_bridging_holes(data):
    predicted, observed, context = data
    keep = np.ones(N_BINS, dtype=bool)
    keep[70:80] = False  # a hole within a segment
    table, summary = score(data, draws=50, is_tracked=keep)
    expected = single_bin_correlation(predicted[keep], observed[keep])
    np.testing.assert_allclose(table["correlation_tracked"], expected)
    assert set(table["n_bins_tracked"]) == {N_BINS - 10}
    runs = relabel_runs(context.segment_ids, keep)  # the boxcar does not bridge the hole
    apart = ScoreContext(context.baseline_rate, runs, BIN_WIDTH_S)
    expected = smoothed_correlation(predicted[keep], observed[keep], apart)
    np.testing.assert_allclose(table["smoothed_correlation_tracked"], expected)
    assert "correlation_tracked" in summary["scores"]
    assert (table["correlation_tracked_low"] < table["correlation_tracked"]).all()
    none, _ = score(data, draws=50, is_tracked=np.zeros(N_BINS, dtype=bool))
    assert set(none["n_bins_tracked"]) == {0}
    assert "correlation_tracked" not in none


def test_trials_are_resampled_whole(data):
    predicted, observed, context = data
    trials = ScoreContext(context.baseline_rate, np.repeat(np.arange(24), 10), BIN_WIDTH_S)
    _, summary = score((predicted, observed, trials), draws=50, is_trial=True)
    assert summary["n_blocks"] == 24


def test_a_perfect_model_has_a_perfect_interval(data):
    _, observed, context = data
    table, _ = score((observed, observed, context))
    for name, perfect in {"correlation": 1.0, "smoothed_correlation": 1.0, "mse": 0.0}.items():
        np.testing.assert_allclose(table[f"{name}_low"], perfect, atol=1e-6)
        np.testing.assert_allclose(table[f"{name}_high"], perfect, atol=1e-6)


def test_a_nearly_silent_neuron_has_a_score_but_no_interval(data):
    predicted, observed, context = data
    observed = observed.copy()
    observed[:, 0] = 0.0
    observed[100, 0] = 1.0  # one block carries every score
    table, summary = score((predicted, observed, context), draws=300)
    for name in ("correlation", "bits_per_spike", "deviance_explained"):
        assert np.isfinite(table[name][0]), name
        np.testing.assert_array_equal(np.isnan(table[f"{name}_low"]), [True, False, False, False])
        found = summary["scores"][name]
        assert np.isfinite([found["mean_low"], found["mean_high"]]).all(), name


def test_no_neuron_at_all_has_no_mean(data):
    predicted, _, context = data
    _, summary = score((predicted, np.zeros_like(predicted), context), draws=20)
    for name in SCORES:
        found = summary["scores"][name]
        assert found["n_undefined"] == 4
        ends = [found[f"{which}{end}"] for which in ("mean", "median") for end in ("", "_low")]
        assert np.isnan(ends).all()


def test_wrong_requests_are_refused(data):
    predicted, observed, context = data
    fluorescence = ScoreContext(
        context.baseline_rate, context.segment_ids, BIN_WIDTH_S, "fluorescence"
    )
    with pytest.raises(ConfigError, match="leave it out"):
        METRICS.get("bits_per_spike")(predicted, observed, fluorescence)
    with pytest.raises(ConfigError, match="response_kind must be one of"):
        ScoreContext(context.baseline_rate, context.segment_ids, BIN_WIDTH_S, "spikes")
    with pytest.raises(ConfigError, match="bin_width_s must be"):
        ScoreContext(context.baseline_rate, context.segment_ids, 0.0)


def test_one_burst_decides_an_error_and_takes_its_interval():
    """12 blocks, and one burst that makes up the error: no interval from 0.00009 to 150,443."""
    rng = np.random.default_rng(4)
    observed = rng.poisson(0.1, (1200, 3)).astype(float)
    observed[500:510, 0] = 18.0
    predicted = 0.1 + 0.01 * rng.random(observed.shape)
    context = ScoreContext(np.full(3, 0.1), np.zeros(1200, int), BIN_WIDTH_S)
    table, _ = score((predicted, observed, context), draws=300)
    assert 2.5 < table["mse"][0] < 3.0
    assert np.isnan([table["mse_low"][0], table["mse_high"][0]]).all()
    assert "one block decides it (" in table["no_interval"][0]
    assert "mse" in table["no_interval"][0]
    assert np.isfinite(table["mse_low"][1:]).all()
    assert (table["mse_high"] / table["mse_low"])[1:].max() < 3


def test_an_interval_needs_six_blocks(data):
    predicted, observed, context = data
    few = ScoreContext(context.baseline_rate, np.repeat(np.arange(5), 48), BIN_WIDTH_S)
    table, _ = score((predicted, observed, few), draws=50, is_trial=True)
    assert table["correlation_low"].isna().all()
    assert table["no_interval"].str.startswith("5 of at least 6 blocks (").all()


def test_an_interval_needs_six_blocks_that_change(data):
    predicted, observed, context = data
    observed = observed.copy()
    observed[100:, 0] = 0.0
    table, _ = score((predicted, observed, context), draws=50)
    assert table["no_interval"][0].startswith("4 of at least 6 blocks (")
    assert list(table["no_interval"][1:]) == [""] * (len(table) - 1)
