"""Null scores of a prediction: against shifted time, or against shuffled trials.

Two slow signals that have nothing to do with each other correlate in any one recording. These
nulls keep the slowness of both and break only their alignment. Shifts are linear: a circular one
would join the end of a recording to its start. They never cross segments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Integer, Real

from freegaze.contiguous import run_bounds
from freegaze.errors import ConfigError, DataError
from freegaze.metrics.metric import METRICS, Metric, ScoreContext

MAX_SHIFT_S = 180.0
"""Longest shift in seconds; this much is lost at both ends of each segment."""

N_SHIFTS = 100
"""Number of shifts, half of them to each side: every 3.6 s with the limit above."""

N_PERMUTATIONS = 100
"""Number of permutations of trials."""


@dataclass(frozen=True, eq=False)
class NullScores:
    """The score of each neuron beside the scores that it gets by chance.

    Args:
        metric: Name of the score.
        value: The true score, over the same bins as the null scores.
        mean: Mean of the null scores of each neuron.
        percentile_95: 95th percentile of the null scores; the 5th if the score is an error.
        p_value: Share of null scores, the true one included, that are as good as the true one.
        p_conservative: m / (1 + n) for the m-th best of the true score and n shifts to a side: a
            bound for any two signals, the one shifted being stationary. For permutations
            ``p_value``, which assumes that trials can be exchanged; `trial_test` does not.
        n_null: Number of null scores.
        n_bins: Number of bins that the true and the null scores are over.
    """

    metric: Metric
    value: Float[np.ndarray, " neuron"]
    mean: Float[np.ndarray, " neuron"]
    percentile_95: Float[np.ndarray, " neuron"]
    p_value: Float[np.ndarray, " neuron"]
    p_conservative: Float[np.ndarray, " neuron"]
    n_null: int
    n_bins: int


def time_shift_null(
    metric_name: str,
    predicted: Real[np.ndarray, "time neuron"],
    observed: Real[np.ndarray, "time neuron"],
    context: ScoreContext,
    scored: Bool[np.ndarray, " time"] | None = None,
    max_shift_s: float = MAX_SHIFT_S,
    n_shifts: int = N_SHIFTS,
) -> NullScores:
    """Score predictions shifted against the recording, evenly from no shift to the longest.

    The shortest shifts are kept: without the neighbors of zero, the bound ``p_conservative`` does
    not hold. The recorded bins stay the same for all shifts: those from which ``max_shift_s`` to
    both sides lies within their segment. The true score is taken over them too.

    Where test segments are too short for that, pass the whole session, on which the model can
    predict as well, with ``scored`` marking the test bins and ``context.segment_ids`` the
    segments recorded without a break; or use `permutation_null` with the segments as trials.

    Args:
        metric_name: Name of a registered metric.
        predicted: Predicted responses.
        observed: Recorded responses.
        context: Training baselines, segments, bin width and kind of response.
        scored: Recorded bins that count; all by default.
        max_shift_s: Longest shift in seconds.
        n_shifts: Number of shifts, half of them to each side.

    Returns:
        True and null scores.

    Raises:
        ConfigError: If the limit leaves no shift.
        DataError: If no segment is long enough.
        ShapeError: If shapes disagree.

    Source: K. D. Harris (2020), arXiv:2012.06862.
    """
    metric = METRICS.get(metric_name)
    predicted, observed = metric.check(predicted, observed, context)
    shifts = _shifts(max_shift_s, n_shifts, context.bin_width_s)
    window = _central_window(context.segment_ids, int(shifts.max()))
    if scored is not None:
        window &= scored
    if not window.any():
        raise DataError(
            f"no scored bin lies {max_shift_s:g} s from both ends of its segment; lower "
            "`max_shift_s`, score the whole session with `scored`, or permute segments instead"
        )
    bins, context = np.flatnonzero(window), context.select_bins(window)
    value = metric(predicted[bins], observed[bins], context)
    null = (metric(predicted[bins + shift], observed[bins], context) for shift in shifts)
    return _summarize(metric, value, null, len(bins), n_tail=len(shifts) // 2)


def permutation_null(
    metric_name: str,
    predicted: Real[np.ndarray, "time neuron"],
    observed: Real[np.ndarray, "time neuron"],
    context: ScoreContext,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> NullScores:
    """Score the predictions of each trial against the recording of another one.

    Each segment is a trial. The true score and the null scores are of the same bins: those of
    `equal_trials`. A permutation leaves no trial in its place, so that the null holds no true pair.

    Args:
        metric_name: Name of a registered metric.
        predicted: Predicted responses.
        observed: Recorded responses.
        context: Training baselines, segments (trials), bin width and kind of response.
        n_permutations: Number of permutations.
        seed: Seed of the permutations.

    Returns:
        True and null scores.

    Raises:
        DataError: If there are fewer than two trials.
        ConfigError: If there is no permutation.
        ShapeError: If shapes disagree.
    """
    metric, rng = METRICS.get(metric_name), np.random.default_rng(seed)
    predicted, observed = metric.check(predicted, observed, context)
    if n_permutations < 1:
        raise ConfigError(f"a null needs at least one permutation, got {n_permutations}")
    trials = equal_trials(context.segment_ids)
    if len(trials) < 2:
        raise DataError("permuting trials needs at least two segments of one length, got one")
    bins = trials.ravel()
    segment_ids = np.repeat(np.arange(len(trials)), trials.shape[1])
    context = replace(context, segment_ids=segment_ids)
    value = metric(predicted[bins], observed[bins], context)
    null = (
        metric(predicted[trials[_derangement(len(trials), rng)].ravel()], observed[bins], context)
        for _ in range(n_permutations)
    )
    return _summarize(metric, value, null, len(bins), n_tail=n_permutations)


def equal_trials(
    segment_ids: Integer[np.ndarray, " time"],
) -> Integer[np.ndarray, "trial bin"]:
    """Return the bins of trials cut to one length: that which keeps most bins.

    Args:
        segment_ids: Label of the trial of each bin; shorter trials are left out.

    Example:
        >>> equal_trials(np.array([0, 0, 0, 1, 2, 2, 2]))
        array([[0, 1, 2],
               [4, 5, 6]])
    """
    first, stop = run_bounds(segment_ids)
    lengths = stop - first
    length = int(max(np.unique(lengths), key=lambda n: n * (lengths >= n).sum()))
    return first[lengths >= length, None] + np.arange(length)


def _shifts(max_shift_s: float, n_shifts: int, bin_width_s: float) -> Integer[np.ndarray, " shift"]:
    """Return multiples of one shift in bins, without zero, alike to both sides."""
    longest = int(np.floor(max_shift_s / bin_width_s + 1e-9))
    if longest < 1 or n_shifts < 2:
        raise ConfigError(
            f"no shift of up to {max_shift_s:g} s at {bin_width_s:g} s per bin; `max_shift_s` must "
            "be at least one bin, and `n_shifts` at least 2"
        )
    step = max(1, longest // (n_shifts // 2))
    one_side = step * np.arange(1, min(n_shifts // 2, longest // step) + 1)
    return np.concatenate([-one_side[::-1], one_side])


def _central_window(segment_ids: np.ndarray, reach: int) -> Bool[np.ndarray, " time"]:
    window = np.zeros(len(segment_ids), dtype=bool)
    for first, stop in zip(*run_bounds(segment_ids), strict=True):
        window[first + reach : max(first + reach, stop - reach)] = True
    return window


def _derangement(n: int, rng: np.random.Generator) -> Integer[np.ndarray, " n"]:
    """Draw a permutation that leaves nothing in its place (one of e = 2.7 does by chance)."""
    while True:
        order = rng.permutation(n)
        if (order != np.arange(n)).all():
            return order


def _summarize(
    metric: Metric, value: np.ndarray, null: Iterable[np.ndarray], n_bins: int, n_tail: int
) -> NullScores:
    scores = np.stack(list(null))
    sign = 1.0 if metric.higher_is_better else -1.0
    is_scored = np.isfinite(value) & np.isfinite(scores).all(0)
    known = np.where(is_scored, sign * scores, 0.0)
    n_reached = 1 + (known >= np.where(is_scored, sign * value, 0.0)).sum(0)

    def where_scored(values: np.ndarray) -> np.ndarray:
        return np.where(is_scored, values, np.nan)

    return NullScores(
        metric=metric,
        value=value,
        mean=where_scored(sign * known.mean(0)),
        percentile_95=where_scored(sign * np.quantile(known, 0.95, axis=0)),
        p_value=where_scored(n_reached / (1 + len(scores))),
        p_conservative=where_scored(np.minimum(1.0, n_reached / (1 + n_tail))),
        n_null=len(scores),
        n_bins=n_bins,
    )
