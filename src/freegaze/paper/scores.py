"""Scores of Xu et al. (2023) exactly as their notebooks compute them, for comparison only.

Their smoothing runs over the ends of segments and pads with zeros (deviation Q29); their R2
measures differences in mean rate between neurons (deviation Q30). Everything else in this package
uses the metrics of ``freegaze.metrics``.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real

from freegaze.errors import DataError
from freegaze.evaluation.neuron_scores import ExtraScores
from freegaze.evaluation.scored_session import ScoredSession
from freegaze.metrics.checks import as_pair
from freegaze.metrics.correlation import single_bin_correlation

PAPER_WIDTH_BINS = 41
"""int(2000 ms / 48 ms), cut off where the default rounds."""


def paper_scores(session: ScoredSession) -> ExtraScores:
    """Score a session as the original does; never use these to compare with other work.

    Args:
        session: The scored bins, segments one after the other.

    Returns:
        For each neuron ``correlation`` and ``mse``, both after the original's smoothing; for the
        session ``correlation_mean``, ``correlation_std`` (over neurons, as printed after +-),
        ``correlation_max``, ``correlation_min``, ``mse``, and ``r2`` (across neurons in a bin).

    Raises:
        DataError: If there are fewer bins than the boxcar is wide.

    Source: Xu et al. (2023), Tables 1 to 3.
    """
    correlation = correlation_smoothed(session.rates, session.observed)
    mse = mse_smoothed(session.rates, session.observed)
    known = correlation[np.isfinite(correlation)]
    if not known.size:
        known = np.array([np.nan])
    summary = {
        "correlation_mean": float(known.mean()),
        "correlation_std": float(known.std()),
        "correlation_max": float(known.max()),
        "correlation_min": float(known.min()),
        "mse": float(mse.mean()),
        "r2": r2_paper(session.rates, session.observed),
    }
    return ExtraScores("paper", {"correlation": correlation, "mse": mse}, summary)


def smooth_paper(values: Real[np.ndarray, "time neuron"]) -> Float[np.ndarray, "time neuron"]:
    """Smooth over all bins as if they were one segment, with zeros beyond both ends.

    Args:
        values: Responses of the segments one after the other.

    Returns:
        The smoothed responses.

    Raises:
        DataError: If there are fewer bins than the boxcar is wide.

    Source: Xu et al. (2023), ``np.convolve(x, ones(41) / 41, "same")`` (deviation Q29).
    """
    if len(values) < PAPER_WIDTH_BINS:
        raise DataError(
            f"the original's scores smooth over {PAPER_WIDTH_BINS} bins, but only {len(values)} "
            "are scored; use longer sessions, or leave out the original's scores"
        )
    kernel = np.full(PAPER_WIDTH_BINS, 1 / PAPER_WIDTH_BINS)
    return np.apply_along_axis(np.convolve, 0, values, kernel, "same")


def correlation_smoothed(
    predicted: Real[np.ndarray, "time neuron"], observed: Real[np.ndarray, "time neuron"]
) -> Float[np.ndarray, " neuron"]:
    """Correlate each neuron after the paper's smoothing.

    Args:
        predicted: Predicted rates, segments one after the other.
        observed: Spike counts, the same bins.

    Returns:
        Pearson's r of each neuron; NaN where either is constant.

    Raises:
        ShapeError: If shapes disagree.

    Source: Xu et al. (2023), "cc" of Tables 1 to 3 (deviation Q29).
    """
    predicted, observed = as_pair(predicted, observed)
    return single_bin_correlation(smooth_paper(predicted), smooth_paper(observed))


def mse_smoothed(
    predicted: Real[np.ndarray, "time neuron"], observed: Real[np.ndarray, "time neuron"]
) -> Float[np.ndarray, " neuron"]:
    """Average the squared difference of the smoothed responses over bins.

    Args:
        predicted: Predicted rates, segments one after the other.
        observed: Spike counts, the same bins.

    Returns:
        Mean squared error of each neuron in counts squared; their mean is what is printed.

    Raises:
        ShapeError: If shapes disagree.

    Source: Xu et al. (2023), "MSE" of Tables 1 to 3 (deviation Q29).
    """
    predicted, observed = as_pair(predicted, observed)
    return ((smooth_paper(predicted) - smooth_paper(observed)) ** 2).mean(0)


def r2_paper(
    predicted: Real[np.ndarray, "time neuron"], observed: Real[np.ndarray, "time neuron"]
) -> float:
    """Compute R2 across neurons within each smoothed bin, and average over bins.

    It is near 1 for any model that predicts the mean rate of each neuron, and does not measure
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
