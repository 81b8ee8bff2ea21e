"""Pooled recordings: one is itself, two narrow the interval as independent ones must."""

from __future__ import annotations

import numpy as np
import pytest

from freegaze.errors import ShapeError
from freegaze.metrics.bootstrap import draw_counts, resample
from freegaze.metrics.intervals import mean_interval
from freegaze.metrics.pooling import pool_draws


def mean_draws(seed, n_blocks=20, n_neurons=4, draws=500):
    """Resampled means over time of noise: sums and counts of each block."""
    rng = np.random.default_rng(seed)
    sums = rng.normal(100.0, 10.0, (n_blocks, 1, n_neurons))
    statistics = np.concatenate([sums, np.full_like(sums, 50.0)], axis=1)
    counts = draw_counts(n_blocks, draws, rng)
    return resample(statistics, lambda s: s[..., 0, :] / s[..., 1, :], counts)


def test_one_recording_pooled_is_itself():
    one = mean_draws(0)
    pooled, alone = mean_interval(pool_draws([one])), mean_interval(one)
    assert (pooled.value, pooled.low, pooled.high) == (alone.value, alone.low, alone.high)


def test_two_recordings_halve_the_variance_of_the_mean():
    parts = [mean_draws(1), mean_draws(2)]
    pooled, singles = mean_interval(pool_draws(parts)), [mean_interval(p) for p in parts]
    assert float(pooled.value) == pytest.approx(np.mean([float(s.value) for s in singles]))
    widths = np.array([float(s.high - s.low) for s in singles])
    expected = np.sqrt((widths**2).sum()) / 2  # independent errors add in squares
    assert float(pooled.high - pooled.low) == pytest.approx(expected, rel=0.1)  # 500 draws: 5 %


def test_neurons_of_unequal_recordings_count_the_same():
    parts = [mean_draws(3, n_neurons=1), mean_draws(4, n_blocks=7, n_neurons=9)]
    values = np.concatenate([p.value for p in parts])
    assert float(mean_interval(pool_draws(parts)).value) == pytest.approx(values.mean())


def test_unequal_draws_are_refused():
    with pytest.raises(ShapeError, match=r"\[500, 10\]"):
        pool_draws([mean_draws(0), mean_draws(1, draws=10)])
