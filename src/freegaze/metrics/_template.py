"""Template of a metric: copy this file as ``<your_metric>.py`` and replace every part.

Every module of this folder whose name has no leading underscore is imported when the registry is
first asked, so that nothing else needs to be edited: tables, intervals, comparisons, nulls, the
command line and the contract tests find the score by its name. As it stands, this file is the mean
absolute error.

A score must be a function of means over bins. Say which per-bin quantities those are (statistics),
and how the score follows from their sums. A median over bins is not such a score.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real

from freegaze.metrics.blocks import TimeBlocks
from freegaze.metrics.checks import as_pair
from freegaze.metrics.metric import ALL_KINDS, Metric, ScoreContext, register_metric
from freegaze.metrics.scales import LOG


def mean_absolute_error(
    predicted: Real[np.ndarray, "time neuron"], observed: Real[np.ndarray, "time neuron"]
) -> Float[np.ndarray, " neuron"]:
    """Average the absolute difference of each neuron over bins.

    Args:
        predicted: Predicted responses.
        observed: Recorded responses.

    Returns:
        Mean absolute error of each neuron.

    Raises:
        ShapeError: If shapes disagree.
    """
    predicted, observed = as_pair(predicted, observed)
    return np.abs(predicted - observed).mean(0)


def _block_statistics(
    predicted: np.ndarray, observed: np.ndarray, context: ScoreContext, blocks: TimeBlocks
) -> np.ndarray:
    """Sum over each block what the score is made of, (block, statistic, neuron)."""
    absolute = np.abs(predicted - observed)
    return np.stack([blocks.sums(absolute), blocks.sums(np.ones_like(absolute))], axis=1)


def _from_statistics(statistics: np.ndarray) -> np.ndarray:
    """Compute the score from sums over any bins, (..., statistic, neuron) to (..., neuron)."""
    total, n_bins = np.moveaxis(statistics, -2, 0)
    return total / n_bins


MEAN_ABSOLUTE_ERROR = register_metric(
    Metric(
        name="mean_absolute_error",
        label="mean absolute error",
        unit="response",
        higher_is_better=False,
        response_kinds=ALL_KINDS,
        function=lambda predicted, observed, context: mean_absolute_error(predicted, observed),
        block_statistics=_block_statistics,
        from_statistics=_from_statistics,
        scale=LOG,
        description="mean absolute error in single bins",
    )
)
