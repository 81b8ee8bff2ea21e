"""Confidence intervals of neurons, and of means and medians over neurons, from blocks of time.

``benchmarks/coverage_of_intervals.py`` measures how often they hold the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Integer
from scipy import stats

from freegaze.metrics.block_dependence import widening
from freegaze.metrics.bootstrap import (
    BlockDraws,
    block_influence,
    neuron_errors,
    population_errors,
    weighted_mean,
)
from freegaze.metrics.sampled_scores import (
    LEVEL,
    Interval,
    SampledScore,
    error_factor,
    sampled_interval,
)
from freegaze.metrics.scales import IDENTITY, Scale


def neuron_intervals(
    draws: BlockDraws,
    scale: Scale,
    level: float = LEVEL,
    n_varying: Integer[np.ndarray, " neuron"] | None = None,
) -> Interval:
    """Make the interval of each neuron.

    Args:
        draws: Scores and their resampled values, from `freegaze.metrics.bootstrap.resample`.
        scale: Scale on which errors are close to symmetric.
        level: Nominal coverage.
        n_varying: Number of blocks in which the response of each neuron changes; all by default.

    Returns:
        The interval of each neuron; NaN with a reason where fewer than `MIN_BLOCKS` blocks carry
        the score, where one block decides it (`MAX_SHARE`), or where a score exists in too few
        draws.
    """
    error, drawn_error = neuron_errors(draws)
    correlated = np.ones(len(draws.value))
    for part in draws.parts:
        influences = part.influences(draws.slope[:, part.neurons])
        correlated[part.neurons] = widening(influences, part.blocks, part.centers)
    score = SampledScore(
        value=draws.value,
        error=error,
        drawn=draws.drawn,
        drawn_error=drawn_error,
        left_out=draws.left_out,
        widening=correlated * error_factor(draws.value, error, draws.left_out, scale),
    )
    n_carrying = np.full(len(draws.value), draws.n_blocks) if n_varying is None else n_varying
    return sampled_interval(score, scale, n_carrying, level)


def mean_interval(draws: BlockDraws, level: float = LEVEL) -> Interval:
    """Make the interval of the mean over the neurons that have a score.

    It is about these neurons in other minutes, not about other neurons. The neurons share the
    blocks, so that what is common to them does not average out.

    Args:
        draws: Scores and their resampled values, from `freegaze.metrics.bootstrap.resample`.
        level: Nominal coverage.

    Returns:
        The interval of the mean.
    """
    return _population_interval(draws, mean_weights, level)


def median_interval(draws: BlockDraws, level: float = LEVEL) -> Interval:
    """Make the interval of the median over the neurons that have a score.

    Args:
        draws: Scores and their resampled values, from `freegaze.metrics.bootstrap.resample`.
        level: Nominal coverage.

    Returns:
        The interval of the median, about these neurons in other minutes.
    """
    return _population_interval(draws, median_weights, level)


def t_interval(values: Sequence[float] | np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Compute the interval of a mean over independent values by Student's t.

    Args:
        values: For example one per seed or per recording.
        level: Probability that the interval holds the expected mean.

    Returns:
        Lower and upper end; NaN for fewer than two values.

    Example:
        >>> low, high = t_interval([1.0, 2.0, 3.0])
        >>> round(low, 3), round(high, 3)
        (-0.484, 4.484)
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    mean = float(np.mean(values))
    reach = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values))
    return mean - reach, mean + reach


def mean_weights(values: Float[np.ndarray, "... neuron"]) -> Float[np.ndarray, "... neuron"]:
    """Weight neurons that have a score equally, the others 0."""
    has_score = np.isfinite(values)
    return has_score / np.maximum(1, has_score.sum(-1, keepdims=True))


def median_weights(values: Float[np.ndarray, "... neuron"]) -> Float[np.ndarray, "... neuron"]:
    """Weight the middle neuron 1, or the two around the middle 1/2, of those that have a score."""
    order = np.argsort(values, axis=-1)  # NaN comes last
    n_scored = np.isfinite(values).sum(-1, keepdims=True)
    weights = np.zeros(values.shape)
    for middle in (np.maximum(n_scored - 1, 0) // 2, n_scored // 2):
        at = np.take_along_axis(order, np.minimum(middle, values.shape[-1] - 1), -1)
        np.put_along_axis(weights, at, np.take_along_axis(weights, at, -1) + 0.5, -1)
    return np.where(n_scored > 0, weights, 0.0)


def _population_interval(
    draws: BlockDraws, weights_of: Callable[[np.ndarray], np.ndarray], level: float
) -> Interval:
    weights = weights_of(draws.value)
    drawn_weights = weights_of(np.where(np.isfinite(draws.value), draws.drawn, np.nan))
    error, drawn_error = population_errors(draws, weights, drawn_weights)
    # A neuron without a score when one block is left out keeps its score: the others are as many.
    left_out = np.where(np.isfinite(draws.left_out), draws.left_out, draws.value)
    value, without = (weighted_mean(v, weights_of(v)) for v in (draws.value, left_out))
    factor = error_factor(value, error, without, IDENTITY)
    score = SampledScore(
        value=value,
        error=error,
        drawn=weighted_mean(draws.drawn, drawn_weights),
        drawn_error=drawn_error,
        left_out=without,
        widening=np.asarray(factor * population_widening(draws, weights)),
    )
    return sampled_interval(score, IDENTITY, np.asarray(draws.n_blocks), level)


def population_widening(
    draws: BlockDraws, weights: Float[np.ndarray, " neuron"]
) -> Float[np.ndarray, ""]:
    """Return the factor by which correlated blocks widen the interval of a weighted mean.

    Args:
        draws: Scores and their resampled values, from `freegaze.metrics.bootstrap.resample`, or
            pooled recordings, which are independent of each other.
        weights: Weights of the neurons.
    """
    stated = widened = 0.0
    for part in draws.parts:
        own = slice(None), part.neurons
        influence = block_influence(draws.slope[own][None], weights[None, part.neurons], part.sums)
        variance = (np.bincount(part.blocks, influence[0]) ** 2).sum()
        factor = widening(influence.T, part.blocks, part.centers)[0]
        stated, widened = stated + variance, widened + factor**2 * variance
    return np.asarray(np.sqrt(widened / stated) if stated > 0 else 1.0)
