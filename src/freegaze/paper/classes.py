"""The original's rule of which behavior modulates which neurons (deviations Q39 and Q40).

A neuron counts as strongly modulated by a variable if its saliency, compared with that of the
session's other neurons, is unusual for the variable or for its derivative. Some neurons are unusual
in any group, so that the rule finds about as many neurons where none is modulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import stats

from freegaze.errors import ShapeError
from freegaze.standard_scores import standardize

THRESHOLD = 1.0
"""Standard deviations over neurons beyond which a neuron counts as modulated."""

GOOD = 0.25
"""Least correlation, as the original computes it, of a neuron that is predicted well."""


@dataclass(frozen=True, eq=False)
class Modulation:
    """Neurons that the rule calls modulated.

    Args:
        variables: Names of the variables: features that are neither products nor derivatives of
            another feature.
        names: Names of the variables and of their derivatives: the columns of ``z``.
        z: Saliency, its mean over neurons taken off, in standard deviations over neurons; 0 where
            all neurons are the same.
        is_modulated: Whether a neuron is modulated by each variable or its derivative.
    """

    variables: tuple[str, ...]
    names: tuple[str, ...]
    z: Float[np.ndarray, "neuron name"]
    is_modulated: Bool[np.ndarray, "neuron variable"]


def modulation(
    saliency: Float[np.ndarray, "neuron feature"],
    names: tuple[str, ...],
    threshold: float = THRESHOLD,
) -> Modulation:
    """Apply the rule to the neurons of one session.

    Args:
        saliency: Mean derivative of each neuron's rate by each feature.
        names: Names of the features; products ``a*b`` are ignored, ``d_a`` is a's derivative.
        threshold: Standard deviations from the mean over neurons.

    Returns:
        Modulated neurons, by variable.

    Raises:
        ShapeError: If there is not one name per feature.

    Source: Xu et al. (2023), notebook of Figure 5.

    Example:
        >>> saliency = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0], [9.0, 0.0]])
        >>> modulation(saliency, ("roll", "d_roll")).is_modulated[:, 0].tolist()
        [False, False, True, True]
    """
    if saliency.shape[1] != len(names):
        raise ShapeError(f"expected {saliency.shape[1]} names of features, got {len(names)}")
    single = tuple(name for name in names if "*" not in name)
    columns = saliency[:, [names.index(name) for name in single]].astype(np.float64)
    z = np.where(np.ptp(columns, axis=0) > 0, standardize(columns), 0.0)
    variables = tuple(dict.fromkeys(_variable(name, single) for name in single))
    is_strong = np.abs(z) >= threshold
    found = [
        is_strong[:, [_variable(name, single) == variable for name in single]].any(1)
        for variable in variables
    ]
    return Modulation(variables, single, z, np.stack(found, 1))


def count_modulated(
    found: Modulation,
    correlation: Float[np.ndarray, " neuron"],
    threshold: float = THRESHOLD,
    good: float = GOOD,
) -> pd.DataFrame:
    """Count the neurons modulated by each variable, among all and among those predicted well.

    The original divides numbers of one group by numbers of the other in places (Q39); here all
    numbers are given.

    Args:
        found: Result of ``modulation``.
        correlation: The original's correlation of each neuron.
        threshold: Threshold that was given to ``modulation``.
        good: Least correlation of a neuron that is predicted well.

    Returns:
        One row per variable: ``variable``, ``n_modulated``, ``n_modulated_good``, ``n_unique`` (by
        this variable and no other), ``n_unique_good``, ``n_neurons``, ``n_good``, ``share`` and
        ``share_good`` (modulated, of the same group), ``share_good_of_all`` (modulated and
        predicted well, of all), ``expected_share`` (where saliency is noise: share of
        independent Gaussian numbers beyond the threshold).
    """
    is_good = correlation >= good
    is_unique = found.is_modulated & (found.is_modulated.sum(1) == 1)[:, None]
    n_neurons, n_good = len(is_good), int(is_good.sum())
    beyond = 2 * float(stats.norm.sf(threshold))
    rows = []
    for i, variable in enumerate(found.variables):
        one, unique = found.is_modulated[:, i], is_unique[:, i]
        n_columns = sum(_variable(name, found.names) == variable for name in found.names)
        rows.append(
            {
                "variable": variable,
                "n_modulated": int(one.sum()),
                "n_modulated_good": int((one & is_good).sum()),
                "n_unique": int(unique.sum()),
                "n_unique_good": int((unique & is_good).sum()),
                "n_neurons": n_neurons,
                "n_good": n_good,
                "share": one.mean(),
                "share_good": (one & is_good).sum() / n_good if n_good else float("nan"),
                "share_good_of_all": (one & is_good).mean(),
                "expected_share": 1 - (1 - beyond) ** n_columns,
            }
        )
    return pd.DataFrame(rows)


def _variable(name: str, names: tuple[str, ...]) -> str:
    """Return what a feature is the derivative of, if that is a feature too, or the feature."""
    base = name.removeprefix("d_")
    return base if base in names else name
