"""Selection of discoveries among many tests: at once, or neurons first and groups after."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from freegaze.metrics.false_discovery import adjust_p


def discoveries(
    p: Float[np.ndarray, "neuron group"], rate: float = 0.05
) -> Bool[np.ndarray, "neuron group"]:
    """Return which of many tests are discoveries at a false discovery rate.

    Args:
        p: Probabilities; NaN is never a discovery, and not counted as a test.
        rate: Expected share of false ones among the discoveries.

    Source: Y. Benjamini and Y. Hochberg (1995), J R Stat Soc B 57:289-300.

    Example:
        >>> discoveries(np.array([[0.001, 0.02], [0.5, 0.9]])).tolist()
        [[True, True], [False, False]]
    """
    return adjust_p(p.ravel()).reshape(p.shape) <= rate


def select_in_two_steps(
    any_p: Float[np.ndarray, " neuron"],
    p: Float[np.ndarray, "neuron group"],
    rate: float = 0.05,
) -> tuple[Bool[np.ndarray, " neuron"], Bool[np.ndarray, "neuron group"]]:
    """Select neurons by their test of any group, then groups within each selected neuron.

    Neurons are selected at ``rate``. If R of M tested neurons are selected, the groups of each are
    selected among themselves at ``rate * R / M``. This controls the false discovery rate over
    neurons, and the false discovery rate within a neuron averaged over the selected neurons. It
    does not control the share of false ones among all selected groups pooled over neurons.

    Args:
        any_p: Probability of each neuron's test of all groups together; NaN where not tested.
        p: Probability of each group; NaN where not tested.
        rate: Expected share of false ones.

    Returns:
        Selection of neurons, and of groups of each.

    Source: Y. Benjamini and M. Bogomolov (2014), J R Stat Soc B 76:297-318.

    Example:
        >>> p = np.array([[0.001, 0.6], [0.03, 0.03]])
        >>> neurons, groups = select_in_two_steps(np.array([0.002, 0.2]), p)
        >>> neurons.tolist(), groups.tolist()
        ([True, False], [[True, False], [False, False]])
    """
    selected = discoveries(any_p[:, None], rate)[:, 0]
    within = rate * selected.sum() / max(1, int(np.isfinite(any_p).sum()))
    found = np.zeros(p.shape, dtype=bool)
    for neuron in np.flatnonzero(selected):
        found[neuron] = discoveries(p[neuron, None], within)[0]
    return selected, found
