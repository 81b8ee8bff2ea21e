"""Noise ceilings from repeated stimuli, the best prediction of single trials by the stimulus alone.

A response is taken as a signal common to all repeats plus noise (Sahani and Linden 2003, NIPS 15);
"explainable" variance is the signal's. ``groups`` labels the bins that show one stimulus at one
time in the trial; stimuli may repeat unequally often. Predictions are averaged within a group
first: the prediction of single trials (from running, for example) is not part of the explainable
variance, and could raise a score above 1.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Integer, Real

from freegaze.errors import ShapeError
from freegaze.metrics.checks import as_pair, check_length
from freegaze.metrics.correlation import single_bin_correlation

SMALLEST_SIGNAL = 0.15
"""Share of the variance of means over trials that must be signal for a correction of it: below,
the corrected correlation may be anything. Source: Cadena et al. (2019), as for FEVE."""


def noise_variance(
    observed: Real[np.ndarray, "time neuron"], groups: Integer[np.ndarray, " time"]
) -> Float[np.ndarray, " neuron"]:
    """Estimate the variance of single bins around the mean of their group, without bias.

    Args:
        observed: Recorded responses.
        groups: Label of the stimulus and time in the trial of each bin.

    Returns:
        Variance of each neuron.

    Raises:
        ShapeError: If there are fewer than two groups, or none has two bins.
    """
    index, counts = _index_groups(groups, observed)
    residual = observed - _group_means(observed, index, counts)[index]
    return (residual**2).sum(0) / (len(index) - len(counts))


def explainable_variance(
    observed: Real[np.ndarray, "time neuron"], groups: Integer[np.ndarray, " time"]
) -> Float[np.ndarray, " neuron"]:
    """Estimate the variance of all bins less the noise; by chance below 0 without a signal.

    Args:
        observed: Recorded responses.
        groups: Label of the stimulus and time in the trial of each bin.

    Returns:
        Variance of each neuron.

    Raises:
        ShapeError: If there are fewer than two groups, or none has two bins.
    """
    return observed.var(0, ddof=1) - noise_variance(observed, groups)


def noise_ceiling(
    observed: Real[np.ndarray, "time neuron"], groups: Integer[np.ndarray, " time"]
) -> Float[np.ndarray, " neuron"]:
    """Estimate the single-bin correlation of a perfect model of the stimulus.

    Args:
        observed: Recorded responses.
        groups: Label of the stimulus and time in the trial of each bin.

    Returns:
        Root of the explainable share of the variance; NaN where that is not positive.

    Raises:
        ShapeError: If there are fewer than two groups, or none has two bins.
    """
    explainable = _positive(explainable_variance(observed, groups))
    return np.sqrt(explainable / _positive(observed.var(0, ddof=1)))


def feve(
    predicted: Real[np.ndarray, "time neuron"],
    observed: Real[np.ndarray, "time neuron"],
    groups: Integer[np.ndarray, " time"],
) -> Float[np.ndarray, " neuron"]:
    """Estimate the fraction of explainable variance explained.

    Args:
        predicted: Predicted responses.
        observed: Recorded responses.
        groups: Label of the stimulus and time in the trial of each bin.

    Returns:
        1 - (error - noise) / explainable variance: 1 for the signal itself, 0 for its mean,
        negative where worse; NaN where the explainable variance is not positive.

    Raises:
        ShapeError: If shapes disagree, there are fewer than two groups, or none has two bins.

    Source: Cadena et al. (2019), PLOS Comput. Biol. 15, e1006897.
    """
    predicted, observed = as_pair(predicted, observed)
    index, counts = _index_groups(groups, observed)
    error = ((observed - _group_means(predicted, index, counts)[index]) ** 2).mean(0)
    excess = error - noise_variance(observed, groups)
    return 1 - excess / _positive(explainable_variance(observed, groups))


def cc_norm(
    predicted: Real[np.ndarray, "time neuron"],
    observed: Real[np.ndarray, "time neuron"],
    groups: Integer[np.ndarray, " time"],
) -> Float[np.ndarray, " neuron"]:
    """Estimate the correlation of the mean prediction with the signal, over groups.

    The variance of group means is the signal's plus the noise's over the group's repeats.

    Args:
        predicted: Predicted responses.
        observed: Recorded responses.
        groups: Label of the stimulus and time in the trial of each bin.

    Returns:
        Pearson's r over groups divided by that of a perfect model; by chance above 1; NaN where the
        signal's variance is not positive, or the prediction is constant.

    Raises:
        ShapeError: If shapes disagree, there are fewer than two groups, or none has two bins.

    Source: Schoppe et al. (2016), Front. Comput. Neurosci. 10:10, with unequal repeats.
    """
    predicted, observed = as_pair(predicted, observed)
    index, counts = _index_groups(groups, observed)
    means = _group_means(observed, index, counts)
    spread = means.var(0, ddof=1)
    signal = spread - noise_variance(observed, groups) * (1 / counts).mean()
    largest = np.sqrt(_positive(signal) / _positive(spread))
    return single_bin_correlation(_group_means(predicted, index, counts), means) / largest


def correlation_without_noise(
    means: Real[np.ndarray, "time neuron"],
    noise: Real[np.ndarray, "time neuron"],
    observed: Real[np.ndarray, "time neuron"],
    groups: Integer[np.ndarray, " time"],
) -> Float[np.ndarray, " neuron"]:
    """Estimate the single-bin correlation that means over other trials would reach without noise.

    A mean over few trials correlates less with single trials than the expected response does. Its
    variance over bins is the signal's plus that of its noise, which is subtracted.

    Args:
        means: Mean response of other trials to the stimulus and time of each bin.
        noise: Variance of each mean as an estimate of the expected response.
        observed: Recorded responses, whose noise is independent of that of the means.
        groups: Label of the bins that share a mean.

    Returns:
        Covariance of means and responses over the roots of the signal's variance and of that of
        the responses; by chance above 1; NaN where the signal is less than `SMALLEST_SIGNAL` of the
        variance of the means, or the responses are constant.

    Raises:
        ShapeError: If shapes disagree.

    Source: correction for attenuation, C. Spearman (1904), Am. J. Psychol. 15:72-101.
    """
    means, observed = as_pair(means, observed)
    check_length(groups, len(observed))
    _, first, counts = np.unique(groups, return_index=True, return_counts=True)
    share = (counts / counts.sum())[:, None]
    from_noise = (share * (1 - share) * noise[first]).sum(0)  # of the variance over bins
    spread = means.var(0)
    signal = spread - from_noise
    covariance = ((means - means.mean(0)) * observed).mean(0)
    has_signal = signal >= SMALLEST_SIGNAL * _positive(spread)
    scale = np.sqrt(_positive(np.where(has_signal, signal, 0.0)) * _positive(observed.var(0)))
    return covariance / scale


def _index_groups(groups: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    check_length(groups, len(observed))
    _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(counts) < 2 or counts.max() < 2:
        raise ShapeError(
            "a noise ceiling needs at least two stimuli or times in the trial, one of them "
            f"repeated, got {len(counts)} for {len(index)} bins"
        )
    return index, counts


def _group_means(values: np.ndarray, index: np.ndarray, counts: np.ndarray) -> np.ndarray:
    order = np.argsort(index, kind="stable")
    starts = np.cumsum(counts) - counts
    return np.add.reduceat(values[order], starts, axis=0) / counts[:, None]


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.nan)
