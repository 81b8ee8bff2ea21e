"""Correction of p values for the number of tests."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import false_discovery_control


def adjust_p(p: Float[np.ndarray, " test"]) -> Float[np.ndarray, " test"]:
    """Adjust p values by Benjamini and Hochberg's step-up procedure.

    Calling significant what has an adjusted p of at most q keeps the false discovery rate at q, for
    independent tests and for tests that depend on each other positively. Tests without a p (NaN)
    were not made: they get NaN and do not count.

    Args:
        p: One p value per test.

    Returns:
        The adjusted p values.

    Source: Y. Benjamini and Y. Hochberg (1995), J R Stat Soc B 57:289-300.

    Example:
        >>> adjust_p(np.array([0.01, 0.02, np.nan, 0.9])).tolist()
        [0.03, 0.03, nan, 0.9]
    """
    p = np.asarray(p, dtype=np.float64)
    is_test = np.isfinite(p)
    adjusted = np.full(p.shape, np.nan)
    if is_test.any():
        adjusted[is_test] = false_discovery_control(p[is_test])
    return adjusted
