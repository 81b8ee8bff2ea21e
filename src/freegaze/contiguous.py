"""Contiguous runs of equal labels along time."""

from __future__ import annotations

import numpy as np
from jaxtyping import Integer, Shaped

from freegaze.errors import ShapeError


def run_bounds(
    *labels: Shaped[np.ndarray, " time"],
) -> tuple[Integer[np.ndarray, " run"], Integer[np.ndarray, " run"]]:
    """Find the runs in which no label changes; labels that return later start a new run.

    Args:
        labels: One or several labels of each bin, in order of time. For the runs of consecutive
            numbers in increasing ``bins``, ``bins - np.arange(len(bins))`` is such a label.

    Returns:
        First bin of each run, and one past its last bin.

    Raises:
        ShapeError: If there is no bin, more than one axis, or labels differ in length.

    Example:
        >>> run_bounds(np.array([0, 0, 7, 7, 7]))
        (array([0, 2]), array([2, 5]))
    """
    shapes = {np.shape(label) for label in labels}
    n_bins = np.size(labels[0])
    if shapes != {(n_bins,)} or not n_bins:
        raise ShapeError(f"labels of bins must be (time,) with at least one bin, got {shapes}")
    is_new = np.logical_or.reduce([label[1:] != label[:-1] for label in labels])
    inner = np.flatnonzero(is_new) + 1
    return np.concatenate([[0], inner]), np.concatenate([inner, [n_bins]])


def run_ids(*labels: Shaped[np.ndarray, " time"]) -> Integer[np.ndarray, " time"]:
    """Number the runs in which no label changes.

    Args:
        labels: One or several labels of each bin, in order of time, see `run_bounds`.

    Returns:
        Number of the run that contains each bin, from 0.

    Example:
        >>> run_ids(np.array([5, 5, 6, 5]))
        array([0, 0, 1, 2])
    """
    first, stop = run_bounds(*labels)
    return np.repeat(np.arange(len(first)), stop - first)
