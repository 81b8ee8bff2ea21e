"""Interval and p of one score from resampled recordings; all intervals over blocks are made here.

The bootstrap is studentized on a scale on which errors are nearly symmetric. Each end reaches at
least as far as the symmetric interval, and as far as the equal-tailed one where that is longer.
Errors are not smaller than those by leaving out one block at a time, and are widened where blocks
are correlated (`freegaze.metrics.block_dependence`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Integer, Shaped

from freegaze.errors import ConfigError
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
        error: Standard error of the score, of first order, blocks taken as independent.
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
        scale: Scale on which errors are close to symmetric.
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
        error: Standard error of the score, of first order.
        left_out: Scores without each block.
        scale: Scale on which errors are compared.

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
        error: Standard error of the score.
        drawn: Resampled scores.
        drawn_error: Standard error of each as its resampled recording states it.
        scale: Scale on which errors are close to symmetric.

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
        center: Center from `center_and_distances`.
        distance: Distance from `center_and_distances`.
        n_blocks: Number of blocks; below `MIN_BLOCKS` there is no interval.
        scale: Scale of the center and the distance.
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


def _quantile(distance: np.ndarray, level: float) -> np.ndarray:
    """Take the quantile over the draws in which a score exists; NaN where those are too few."""
    has_enough = np.isfinite(distance).mean(0) >= MIN_DEFINED
    filled = np.where(has_enough, distance, 0.0)  # nothing but NaN would make numpy warn
    return np.where(has_enough, np.nanquantile(filled, level, axis=0), np.nan)
