"""Paired differences between models on the same bins, resampled over blocks, neurons and seeds.

Neurons of one recording share the animal's states and the stimulus: hundreds of neurons are not
independent. Time blocks are therefore drawn first, for all neurons at once, then neurons, then
seeds, within each recording. With one seed, the difference between seeds is unknown, and intervals
hold for that seed. Recordings are not resampled, because two or three do not represent a
population.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real

from freegaze.errors import ConfigError, ShapeError
from freegaze.metrics.blocks import TimeBlocks, cut_blocks
from freegaze.metrics.bootstrap import (
    DRAWS,
    BlockDraws,
    draw_blocks,
    draw_counts,
    population_errors,
    resample,
    weighted_mean,
)
from freegaze.metrics.intervals import (
    LEVEL,
    MIN_BLOCKS,
    Interval,
    center_and_distances,
    mean_weights,
    neuron_intervals,
    symmetric_interval,
)
from freegaze.metrics.metric import METRICS, Metric, ScoreContext
from freegaze.metrics.scales import IDENTITY


@dataclass(frozen=True, eq=False)
class PairedRecording:
    """One recording with the predictions of two models, on the same bins and neurons.

    Args:
        predicted_a: Of the first model, one table for each seed it was fitted with.
        predicted_b: Of the second model; it may have another number of seeds.
        observed: Recorded responses.
        context: Training baselines, segments, bin width and kind of response.
        blocks: Blocks to resample; by default `cut_blocks` of the segments.

    Raises:
        ShapeError: If shapes disagree.
    """

    predicted_a: Real[np.ndarray, "seed_a time neuron"]
    predicted_b: Real[np.ndarray, "seed_b time neuron"]
    observed: Real[np.ndarray, "time neuron"]
    context: ScoreContext
    blocks: TimeBlocks | None = None

    def __post_init__(self) -> None:
        for name, predicted in (("a", self.predicted_a), ("b", self.predicted_b)):
            if (
                predicted.ndim != 3
                or predicted.shape[1:] != self.observed.shape
                or not len(predicted)
            ):
                raise ShapeError(
                    f"predicted_{name} must be (seed, time, neuron) = (1 or more, "
                    f"{', '.join(map(str, self.observed.shape))}), got {predicted.shape}; both "
                    "models must be evaluated on the same bins and neurons"
                )


@dataclass(frozen=True, eq=False)
class RecordingDifference:
    """First model minus second model in one recording; positive where the first scores higher.

    Args:
        neurons: Difference of each neuron, mean over seeds, with its interval over time blocks.
        neuron_p: Two-sided p of each neuron from flipping the signs of time blocks.
        mean: Mean over neurons, with its interval over time blocks, neurons and seeds.
        n_seeds: Seeds of the first and of the second model.
        n_blocks: Number of time blocks.
    """

    neurons: Interval
    neuron_p: Float[np.ndarray, " neuron"]
    mean: Interval
    n_seeds: tuple[int, int]
    n_blocks: int


@dataclass(frozen=True, eq=False)
class Comparison:
    """First model minus second model over all recordings.

    Args:
        metric: The score compared; positive differences favor the first model where
            ``metric.higher_is_better``.
        mean: Mean over recordings of the mean over neurons, with its interval over time blocks,
            neurons and seeds.
        p_value: Two-sided p from the same resampling as the interval: below 0.05 where the 95 %
            interval leaves out 0. NaN with too few blocks for an interval.
        p_sign_flip: Two-sided p from flipping the signs of time blocks: for these neurons and
            seeds, over other minutes. At least about ``2 ** (1 - n_blocks)``.
        recordings: One entry per recording.
    """

    metric: Metric
    mean: Interval
    p_value: float
    p_sign_flip: float
    recordings: tuple[RecordingDifference, ...]


@dataclass(frozen=True, eq=False)
class _Draws:
    """A mean difference and what its interval and its p values are made of.

    ``seed_variances`` holds, for each model in each recording with several seeds, the variance of
    its mean over seeds and the degrees of freedom with which that is known.
    """

    value: np.ndarray
    error: np.ndarray
    drawn: np.ndarray
    drawn_error: np.ndarray
    flipped: np.ndarray
    seed_variances: tuple[tuple[float, int], ...]


def compare_models(
    metric_name: str,
    recordings: Sequence[PairedRecording],
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> Comparison:
    """Compare two models by one score over one or several recordings.

    A score is computed for each seed and averaged; it is not the score of averaged predictions.

    Args:
        metric_name: Name of a registered metric.
        recordings: Each with both models' predictions.
        draws: Number of resampled recordings.
        seed: Of the resampling.
        level: Nominal coverage of the intervals.

    Returns:
        Estimates, intervals and p values.

    Raises:
        ConfigError: If there is no recording or the metric does not apply.
        RegistryError: If the metric is unknown.
        ShapeError: If shapes disagree.

    Source: after the hierarchical bootstrap of Saravanan, Berman and Sober (2020), Neurons Behav.
    Data Anal. Theory 3, studentized. Seeds enter by Student's t: resampling two of them gives
    their mean half of the time and misses most of their spread.
    """
    if not recordings:
        raise ConfigError("a comparison needs at least one recording, got none")
    metric, rng = METRICS.get(metric_name), np.random.default_rng(seed)
    differences, parts = zip(
        *(_compare_in_recording(metric, r, draws, rng, level) for r in recordings), strict=True
    )
    pooled = _pool(parts)
    n_blocks = min(d.n_blocks for d in differences)
    mean, p_value = _interval_and_p(pooled, n_blocks, level, rng)
    return Comparison(
        metric=metric,
        mean=mean,
        p_value=p_value,
        p_sign_flip=float(_two_sided_p(pooled.value, pooled.flipped)),
        recordings=differences,
    )


def _compare_in_recording(
    metric: Metric,
    recording: PairedRecording,
    draws: int,
    rng: np.random.Generator,
    level: float,
) -> tuple[RecordingDifference, _Draws]:
    context, n_seeds = recording.context, (len(recording.predicted_a), len(recording.predicted_b))
    blocks = recording.blocks or cut_blocks(context.segment_ids, context.bin_width_s)
    statistics = np.concatenate(
        [
            metric.statistics(predicted, recording.observed, context, blocks)
            for predicted in (*recording.predicted_a, *recording.predicted_b)
        ],
        axis=1,
    )

    def difference(sums: np.ndarray) -> np.ndarray:
        a, b = np.split(_scores_by_seed(metric, sums, sum(n_seeds)), n_seeds[:1], axis=-2)
        return a.mean(-2) - b.mean(-2)

    drawn = resample(statistics, difference, draw_blocks(blocks.n_blocks, draws, rng))
    flipped = _flip_signs(drawn, draws, rng)
    by_seed = _scores_by_seed(metric, statistics.sum(0), sum(n_seeds))
    part = _average_neurons(drawn, flipped, _seed_variances(by_seed, n_seeds), rng)
    return (
        RecordingDifference(
            neurons=neuron_intervals(drawn, IDENTITY, level, blocks.n_varying(recording.observed)),
            neuron_p=_two_sided_p(drawn.value, flipped),
            mean=_interval_and_p(part, blocks.n_blocks, level, rng)[0],
            n_seeds=n_seeds,
            n_blocks=blocks.n_blocks,
        ),
        part,
    )


def _scores_by_seed(metric: Metric, sums: np.ndarray, n_sets: int) -> np.ndarray:
    """Score the seeds whose statistics lie behind each other, (..., seed, neuron)."""
    by_seed = sums.reshape(*sums.shape[:-2], n_sets, -1, sums.shape[-1])
    return metric.from_statistics(by_seed)


def _flip_signs(drawn: BlockDraws, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Give each block's share in the differences a random sign, for all neurons at once.

    Without a difference between the models, a block is as likely to favor the one as the other.

    Returns:
        Differences under that null, (draw, neuron).
    """
    influence = np.einsum("sn,bsn->bn", drawn.slope, drawn.statistics)
    influence -= influence.mean(0)  # 0 but for the rounding of a numerical slope
    share = drawn.value / drawn.n_blocks + influence
    return rng.choice([-1.0, 1.0], (draws, drawn.n_blocks)) @ share


def _seed_variances(by_seed: np.ndarray, n_seeds: tuple[int, int]) -> tuple[tuple[float, int], ...]:
    """Estimate how far each model's mean would move with other seeds; one seed cannot tell."""
    means = weighted_mean(by_seed, mean_weights(by_seed))
    models = np.split(means, n_seeds[:1])
    return tuple((float(m.var(ddof=1)) / len(m), len(m) - 1) for m in models if len(m) > 1)


def _average_neurons(
    drawn: BlockDraws,
    flipped: np.ndarray,
    seed_variances: tuple[tuple[float, int], ...],
    rng: np.random.Generator,
) -> _Draws:
    """Draw neurons within each draw of blocks, and average over them."""
    is_scored = np.isfinite(drawn.value)
    counts = np.zeros(drawn.drawn.shape)
    counts[:, is_scored] = draw_counts(int(is_scored.sum()), len(counts), rng)
    counts *= np.isfinite(drawn.drawn)
    weights = counts / np.maximum(1, counts.sum(1, keepdims=True))
    even = mean_weights(drawn.value)
    error, drawn_error = _errors_over_blocks_and_neurons(drawn, weights)
    return _Draws(
        value=weighted_mean(drawn.value, even),
        error=error,
        drawn=weighted_mean(drawn.drawn, weights),
        drawn_error=drawn_error,
        flipped=weighted_mean(flipped, np.broadcast_to(even, flipped.shape)),
        seed_variances=seed_variances,
    )


def _errors_over_blocks_and_neurons(
    drawn: BlockDraws, drawn_weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Add the variance of a mean over neurons from blocks and from the choice of neurons."""
    even = mean_weights(drawn.value)
    block_error, drawn_block_error = population_errors(drawn, even, drawn_weights)
    neuron_error = _error_over_neurons(drawn.value, even)
    drawn_neuron_error = _error_over_neurons(drawn.drawn, drawn_weights)
    error = np.hypot(block_error, neuron_error)
    return np.asarray(error), np.hypot(drawn_block_error, drawn_neuron_error)


def _error_over_neurons(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    known = np.where(np.isfinite(values), values, 0.0)
    mean = (known * weights).sum(-1, keepdims=True)
    n_neurons = int(np.isfinite(values).any(tuple(range(values.ndim - 1))).sum())
    square = ((known - mean) ** 2 * weights).sum(-1)
    return np.asarray(np.sqrt(square / max(1, n_neurons - 1)))


def _pool(parts: Sequence[_Draws]) -> _Draws:
    """Average over recordings, each counting the same."""
    n = len(parts)
    return _Draws(
        value=np.asarray(np.mean([p.value for p in parts], axis=0)),
        error=np.asarray(np.sqrt(np.sum([p.error**2 for p in parts], axis=0)) / n),
        drawn=np.mean([p.drawn for p in parts], axis=0),
        drawn_error=np.sqrt(np.sum([p.drawn_error**2 for p in parts], axis=0)) / n,
        flipped=np.mean([p.flipped for p in parts], axis=0),
        seed_variances=tuple((v / n**2, d) for p in parts for v, d in p.seed_variances),
    )


def _interval_and_p(
    draws: _Draws, n_blocks: int, level: float, rng: np.random.Generator
) -> tuple[Interval, float]:
    """Add to each distance one drawn from Student's t for the seeds; take quantile and rank."""
    center, distance = center_and_distances(
        draws.value, draws.error, draws.drawn, draws.drawn_error, IDENTITY
    )
    distance = np.abs(distance + _draw_seed_shift(draws, rng))
    interval = symmetric_interval(draws.value, center, distance, n_blocks, IDENTITY, level)
    if n_blocks < MIN_BLOCKS:
        return interval, float("nan")
    return interval, float(_share_at_least(distance, np.asarray(np.abs(center))))


def _draw_seed_shift(draws: _Draws, rng: np.random.Generator) -> np.ndarray:
    """Draw by how much the mean difference may be off because of which seeds were used."""
    variance = sum(v for v, _ in draws.seed_variances)
    degrees = sum(d for _, d in draws.seed_variances)
    if not variance > 0:
        return np.zeros(len(draws.drawn))
    return np.sqrt(variance) * rng.standard_t(degrees, len(draws.drawn))


def _two_sided_p(value: np.ndarray, null: np.ndarray) -> np.ndarray:
    return _share_at_least(np.abs(null), np.asarray(np.abs(value)))


def _share_at_least(null: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Count draws as far out as the value, the value itself included, so that p is never 0."""
    reached = null >= value * (1 - 1e-9)  # rounding must not part what is equal
    return np.where(np.isnan(value), np.nan, (1 + reached.sum(0)) / (1 + len(null)))
