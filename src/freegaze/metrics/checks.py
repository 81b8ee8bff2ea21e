"""Checks of the arrays that a metric is given."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Real

from freegaze.errors import DataError, NumericsError, ShapeError


def as_pair(
    predicted: Real[np.ndarray, " ..."], observed: Real[np.ndarray, " ..."]
) -> tuple[Float[np.ndarray, "time neuron"], Float[np.ndarray, "time neuron"]]:
    """Return predictions and observations as float64 after checking that they can be compared.

    Args:
        predicted: Predicted responses, shape (time, neuron).
        observed: Recorded responses, the same shape.

    Returns:
        Both, in float64.

    Raises:
        ShapeError: If they are not two tables of one shape with at least one row.
        NumericsError: If a prediction is not finite.
        DataError: If an observation is not finite.
    """
    predicted, observed = np.asarray(predicted), np.asarray(observed)
    if predicted.ndim != 2 or predicted.shape != observed.shape or not predicted.size:
        raise ShapeError(
            "predicted and observed must both be (time, neuron) with at least one bin and one "
            f"neuron, got {predicted.shape} and {observed.shape}; select the same bins of both"
        )
    _check_finite(predicted, "prediction", "leave out bins without a prediction", NumericsError)
    _check_finite(observed, "observation", "leave out bins without a recording", DataError)
    return predicted.astype(np.float64, copy=False), observed.astype(np.float64, copy=False)


def as_rates(
    rate: Real[np.ndarray, " ..."], counts: Real[np.ndarray, " ..."]
) -> tuple[Float[np.ndarray, "time neuron"], Float[np.ndarray, "time neuron"]]:
    """Return rates and counts as float64 after checking that neither is negative.

    Args:
        rate: Expected counts per bin, shape (time, neuron).
        counts: Observed counts, or inferred spikes, the same shape.

    Returns:
        Both, in float64.

    Raises:
        ShapeError: In the same cases as `as_pair`.
        NumericsError: If a rate is negative or not finite.
        DataError: If a count is negative or not finite.
    """
    rate, counts = as_pair(rate, counts)
    if rate.min() < 0:
        raise NumericsError(
            f"expected rates of at least 0, got {rate.min():g} (neuron "
            f"{int(rate.min(0).argmin())}); a Poisson score needs a model with a non-negative "
            "output, or score it by correlation and error only"
        )
    if counts.min() < 0:
        raise DataError(
            f"expected spike counts of at least 0, got {counts.min():g} (neuron "
            f"{int(counts.min(0).argmin())}); are the responses `fluorescence`?"
        )
    return rate, counts


def as_per_neuron(values: Real[np.ndarray, " ..."], n_neurons: int, name: str) -> np.ndarray:
    """Return one float64 number for each neuron.

    Args:
        values: Shape (neuron,).
        n_neurons: Expected number.
        name: Name of the values, for the message.

    Returns:
        Shape (neuron,), float64.

    Raises:
        ShapeError: If their number is wrong.
        DataError: If one is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (n_neurons,):
        raise ShapeError(
            f"{name} must hold one number for each of {n_neurons} neurons, got {values.shape}"
        )
    if not np.isfinite(values).all():
        raise DataError(
            f"{name} must be finite, but neuron {int(np.flatnonzero(~np.isfinite(values))[0])} is "
            "not; fit it on training bins that hold responses"
        )
    return values


def check_length(segment_ids: np.ndarray, n_bins: int) -> None:
    """Check that there is one label for each bin.

    Raises:
        ShapeError: If there is not.
    """
    if np.shape(segment_ids) != (n_bins,):
        raise ShapeError(
            f"segment_ids must hold one label for each of {n_bins} bins, got shape "
            f"{np.shape(segment_ids)}"
        )


def is_constant(values: Real[np.ndarray, "time neuron"]) -> Bool[np.ndarray, " neuron"]:
    """Find the neurons that never change; such a neuron has no score.

    Args:
        values: Shape (time, neuron).

    Returns:
        Shape (neuron,), True where all bins are equal.
    """
    return (values == values[:1]).all(0)


def _check_finite(values: np.ndarray, what: str, remedy: str, error: type[Exception]) -> None:
    if not np.isfinite(values).all():
        time, neuron = np.argwhere(~np.isfinite(values))[0]
        raise error(f"{what} of neuron {neuron} in bin {time} is {values[time, neuron]}; {remedy}")
