"""Confidence intervals from blocks of time: the studentized block bootstrap.

Three things are added to it. Each end reaches at least as far as the symmetric interval, and as far
as the equal-tailed one where that is longer. Errors are not smaller than those by leaving out one
block at a time. Both are widened where blocks are correlated (`freegaze.metrics.block_dependence`).
``benchmarks/coverage.py`` measures what that gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Integer, Shaped
from scipy import stats

from freegaze.errors import ConfigError
from freegaze.metrics.block_dependence import widening
from freegaze.metrics.bootstrap import (
    BlockDraws,
    block_influence,
    neuron_errors,
    population_errors,
    weighted_mean,
)
from freegaze.metrics.scales import IDENTITY, Scale

LEVEL = 0.95
"""Nominal coverage of an interval."""

MIN_BLOCKS = 6
"""With fewer blocks there is no interval (NaN): the 95 % quantile of the studentized draws has no
finite value worth printing then (measured with 3 blocks: half-widths of a million)."""

MAX_SHARE = 0.9
"""Largest share of one block in the jackknife variance, the sum of squared changes of the score by
leaving one block out. Above it this one block decides the score."""

MIN_DEFINED = 0.95
"""Share of draws in which a score must exist for its interval to exist. A nearly silent neuron has
no spike in many draws. If more than 5 % of the draws are missing, a 95 % quantile has no meaning.
Spikes in three of ten blocks are enough."""


MOST_WIDENED = 2.0
"""Largest ratio of the error by leaving out blocks to the one of first order that counts."""


@dataclass(frozen=True, eq=False)
class SampledScore:
    """A score, or one per neuron, with what its interval is made of.

    Args:
        value: The score.
        error: Its standard error of first order, blocks taken as independent.
        drawn: Scores of resampled recordings.
        drawn_error: Standard error of each as its resampled recording states it.
        left_out: Scores without each block.
        widening: Factor of the error; see `error_factor`.
    """

    value: Float[np.ndarray, " ..."]
    error: Float[np.ndarray, " ..."]
    drawn: Float[np.ndarray, "draw ..."]
    drawn_error: Float[np.ndarray, "draw ..."]
    left_out: Float[np.ndarray, "block ..."]
    widening: Float[np.ndarray, " ..."]


@dataclass(frozen=True, eq=False)
class Interval:
    """A number, or one per neuron, with its confidence interval.

    Args:
        value: The score.
        low: Lower end; NaN where there is no interval.
        high: Upper end.
        reason: Reason why there is no interval; empty if there is one, or no score.
    """

    value: Float[np.ndarray, " ..."]
    low: Float[np.ndarray, " ..."]
    high: Float[np.ndarray, " ..."]
    reason: Shaped[np.ndarray, " ..."] = field(default_factory=lambda: np.array("", object))


NO_INTERVAL = Interval(np.array(np.nan), np.array(np.nan), np.array(np.nan))
"""A number that does not exist."""


def neuron_intervals(
    draws: BlockDraws,
    scale: Scale,
    level: float = LEVEL,
    n_varying: Integer[np.ndarray, " neuron"] | None = None,
) -> Interval:
    """Make the interval of each neuron.

    Args:
        draws: From `freegaze.metrics.bootstrap.resample`.
        scale: On which errors are close to symmetric.
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


def sampled_interval(
    score: SampledScore,
    scale: Scale,
    n_carrying: Integer[np.ndarray, " ..."],
    level: float = LEVEL,
    shift: Float[np.ndarray, " draw"] | float = 0.0,
) -> Interval:
    """Make the interval of a score; every interval over blocks of time is made here.

    Args:
        score: The score, resampled.
        scale: On which errors are close to symmetric.
        n_carrying: Number of blocks in which the response changes.
        level: Nominal coverage.
        shift: Added to the distances on the scale, for example what other seeds would change.

    Returns:
        The interval; NaN with a reason where fewer than `MIN_BLOCKS` blocks carry the score, where
        one block decides it (`MAX_SHARE`), or where a score exists in too few draws.

    Raises:
        ConfigError: If the level is not between 0 and 1.
    """
    center, distance = center_and_distances(
        score.value, score.error, score.drawn, score.drawn_error, scale
    )
    ends = interval_ends(
        center, distance * score.widening + shift, len(score.left_out), scale, level
    )
    low = np.asarray(np.minimum(ends[0], score.value))
    high = np.asarray(np.maximum(ends[1], score.value))
    share = _largest_share(score.value, score.left_out, scale)
    return _refuse(Interval(score.value, low, high), n_carrying, share)


def sampled_p(
    score: SampledScore, shift: Float[np.ndarray, " draw"] | float = 0.0
) -> Float[np.ndarray, " ..."]:
    """Return the two-sided p of a score of 0: below 0.05 where the 95 % interval leaves out 0.

    Args:
        score: The score, resampled.
        shift: Added to the distances, as for `sampled_interval`.
    """
    center, distance = center_and_distances(
        score.value, score.error, score.drawn, score.drawn_error, IDENTITY
    )
    distance = distance * score.widening + shift
    toward = np.sign(center) * distance  # a score that may be too far from 0 by this much
    size = np.asarray(np.abs(center))
    both, one = share_at_least(np.abs(distance), size), share_at_least(toward, size)
    return np.asarray(np.minimum(1.0, np.maximum(both, 2 * one)))


def share_at_least(
    null: Float[np.ndarray, "draw ..."], value: Float[np.ndarray, " ..."]
) -> Float[np.ndarray, " ..."]:
    """Count draws as far out as the value, the value itself included, so that p is never 0.

    Args:
        null: Draws.
        value: What was found; NaN gives NaN.
    """
    reached = null >= value * (1 - 1e-9)  # rounding must not part what is equal
    return np.where(np.isnan(value), np.nan, (1 + reached.sum(0)) / (1 + len(null)))


def error_factor(
    value: Float[np.ndarray, " ..."],
    error: Float[np.ndarray, " ..."],
    left_out: Float[np.ndarray, "block ..."],
    scale: Scale,
) -> Float[np.ndarray, " ..."]:
    """Return the ratio of the error by leaving out one block at a time to that of first order.

    Args:
        value: The score.
        error: Its standard error of first order.
        left_out: Scores without each block.
        scale: On which errors are compared.

    Returns:
        The ratio, between 1 and `MOST_WIDENED`; 1 where it does not exist.

    Source: the jackknife, J. W. Tukey (1958), Ann. Math. Stat. 29:614.
    """
    n = len(left_out)
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = scale.forward(left_out)
        square = ((moved - moved.mean(0)) ** 2).sum(0) * (n - 1) / n
        ratio = np.sqrt(square) / (error * scale.derivative(value))
    return np.asarray(np.where(np.isfinite(ratio), np.clip(ratio, 1.0, MOST_WIDENED), 1.0))


def _refuse(found: Interval, n_carrying: np.ndarray, share: np.ndarray) -> Interval:
    """Replace intervals that too few blocks, or one, carry by NaN with a reason."""
    is_missing = np.isnan(found.low) | np.isnan(found.high)
    reason = np.where(is_missing, "undefined in too many draws", "").astype(object)
    reason = np.where(share > MAX_SHARE, "one block decides it", reason)
    few = np.char.add(np.asarray(n_carrying).astype(str), f" of at least {MIN_BLOCKS} blocks")
    reason = np.where(np.asarray(n_carrying) < MIN_BLOCKS, few.astype(object), reason)
    reason = np.where(np.isnan(found.value), "", reason)
    low, high = (np.where(reason == "", end, np.nan) for end in (found.low, found.high))
    return Interval(found.value, low, high, reason)


def _largest_share(value: np.ndarray, left_out: np.ndarray, scale: Scale) -> np.ndarray:
    """Return the largest share of one block in the sum of squared changes by leaving one out."""
    with np.errstate(invalid="ignore"):
        change = (scale.forward(left_out) - scale.forward(value)) ** 2
    is_known = np.isfinite(change).all(0)  # else there is no score without some block
    total, largest = change.sum(0), change.max(0)
    share = np.divide(largest, total, out=np.zeros_like(total), where=is_known & (total > 0))
    return np.where(is_known, share, 1.0)


def mean_interval(draws: BlockDraws, level: float = LEVEL) -> Interval:
    """Make the interval of the mean over the neurons that have a score.

    It is about these neurons in other minutes, not about other neurons. The neurons share the
    blocks, so that what is common to them does not average out.

    Args:
        draws: From `freegaze.metrics.bootstrap.resample`.
        level: Nominal coverage.

    Returns:
        The interval of the mean.
    """
    return _population_interval(draws, mean_weights, level)


def median_interval(draws: BlockDraws, level: float = LEVEL) -> Interval:
    """Make the interval of the median over the neurons that have a score.

    Args:
        draws: From `freegaze.metrics.bootstrap.resample`.
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


def center_and_distances(
    value: Float[np.ndarray, " ..."],
    error: Float[np.ndarray, " ..."],
    drawn: Float[np.ndarray, "draw ..."],
    drawn_error: Float[np.ndarray, "draw ..."],
    scale: Scale,
) -> tuple[Float[np.ndarray, " ..."], Float[np.ndarray, "draw ..."]]:
    """Measure how far off a score may be, by how far resampled scores are from it.

    Correlations of short recordings are a little too small. Resampled ones are so once more, which
    gives an estimate of this bias.

    Args:
        value: The score.
        error: Its standard error.
        drawn: Resampled scores.
        drawn_error: Standard error of each as its resampled recording states it.
        scale: On which errors are close to symmetric.

    Returns:
        The score without that bias, and the signed distances, studentized and then in units of
        ``error``; both on the scale. A distance is NaN where a resampled score or its error does
        not exist.
    """
    shift = scale.forward(drawn) - scale.forward(value)
    is_defined = np.isfinite(shift)
    bias = np.where(is_defined, shift, 0.0).sum(0) / np.maximum(1, is_defined.sum(0))
    with np.errstate(divide="ignore", invalid="ignore"):
        studentized = (shift - bias) / (drawn_error * scale.derivative(drawn))
        distance = studentized * error * scale.derivative(value)
    distance = np.where(np.isfinite(distance), distance, np.nan)
    is_perfect = (shift == 0) & (bias == 0)  # in every draw, with errors of 0
    return np.asarray(scale.forward(value) - bias), np.where(is_perfect, 0.0, distance)


def interval_ends(
    center: Float[np.ndarray, " ..."],
    distance: Float[np.ndarray, "draw ..."],
    n_blocks: int,
    scale: Scale,
    level: float = LEVEL,
) -> tuple[Float[np.ndarray, " ..."], Float[np.ndarray, " ..."]]:
    """Reach from the center to both sides as far as ``level`` of the distances do.

    Args:
        center: From `center_and_distances`.
        distance: From the same.
        n_blocks: Number of blocks; below `MIN_BLOCKS` there is no interval.
        scale: That of center and distances.
        level: Nominal coverage.

    Returns:
        Both ends. Each side reaches as far as the ``level`` quantile of the sizes of the distances,
        and as the ``(1 + level) / 2`` quantile of the distances to the other side, whichever is
        further: a resampled score that is too high shows how far the score itself may be too high.

    Raises:
        ConfigError: If the level is not between 0 and 1.

    Source: P. Hall (1988), J. R. Stat. Soc. B 50, 35-45; blocks after Künsch (1989), Ann. Stat. 17.
    """
    if not 0 < level < 1:
        raise ConfigError(f"the level of an interval lies between 0 and 1, got {level}")
    if n_blocks < MIN_BLOCKS:
        nothing = np.full_like(center, np.nan)
        return nothing, nothing.copy()
    even = _quantile(np.abs(distance), level)
    below = np.maximum(even, _quantile(distance, (1 + level) / 2))
    above = np.maximum(even, _quantile(-distance, (1 + level) / 2))
    with np.errstate(over="ignore"):  # an error of 1e300 has an infinite end
        low, high = scale.backward(center - below), scale.backward(center + above)
    return np.asarray(low), np.asarray(high)


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
        draws: From `freegaze.metrics.bootstrap.resample`, or pooled recordings, which are
            independent of each other.
        weights: Of the neurons.
    """
    stated = widened = 0.0
    for part in draws.parts:
        own = slice(None), part.neurons
        influence = block_influence(draws.slope[own][None], weights[None, part.neurons], part.sums)
        variance = (np.bincount(part.blocks, influence[0]) ** 2).sum()
        factor = widening(influence.T, part.blocks, part.centers)[0]
        stated, widened = stated + variance, widened + factor**2 * variance
    return np.asarray(np.sqrt(widened / stated) if stated > 0 else 1.0)


def _quantile(distance: np.ndarray, level: float) -> np.ndarray:
    """Take the quantile over the draws in which a score exists; NaN where those are too few."""
    has_enough = np.isfinite(distance).mean(0) >= MIN_DEFINED
    filled = np.where(has_enough, distance, 0.0)  # nothing but NaN would make numpy warn
    return np.where(has_enough, np.nanquantile(filled, level, axis=0), np.nan)
