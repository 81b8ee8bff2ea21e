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
    resample_blocks,
    weighted_mean,
)
from freegaze.metrics.intervals import mean_weights, neuron_intervals, population_widening
from freegaze.metrics.metric import METRICS, Metric, ScoreContext
from freegaze.metrics.sampled_scores import (
    LEVEL,
    MIN_BLOCKS,
    Interval,
    SampledScore,
    error_factor,
    sampled_interval,
    sampled_p,
    share_at_least,
)
from freegaze.metrics.scales import IDENTITY


@dataclass(frozen=True, eq=False)
class PairedRecording:
    """One recording with the predictions of two models, on the same bins and neurons.

    Args:
        predicted_a: Predictions of the first model, one table for each seed it was fitted with.
        predicted_b: Predictions of the second model; it may have another number of seeds.
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

    ``flipped`` holds differences with random signs of blocks. ``seed_variances`` holds, for each
    model in each recording with several seeds, the variance of its mean over seeds and the degrees
    of freedom with which that is known.
    """

    score: SampledScore
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
        seed: Seed of the resampling.
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
        p_sign_flip=float(_two_sided_p(pooled.score.value, pooled.flipped)),
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

    def statistics(parts: TimeBlocks) -> np.ndarray:
        return np.concatenate(
            [
                metric.statistics(predicted, recording.observed, context, parts)
                for predicted in (*recording.predicted_a, *recording.predicted_b)
            ],
            axis=1,
        )

    def difference(sums: np.ndarray) -> np.ndarray:
        a, b = np.split(_scores_by_seed(metric, sums, sum(n_seeds)), n_seeds[:1], axis=-2)
        return a.mean(-2) - b.mean(-2)

    counts = draw_blocks(blocks.n_blocks, draws, rng)
    drawn = resample_blocks(blocks, statistics, difference, counts)
    flipped = _flip_signs(drawn, draws, rng)
    by_seed = _scores_by_seed(metric, drawn.statistics.sum(0), sum(n_seeds))
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
    value, block_error = weighted_mean(drawn.value, even), population_errors(drawn, even, weights)
    neuron_error = _error_over_neurons(drawn.value, even)
    left_out = np.where(np.isfinite(drawn.left_out), drawn.left_out, drawn.value)
    without = weighted_mean(left_out, np.broadcast_to(even, left_out.shape))
    factor = error_factor(value, block_error[0], without, IDENTITY)
    factor = factor * population_widening(drawn, even)
    error = np.asarray(np.hypot(block_error[0], neuron_error))
    widened = np.hypot(factor * block_error[0], neuron_error)
    score = SampledScore(
        value=value,
        error=error,
        drawn=weighted_mean(drawn.drawn, weights),
        drawn_error=np.hypot(block_error[1], _error_over_neurons(drawn.drawn, weights)),
        left_out=without,
        widening=np.asarray(np.divide(widened, error, out=np.ones(()), where=error > 0)),
    )
    flipped_mean = weighted_mean(flipped, np.broadcast_to(even, flipped.shape))
    return _Draws(score, flipped_mean, seed_variances)


def _error_over_neurons(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    known = np.where(np.isfinite(values), values, 0.0)
    mean = (known * weights).sum(-1, keepdims=True)
    n_neurons = int(np.isfinite(values).any(tuple(range(values.ndim - 1))).sum())
    square = ((known - mean) ** 2 * weights).sum(-1)
    return np.asarray(np.sqrt(square / max(1, n_neurons - 1)))


def _pool(parts: Sequence[_Draws]) -> _Draws:
    """Average over recordings, each counting the same."""
    n, scores = len(parts), [p.score for p in parts]
    value = np.asarray(np.mean([s.value for s in scores], axis=0))
    error = np.sqrt(np.sum([s.error**2 for s in scores], axis=0)) / n
    widened = np.sqrt(np.sum([(s.widening * s.error) ** 2 for s in scores], axis=0)) / n
    score = SampledScore(
        value=value,
        error=np.asarray(error),
        drawn=np.mean([s.drawn for s in scores], axis=0),
        drawn_error=np.sqrt(np.sum([s.drawn_error**2 for s in scores], axis=0)) / n,
        left_out=np.concatenate([value + (s.left_out - s.value) / n for s in scores]),
        widening=np.asarray(np.divide(widened, error, out=np.ones(()), where=error > 0)),
    )
    seed_variances = tuple((v / n**2, d) for p in parts for v, d in p.seed_variances)
    return _Draws(score, np.mean([p.flipped for p in parts], axis=0), seed_variances)


def _interval_and_p(
    draws: _Draws, n_blocks: int, level: float, rng: np.random.Generator
) -> tuple[Interval, float]:
    """Add to each distance one drawn from Student's t for the seeds; take quantile and rank."""
    shift = _draw_seed_shift(draws, rng)
    interval = sampled_interval(draws.score, IDENTITY, np.asarray(n_blocks), level, shift)
    has_interval = n_blocks >= MIN_BLOCKS and np.isfinite(interval.low)
    return interval, float(sampled_p(draws.score, shift)) if has_interval else float("nan")


def _draw_seed_shift(draws: _Draws, rng: np.random.Generator) -> np.ndarray:
    """Draw by how much the mean difference may be off because of which seeds were used."""
    variance = sum(v for v, _ in draws.seed_variances)
    degrees = sum(d for _, d in draws.seed_variances)
    if not variance > 0:
        return np.zeros(len(draws.score.drawn))
    return np.sqrt(variance) * rng.standard_t(degrees, len(draws.score.drawn))


def _two_sided_p(value: np.ndarray, null: np.ndarray) -> np.ndarray:
    return share_at_least(np.abs(null), np.asarray(np.abs(value)))
