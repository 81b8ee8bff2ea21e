"""The scores of Xu et al. (2023) exactly as their notebooks compute them, for comparison only.

Their smoothing runs over the ends of segments and pads with zeros (deviation Q29); their R2
measures differences in mean rate between neurons (deviation Q30). Everything else in this package
uses `freegaze.metrics.correlation` and `freegaze.metrics.likelihood`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real

from freegaze.metrics.checks import as_pair
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.metrics.error import mean_squared_error
from freegaze.metrics.likelihood import poisson_nll as poisson_nll_of_neurons

PAPER_WIDTH_BINS = 41
"""int(2000 ms / 48 ms), cut off where the default rounds."""


def smooth_paper(
    values: Real[np.ndarray, "time neuron"], width_bins: int = PAPER_WIDTH_BINS
) -> Float[np.ndarray, "time neuron"]:
    """Smooth over all bins as if they were one segment, with zeros beyond both ends.

    Args:
        values: Responses of the segments one after the other.
        width_bins: Width of the boxcar in bins; at most the number of bins.

    Returns:
        The smoothed responses.

    Source: Xu et al. (2023), ``np.convolve(x, ones(41) / 41, "same")`` (deviation Q29).
    """
    kernel = np.full((width_bins, 1), 1 / width_bins)
    return np.apply_along_axis(np.convolve, 0, values, kernel[:, 0], "same")


def correlation_smoothed(
    predicted: Real[np.ndarray, "time neuron"], observed: Real[np.ndarray, "time neuron"]
) -> Float[np.ndarray, " neuron"]:
    """Correlate each neuron after the paper's smoothing.

    Args:
        predicted: Predicted rates, segments one after the other.
        observed: Spike counts, the same bins.

    Returns:
        Pearson's r of each neuron; NaN where either never changes.

    Raises:
        ShapeError: If shapes disagree.

    Source: Xu et al. (2023), "cc" of Tables 1 to 3 (deviation Q29).
    """
    predicted, observed = as_pair(predicted, observed)
    return single_bin_correlation(smooth_paper(predicted), smooth_paper(observed))


def mse_smoothed(
    predicted: Real[np.ndarray, "time neuron"], observed: Real[np.ndarray, "time neuron"]
) -> float:
    """Average the squared difference of the smoothed responses over bins and neurons.

    Args:
        predicted: Predicted rates, segments one after the other.
        observed: Spike counts, the same bins.

    Returns:
        Mean squared error in counts squared.

    Raises:
        ShapeError: If shapes disagree.

    Source: Xu et al. (2023), "MSE" of Tables 1 to 3 (deviation Q29).
    """
    predicted, observed = as_pair(predicted, observed)
    return float(mean_squared_error(smooth_paper(predicted), smooth_paper(observed)).mean())


def r2_paper(
    predicted: Real[np.ndarray, "time neuron"], observed: Real[np.ndarray, "time neuron"]
) -> float:
    """Compute R2 across neurons within each smoothed bin, and average over bins.

    It is near 1 for any model that knows the mean rate of each neuron, and says nothing about
    changes over time. A bin in which all neurons are equal counts 1 if predicted exactly, else 0.

    Args:
        predicted: Predicted rates, segments one after the other.
        observed: Spike counts, the same bins.

    Returns:
        The average of R2 over bins.

    Raises:
        ShapeError: If shapes disagree.

    Source: Xu et al. (2023), "R2" of Table 1, ``r2_score(observed.T, predicted.T)`` of scikit-learn
    (deviation Q30).
    """
    predicted, observed = (smooth_paper(v) for v in as_pair(predicted, observed))
    residual = ((observed - predicted) ** 2).sum(1)
    total = ((observed - observed.mean(1, keepdims=True)) ** 2).sum(1)
    is_constant = total == 0
    score = 1 - residual / np.where(is_constant, 1, total)
    return float(np.where(is_constant, residual == 0, score).mean())


def poisson_nll(
    predicted: Real[np.ndarray, "time neuron"], observed: Real[np.ndarray, "time neuron"]
) -> float:
    """Average ``rate - count * log(rate + 1e-8)`` over bins and neurons, unsmoothed.

    Args:
        predicted: Predicted rates.
        observed: Spike counts.

    Returns:
        Mean loss in nats a bin.

    Raises:
        ShapeError: If shapes disagree.
        NumericsError: If a rate is negative.

    Source: the training loss of Xu et al. (2023).
    """
    return float(poisson_nll_of_neurons(predicted, observed).mean())
