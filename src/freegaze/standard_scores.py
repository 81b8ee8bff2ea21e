"""Columns of mean 0 and standard deviation 1."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped


def standardize(
    columns: Float[np.ndarray, "time ..."], rows: Shaped[np.ndarray, " row"] | slice = slice(None)
) -> Float[np.ndarray, "time ..."]:
    """Subtract the mean of each column and divide by its standard deviation.

    A column that is constant over the rows is only centered.

    Args:
        columns: One column per signal, or a single signal.
        rows: Rows that mean and standard deviation are computed from, as a mask or as numbers; all
            by default.

    Example:
        >>> standardize(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    sd = columns[rows].std(0)
    return (columns - columns[rows].mean(0)) / np.where(sd > 0, sd, 1.0)
