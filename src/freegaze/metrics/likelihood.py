"""Poisson likelihood of recorded spikes at the predicted rates, against the training mean."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real
from scipy.special import kl_div, xlogy

from freegaze.metrics.blocks import TimeBlocks
from freegaze.metrics.checks import as_per_neuron, as_rates, is_constant
from freegaze.metrics.metric import SPIKES, Metric, ScoreContext, register_metric
from freegaze.metrics.scales import IDENTITY, LOG_REMAINDER

RATE_FLOOR = 1e-8
"""Smallest expected count a bin. A rate of exactly 0 would make one stray spike cost infinitely
much; with this floor it costs log2(1e8) = 26.6 bits. The same number guards the logarithm in Xu et
al. (2023)."""


def poisson_nll(
    rate: Real[np.ndarray, "time neuron"],
    counts: Real[np.ndarray, "time neuron"],
    epsilon: float = RATE_FLOOR,
) -> Float[np.ndarray, " neuron"]:
    """Average the Poisson loss ``rate - count * log(rate + epsilon)`` over bins.

    The term log(count!) that no model changes is left out, so that the loss may be negative.

    Args:
        rate: Expected counts a bin.
        counts: Observed counts.
        epsilon: Added within the logarithm.

    Returns:
        Mean loss of each neuron in nats a bin.

    Raises:
        ShapeError: If shapes disagree.
        NumericsError: If a rate is negative.

    Source: the training loss of Xu et al. (2023).

    Example:
        >>> poisson_nll(np.array([[2.0]]), np.array([[0.0]]))
        array([2.])
    """
    rate, counts = as_rates(rate, counts)
    return (rate - counts * np.log(rate + epsilon)).mean(0)


def poisson_deviance(
    rate: Real[np.ndarray, "time neuron"], counts: Real[np.ndarray, "time neuron"]
) -> Float[np.ndarray, " neuron"]:
    """Sum twice the log-likelihood ratio of a perfect model and this one over bins.

    Args:
        rate: Expected counts a bin; those below `RATE_FLOOR` are raised to it.
        counts: Observed counts, or inferred spikes (then a quasi-deviance).

    Returns:
        Deviance of each neuron, never negative, 0 for ``rate == counts``.

    Raises:
        ShapeError: If shapes disagree.
        NumericsError: If a rate is negative.

    Source: McCullagh and Nelder (1989), Generalized Linear Models, section 2.3.

    Example:
        >>> poisson_deviance(np.array([[3.0]]), np.array([[0.0]]))
        array([6.])
    """
    rate, counts = as_rates(rate, counts)
    return _deviance(rate, counts).sum(0)


def deviance_explained(
    rate: Real[np.ndarray, "time neuron"],
    counts: Real[np.ndarray, "time neuron"],
    baseline_rate: Real[np.ndarray, " neuron"],
) -> Float[np.ndarray, " neuron"]:
    """Compute the share of Poisson deviance that a model removes against the training mean rate.

    It does not change when rates, counts and baseline are multiplied by one number, so that
    inferred spikes of arbitrary unit may be scored. Negative where the training mean is better.

    Args:
        rate: Expected counts a bin.
        counts: Observed counts, or inferred spikes.
        baseline_rate: Mean counts a bin over the training bins.

    Returns:
        1 - deviance / deviance of the baseline; NaN where the recording never changes or the neuron
        was silent in training (there is no baseline then).

    Raises:
        ShapeError: If shapes disagree.
        NumericsError: If a rate is negative.

    Source: Cameron and Windmeijer (1996), J. Bus. Econ. Stat. 14, 209-220.
    """
    rate, counts = as_rates(rate, counts)
    baseline_rate = as_per_neuron(baseline_rate, counts.shape[1], "baseline_rate")
    sums = [_deviance(rate, counts).sum(0), _baseline_deviance(baseline_rate, counts).sum(0)]
    explained = _explained_from_statistics(np.stack(sums))
    return np.where(is_constant(counts), np.nan, explained)


def bits_per_spike(
    rate: Real[np.ndarray, "time neuron"],
    counts: Real[np.ndarray, "time neuron"],
    baseline_rate: Real[np.ndarray, " neuron"],
) -> Float[np.ndarray, " neuron"]:
    """Compute how many bits a spike the model knows more than the training mean rate.

    Args:
        rate: Expected counts a bin; those below `RATE_FLOOR` are raised to it.
        counts: Observed counts, or inferred spikes (then bits a unit of inferred spikes;
            multiplying rates, counts and baseline by one number does not change them).
        baseline_rate: Mean counts a bin over the training bins.

    Returns:
        Difference in Poisson log-likelihood over the number of spikes, in bits; NaN where the
        recording never changes or the neuron was silent in training.

    Raises:
        ShapeError: If shapes disagree.
        NumericsError: If a rate is negative.

    Source: Brenner et al. (2000), Neural Computation 12, 1531-1552; as a score of models, Paninski
        et
    al. (2004) and Pei et al. (2021, Neural Latents Benchmark, "co-bps").

    Example:
        >>> counts = np.array([[0.0], [2.0]])
        >>> bits_per_spike(counts, counts, baseline_rate=np.array([1.0])).round(3)
        array([1.])
    """
    rate, counts = as_rates(rate, counts)
    baseline_rate = as_per_neuron(baseline_rate, counts.shape[1], "baseline_rate")
    gained = _log_likelihood_gain(rate, counts, baseline_rate).sum(0)
    bits = _bits_from_statistics(np.stack([gained, counts.sum(0)]))
    return np.where(is_constant(counts), np.nan, bits)


def _deviance(rate: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return 2 * kl_div(counts, np.maximum(rate, RATE_FLOOR))


def _known_baseline(baseline_rate: np.ndarray) -> np.ndarray:
    """Make the baseline of neurons that were silent in training NaN, and with it their scores."""
    return np.where(baseline_rate > 0, np.maximum(baseline_rate, RATE_FLOOR), np.nan)


def _baseline_deviance(baseline_rate: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return 2 * kl_div(counts, np.broadcast_to(_known_baseline(baseline_rate), counts.shape))


def _log_likelihood_gain(
    rate: np.ndarray, counts: np.ndarray, baseline_rate: np.ndarray
) -> np.ndarray:
    """Return the log-likelihood of each bin minus that under the baseline, in nats."""
    rate, baseline = np.maximum(rate, RATE_FLOOR), _known_baseline(baseline_rate)
    return xlogy(counts, rate / baseline) - (rate - baseline)


def _deviance_statistics(
    rate: np.ndarray, counts: np.ndarray, context: ScoreContext, blocks: TimeBlocks
) -> np.ndarray:
    rate, counts = as_rates(rate, counts)
    baseline = _baseline_deviance(np.asarray(context.baseline_rate), counts)
    return np.stack([blocks.sums(_deviance(rate, counts)), blocks.sums(baseline)], axis=1)


def _explained_from_statistics(statistics: np.ndarray) -> np.ndarray:
    deviance, baseline = np.moveaxis(statistics, -2, 0)
    is_defined = baseline > 0
    return np.where(is_defined, 1 - deviance / np.where(is_defined, baseline, 1), np.nan)


def _bits_statistics(
    rate: np.ndarray, counts: np.ndarray, context: ScoreContext, blocks: TimeBlocks
) -> np.ndarray:
    rate, counts = as_rates(rate, counts)
    gain = _log_likelihood_gain(rate, counts, np.asarray(context.baseline_rate))
    return np.stack([blocks.sums(gain), blocks.sums(counts)], axis=1)


def _bits_from_statistics(statistics: np.ndarray) -> np.ndarray:
    gain, spikes = np.moveaxis(statistics, -2, 0)
    has_spikes = spikes > 0
    return np.where(has_spikes, gain / np.where(has_spikes, spikes, 1) / np.log(2), np.nan)


DEVIANCE_EXPLAINED = register_metric(
    Metric(
        name="deviance_explained",
        label="deviance explained",
        unit="",
        higher_is_better=True,
        response_kinds=SPIKES,
        function=lambda rate, counts, context: deviance_explained(
            rate, counts, context.baseline_rate
        ),
        block_statistics=_deviance_statistics,
        from_statistics=_explained_from_statistics,
        scale=LOG_REMAINDER,
        description="Poisson deviance removed against the training mean rate",
    )
)

BITS_PER_SPIKE = register_metric(
    Metric(
        name="bits_per_spike",
        label="bits per spike",
        unit="bits/spike",
        higher_is_better=True,
        response_kinds=SPIKES,
        function=lambda rate, counts, context: bits_per_spike(rate, counts, context.baseline_rate),
        block_statistics=_bits_statistics,
        from_statistics=_bits_from_statistics,
        scale=IDENTITY,
        description="Poisson log-likelihood gained on the training mean rate, a spike",
    )
)
