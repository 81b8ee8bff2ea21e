"""Scales on which the sampling error of a score is close to symmetric and of constant size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CLOSEST_TO_ONE = 1.0 - 1e-12
"""A perfect correlation has no finite Fisher z; this is the nearest one that has (z = 14.2)."""
SMALLEST_ERROR = 1e-300
"""An error of exactly 0 has no logarithm; this one has (-691)."""


@dataclass(frozen=True)
class Scale:
    """A monotone change of scale.

    Args:
        name: Name of the scale.
        forward: Function from the score to the scale.
        backward: Function from the scale to the score.
        derivative: Derivative of ``forward`` at a score.
    """

    name: str
    forward: Callable[[np.ndarray], np.ndarray]
    backward: Callable[[np.ndarray], np.ndarray]
    derivative: Callable[[np.ndarray], np.ndarray]


def _clip_correlation(r: np.ndarray) -> np.ndarray:
    return np.clip(r, -CLOSEST_TO_ONE, CLOSEST_TO_ONE)


def _clip_fraction(x: np.ndarray) -> np.ndarray:
    return np.minimum(x, CLOSEST_TO_ONE)


IDENTITY = Scale("identity", lambda x: x, lambda x: x, np.ones_like)
"""The score as it is."""

FISHER_Z = Scale(
    "Fisher z",
    lambda r: np.arctanh(_clip_correlation(r)),
    np.tanh,
    lambda r: 1 / (1 - _clip_correlation(r) ** 2),
)
"""Arctanh of a correlation. Source: R. A. Fisher (1921), Metron 1, 3-32."""

LOG = Scale(
    "log",
    lambda x: np.log(np.maximum(x, SMALLEST_ERROR)),
    np.exp,
    lambda x: 1 / np.maximum(x, SMALLEST_ERROR),
)
"""Logarithm, for errors, which are never negative."""

LOG_REMAINDER = Scale(
    "-log(1 - x)",
    lambda x: -np.log1p(-_clip_fraction(x)),
    lambda y: -np.expm1(-y),
    lambda x: 1 / (1 - _clip_fraction(x)),
)
"""Minus the log of what a fraction explained leaves unexplained."""
