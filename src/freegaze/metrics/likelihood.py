"""Likelihood of the recorded spikes at the predicted rates, against the training mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import kl_div, xlogy

from freegaze.metrics.checks import as_rates
from freegaze.metrics.metric import SPIKES, ScoreContext, ratio, register_metric, remainder
from freegaze.metrics.scales import LOG_REMAINDER

RATE_FLOOR = 1e-8
"""Smallest expected count per bin. A rate of exactly 0 would make one stray spike cost infinitely
much; with this floor it costs log2(1e8) = 26.6 bits. The same number guards the logarithm in Xu et
al. (2023)."""


@register_metric(
    "deviance_explained",
    label="deviance explained",
    unit="",
    higher_is_better=True,
    formula=remainder,
    response_kinds=SPIKES,
    scale=LOG_REMAINDER,
)
def deviance_explained(
    rate: np.ndarray, counts: np.ndarray, context: ScoreContext
) -> Sequence[np.ndarray]:
    """Poisson deviance removed against the training mean rate.

    It does not change when rates, counts and baseline are multiplied by one number, so that
    inferred spikes of arbitrary unit may be scored. Negative where the training mean is better; NaN
    where the neuron was silent in training (there is no baseline then).

    Source: Cameron and Windmeijer (1996), J. Bus. Econ. Stat. 14, 209-220; the deviance as in
    McCullagh and Nelder (1989), Generalized Linear Models, section 2.3.
    """
    rate, counts = _floored(rate, counts)
    baseline = np.broadcast_to(_baseline(context), counts.shape)
    return 2 * kl_div(counts, rate), 2 * kl_div(counts, baseline)


@register_metric(
    "bits_per_spike",
    label="bits per spike",
    unit="bits/spike",
    higher_is_better=True,
    formula=ratio,
    response_kinds=SPIKES,
)
def bits_per_spike(
    rate: np.ndarray, counts: np.ndarray, context: ScoreContext
) -> Sequence[np.ndarray]:
    """Poisson log-likelihood gained on the training mean rate, per spike.

    Inferred spikes give bits per unit of inferred spikes; multiplying rates, counts and baseline by
    one number does not change them. NaN where the neuron was silent in training.

    Source: Brenner et al. (2000), Neural Computation 12, 1531-1552; as a score of models, Paninski
    et al. (2004) and Pei et al. (2021, Neural Latents Benchmark, "co-bps").
    """
    rate, counts = _floored(rate, counts)
    baseline = _baseline(context)
    gain_nats = xlogy(counts, rate / baseline) - (rate - baseline)
    return gain_nats / np.log(2), counts


def _floored(rate: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rate, counts = as_rates(rate, counts)
    return np.maximum(rate, RATE_FLOOR), counts


def _baseline(context: ScoreContext) -> np.ndarray:
    """Return training rates; NaN, and with it the score, for neurons that were silent then."""
    rate = np.asarray(context.baseline_rate, dtype=np.float64)
    return np.where(rate > 0, np.maximum(rate, RATE_FLOOR), np.nan)
