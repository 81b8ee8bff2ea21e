"""Behavior features by name: a column, its derivative ``d_x``, products ``a*b``, and named sets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from freegaze.errors import ConfigError
from freegaze.recording.columns import COLUMNS, needed_columns
from freegaze.registry import nearest_names

ORIG = tuple(column.name for column in COLUMNS if column.is_in_sets)
DERIVATIVES = tuple(f"d_{name}" for name in ORIG[1:])


def _with_products(names: Sequence[str]) -> tuple[str, ...]:
    return (*names, *(f"{a}*{b}" for a, b in combinations(names, 2)))


FEATURE_SETS: dict[str, tuple[str, ...]] = {
    "orig": ORIG,
    "velo": ("speed", *DERIVATIVES),
    "all": ORIG + DERIVATIVES,
    "orig_prod": _with_products(ORIG),
    "velo_prod": _with_products(("speed", *DERIVATIVES)),
    "all_prod": _with_products(ORIG + DERIVATIVES),
    "S": ("speed", "pupil_radius", "d_pupil_radius"),
}
"""The sets of Xu et al. (2023), Table 2, in the original's order of columns.

A set's products are all pairs of different signals, outer loop first, no squares (Q6).
"""


def resolve_features(spec: str | Sequence[str], recorded: Sequence[str]) -> tuple[str, ...]:
    """Turn a named set, or a list of names and sets, into feature names.

    Args:
        spec: ``"all_prod"``, ``"recorded"`` (every recorded column), or a list such as
            ``["speed", "d_theta", "speed*theta"]``; an empty list is no behavior.
        recorded: Behavior columns that the data holds.

    Returns:
        Feature names in order, each once.

    Raises:
        ConfigError: If a name needs a column that was not recorded.

    Example:
        >>> resolve_features(["S", "speed*d_theta"], ["speed", "theta", "pupil_radius"])
        ('speed', 'pupil_radius', 'd_pupil_radius', 'speed*d_theta')
    """
    names = expand_sets(spec, recorded)
    for name in names:
        for signal in factors(name):
            _require_column(signal, name, recorded)
    return names


def expand_sets(spec: str | Sequence[str], recorded: Sequence[str]) -> tuple[str, ...]:
    """Replace named sets by their features, each once; see ``resolve_features``."""
    items = (spec,) if isinstance(spec, str) else spec
    sets = {**FEATURE_SETS, "recorded": tuple(recorded)}
    return tuple(dict.fromkeys(name for item in items for name in sets.get(item, (item,))))


def factors(feature: str) -> tuple[str, ...]:
    """Return the one or two signals that a feature multiplies: ``"a*b"`` gives ``("a", "b")``.

    Raises:
        ConfigError: If the name is empty or multiplies more than two signals.
    """
    parts = tuple(part.strip() for part in feature.split("*"))
    if len(parts) > 2 or not all(parts):
        raise ConfigError(
            f"behavior feature {feature!r} is not a column, a derivative d_column, or a product "
            "a*b of two of them"
        )
    return parts


def base_signals(features: Sequence[str]) -> tuple[str, ...]:
    """Return the columns and derivatives that some features are made of, each once, in order."""
    return tuple(dict.fromkeys(signal for name in features for signal in factors(name)))


def source_column(signal: str, recorded: Sequence[str]) -> tuple[str, bool]:
    """Return a signal's recorded column, and whether the signal is that column's derivative.

    A recorded column whose own name starts with ``d_`` is taken as it is.
    """
    if signal in recorded:
        return signal, False
    return signal.removeprefix("d_"), signal.startswith("d_")


def _require_column(signal: str, feature: str, recorded: Sequence[str]) -> None:
    for column in needed_columns(source_column(signal, recorded)[0], recorded):
        if column not in recorded:
            raise ConfigError(
                f"behavior feature {feature!r} needs the column {column!r}, which was not "
                f"recorded; recorded: {', '.join(recorded) or 'none'} "
                f"({nearest_names(feature, [*recorded, *FEATURE_SETS, 'recorded'])})"
            )
