"""Noise ceilings of neurons, from repeated stimuli.

After Sahani and Linden (2003), a response is a signal common to all repeats plus noise, and
"explainable" variance is the signal's. All functions take ``repeats`` of shape (repeat, time,
neuron) with at least two repeats.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real

from freegaze.errors import ShapeError
from freegaze.metrics.correlation import single_bin_correlation


def noise_variance(
    repeats: Real[np.ndarray, "repeat time neuron"],
) -> Float[np.ndarray, " neuron"]:
    """Average the variance over repeats of each bin.

    Args:
        repeats: Responses to the same stimulus and behavior.

    Returns:
        Noise variance of a single repeat, without bias.

    Raises:
        ShapeError: If there are fewer than two repeats or two bins.
    """
    return _as_repeats(repeats).var(0, ddof=1).mean(0)


def signal_variance(
    repeats: Real[np.ndarray, "repeat time neuron"],
) -> Float[np.ndarray, " neuron"]:
    """Estimate the variance over time of what all repeats share.

    Args:
        repeats: Responses to the same stimulus and behavior.

    Returns:
        Signal variance, without bias; by chance it may come out negative where there is no signal.

    Raises:
        ShapeError: If there are fewer than two repeats or two bins.

    Source: Sahani and Linden (2003), NIPS 15; "SP" in Schoppe et al. (2016).
    """
    repeats = _as_repeats(repeats)
    n_repeats = len(repeats)
    of_sum = repeats.sum(0).var(0, ddof=1)
    single = repeats.var(1, ddof=1).sum(0)
    return (of_sum - single) / (n_repeats * (n_repeats - 1))


def explainable_variance(
    repeats: Real[np.ndarray, "repeat time neuron"],
) -> Float[np.ndarray, " neuron"]:
    """Estimate the share of a single repeat's variance that is signal.

    Args:
        repeats: Responses to the same stimulus and behavior.

    Returns:
        Signal variance / total variance, at most 1; NaN for a neuron that never changes.

    Raises:
        ShapeError: If there are fewer than two repeats or two bins.
    """
    signal, total = signal_variance(repeats), _as_repeats(repeats).var(1, ddof=1).mean(0)
    return _ratio(signal, total)


def correlation_ceiling(
    repeats: Real[np.ndarray, "repeat time neuron"],
) -> Float[np.ndarray, " neuron"]:
    """Estimate the correlation of a perfect model with single repeats.

    Args:
        repeats: Responses to the same stimulus and behavior.

    Returns:
        Square root of the explainable variance; NaN where that is not positive.

    Raises:
        ShapeError: If there are fewer than two repeats or two bins.
    """
    return _positive_root(explainable_variance(repeats))


def leave_one_out_correlation(
    repeats: Real[np.ndarray, "repeat time neuron"],
) -> Float[np.ndarray, " neuron"]:
    """Correlate each repeat with the mean of the others, all repeats pooled.

    A lower bound of what a model can reach with single repeats, as the mean of few repeats is
    noisy.

    Args:
        repeats: Responses to the same stimulus and behavior.

    Returns:
        Pearson's r of each neuron; NaN for a neuron that never changes.

    Raises:
        ShapeError: If there are fewer than two repeats or two bins.

    Source: "oracle" of Walker et al. (2019), Nature Neuroscience 22, 2060-2065.
    """
    repeats = _as_repeats(repeats)
    others = (repeats.sum(0) - repeats) / (len(repeats) - 1)
    n_neurons = repeats.shape[2]
    return single_bin_correlation(others.reshape(-1, n_neurons), repeats.reshape(-1, n_neurons))


def cc_abs(
    predicted: Real[np.ndarray, "time neuron"], repeats: Real[np.ndarray, "repeat time neuron"]
) -> Float[np.ndarray, " neuron"]:
    """Correlate the prediction with the mean over repeats.

    Args:
        predicted: Predicted responses.
        repeats: Responses to the same stimulus and behavior.

    Returns:
        Pearson's r of each neuron; NaN where either never changes.

    Raises:
        ShapeError: If shapes disagree.
    """
    repeats = _as_repeats(repeats, predicted)
    return single_bin_correlation(predicted, repeats.mean(0))


def cc_max(repeats: Real[np.ndarray, "repeat time neuron"]) -> Float[np.ndarray, " neuron"]:
    """Estimate the correlation of a perfect model with the mean over repeats.

    Args:
        repeats: Responses to the same stimulus and behavior.

    Returns:
        At most about 1; NaN where the signal variance is not positive.

    Raises:
        ShapeError: If there are fewer than two repeats or two bins.

    Source: Hsu, Borst and Theunissen (2004), Network 15, 91-109; here from the signal variance as
        in
    Schoppe et al. (2016) rather than from halves of the repeats.
    """
    signal = signal_variance(repeats)
    return _positive_root(_ratio(signal, _as_repeats(repeats).mean(0).var(0, ddof=1)))


def cc_norm(
    predicted: Real[np.ndarray, "time neuron"], repeats: Real[np.ndarray, "repeat time neuron"]
) -> Float[np.ndarray, " neuron"]:
    """Estimate the correlation of the prediction with the signal.

    Args:
        predicted: Predicted responses.
        repeats: Responses to the same stimulus and behavior.

    Returns:
        ``cc_abs / cc_max``; by chance it may exceed 1; NaN where the explainable variance is not
        positive or the prediction never changes.

    Raises:
        ShapeError: If shapes disagree.

    Source: Schoppe et al. (2016), Front. Comput. Neurosci. 10:10.
    """
    return cc_abs(predicted, repeats) / cc_max(repeats)


def feve(
    predicted: Real[np.ndarray, "time neuron"], repeats: Real[np.ndarray, "repeat time neuron"]
) -> Float[np.ndarray, " neuron"]:
    """Estimate the fraction of explainable variance explained.

    Args:
        predicted: Predicted responses.
        repeats: Responses to the same stimulus and behavior.

    Returns:
        1 - (error - noise) / (variance - noise), each over all bins and repeats: 1 for the signal
        itself, 0 for its mean, negative where worse; NaN where the explainable variance (the
        denominator) is not positive.

    Raises:
        ShapeError: If shapes disagree.

    Source: Cadena et al. (2019), PLOS Comput. Biol. 15, e1006897, "FEV".
    """
    repeats = _as_repeats(repeats, predicted)
    noise = noise_variance(repeats)
    error = ((repeats - predicted) ** 2).mean((0, 1))
    explainable = repeats.reshape(-1, repeats.shape[2]).var(0, ddof=1) - noise
    is_defined = explainable > 0
    return np.where(is_defined, 1 - (error - noise) / np.where(is_defined, explainable, 1), np.nan)


def _as_repeats(repeats: np.ndarray, predicted: np.ndarray | None = None) -> np.ndarray:
    repeats = np.asarray(repeats, dtype=np.float64)
    if repeats.ndim != 3 or repeats.shape[0] < 2 or repeats.shape[1] < 2:
        raise ShapeError(
            "a noise ceiling needs (repeat, time, neuron) with at least two repeats and two bins, "
            f"got {repeats.shape}"
        )
    if predicted is not None and np.shape(predicted) != repeats.shape[1:]:
        raise ShapeError(
            f"predicted must be (time, neuron) = {repeats.shape[1:]} as the repeats have it, got "
            f"{np.shape(predicted)}"
        )
    return repeats


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def _positive_root(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, np.sqrt(np.abs(values)), np.nan)
