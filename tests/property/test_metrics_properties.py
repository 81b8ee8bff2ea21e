"""What holds for all numbers: invariances, bounds, and fast sums against plain loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freegaze.metrics.blocks import cut_blocks, relabel_runs
from freegaze.metrics.bootstrap import draw_blocks, resample
from freegaze.metrics.correlation import single_bin_correlation, smooth_boxcar
from freegaze.metrics.intervals import mean_interval, median_weights, neuron_intervals
from freegaze.metrics.likelihood import bits_per_spike, deviance_explained
from freegaze.metrics.metric import METRICS, ScoreContext
from freegaze.metrics.nulls import time_shift_null

relaxed = settings(deadline=None, max_examples=50)  # a busy machine is no failure
N_BINS, N_NEURONS = 40, 3
values = arrays(np.float64, (N_BINS, N_NEURONS), elements=st.integers(-50, 50).map(float))
counts = arrays(np.float64, (N_BINS, N_NEURONS), elements=st.integers(0, 9).map(float))
rates = arrays(  # on a grid: variances of 1e-12 are lost in any sum
    np.float64, (N_BINS, N_NEURONS), elements=st.integers(0, 160).map(lambda k: k / 8)
)
scales = st.floats(0.01, 100)
labels = arrays(np.int64, N_BINS, elements=st.integers(0, 2))


def context_of(baseline):
    return ScoreContext(baseline, np.zeros(N_BINS, int), 1.0)


spike_metrics = st.sampled_from(
    [n for n in METRICS if "spike_counts" in METRICS.get(n).response_kinds]
)


@given(values, values, scales, scales, st.floats(-100, 100))
@relaxed
def test_correlation_ignores_scale_and_offset_and_turns_with_sign(x, y, a, b, offset):
    r = single_bin_correlation(x, y)
    np.testing.assert_allclose(single_bin_correlation(a * x + offset, b * y), r, atol=1e-6)
    np.testing.assert_allclose(single_bin_correlation(-a * x, y), -r, atol=1e-6)
    np.testing.assert_array_equal(single_bin_correlation(y, x), r)
    assert (np.abs(r[np.isfinite(r)]) <= 1).all()


@given(rates, counts)
@relaxed
def test_deviance_is_never_negative_and_zero_for_the_truth(rate, count):
    context = context_of(np.ones(N_NEURONS))
    assert (deviance_explained.per_bin(rate, count, context)[0] >= 0).all()
    deviance = deviance_explained.per_bin(count, count, context)[0].sum(0)
    np.testing.assert_allclose(deviance, 0, atol=1e-5)  # the floor on rates


@given(counts, arrays(np.float64, N_NEURONS, elements=st.floats(0.01, 10)))
@relaxed
def test_the_training_mean_explains_nothing(count, baseline):
    flat = np.broadcast_to(baseline, count.shape)
    for score in (bits_per_spike, deviance_explained):
        got = score(flat, count, context_of(baseline))
        np.testing.assert_allclose(got[np.isfinite(got)], 0, atol=1e-12)
        np.testing.assert_array_equal(np.isnan(got), (count == count[0]).all(0))


@given(rates, counts, st.floats(0.1, 10))
@relaxed
def test_poisson_scores_ignore_the_unit_of_inferred_spikes(rate, count, unit):
    rate, baseline = rate + 0.1, np.array([0.5, 1.0, 2.0])  # away from the floor
    for score in (bits_per_spike, deviance_explained):
        one = score(rate, count, context_of(baseline))
        other = score(unit * rate, unit * count, context_of(unit * baseline))
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-9)


@given(st.floats(-1e6, 1e6), st.integers(1, 60), labels)
@relaxed
def test_smoothing_keeps_constants_exactly(constant, width, ids):
    x = np.full((N_BINS, 2), constant)
    np.testing.assert_array_equal(smooth_boxcar(x, width, ids), x)


@given(values, values, st.integers(1, 60), labels)
@relaxed
def test_smoothing_is_linear_bounded_and_blind_to_other_segments(x, y, width, ids):
    smooth_x = smooth_boxcar(x, width, ids)
    np.testing.assert_allclose(
        smooth_boxcar(2 * x - y, width, ids), 2 * smooth_x - smooth_boxcar(y, width, ids), atol=1e-9
    )
    assert (smooth_x <= x.max(0) + 1e-9).all()
    assert (smooth_x >= x.min(0) - 1e-9).all()
    here = relabel_runs(ids, np.ones(N_BINS, dtype=bool)) == 0
    changed = np.where(here[:, None], x, y)
    np.testing.assert_allclose(smooth_boxcar(changed, width, ids)[here], smooth_x[here], atol=1e-9)


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=12),
    st.floats(0.01, 2.0),
)
@relaxed
def test_blocks_cover_all_bins_and_are_long_unless_their_segment_is_short(lengths, bin_width_s):
    ids = np.repeat(np.arange(len(lengths)), lengths)
    blocks = cut_blocks(ids, bin_width_s)
    sizes = blocks.lengths()
    assert sizes.sum() == len(ids)
    of_segment = ids[blocks.starts]
    assert (ids[blocks.starts + sizes - 1] == of_segment).all()  # within one segment
    for segment, length in enumerate(lengths):
        inside = sizes[of_segment == segment]
        assert inside.max() - inside.min() <= 1
        assert len(inside) == 1 or inside.min() * bin_width_s >= 20 - 1e-6
        if len(inside) == 1:
            assert inside[0] == length


@given(spike_metrics, rates, counts, labels, st.integers(0, 99))
@relaxed
def test_resampled_sums_are_scores_of_repeated_bins(name, rate, count, ids, seed):
    metric, baseline = METRICS.get(name), np.ones(N_NEURONS)
    context = ScoreContext(baseline, ids, 10.0)  # so that 2 s are less than a bin: no smoothing
    blocks = cut_blocks(ids, 10.0)
    drawn = draw_blocks(blocks.n_blocks, 3, np.random.default_rng(seed))
    statistics = metric.statistics(rate, count, context, blocks)
    fast = resample(statistics, metric.from_statistics, drawn).drawn
    for row, times in zip(fast, drawn.astype(int), strict=True):
        bins = np.repeat(np.arange(N_BINS), times[blocks.ids()])
        again = ScoreContext(baseline, np.arange(len(bins)), 10.0)
        loop = metric(rate[bins], count[bins], again)
        both = np.isfinite(row) & np.isfinite(loop)  # constant in the draw: no score either way
        np.testing.assert_allclose(row[both], loop[both], rtol=1e-6, atol=1e-6)


@given(spike_metrics, rates, counts, st.permutations(range(N_NEURONS)))
@relaxed
def test_the_order_of_neurons_does_not_matter(name, rate, count, order):
    order = np.array(order)
    context = ScoreContext(np.array([0.5, 1.0, 2.0]), np.repeat(np.arange(8), 5), 5.0)
    metric, blocks = METRICS.get(name), cut_blocks(context.segment_ids, 5.0)
    counts = draw_blocks(blocks.n_blocks, 20, np.random.default_rng(0))

    def score(neurons):
        chosen = context.select_neurons(neurons)
        sums = metric.statistics(rate[:, neurons], count[:, neurons], chosen, blocks)
        drawn = resample(sums, metric.from_statistics, counts)
        return neuron_intervals(drawn, metric.scale), mean_interval(drawn).value

    (one, mean), (other, mean_again) = score(np.arange(N_NEURONS)), score(order)
    for side in ("value", "low", "high"):
        np.testing.assert_allclose(
            getattr(other, side), getattr(one, side)[order], rtol=1e-6, atol=1e-9
        )
    np.testing.assert_allclose(mean_again, mean, rtol=1e-9)


@given(spike_metrics, rates, counts)
@relaxed
def test_intervals_hold_their_value(name, rate, count):
    context = ScoreContext(np.ones(N_NEURONS), np.repeat(np.arange(8), 5), 5.0)
    metric, blocks = METRICS.get(name), cut_blocks(context.segment_ids, 5.0)
    statistics = metric.statistics(rate, count, context, blocks)
    drawn = resample(
        statistics, metric.from_statistics, draw_blocks(8, 30, np.random.default_rng(0))
    )
    for interval in (neuron_intervals(drawn, metric.scale), mean_interval(drawn)):
        has = np.isfinite(interval.low)
        slack = 1e-9 * (1 + np.abs(interval.value))
        assert (interval.low <= interval.value + slack)[has].all()
        assert (interval.value <= interval.high + slack)[has].all()


@given(arrays(np.float64, (4, 7), elements=st.one_of(st.floats(-9, 9), st.just(np.nan))))
@relaxed
def test_median_weights_give_the_median(table):
    weights = median_weights(table)
    got = (np.where(weights > 0, table, 0) * weights).sum(-1)
    for row, median in zip(table, got, strict=True):
        known = row[np.isfinite(row)]
        assert np.isclose(median, np.median(known) if len(known) else 0.0)


@given(values, st.integers(1, 13))
@relaxed
def test_null_p_values_are_possible_shares(x, longest):
    context = ScoreContext(np.zeros(N_NEURONS), np.zeros(N_BINS, int), 1.0, "fluorescence")
    null = time_shift_null("mse", x, x, context, None, float(longest), 8)
    has = np.isfinite(null.p_value)
    assert (null.p_value[has] >= 1 / (1 + null.n_null)).all()
    assert (null.p_value[has] <= null.p_conservative[has]).all()
    assert (null.p_conservative[has] <= 1).all()
