"""Groups of behavior columns, and the class of a neuron that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from freegaze.explanation.contributions.regression import BEHAVIOR, SCENE, VISION
from freegaze.recording.columns import GROUP_COLORS, find_column

COLLINEAR = 0.9
"""Share of the variance of a group's every column that another group explains from which the two
are judged together: a variance inflation factor of 10 (Kutner, Nachtsheim, Neter and Li 2005,
Applied Linear Statistical Models, 5th edition, section 10.5)."""

TOGETHER = " + "
"""Between the names of groups that are judged together."""

YES, NO, UNTESTED = "yes", "no", "not tested"
"""Answers of a test."""


def grouped_columns(columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Sort recorded columns into groups; a column of no group is one by itself.

    Args:
        columns: Names of recorded columns.

    Returns:
        Columns of each group that has any, the standard groups first.

    Example:
        >>> grouped_columns(["speed", "theta", "whisking", "phi"])
        {'eye': ('theta', 'phi'), 'speed': ('speed',), 'whisking': ('whisking',)}
    """
    found: dict[str, tuple[str, ...]] = dict.fromkeys(GROUP_COLORS, ())
    for column in columns:  # one that is called as a group is of that group
        is_taken = column in (VISION, SCENE, BEHAVIOR)
        group = f"{column} column" if is_taken else find_column(column).group or column
        found[group] = (*found.get(group, ()), column)
    return {group: names for group, names in found.items() if names}


def join_collinear(
    groups: Mapping[str, Sequence[str]], signals: Mapping[str, Float[np.ndarray, " time"]]
) -> dict[str, tuple[str, ...]]:
    """Join groups that no regression can separate: one explains every column of the other.

    Args:
        groups: Columns of each group.
        signals: Each column.

    Returns:
        Columns of each group. Joined groups are in the place of the first, under a name of all.

    Example:
        >>> speed, eye = np.random.default_rng(0).normal(size=(2, 500))
        >>> signals = {"speed": speed, "theta": eye, "wheel": 2.0 * speed + 1.0}
        >>> join_collinear({"eye": ("theta",), "speed": ("speed",), "wheel": ("wheel",)}, signals)
        {'eye': ('theta',), 'speed + wheel': ('speed', 'wheel')}
    """
    arrays = {name: np.column_stack([signals[c] for c in own]) for name, own in groups.items()}
    joined: list[list[str]] = []
    for name in groups:
        near = [
            others
            for others in joined
            if any(
                _is_explained(arrays[a], arrays[b])
                for other in others
                for a, b in ((name, other), (other, name))
            )
        ]
        joined = [others for others in joined if others not in near]
        joined.append([*(other for others in near for other in others), name])
    order = list(groups)
    names = [sorted(own, key=order.index) for own in joined]
    names.sort(key=lambda own: order.index(own[0]))
    return {TOGETHER.join(own): tuple(c for name in own for c in groups[name]) for own in names}


def _is_explained(columns: np.ndarray, others: np.ndarray) -> bool:
    """Return whether a linear model of the others explains each column that changes at all."""
    columns, others = columns - columns.mean(0), others - others.mean(0)
    total = (columns**2).sum(0)
    changes = total > 1e-12 * len(columns)
    if not changes.any() or not others.any():
        return False
    rest = columns - others @ np.linalg.lstsq(others, columns, rcond=None)[0]
    left = (rest**2).sum(0)[changes] / total[changes]
    return bool((left <= 1 - COLLINEAR).all())


def class_of(significant: Sequence[str], any_behavior: str = YES) -> str:
    """Return a neuron's class from the groups of behavior that add something.

    There is no class for a column of no standard group: by itself, too, it is ``mixed``.

    Args:
        significant: Groups that add something.
        any_behavior: Answer of the test of all groups together.

    Returns:
        ``undecided`` where behavior adds something and no group can be named: none is significant,
        or only groups that are judged together.

    Example:
        >>> class_of(["eye"]), class_of(["eye", "speed"]), class_of([]), class_of([], "no")
        ('eye', 'mixed', 'undecided', 'none')
    """
    if any_behavior != YES:
        return "none" if any_behavior == NO else UNTESTED
    if not significant or (len(significant) == 1 and TOGETHER in significant[0]):
        return "undecided"
    return significant[0] if len(significant) == 1 and significant[0] in GROUP_COLORS else "mixed"
