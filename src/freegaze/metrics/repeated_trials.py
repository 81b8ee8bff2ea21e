"""Noise ceilings where stimuli are shown unequally often, and predictions differ by trial.

A *cell* is one stimulus at one time in its trial; all its bins share what the stimulus evokes.
With equally many repeats and one prediction for all of them, `trial_feve` is
``freegaze.metrics.ceilings.feve``. Predictions are averaged within a cell first: what a model knows
of single trials (running, say) is no part of the explainable variance, and would bring a score
above 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer, Real

from freegaze.errors import ShapeError
from freegaze.metrics.checks import as_pair, check_length
from freegaze.metrics.correlation import single_bin_correlation


@dataclass(frozen=True)
class TrialVariance:
    """Variance of single bins, told apart into signal and noise.

    Args:
        noise: Variance around the mean of a cell, without bias, (neuron,).
        explainable: Variance of all bins less the noise; by chance below 0, (neuron,).
        total: Variance of all bins, (neuron,).
    """

    noise: Float[np.ndarray, " neuron"]
    explainable: Float[np.ndarray, " neuron"]
    total: Float[np.ndarray, " neuron"]


def trial_variance(
    observed: Real[np.ndarray, "time neuron"], cells: Integer[np.ndarray, " time"]
) -> TrialVariance:
    """Estimate how much of the variance of single trials is signal.

    Args:
        observed: Recorded responses.
        cells: Label of the cell of each bin.

    Returns:
        The parts.

    Raises:
        ShapeError: If there are fewer than two cells, or none has two bins.
    """
    index, counts = _index_cells(cells, observed)
    residual = observed - _cell_means(observed, index, counts)[index]
    noise = (residual**2).sum(0) / (len(index) - len(counts))
    total = observed.var(0, ddof=1)
    return TrialVariance(noise, total - noise, total)


def trial_ceiling(
    observed: Real[np.ndarray, "time neuron"], cells: Integer[np.ndarray, " time"]
) -> Float[np.ndarray, " neuron"]:
    """Estimate the single-bin correlation of a perfect model of the stimulus.

    Args:
        observed: Recorded responses.
        cells: Label of the cell of each bin.

    Returns:
        Root of the explainable share of the variance; NaN where that is not positive.

    Raises:
        ShapeError: If there are fewer than two cells, or none has two bins.
    """
    variance = trial_variance(observed, cells)
    return np.sqrt(_positive(variance.explainable) / _positive(variance.total))


def trial_feve(
    predicted: Real[np.ndarray, "time neuron"],
    observed: Real[np.ndarray, "time neuron"],
    cells: Integer[np.ndarray, " time"],
) -> Float[np.ndarray, " neuron"]:
    """Estimate the fraction of explainable variance explained.

    Args:
        predicted: Predicted responses.
        observed: Recorded responses.
        cells: Label of the cell of each bin.

    Returns:
        1 - (error - noise) / explainable variance; NaN where that is not positive.

    Raises:
        ShapeError: If shapes disagree, there are fewer than two cells, or none has two bins.

    Source: Cadena et al. (2019), PLOS Comput. Biol. 15, e1006897.
    """
    predicted, observed = as_pair(predicted, observed)
    index, counts = _index_cells(cells, observed)
    variance = trial_variance(observed, cells)
    error = ((observed - _cell_means(predicted, index, counts)[index]) ** 2).mean(0)
    return 1 - (error - variance.noise) / _positive(variance.explainable)


def trial_cc_norm(
    predicted: Real[np.ndarray, "time neuron"],
    observed: Real[np.ndarray, "time neuron"],
    cells: Integer[np.ndarray, " time"],
) -> Float[np.ndarray, " neuron"]:
    """Estimate the correlation of the mean prediction with the signal, over cells.

    The variance of cell means is the signal's plus the noise's over the cell's repeats.

    Args:
        predicted: Predicted responses.
        observed: Recorded responses.
        cells: Label of the cell of each bin.

    Returns:
        Pearson's r over cells divided by that of a perfect model; by chance above 1; NaN where the
        signal's variance is not positive, or the prediction never changes.

    Raises:
        ShapeError: If shapes disagree, there are fewer than two cells, or none has two bins.

    Source: Schoppe et al. (2016), Front. Comput. Neurosci. 10:10, with unequal repeats.
    """
    predicted, observed = as_pair(predicted, observed)
    index, counts = _index_cells(cells, observed)
    means = _cell_means(observed, index, counts)
    spread = means.var(0, ddof=1)
    signal = spread - trial_variance(observed, cells).noise * (1 / counts).mean()
    largest = np.sqrt(_positive(signal) / _positive(spread))
    return single_bin_correlation(_cell_means(predicted, index, counts), means) / largest


def _index_cells(cells: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    check_length(cells, len(observed))
    _, index, counts = np.unique(cells, return_inverse=True, return_counts=True)
    if len(counts) < 2 or counts.max() < 2:
        raise ShapeError(
            f"a noise ceiling needs at least two cells, one of them repeated, got {len(counts)} "
            f"cells for {len(index)} bins"
        )
    return index, counts


def _cell_means(values: np.ndarray, index: np.ndarray, counts: np.ndarray) -> np.ndarray:
    order = np.argsort(index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.add.reduceat(values[order], starts, axis=0) / counts[:, None]


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.nan)
