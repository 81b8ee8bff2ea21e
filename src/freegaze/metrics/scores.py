"""Scores of all neurons of a recording, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Real

from freegaze.errors import ShapeError
from freegaze.metrics.blocks import TimeBlocks, cut_blocks
from freegaze.metrics.bootstrap import DRAWS, draw_blocks, resample
from freegaze.metrics.intervals import (
    LEVEL,
    Interval,
    mean_interval,
    median_interval,
    neuron_intervals,
)
from freegaze.metrics.metric import METRICS, Metric, ScoreContext, metrics_for


@dataclass(frozen=True)
class MetricScores:
    """One score of all neurons.

    Args:
        metric: Which score.
        value: One number a neuron; NaN where it does not exist.
        low: Lower end of the interval of each neuron; NaN where there is none.
        high: Upper end.
        mean: Mean over the neurons that have a score, with its interval.
        median: Median over the neurons that have a score, with its interval.
        n_undefined: Number of neurons without a score.
        n_blocks: Number of blocks that were resampled.
    """

    metric: Metric
    value: Float[np.ndarray, " neuron"]
    low: Float[np.ndarray, " neuron"]
    high: Float[np.ndarray, " neuron"]
    mean: Interval
    median: Interval
    n_undefined: int
    n_blocks: int


def score_neurons(
    predicted: Real[np.ndarray, "time neuron"],
    observed: Real[np.ndarray, "time neuron"],
    context: ScoreContext,
    metric_names: Sequence[str] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    blocks: TimeBlocks | None = None,
    keep: Bool[np.ndarray, " time"] | None = None,
    level: float = LEVEL,
) -> dict[str, MetricScores]:
    """Score each neuron by several metrics, with intervals from one and the same resampling.

    Args:
        predicted: Predicted responses.
        observed: Recorded responses.
        context: Training baselines, segments, bin width and kind of response.
        metric_names: Which scores; all that apply to the kind of response by default.
        draws: Number of resampled recordings.
        seed: Of the resampling; equal seeds give equal blocks, so that models can be compared.
        blocks: What to resample; `cut_blocks` of the segments by default, `trial_blocks` for
            trials.
        keep: Bins that count (those with good tracking, say); all by default. The others may hold
            anything, NaN too. Blocks are cut before they are left out.
        level: Nominal coverage of the intervals.

    Returns:
        The scores by name, in the order asked for.

    Raises:
        ShapeError: If shapes disagree.
        RegistryError: If a name is unknown.
        ConfigError: If a metric does not apply to the kind of response.
        DataError: If no bin is kept.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> rate = rng.gamma(2.0, 0.2, (4000, 3))
        >>> context = ScoreContext(rate.mean(0), np.zeros(4000, int), bin_width_s=0.05)
        >>> scores = score_neurons(rate, rng.poisson(rate), context, ["correlation"])
        >>> scores["correlation"].value.shape
        (3,)
    """
    blocks = blocks or cut_blocks(context.segment_ids, context.bin_width_s)
    if keep is not None:
        if np.shape(keep) != (len(observed),):
            raise ShapeError(f"keep must be ({len(observed)},), got {np.shape(keep)}")
        predicted, observed = predicted[keep], observed[keep]
        blocks, context = blocks.select(keep), context.select_bins(keep)
    counts = draw_blocks(blocks.n_blocks, draws, np.random.default_rng(seed))
    names = metrics_for(context.response_kind) if metric_names is None else metric_names
    return {
        name: _score(METRICS.get(name), predicted, observed, context, blocks, counts, level)
        for name in names
    }


def _score(
    metric: Metric,
    predicted: np.ndarray,
    observed: np.ndarray,
    context: ScoreContext,
    blocks: TimeBlocks,
    counts: np.ndarray,
    level: float,
) -> MetricScores:
    statistics = metric.statistics(predicted, observed, context, blocks)
    drawn = resample(statistics, metric.from_statistics, counts)
    interval = neuron_intervals(drawn, metric.scale, level)
    return MetricScores(
        metric=metric,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        mean=mean_interval(drawn, level),
        median=median_interval(drawn, level),
        n_undefined=int(np.isnan(interval.value).sum()),
        n_blocks=blocks.n_blocks,
    )
