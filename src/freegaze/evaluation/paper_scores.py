"""The scores that Xu et al. (2023) print, computed their way, to set beside theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real

from freegaze.errors import DataError
from freegaze.metrics.error import mean_squared_error
from freegaze.metrics.paper import (
    PAPER_WIDTH_BINS,
    correlation_smoothed,
    mse_smoothed,
    r2_paper,
    smooth_paper,
)


@dataclass(frozen=True)
class PaperScores:
    """The original's scores of one session.

    Args:
        columns: ``correlation`` and ``mse`` of each neuron, both after the original's smoothing.
        summary: ``correlation_mean``, ``correlation_std`` (over neurons, as printed after +-),
            ``correlation_max``, ``correlation_min``, ``mse``, and ``r2`` (across neurons in a bin).
    """

    columns: Mapping[str, Float[np.ndarray, " neuron"]]
    summary: Mapping[str, float]


def paper_scores(
    predicted: Real[np.ndarray, "time neuron"], observed: Real[np.ndarray, "time neuron"]
) -> PaperScores:
    """Score as the original does: never use these to compare with other work.

    The boxcar of 41 bins runs across the ends of segments with zeros beyond the first and last bin
    (deviation Q29), and R2 is across neurons within each bin (deviation Q30).

    Args:
        predicted: Predicted responses of all test bins, segments one after the other.
        observed: Recorded responses of the same bins.

    Returns:
        Scores of neurons and of the session.

    Raises:
        DataError: If there are fewer bins than the boxcar is wide.
        ShapeError: If shapes disagree.

    Source: Xu et al. (2023), Tables 1 to 3.
    """
    if len(observed) < PAPER_WIDTH_BINS:
        raise DataError(
            f"the paper's scores smooth over {PAPER_WIDTH_BINS} bins, but only {len(observed)} are "
            "scored; leave out the `paper` option"
        )
    correlation = correlation_smoothed(predicted, observed)
    known = correlation[np.isfinite(correlation)]
    if not known.size:
        known = np.array([np.nan])
    columns = {
        "correlation": correlation,
        "mse": mean_squared_error(smooth_paper(predicted), smooth_paper(observed)),
    }
    summary = {
        "correlation_mean": float(known.mean()),
        "correlation_std": float(known.std()),
        "correlation_max": float(known.max()),
        "correlation_min": float(known.min()),
        "mse": mse_smoothed(predicted, observed),
        "r2": r2_paper(predicted, observed),
    }
    return PaperScores(columns, summary)
