"""Responses by what the animal does: tuning curves, and averages around gaze shifts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from freegaze.errors import ConfigError, ShapeError

N_LEVELS = 10
"""Levels of a tuning curve, alike in number of bins."""

BLOCK_S = 20.0
"""Bins closer than this are not independent; standard errors are over blocks of this length."""

SHIFT_DEG_S = 250.0
"""Gaze velocity of a shift: saccade-like jumps of freely moving mice are faster."""

REFRACTORY_S = 0.25
"""Time after a gaze shift in which no second one is counted."""


@dataclass(frozen=True, eq=False)
class TuningCurve:
    """Responses at levels of a signal.

    Args:
        level: Mean of the signal at each level, in its own unit.
        observed: Mean response at each level, (level, neuron).
        observed_se: Standard error of ``observed`` over blocks of 20 s.
        predicted: Mean prediction of the same bins.
        n_bins: Bins at each level.
    """

    level: Float[np.ndarray, " level"]
    observed: Float[np.ndarray, "level neuron"]
    observed_se: Float[np.ndarray, "level neuron"]
    predicted: Float[np.ndarray, "level neuron"]
    n_bins: Integer[np.ndarray, " level"]


def tuning_curve(
    signal: Float[np.ndarray, " time"],
    observed: Float[np.ndarray, "time neuron"],
    predicted: Float[np.ndarray, "time neuron"],
    bin_width_s: float,
    n_levels: int = N_LEVELS,
) -> TuningCurve:
    """Average responses over bins of alike signal.

    Levels hold alike numbers of bins; levels that would be the same (a mouse at rest has one speed)
    are one. Bins in which the signal is NaN are left out.

    Args:
        signal: The signal in each bin.
        observed: Observed responses.
        predicted: Predicted responses.
        bin_width_s: Width of a bin in seconds.
        n_levels: Most levels.

    Returns:
        The curve.

    Raises:
        ShapeError: If lengths differ.
        ConfigError: If there are no levels.

    Example:
        >>> signal = np.tile([0.0, 1.0], 500)
        >>> curve = tuning_curve(signal, 3 * signal[:, None], signal[:, None], 0.05, 2)
        >>> curve.observed[:, 0].tolist(), curve.observed_se[:, 0].tolist()
        ([0.0, 3.0], [0.0, 0.0])
    """
    if not len(signal) == len(observed) == len(predicted):
        raise ShapeError(
            f"expected as many bins of the signal as of responses, got {len(signal)}, "
            f"{len(observed)} and {len(predicted)}"
        )
    if n_levels < 1:
        raise ConfigError(f"a tuning curve needs at least one level, got {n_levels}")
    known = np.isfinite(signal)
    block = (np.arange(len(signal)) * bin_width_s // BLOCK_S).astype(int)[known]
    signal, observed, predicted = signal[known], observed[known], predicted[known]
    edges = np.unique(np.quantile(signal, np.linspace(0, 1, n_levels + 1))) if len(signal) else []
    level = np.searchsorted(
        np.asarray(edges)[1:-1], signal, side="left" if len(edges) < 2 else "right"
    )
    kept, level = np.unique(level, return_inverse=True)
    n_bins = np.bincount(level, minlength=len(kept))
    totals = _sums(observed, level, len(kept))
    mean = totals / n_bins[:, None]
    return TuningCurve(
        level=_sums(signal[:, None], level, len(kept))[:, 0] / n_bins,
        observed=mean,
        observed_se=_ratio_error(observed, mean, level, block, n_bins),
        predicted=_sums(predicted, level, len(kept)) / n_bins[:, None],
        n_bins=n_bins,
    )


def gaze_velocity(
    eye_deg: Float[np.ndarray, " time"],
    head_velocity_deg_s: Float[np.ndarray, " time"],
    bin_width_s: float,
) -> Float[np.ndarray, " time"]:
    """Return the horizontal velocity of gaze in degrees per second: of the eye, and of the head.

    Args:
        eye_deg: Horizontal eye angle.
        head_velocity_deg_s: Yaw velocity of the head, of the same sign.
        bin_width_s: Width of a bin in seconds.
    """
    return np.diff(eye_deg, prepend=eye_deg[:1]) / bin_width_s + head_velocity_deg_s


def gaze_shifts(
    eye_deg: Float[np.ndarray, " time"],
    head_velocity_deg_s: Float[np.ndarray, " time"],
    bin_width_s: float,
    threshold_deg_s: float = SHIFT_DEG_S,
) -> Integer[np.ndarray, " event"]:
    """Return the bins in which gaze jumps: eye and head together are fastest, above a threshold.

    Args:
        eye_deg: Horizontal eye angle; NaN where tracking was lost, where no shift is seen.
        head_velocity_deg_s: Yaw velocity of the head, of the same sign.
        bin_width_s: Width of a bin in seconds.
        threshold_deg_s: Least gaze velocity.

    Returns:
        Bins, in order of time.
    """
    velocity = np.nan_to_num(np.abs(gaze_velocity(eye_deg, head_velocity_deg_s, bin_width_s)))
    reach = max(1, round(REFRACTORY_S / bin_width_s))
    padded = np.concatenate([np.zeros(reach), velocity, np.zeros(reach)])
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(1)
    events: list[int] = []
    for event in np.flatnonzero((velocity >= threshold_deg_s) & (velocity >= around)):
        if not events or event - events[-1] > reach:  # of equally fast bins, the first
            events.append(int(event))
    return np.array(events, dtype=int)


def aligned_average(
    values: Float[np.ndarray, "time neuron"], events: Integer[np.ndarray, " event"], reach: int
) -> Float[np.ndarray, "offset neuron"]:
    """Average values around events.

    Args:
        values: One row per bin.
        events: Bins; those closer than ``reach`` to either end are left out.
        reach: Bins before and after.

    Returns:
        Averages at ``-reach .. reach`` bins from the event; NaN without events.
    """
    events = events[(events >= reach) & (events < len(values) - reach)]
    if not len(events):
        return np.full((2 * reach + 1, values.shape[1]), np.nan)
    return np.stack([values[events + k].mean(0) for k in range(-reach, reach + 1)])


def _sums(values: np.ndarray, level: np.ndarray, n: int) -> np.ndarray:
    out = np.zeros((n, values.shape[1]))
    np.add.at(out, level, values)
    return out


def _ratio_error(
    observed: np.ndarray, mean: np.ndarray, level: np.ndarray, block: np.ndarray, n_bins: np.ndarray
) -> np.ndarray:
    """Return the standard error of a ratio of sums over blocks."""
    pair, place = np.unique(np.stack([level, block]), axis=1, return_inverse=True)
    surprise = _sums(observed - mean[level], place.ravel(), pair.shape[1])
    return np.sqrt(_sums(surprise**2, pair[0], len(n_bins))) / n_bins[:, None]
