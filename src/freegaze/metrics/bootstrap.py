"""Bootstrap of scores over blocks of time.

A score is a function of sums over bins, so that a resampled recording is a weighted sum of its
blocks, and 1,000 of them are one matrix product of (draws x blocks) with (blocks x statistics x
neurons).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from freegaze.errors import ConfigError
from freegaze.metrics.block_dependence import PartSums, sum_parts
from freegaze.metrics.blocks import TimeBlocks

DRAWS = 1000
"""Resampled recordings that an interval is made of."""

STEP = 1e-4
"""Step of the numerical derivative, in units of the summed size of a statistic. Its error is of
order STEP squared, far below the 3 % by which 1,000 draws leave a quantile uncertain."""


@dataclass(frozen=True, eq=False)
class BlockDraws:
    """Scores of resampled recordings, and what is needed to state the standard error of each.

    Args:
        statistics: Sums over each block.
        counts: Number of times that each block was drawn.
        value: Score of each neuron in the recording itself.
        slope: Derivative of each score by each summed statistic.
        drawn: Scores in the resampled recordings.
        drawn_slope: Derivatives of these scores.
        left_out: Score of each neuron in the recording without each block.
        parts: Sums over parts of blocks, of each recording, by which the correlation between blocks
            is estimated; empty where blocks count as independent.
    """

    statistics: Float[np.ndarray, "block statistic neuron"]
    counts: Float[np.ndarray, "draw block"]
    value: Float[np.ndarray, " neuron"]
    slope: Float[np.ndarray, "statistic neuron"]
    drawn: Float[np.ndarray, "draw neuron"]
    drawn_slope: Float[np.ndarray, "draw statistic neuron"]
    left_out: Float[np.ndarray, "block neuron"]
    parts: tuple[PartSums, ...] = ()

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.statistics)


def draw_counts(
    n_things: int, draws: int, rng: np.random.Generator, n_drawn: int | None = None
) -> Float[np.ndarray, "draw n_things"]:
    """Draw things with replacement.

    Args:
        n_things: Number of blocks, neurons or seeds.
        draws: Number of draws.
        rng: Source of chance.
        n_drawn: Number of items in a draw; by default all.

    Returns:
        How often each was drawn; each row sums to ``n_drawn``.

    Raises:
        ConfigError: If there is nothing to draw, or no draw.
    """
    if n_things < 1 or draws < 1:
        raise ConfigError(f"cannot draw {draws} times from {n_things}; both must be at least 1")
    n_drawn = n_things if n_drawn is None else n_drawn
    return rng.multinomial(n_drawn, np.full(n_things, 1 / n_things), draws).astype(np.float64)


def draw_blocks(
    n_blocks: int, draws: int, rng: np.random.Generator
) -> Float[np.ndarray, "draw block"]:
    """Draw blocks with replacement, one fewer than there are.

    Resampled recordings of all n blocks vary by (n - 1) / n too little, those of n - 1 blocks
    rightly. With ten blocks this raises the coverage of a 95 % interval by about half a percent.

    Args:
        n_blocks: Number of blocks.
        draws: Number of resampled recordings.
        rng: Source of chance.

    Returns:
        How often each block was drawn; each row sums to ``n_blocks - 1``, but at least 1.

    Source: McCarthy and Snowden (1985), Vital and Health Statistics 2 (95), "bootstrap with
        replacement".
    """
    return draw_counts(n_blocks, draws, rng, max(1, n_blocks - 1))


def resample_blocks(
    blocks: TimeBlocks,
    sums_of: Callable[[TimeBlocks], np.ndarray],
    from_statistics: Callable[[np.ndarray], np.ndarray],
    counts: Float[np.ndarray, "draw block"],
) -> BlockDraws:
    """Score resampled recordings, and keep what the correlation between blocks is estimated from.

    Args:
        blocks: The blocks.
        sums_of: Returns the sums over any blocks, (block, statistic, neuron).
        from_statistics: The score from sums; it must not change when all are multiplied by a
            number.
        counts: How often each block is drawn, from `draw_blocks`.

    Returns:
        The scores and what their standard errors are made of.
    """
    statistics, parts = sum_parts(blocks, sums_of)
    return resample(statistics, from_statistics, counts, () if parts is None else (parts,))


def resample(
    statistics: Float[np.ndarray, "block statistic neuron"],
    from_statistics: Callable[[np.ndarray], np.ndarray],
    counts: Float[np.ndarray, "draw block"],
    parts: tuple[PartSums, ...] = (),
) -> BlockDraws:
    """Score resampled recordings.

    Args:
        statistics: Sums over each block.
        from_statistics: The score from sums; it must not change when all are multiplied by a
            number.
        counts: Number of times that each block is drawn, from `draw_blocks`.
        parts: Sums over parts of the blocks; without them blocks count as independent.

    Returns:
        The scores and what their standard errors are made of.
    """
    size = np.abs(statistics).sum(0)
    total, drawn = statistics.sum(0), np.tensordot(counts, statistics, 1)
    return BlockDraws(
        statistics=statistics,
        counts=counts,
        value=from_statistics(total),
        slope=_slope(from_statistics, total, size),
        drawn=from_statistics(drawn),
        drawn_slope=_slope(from_statistics, drawn, size),
        left_out=from_statistics(total - statistics),
        parts=parts,
    )


def neuron_errors(
    draws: BlockDraws,
) -> tuple[Float[np.ndarray, " neuron"], Float[np.ndarray, "draw neuron"]]:
    """Compute the standard error of each neuron's score, and the one that each draw would state.

    Args:
        draws: Scores and their resampled values, from `resample`.

    Returns:
        Standard errors of ``draws.value`` and of ``draws.drawn``.

    Source: the infinitesimal jackknife, Efron (1982), The Jackknife, the Bootstrap, chapter 6.
    """
    square, drawn_square = np.zeros_like(draws.value), np.zeros_like(draws.drawn)
    for block, count in zip(draws.statistics, draws.counts.T, strict=True):  # block by block, to
        square += (draws.slope * block).sum(0) ** 2  # hold no (draw, block, neuron) array
        drawn_square += count[:, None] * (draws.drawn_slope * block).sum(1) ** 2
    return _standard_errors(draws, square, drawn_square)


def population_errors(
    draws: BlockDraws,
    weights: Float[np.ndarray, " neuron"],
    drawn_weights: Float[np.ndarray, "draw neuron"],
) -> tuple[Float[np.ndarray, ""], Float[np.ndarray, " draw"]]:
    """Compute the standard error of a weighted mean over neurons, for itself and for each draw.

    Neurons that fire together stay together, as blocks hold all of them.

    Args:
        draws: Scores and their resampled values, from `resample`.
        weights: Weights of the neurons; 0 leaves one out, and then its score may be NaN.
        drawn_weights: Weights of the neurons in each draw.

    Returns:
        Standard errors of the two weighted means.
    """
    square = block_influence(draws.slope[None], weights[None], draws.statistics)[0] ** 2
    drawn = block_influence(draws.drawn_slope, drawn_weights, draws.statistics)
    drawn_square = (draws.counts * drawn**2).sum(1)
    return _standard_errors(draws, square.sum(), drawn_square)


def block_influence(
    slope: Float[np.ndarray, "draw statistic neuron"],
    weights: Float[np.ndarray, "draw neuron"],
    statistics: Float[np.ndarray, "block statistic neuron"],
) -> Float[np.ndarray, "draw block"]:
    """Compute how much one more of a block would change a weighted mean of scores, to first order.

    Args:
        slope: Derivative of each score by each statistic.
        weights: Weights of the neurons; 0 leaves one out.
        statistics: Sums over each block.

    Returns:
        The effect of each block.
    """
    weighted = np.where(weights[:, None, :] != 0, slope, 0.0) * weights[:, None, :]
    known = np.where(np.isfinite(statistics), statistics, 0.0)
    return np.tensordot(weighted, known, axes=([1, 2], [1, 2]))


def weighted_mean(
    values: Float[np.ndarray, "... neuron"], weights: Float[np.ndarray, "... neuron"]
) -> Float[np.ndarray, " ..."]:
    """Sum values times weights over neurons; NaN where all weights are 0.

    Args:
        values: Scores; NaN is left out where its weight is 0.
        weights: Weights of the neurons.
    """
    is_used = weights != 0
    mean = (np.where(is_used, values, 0.0) * weights).sum(-1)
    return np.asarray(np.where(is_used.any(-1), mean, np.nan))


def _standard_errors(
    draws: BlockDraws, square: np.ndarray | np.floating, drawn_square: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Turn sums of squared influences into errors, by n / (n - 1) as for any variance."""
    n_drawn = int(draws.counts[0].sum())
    value, drawn = (n / max(1, n - 1) for n in (draws.n_blocks, n_drawn))
    return np.asarray(np.sqrt(square * value)), np.sqrt(drawn_square * drawn)


def _slope(
    from_statistics: Callable[[np.ndarray], np.ndarray], at: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Differentiate a score by each statistic, with steps in units of its ``size``."""
    slope = np.empty_like(at)
    for k in range(at.shape[-2]):
        step = np.where(size[k] > 0, STEP * size[k], 1.0)
        up, down = at.copy(), at.copy()
        up[..., k, :] += step
        down[..., k, :] -= step
        slope[..., k, :] = (from_statistics(up) - from_statistics(down)) / (2 * step)
    return slope
