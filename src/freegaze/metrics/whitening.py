"""Autoregressive filters that take the slow correlation out of signals."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real
from scipy.fft import next_fast_len
from scipy.linalg import solve_toeplitz

RIDGE = 1e-6
"""Share of the variance that is added to it, so that a filter of few values is determined."""


def autocovariance(
    signals: Real[np.ndarray, "time neuron"], longest: int
) -> Float[np.ndarray, "lag neuron"]:
    """Return the autocovariance of each column at lags 0 to ``longest``, divided by all bins.

    Args:
        signals: One column per neuron.
        longest: Longest lag in bins.

    Example:
        >>> autocovariance(np.array([[1.0], [-1.0], [1.0], [-1.0]]), 1).ravel().round(2)
        array([ 1.  , -0.75])
    """
    centered = signals - signals.mean(0)
    size = next_fast_len(2 * len(signals), real=True)
    power = np.abs(np.fft.rfft(centered, size, axis=0)) ** 2
    return np.fft.irfft(power, size, axis=0)[: longest + 1] / len(signals)


def whitening_filter(
    covariance: Float[np.ndarray, "lag neuron"],
) -> Float[np.ndarray, "lag neuron"]:
    """Return the whitening filter of an autoregression: its output is the prediction error.

    Args:
        covariance: Autocovariance at lags 0 to the order of the autoregression.

    Returns:
        Weights of the present value (1) and of the values before it; 0 for the latter where a
        signal is constant.

    Source: the Yule-Walker equations, solved by Levinson's recursion (``scipy``).

    Example:
        >>> whitening_filter(np.array([[1.0], [0.5], [0.25]])).ravel().round(3)
        array([ 1. , -0.5, -0. ])
    """
    weights = np.zeros(covariance.shape)
    weights[0] = 1.0
    for neuron, lags in enumerate(covariance.T):
        if len(lags) > 1 and lags[0] > 1e-12:
            first = lags[:-1] + RIDGE * lags[0] * (np.arange(len(lags) - 1) == 0)
            weights[1:, neuron] = -solve_toeplitz(first, lags[1:])
    return weights


def filter_columns(
    weights: Float[np.ndarray, "lag filter"], signals: Real[np.ndarray, "time column"]
) -> Float[np.ndarray, "time column"]:
    """Apply a causal filter to centered columns; before the first bin the mean holds.

    Args:
        weights: Weights of the present value and of the values before it, by column.
        signals: One column per filter, or any number of columns for one filter.

    Example:
        >>> filter_columns(np.array([[1.0], [-1.0]]), np.array([[0.0], [3.0], [0.0]])).round(2)
        array([[-1.],
               [ 3.],
               [-3.]])
    """
    size = next_fast_len(len(signals) + len(weights), real=True)
    centered = signals - signals.mean(0)
    spectrum = np.fft.rfft(weights, size, axis=0) * np.fft.rfft(centered, size, axis=0)
    return np.fft.irfft(spectrum, size, axis=0)[: len(signals)]
