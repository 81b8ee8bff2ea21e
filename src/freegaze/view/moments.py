"""Moments at which predictions of a neuron are best and worst."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

from freegaze.contiguous import run_bounds
from freegaze.metrics.metric import METRICS, ScoreContext
from freegaze.recording.recording import ResponseKind

MOMENT_S = 4.0
"""Length of a moment: a few movements of the head, and enough spikes to see a difference."""

N_MOMENTS = 8
"""Moments of each kind."""


@dataclass(frozen=True)
class Moment:
    """Contiguous bins and how well they are predicted.

    Args:
        start: First bin.
        stop: One past the last bin.
        gain: Log-likelihood of the prediction over that of the mean training rate, in bits; for
            fluorescence, squared error of the mean minus that of the prediction.
    """

    start: int
    stop: int
    gain: float


def find_moments(
    rates: Float[np.ndarray, " time"],
    observed: Float[np.ndarray, " time"],
    mean: float,
    is_scored: Bool[np.ndarray, " time"],
    segment_ids: Integer[np.ndarray, " time"],
    bin_width_s: float,
    kind: str,
) -> tuple[list[Moment], list[Moment]]:
    """Find the moments of 4 s at which a neuron is predicted best and worst.

    Moments do not overlap and lie within a segment. Without a known mean rate, or with no scored
    bin, there are none.

    Args:
        rates: Predicted responses per bin.
        observed: Recorded responses per bin.
        mean: Mean response per bin over training bins.
        is_scored: Bins to choose from.
        segment_ids: Number of each bin's segment.
        bin_width_s: Width of a bin in seconds.
        kind: Kind of the responses.

    Returns:
        The best moments, best first, and the worst, worst first.

    Example:
        >>> rates, observed = np.full(160, 0.5), np.zeros(160)
        >>> observed[80:] = 1.0
        >>> best, worst = find_moments(
        ...     rates, observed, 0.2, np.ones(160, bool), np.zeros(160, int), 0.05, "spike_counts"
        ... )
        >>> best[0].start, worst[0].start
        (80, 0)
    """
    is_known = is_scored & np.isfinite(rates) & np.isfinite(observed)
    bins = np.flatnonzero(is_known)
    if not len(bins) or not np.isfinite(mean):
        return [], []
    gain = _gain(rates[bins], observed[bins], mean, bin_width_s, kind)
    n = max(1, round(MOMENT_S / bin_width_s))
    moments = []
    for first, stop in zip(
        *run_bounds(bins - np.arange(len(bins)), segment_ids[bins]), strict=True
    ):
        starts = np.arange(first, stop - n + 1, n)
        moments += [
            Moment(int(bins[i]), int(bins[i]) + n, float(gain[i : i + n].sum())) for i in starts
        ]
    ordered = sorted((m for m in moments if np.isfinite(m.gain)), key=lambda moment: -moment.gain)
    return ordered[:N_MOMENTS], ordered[::-1][:N_MOMENTS]


def _gain(
    rates: np.ndarray, observed: np.ndarray, mean: float, bin_width_s: float, kind: str
) -> np.ndarray:
    if kind == ResponseKind.FLUORESCENCE:
        return (observed - mean) ** 2 - (observed - rates) ** 2
    context = ScoreContext(np.array([mean]), np.zeros(len(rates), int), bin_width_s, str(kind))
    per_bin = METRICS.get("bits_per_spike").per_bin
    bits, _ = per_bin(rates[:, None].astype(float), observed[:, None].astype(float), context)
    return bits[:, 0]
