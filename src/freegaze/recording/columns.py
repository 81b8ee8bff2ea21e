"""Table of behavior columns: name, unit, group, sign, and how a column is derived.

A new behavior feature is one more row of ``COLUMNS``. Feature sets, groups of contributions, their
colors, units and the data dictionary follow from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

GROUP_COLORS = {"eye": "#cc79a7", "head": "#d55e00", "speed": "#e69f00", "pupil": "#56b4e9"}
"""Groups of behavior columns in the order of tables, and the color of each in figures."""


@dataclass(frozen=True)
class BehaviorColumn:
    """One signal of behavior.

    Args:
        name: Standard name.
        unit: Unit in which sources give it; ``""`` where it is as in the file.
        group: Group whose contribution it is part of; a column without one is a group by itself.
        meaning: Meaning and sign, one line of the data dictionary.
        needed_by: Parts that read it by default.
        is_in_sets: Whether it is one of the six columns of Xu et al. (2023). The named feature sets
            combine them in the order of the table.
        is_circular: Whether it is an angle that wraps around at 360 degrees.
        derived_from: Recorded columns from which it is computed where it was not recorded itself.
        derive: Function of these columns, each (time,), in that order.
    """

    name: str
    unit: str
    group: str | None
    meaning: str
    needed_by: str = ""
    is_in_sets: bool = False
    is_circular: bool = False
    derived_from: tuple[str, ...] = ()
    derive: Callable[..., Float[np.ndarray, " time"]] | None = None


COLUMNS = (
    BehaviorColumn(
        name="speed",
        unit="cm/s",
        group="speed",
        meaning="running speed, not negative",
        needed_by="feature sets",
        is_in_sets=True,
    ),
    BehaviorColumn(
        name="gz",
        unit="deg/s",
        group="head",
        meaning="yaw velocity of the head from the gyroscope, in the sign of the file; unit `raw` "
        "where the scale is unknown",
        needed_by="quality check of eye against gyroscope",
    ),
    BehaviorColumn(
        name="yaw",
        unit="deg",
        group="head",
        meaning="heading of the head in the room, as in the file",
        is_circular=True,
    ),
    BehaviorColumn(
        name="yaw_velocity",
        unit="deg/s",
        group="head",
        meaning="change of the heading, in the sign of the file",
    ),
    BehaviorColumn(
        name="pitch",
        unit="deg",
        group="head",
        meaning="vertical tilt of the head, in the sign of the file",
        needed_by="shifters, feature sets",
        is_in_sets=True,
    ),
    BehaviorColumn(
        name="roll",
        unit="deg",
        group="head",
        meaning="tilt about the axis of the nose, in the sign of the file",
        needed_by="shifters, feature sets",
        is_in_sets=True,
    ),
    BehaviorColumn(
        name="phi",
        unit="deg",
        group="eye",
        meaning="vertical angle of the eye in the head, **in the sign of the file**",
        needed_by="shifters, feature sets",
        is_in_sets=True,
    ),
    BehaviorColumn(
        name="theta",
        unit="deg",
        group="eye",
        meaning="horizontal angle of the eye in the head, in the sign of the file",
        needed_by="shifters, feature sets",
        is_in_sets=True,
    ),
    BehaviorColumn(
        name="pupil_radius",
        unit="px",
        group="pupil",
        meaning="size of the pupil: half the long axis, or what the source calls pupil size",
        needed_by="feature sets",
        is_in_sets=True,
    ),
    BehaviorColumn(
        name="pupil_area",
        unit="px^2",
        group="pupil",
        meaning="area of the pupil, of a circle where it is derived",
        derived_from=("pupil_radius",),
        derive=lambda radius: np.pi * radius**2,
    ),
    BehaviorColumn(
        name="pupil_radius_change",
        unit="unstated",
        group=None,
        meaning="derivative of the size of the pupil, as Sensorium 2022 gives it",
    ),
    BehaviorColumn(
        name="pupil_x",
        unit="px",
        group="eye",
        meaning="horizontal position of the pupil's center in the frame of the eye camera",
        needed_by="a shifter whose `columns` name it",
    ),
    BehaviorColumn(
        name="pupil_y",
        unit="px",
        group="eye",
        meaning="vertical position of the pupil's center in the frame of the eye camera",
        needed_by="a shifter whose `columns` name it",
    ),
    BehaviorColumn(
        name="gaze_x",
        unit="",
        group="eye",
        meaning="horizontal column of an NWB series of the eye whose axes are not named as angles; "
        "rename it with the source's options to use it as `theta`",
    ),
    BehaviorColumn(
        name="gaze_y",
        unit="",
        group="eye",
        meaning="vertical column of such a series; rename it to use it as `phi`",
    ),
)
"""All columns with a standard name. A source may give others; a model reads them by name."""

_BY_NAME = {column.name: column for column in COLUMNS}


def find_column(name: str) -> BehaviorColumn:
    """Return the row of a standard name, or a bare one of no unit and no group for any other.

    Example:
        >>> find_column("theta").unit, find_column("whisking").group
        ('deg', None)
    """
    return _BY_NAME.get(name, BehaviorColumn(name, "", None, ""))


def needed_columns(name: str, recorded: Sequence[str]) -> tuple[str, ...]:
    """Return the recorded columns that ``name`` is, or is derived from.

    Args:
        name: A column.
        recorded: Names of the recorded columns.

    Returns:
        ``name`` itself where it was recorded or cannot be derived.

    Example:
        >>> needed_columns("pupil_area", ["speed", "pupil_radius"])
        ('pupil_radius',)
    """
    return (name,) if name in recorded else find_column(name).derived_from or (name,)


def name_columns(keys: Mapping[str, str], **units: str) -> dict[str, tuple[str, str]]:
    """Return name and unit of the column behind each key of a file.

    Args:
        keys: Standard name of each key.
        units: Unit of a column by its name, where it is not the standard one.

    Example:
        >>> name_columns({"th": "theta", "gz": "gz"}, gz="raw")
        {'th': ('theta', 'deg'), 'gz': ('gz', 'raw')}
    """
    return {key: (name, units.get(name, find_column(name).unit)) for key, name in keys.items()}
