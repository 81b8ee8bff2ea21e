"""Squared error of predictions, and the share of variance that they explain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from freegaze.metrics.metric import ScoreContext, ratio, register_metric, remainder
from freegaze.metrics.scales import LOG, LOG_REMAINDER


@register_metric(
    "mse", label="MSE", unit="response²", higher_is_better=False, formula=ratio, scale=LOG
)
def mse(predicted: np.ndarray, observed: np.ndarray, context: ScoreContext) -> Sequence[np.ndarray]:
    """Mean squared error in single bins.

    It has the unit of the response squared (counts per bin), so that it compares models, not
    neurons.
    """
    squared = (predicted - observed) ** 2
    return squared, np.ones_like(squared)


@register_metric(
    "variance_explained",
    label="variance explained",
    unit="",
    higher_is_better=True,
    formula=remainder,
    response_kinds=frozenset({"fluorescence"}),
    scale=LOG_REMAINDER,
)
def variance_explained(
    predicted: np.ndarray, observed: np.ndarray, context: ScoreContext
) -> Sequence[np.ndarray]:
    """Squared error removed against the training mean (Gaussian deviance explained).

    This is deviance explained under Gaussian noise of constant size. Negative where the training
    mean is better.
    """
    return (predicted - observed) ** 2, (observed - context.baseline_rate) ** 2
