"""Squared error of predictions, and the share of variance that they explain."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real

from freegaze.metrics.blocks import TimeBlocks
from freegaze.metrics.checks import as_pair, as_per_neuron, is_constant
from freegaze.metrics.metric import ALL_KINDS, Metric, ScoreContext, register_metric
from freegaze.metrics.scales import LOG, LOG_REMAINDER


def mean_squared_error(
    predicted: Real[np.ndarray, "time neuron"], observed: Real[np.ndarray, "time neuron"]
) -> Float[np.ndarray, " neuron"]:
    """Average the squared difference of each neuron over bins.

    It has the unit of the response squared (counts per bin), so that it compares models, not
    neurons.

    Args:
        predicted: Predicted responses.
        observed: Recorded responses.

    Returns:
        Mean squared error of each neuron.

    Raises:
        ShapeError: If shapes disagree.

    Example:
        >>> mean_squared_error(np.array([[1.0], [1.0]]), np.array([[0.0], [4.0]]))
        array([5.])
    """
    predicted, observed = as_pair(predicted, observed)
    return ((predicted - observed) ** 2).mean(0)


def variance_explained(
    predicted: Real[np.ndarray, "time neuron"],
    observed: Real[np.ndarray, "time neuron"],
    baseline: Real[np.ndarray, " neuron"],
) -> Float[np.ndarray, " neuron"]:
    """Compute the share of squared error that a model removes against the training mean.

    This is deviance explained under Gaussian noise of constant size, the counterpart for
    fluorescence of `freegaze.metrics.likelihood.deviance_explained`. Negative where the training
    mean is better.

    Args:
        predicted: Predicted responses.
        observed: Recorded responses.
        baseline: Mean response over the training bins.

    Returns:
        1 - error / error of the baseline; NaN where the recording never changes.

    Raises:
        ShapeError: If shapes disagree.

    Example:
        >>> x = np.array([[0.0], [2.0]])
        >>> variance_explained(x / 2, x, baseline=np.array([1.0]))
        array([0.5])
    """
    predicted, observed = as_pair(predicted, observed)
    baseline = as_per_neuron(baseline, observed.shape[1], "baseline")
    residual = ((predicted - observed) ** 2).sum(0)
    total = ((observed - baseline) ** 2).sum(0)
    explained = _fraction_from_statistics(np.stack([residual, total]))
    return np.where(is_constant(observed), np.nan, explained)


def _error_statistics(
    predicted: np.ndarray, observed: np.ndarray, _: ScoreContext, blocks: TimeBlocks
) -> np.ndarray:
    squared = (predicted - observed) ** 2
    return np.stack([blocks.sums(squared), blocks.sums(np.ones_like(squared))], axis=1)


def _error_from_statistics(statistics: np.ndarray) -> np.ndarray:
    return statistics[..., 0, :] / statistics[..., 1, :]


def _variance_statistics(
    predicted: np.ndarray, observed: np.ndarray, context: ScoreContext, blocks: TimeBlocks
) -> np.ndarray:
    residual = (predicted - observed) ** 2
    total = (observed - context.baseline_rate) ** 2
    return np.stack([blocks.sums(residual), blocks.sums(total)], axis=1)


def _fraction_from_statistics(statistics: np.ndarray) -> np.ndarray:
    residual, total = np.moveaxis(statistics, -2, 0)
    is_defined = total > 0
    return np.where(is_defined, 1 - residual / np.where(is_defined, total, 1), np.nan)


MSE = register_metric(
    Metric(
        name="mse",
        label="MSE",
        unit="response²",
        higher_is_better=False,
        response_kinds=ALL_KINDS,
        function=lambda predicted, observed, _: mean_squared_error(predicted, observed),
        block_statistics=_error_statistics,
        from_statistics=_error_from_statistics,
        scale=LOG,
        description="mean squared error in single bins",
    )
)

VARIANCE_EXPLAINED = register_metric(
    Metric(
        name="variance_explained",
        label="variance explained",
        unit="",
        higher_is_better=True,
        response_kinds=frozenset({"fluorescence"}),
        function=lambda predicted, observed, context: variance_explained(
            predicted, observed, context.baseline_rate
        ),
        block_statistics=_variance_statistics,
        from_statistics=_fraction_from_statistics,
        scale=LOG_REMAINDER,
        description="squared error removed against the training mean (Gaussian deviance explained)",
    )
)
