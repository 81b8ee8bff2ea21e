"""Groups of behavior columns, and the class of a neuron that follows from them."""

from __future__ import annotations

from collections.abc import Sequence

from freegaze.explanation.contributions.regression import SCENE, VISION
from freegaze.recording.columns import GROUP_COLORS, find_column


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
        is_taken = column in (VISION, SCENE)
        group = f"{column} column" if is_taken else find_column(column).group or column
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
    return significant[0] if len(significant) == 1 and significant[0] in GROUP_COLORS else "mixed"
