"""Correlation between blocks: closed forms of the model, and what is estimated from signals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from freegaze.errors import ShapeError
from freegaze.metrics.block_dependence import FEW_STATES, _factor, sum_parts, widening
from freegaze.metrics.blocks import TimeBlocks, blocks_of_bins
from freegaze.metrics.bootstrap import draw_blocks, resample_blocks
from freegaze.metrics.intervals import mean_interval, neuron_intervals
from freegaze.metrics.pooling import pool_draws
from freegaze.metrics.scales import IDENTITY

N_BLOCKS, PART_BINS = 12, 5
BLOCKS = TimeBlocks(np.arange(N_BLOCKS) * 50, 600, np.arange(600))


def means_of(signals, blocks=BLOCKS, draws=200, seed=0):
    """Return resampled means over time of signals, (time, neuron)."""
    both = np.stack([signals, np.ones_like(signals)], 1)

    def mean(sums):
        return sums[..., 0, :] / sums[..., 1, :]

    counts = draw_blocks(blocks.n_blocks, draws, np.random.default_rng(seed))
    return resample_blocks(blocks, lambda parts: parts.sums(both), mean, counts)


def signals(rng, tau_bins, n_neurons, n_bins=600):
    """Return stationary AR(1) signals of variance 1."""
    decay = np.exp(-1 / tau_bins)
    noise = rng.normal(size=(n_bins, n_neurons)) * np.sqrt(1 - decay**2)
    noise[0] = rng.normal(size=n_neurons)
    return lfilter([1.0], [1.0, -decay], noise, axis=0)


def test_independent_blocks_are_not_widened():
    n_parts = np.full(7, 4)
    assert _factor(0.0, np.full((7, 7), 16.0), n_parts) == pytest.approx(1.0)
    brief = np.diag(n_parts).astype(float)  # the correlated part of each part is its own
    few_states = 1 + FEW_STATES * 0.5 * 0.25 / 7
    assert _factor(0.5, brief, n_parts) == pytest.approx(np.sqrt(few_states))


def test_the_factor_of_equally_correlated_blocks_has_a_closed_form():
    """Variance of the sum n (1 + (n - 1) r), stated n (1 - r); n - 1 degrees of freedom remain."""
    n, r = 9, 0.3
    equal, few_states = np.ones((n, n)), 1 + FEW_STATES * r / n
    expected = np.sqrt(few_states * (1 + (n - 1) * r) / (1 - r))
    assert _factor(r, equal, np.ones(n, int)) == pytest.approx(expected)


def test_correlated_signals_are_widened_as_far_as_their_means_vary():
    """The mean of 600 bins with tau 60 bins: closed form, against what blocks of 50 bins state."""
    rng, tau = np.random.default_rng(1), 60.0
    values = signals(rng, tau, 400)
    lag = np.arange(1, 600)
    true = np.sqrt((600 + 2 * ((600 - lag) * np.exp(-lag / tau)).sum()) / 600**2)
    block_means = values.reshape(N_BLOCKS, 50, -1).mean(1)
    stated = np.sqrt((block_means.var(0, ddof=1) / N_BLOCKS).mean())
    _, parts = sum_parts(BLOCKS, lambda blocks: blocks.sums(values[:, None]))
    assert parts is not None
    found = widening(parts.sums[:, 0], parts.blocks, parts.centers)
    assert true / stated > 1.4  # too short by so much without it
    # Fewer degrees of freedom and few states per block come on top.
    assert 1.0 < np.median(found) / (true / stated) < 1.7


def test_white_signals_are_hardly_widened():
    _, parts = sum_parts(
        BLOCKS, lambda blocks: blocks.sums(np.random.default_rng(2).normal(size=(600, 1, 400)))
    )
    assert parts is not None
    found = widening(parts.sums[:, 0], parts.blocks, parts.centers)
    # Longer times cannot be excluded from twelve blocks, and their mean factor is above 1.
    assert 1.0 <= np.median(found) < 1.12


def test_gaps_between_blocks_part_them():
    """Pauses of ten correlation times leave what few states per block cost: one state in each."""
    rng = np.random.default_rng(3)
    bins = (np.arange(N_BLOCKS)[:, None] * 650 + np.arange(50)).ravel()
    values = signals(rng, 60.0, 100, 650 * N_BLOCKS)[bins]
    blocks = TimeBlocks(BLOCKS.starts, 600, bins)
    apart, near = (
        widening(p.sums[:, 0], p.blocks, p.centers)
        for p in (sum_parts(b, lambda x: x.sums(values[:, None]))[1] for b in (blocks, BLOCKS))
        if p is not None
    )
    assert np.median(apart) < 1.02 * np.sqrt(1 + FEW_STATES / N_BLOCKS) < 1.3 < np.median(near)


def test_a_constant_or_lost_score_and_one_block_are_left_alone():
    influences = np.random.default_rng(4).normal(size=(60, 3))
    influences[:, 0], influences[3, 1] = 0.0, np.nan
    blocks, centers = np.repeat(np.arange(12), 5), np.arange(60.0)
    found = widening(influences, blocks, centers)
    np.testing.assert_array_equal(found[:2], 1.0)
    assert found[2] >= 1.0
    np.testing.assert_array_equal(widening(influences, np.zeros(60, int), centers), 1.0)


def test_intervals_are_widened_where_the_time_of_blocks_is_known():
    values = signals(np.random.default_rng(5), 60.0, 40)
    known = neuron_intervals(means_of(values), IDENTITY)
    unknown = neuron_intervals(means_of(values, TimeBlocks(BLOCKS.starts, 600)), IDENTITY)
    ratio = (known.high - known.low) / (unknown.high - unknown.low)
    assert (ratio > 1).all()
    assert np.median(ratio) > 1.3


def test_pooled_recordings_are_independent_of_each_other():
    """Two recordings pooled: variances add, each widened by its own factor."""
    rng = np.random.default_rng(6)
    parts = [means_of(signals(rng, 60.0, 8), seed=1), means_of(rng.normal(size=(600, 8)), seed=2)]
    widths = np.array([float(i.high - i.low) for i in map(mean_interval, parts)])
    pooled = mean_interval(pool_draws(parts))
    expected = np.sqrt((widths**2).sum()) / 2
    assert float(pooled.high - pooled.low) == pytest.approx(expected, rel=0.2)  # 200 draws, tails


def test_neighboring_trials_make_a_block_where_there_are_many():
    segment = np.repeat(np.arange(150), 4)
    blocks = blocks_of_bins(segment, segment, np.ones(600, bool), 1.0)
    assert blocks.n_blocks == 60
    assert set(blocks.starts) <= set(range(0, 600, 4))  # no trial is cut
    assert set(blocks.lengths()) == {8, 12}
    mixed = np.r_[np.zeros(400, bool), np.ones(100, bool), np.zeros(52, bool), np.ones(48, bool)]
    starts = blocks_of_bins(segment, segment, mixed, 1.0).starts
    assert {400, 500, 552} <= set(starts)  # trials and other bins never share a block


def test_every_bin_must_have_a_number():
    with pytest.raises(ShapeError, match="600 bins but 599"):
        BLOCKS.at(np.arange(599))
