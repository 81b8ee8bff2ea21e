"""Behavior features by name: a column, its derivative ``d_x``, products ``a*b``, and named sets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product

from freegaze.errors import ConfigError
from freegaze.recording.columns import COLUMNS, find_column, needed_columns
from freegaze.registry import nearest_names

ORIG = tuple(column.name for column in COLUMNS if column.is_in_sets)
DERIVATIVES = tuple(f"d_{name}" for name in ORIG[1:])


def _with_products(names: Sequence[str]) -> tuple[str, ...]:
    return (*names, *(f"{a}*{b}" for a, b in combinations(names, 2)))


CIRCULAR = ("cos_", "sin_")
"""Prefixes of the names of the two signals that encode an angle."""

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
        Feature names in order, each once; an angle that wraps around gives two features, its cosine
        and its sine.

    Raises:
        ConfigError: If a name needs a column that was not recorded.

    Example:
        >>> resolve_features(["S", "speed*d_theta"], ["speed", "theta", "pupil_radius"])
        ('speed', 'pupil_radius', 'd_pupil_radius', 'speed*d_theta')
        >>> resolve_features(["speed*yaw"], ["speed", "yaw"])
        ('speed*cos_yaw', 'speed*sin_yaw')
    """
    names = tuple(
        dict.fromkeys(
            part for name in expand_sets(spec, recorded) for part in unroll_circular(name, recorded)
        )
    )
    for name in names:
        for signal in factors(name):
            _require_column(signal, name, recorded)
    return names


def expand_sets(spec: str | Sequence[str], recorded: Sequence[str]) -> tuple[str, ...]:
    """Replace named sets by their features, each once; see ``resolve_features``."""
    items = (spec,) if isinstance(spec, str) else spec
    sets = {**FEATURE_SETS, "recorded": tuple(recorded)}
    return tuple(dict.fromkeys(name for item in items for name in sets.get(item, (item,))))


def unroll_circular(feature: str, recorded: Sequence[str]) -> tuple[str, ...]:
    """Replace each angle that wraps around by its cosine and its sine.

    Args:
        feature: A column, a derivative, or a product of two of them.
        recorded: Behavior columns that the data holds; a recorded ``cos_yaw`` does not change.

    Returns:
        The features; without such an angle, the feature itself.

    Example:
        >>> unroll_circular("yaw", ["yaw"]), unroll_circular("d_yaw", ["yaw"])
        (('cos_yaw', 'sin_yaw'), ('d_yaw',))
    """
    parts = [
        [f"{wave}{signal}" for wave in CIRCULAR]
        if signal in recorded and find_column(signal).is_circular
        else [signal]
        for signal in factors(feature)
    ]
    return tuple("*".join(chosen) for chosen in product(*parts))


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

    A recorded column whose own name starts with ``d_`` is this column, not a derivative.
    ``cos_yaw`` and ``sin_yaw`` come from the column ``yaw``.
    """
    if signal in recorded:
        return signal, False
    if signal.startswith(CIRCULAR) and find_column(signal[4:]).is_circular:
        return signal[4:], False
    return signal.removeprefix("d_"), signal.startswith("d_")


def _require_column(signal: str, feature: str, recorded: Sequence[str]) -> None:
    for column in needed_columns(source_column(signal, recorded)[0], recorded):
        if column not in recorded:
            raise ConfigError(
                f"behavior feature {feature!r} needs the column {column!r}, which was not "
                f"recorded; recorded: {', '.join(recorded) or 'none'} "
                f"({nearest_names(feature, [*recorded, *FEATURE_SETS, 'recorded'])})"
            )
