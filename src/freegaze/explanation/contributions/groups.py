"""Groups of behavior columns, and the class of a neuron that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from freegaze.explanation.contributions.regression import SCENE, VISION

GROUPS: Mapping[str, tuple[str, ...]] = {
    "eye": ("theta", "phi"),
    "head": ("pitch", "roll", "yaw", "gz", "yaw_velocity"),
    "speed": ("speed",),
    "pupil": ("pupil_radius", "pupil_area"),
}
"""Columns of each group by their standard names."""


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
    found = {g: tuple(c for c in columns if c in names) for g, names in GROUPS.items()}
    known = {name for names in GROUPS.values() for name in names}
    for column in columns:
        if column not in known:  # one that is called as a group is of that group
            group = f"{column} column" if column in (VISION, SCENE) else column
            found[group] = (*found.get(group, ()), column)
    return {group: names for group, names in found.items() if names}


def class_of(significant: Sequence[str]) -> str:
    """Return a neuron's class from the groups of behavior that add something.

    There is no class for a column of no standard group: by itself, too, it is ``mixed``.

    Example:
        >>> class_of([]), class_of(["eye"]), class_of(["eye", "speed"])
        ('none', 'eye', 'mixed')
    """
    if not significant:
        return "none"
    return significant[0] if len(significant) == 1 and significant[0] in GROUPS else "mixed"
