"""Correlation between prediction and recording, in single bins and after smoothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer, Real

from freegaze.contiguous import run_bounds, run_ids
from freegaze.errors import ConfigError
from freegaze.metrics.checks import as_pair, check_length, is_constant
from freegaze.metrics.metric import ScoreContext, Sums, register_metric
from freegaze.metrics.scales import FISHER_Z

SMOOTHING_S = 2.0
"""Width of the boxcar in seconds, as in Parker et al. (2022) and Xu et al. (2023)."""

SMALLEST_VARIANCE = 1e-12
"""Below this share of the mean square, a variance from sums is rounding error of a constant."""


def single_bin_correlation(
    predicted: Real[np.ndarray, "time neuron"], observed: Real[np.ndarray, "time neuron"]
) -> Float[np.ndarray, " neuron"]:
    """Correlate prediction and recording of each neuron over all bins pooled.

    Args:
        predicted: Predicted responses.
        observed: Recorded responses.

    Returns:
        Pearson's r of each neuron; NaN where either of the two is constant.

    Raises:
        ShapeError: If shapes disagree.

    Source: the value that Xu et al. (2023) computed but never reported (deviation Q31).

    Example:
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> single_bin_correlation(x, 3 - x)
        array([-1.])
    """
    predicted, observed = as_pair(predicted, observed)
    return pearson([values.sum(0) for values in _moments(predicted, observed)])


def boxcar_bins(bin_width_s: float, smoothing_s: float = SMOOTHING_S) -> int:
    """Return the width of the boxcar in bins, rounded to the nearest, at least 1.

    Args:
        bin_width_s: Width of a bin in seconds.
        smoothing_s: Width of the boxcar in seconds.

    Example:
        >>> boxcar_bins(0.048)
        42
    """
    return max(1, round(smoothing_s / bin_width_s))


def smooth_boxcar(
    values: Real[np.ndarray, "time neuron"],
    width_bins: int,
    segment_ids: Integer[np.ndarray, " time"],
) -> Float[np.ndarray, "time neuron"]:
    """Average over a sliding window within each segment.

    The window of bin t is ``t - width // 2`` to ``t + (width - 1) // 2``: centered for odd widths,
    one bin further back than ahead for even ones (as ``numpy.convolve(..., "same")`` has it). At
    the ends of a segment the mean is over the bins that there are.

    Args:
        values: One column per neuron.
        width_bins: Width of the window in bins.
        segment_ids: Label of the segment of each bin; the window never crosses a change of label.

    Returns:
        The smoothed values.

    Raises:
        ConfigError: If the width is below 1.
        ShapeError: If there is not one label a bin.

    Example:
        >>> smooth_boxcar(np.array([[0.0], [3.0], [6.0], [9.0]]), 3, np.array([0, 0, 0, 1])).ravel()
        array([1.5, 3. , 4.5, 9. ])
    """
    if width_bins < 1:
        raise ConfigError(f"the smoothing window must be at least 1 bin wide, got {width_bins}")
    check_length(segment_ids, len(values))
    first, stop = run_bounds(segment_ids)
    run = run_ids(segment_ids)
    time = np.arange(len(values))
    low = np.maximum(time - width_bins // 2, first[run])
    high = np.minimum(time + (width_bins - 1) // 2 + 1, stop[run])
    offset = values[:1].astype(np.float64)  # keeps constants exact and the running sum small
    running = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values - offset, axis=0, out=running[1:])
    return (running[high] - running[low]) / (high - low)[:, None] + offset


def pearson(sums: Sums) -> Float[np.ndarray, "... neuron"]:
    """Compute Pearson's r from sums over any bins.

    Args:
        sums: Sums of 1, x, y, xx, yy and xy, (..., neuron) each.

    Returns:
        Pearson's r; NaN where a variance is 0, or no more than rounding error of a constant.
    """
    n, x, y, xx, yy, xy = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        var_x, var_y = xx - x * x / n, yy - y * y / n
        r = (xy - x * y / n) / np.sqrt(var_x * var_y)
        is_defined = (var_x > SMALLEST_VARIANCE * xx) & (var_y > SMALLEST_VARIANCE * yy)
    return np.where(is_defined, np.clip(r, -1.0, 1.0), np.nan)


@register_metric(
    "correlation",
    label="correlation",
    unit="",
    higher_is_better=True,
    formula=pearson,
    scale=FISHER_Z,
)
def correlation(
    predicted: np.ndarray, observed: np.ndarray, context: ScoreContext
) -> Sequence[np.ndarray]:
    """Pearson's r in single bins, all test bins pooled."""
    return _moments(predicted, observed)


@register_metric(
    "smoothed_correlation",
    label="correlation, 2 s boxcar",
    unit="",
    higher_is_better=True,
    formula=pearson,
    scale=FISHER_Z,
)
def smoothed_correlation(
    predicted: np.ndarray, observed: np.ndarray, context: ScoreContext
) -> Sequence[np.ndarray]:
    """Pearson's r after a 2 s boxcar within segments (Xu et al. 2023, Q29).

    It is higher than the correlation in single bins and rewards slow signals such as the state of
    the animal; quote it beside that one, never alone.

    Source: Xu et al. (2023), Tables 1 to 3, without mixing segments (deviation Q29).
    """
    width = boxcar_bins(context.bin_width_s)
    smooth = [smooth_boxcar(v, width, context.segment_ids) for v in (predicted, observed)]
    return _moments(smooth[0], smooth[1])


def _moments(predicted: np.ndarray, observed: np.ndarray) -> Sequence[np.ndarray]:
    x, y = _center(predicted), _center(observed)
    return np.ones_like(x), x, y, x * x, y * y, x * y


def _center(values: np.ndarray) -> np.ndarray:
    """Subtract each neuron's mean, so that sums of squares lose no digits; constants become 0."""
    centered = values - values.mean(0)
    centered[:, is_constant(values)] = 0.0  # not a rounding error
    return centered
