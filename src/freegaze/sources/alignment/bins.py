"""Equal bins of time, and the conversion of events and samples to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

from freegaze.errors import DataError

MOST_BINS = 20_000_000
"""Eleven days at 50 ms. More bins mean that times are in another unit than seconds."""

SAME_TIME_S = 1e-6
"""Times closer than this count as equal; no clock is more precise.

The one tolerance of all comparisons of bins with times of frames, samples, events and intervals.
Without it, rounding decides: ``0 + 3 * 0.1`` is a hair above 0.3, and a frame at 0.3 s would fall
into the bin before.
"""


@dataclass(frozen=True, slots=True)
class Bins:
    """Consecutive bins of equal width; bin k holds ``edges[k] <= time < edges[k + 1]``.

    A time that is less than ``SAME_TIME_S`` before an edge is on the edge.

    Args:
        start_s: Left edge of the first.
        width_s: Width of each.
        n_bins: How many.
    """

    start_s: float
    width_s: float
    n_bins: int

    @property
    def edges(self) -> Float[np.ndarray, " n_edges"]:
        """Edges in seconds, one more than bins."""
        return self.start_s + self.width_s * np.arange(self.n_bins + 1)

    @property
    def centers(self) -> Float[np.ndarray, " n_bins"]:
        """Centres in seconds."""
        return self.start_s + self.width_s * (np.arange(self.n_bins) + 0.5)

    def count_before_edges(self, times: np.ndarray) -> Integer[np.ndarray, " n_edges"]:
        """Return the number of times before each edge.

        Args:
            times: Session times in order.
        """
        return np.searchsorted(times, self.edges - SAME_TIME_S)

    def are_within(self, intervals: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n_bins"]:
        """Return which bins lie wholly inside one of the intervals.

        Args:
            intervals: Start and stop of each, in order, not overlapping.
        """
        edges = self.edges
        last = np.searchsorted(intervals[:, 0], edges[:-1] + SAME_TIME_S) - 1
        stop = np.r_[intervals[:, 1], -np.inf][last]  # of no interval where none has begun
        return edges[1:] <= stop + SAME_TIME_S

    def touch(self, intervals: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n_bins"]:
        """Return which bins share time with one of the intervals, which may overlap."""
        first = np.searchsorted(self.edges, intervals[:, 0] + SAME_TIME_S, side="right") - 1
        stop = np.searchsorted(self.edges, intervals[:, 1] - SAME_TIME_S)
        change = np.zeros(self.n_bins + 1, np.int64)
        first, stop = np.clip(first, 0, self.n_bins), np.clip(stop, 0, self.n_bins)
        is_some = stop > first
        np.add.at(change, first[is_some], 1)
        np.add.at(change, stop[is_some], -1)
        return np.cumsum(change)[:-1] > 0


def make_bins(start_s: float, stop_s: float, width_s: float) -> Bins:
    """Return the whole bins between two times.

    Args:
        start_s: Left edge of the first bin.
        stop_s: No bin ends after this; an incomplete bin at the end is left out.
        width_s: Width of a bin.

    Raises:
        DataError: If no bin fits, or the number of bins is absurd.
    """
    span = stop_s - start_s
    if not span >= width_s - SAME_TIME_S:
        raise DataError(
            f"no bin of {width_s:g} s fits between {start_s:.6g} and {stop_s:.6g} s; check "
            "the clocks, `start_s` and `stop_s`"
        )
    if span / width_s > MOST_BINS:
        raise DataError(
            f"{start_s:.6g} to {stop_s:.6g} s is {span / width_s:.3g} bins; are all times in "
            "seconds? State `scale_to_s` of the clock, or a wider bin"
        )
    return Bins(start_s, width_s, int((span + SAME_TIME_S) // width_s))


def count_events(
    times: Sequence[np.ndarray], bins: Bins
) -> Float[np.ndarray, "{bins.n_bins} n_units"]:
    """Count the events of each unit in each bin; their order does not matter.

    Args:
        times: Session times of each unit's events; those outside all bins are not counted.
        bins: Bins in which to count.

    Returns:
        Counts, float32.
    """
    counts = np.empty((bins.n_bins, len(times)), np.float32)
    for unit, events in enumerate(times):
        counts[:, unit] = np.diff(bins.count_before_edges(np.sort(events)))
    return counts


def merge_duplicates(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average the finite values of samples at the same time.

    Args:
        times: Times in order, shape (n,).
        values: Shape (n,), NaN where lost.

    Returns:
        Times, all different, and values; NaN where all samples at a time are lost.
    """
    distinct, first = np.unique(times, return_index=True)
    if len(distinct) == len(times):
        return times, values
    is_known = np.isfinite(values)
    total = np.add.reduceat(np.where(is_known, values, 0.0), first)
    n_known = np.add.reduceat(is_known.astype(np.int64), first)
    mean = np.full(len(distinct), np.nan)
    np.divide(total, n_known, out=mean, where=n_known > 0)
    return distinct, mean


def interpolate(
    times: np.ndarray, values: np.ndarray, at: np.ndarray, max_gap_s: float
) -> Float[np.ndarray, " n_at"]:
    """Interpolate linearly between samples that are close enough in time.

    Args:
        times: Session times of the samples, in order; equal ones are averaged.
        values: One number per sample; NaN is a sample that was lost.
        at: Times of the wanted values, in order.
        max_gap_s: Between known samples further apart than this, and outside all samples, the value
            is NaN. A sample itself keeps its value.

    Returns:
        Values, float64, shape of ``at``.
    """
    times, values = merge_duplicates(times, values)
    is_known = np.isfinite(values)
    times, values = times[is_known], values[is_known]
    if not len(times):
        return np.full(len(at), np.nan)
    out = np.interp(at, times, values)
    after = np.searchsorted(times, at)
    left, right = times[np.maximum(after - 1, 0)], times[np.minimum(after, len(times) - 1)]
    nearest = np.minimum(np.abs(at - left), np.abs(at - right))
    is_between = (after > 0) & (after < len(times)) & (right - left <= max_gap_s + SAME_TIME_S)
    out[~is_between & (nearest > SAME_TIME_S)] = np.nan
    return out


def hold(
    times: np.ndarray, values: np.ndarray, at: np.ndarray, max_gap_s: float
) -> Float[np.ndarray, " n_at"]:
    """Return the value of the last sample before each time, for signals that change in steps.

    Args:
        times: Session times of the samples, in order; of equal ones the last counts.
        values: One number per sample; NaN is a sample that was lost.
        at: Times of the wanted values.
        max_gap_s: The value is NaN if the last sample is further back than this, or if there is
            none.

    Returns:
        Values, float64, shape of ``at``.
    """
    last = np.searchsorted(times, at + SAME_TIME_S, side="right") - 1
    out = values[np.maximum(last, 0)].astype(np.float64)
    out[(last < 0) | (at - times[np.maximum(last, 0)] > max_gap_s * (1 + 1e-9))] = np.nan
    return out


def interpolate_angle(
    times: np.ndarray, values: np.ndarray, at: np.ndarray, max_gap_s: float
) -> Float[np.ndarray, " n_at"]:
    """Interpolate an angle in degrees the short way round, as ``interpolate`` does.

    Returns:
        Angles in -180..180.

    Example:
        >>> times, heading = np.array([0.0, 1.0]), np.array([170.0, -170.0])
        >>> interpolate_angle(times, heading, np.array([0.25, 0.75]), max_gap_s=2.0)
        array([ 175., -175.])
    """
    known = np.isfinite(values)
    straight = np.full(len(values), np.nan)
    straight[known] = np.unwrap(values[known], period=360.0)
    found = interpolate(times, straight, at, max_gap_s)
    return (found + 180.0) % 360.0 - 180.0


def integrate(
    times: np.ndarray, values: np.ndarray, bins: Bins, max_gap_s: float
) -> Float[np.ndarray, " n_bins"]:
    """Spread each sample evenly over the time that it covers, and sum over each bin.

    It is for amounts (inferred spikes): their sum is the same for any widths of bins and samples. A
    sample covers the time halfway to its neighbors; towards a gap it covers half a typical
    interval.

    Args:
        times: Session times of the samples, in order.
        values: Amount in each, NaN where lost.
        bins: Bins to sum in.
        max_gap_s: A gap between samples wider than this has no amount.

    Returns:
        Amounts, float64; NaN in bins that a lost sample or a gap touches.
    """
    times, values = merge_duplicates(times, values)
    steps = np.diff(times)
    half = np.median(steps) / 2 if len(steps) else bins.width_s / 2
    reach = np.where(steps <= max_gap_s + SAME_TIME_S, steps / 2, np.minimum(half, steps / 2))
    start, stop = times - np.r_[half, reach], times + np.r_[reach, half]
    known = np.isfinite(values)
    corners = np.column_stack([start, stop]).reshape(-1)
    amount = np.cumsum(np.column_stack([np.zeros(len(times)), np.where(known, values, 0.0)]))
    covered = np.cumsum(np.column_stack([np.zeros(len(times)), np.where(known, stop - start, 0.0)]))
    edges = bins.edges
    sums = np.diff(np.interp(edges, corners, amount))
    cover = np.diff(np.interp(edges, corners, covered))
    sums[cover < bins.width_s - SAME_TIME_S] = np.nan
    return sums
