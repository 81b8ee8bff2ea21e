"""Points in space in the CSV that Anipose triangulates."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from freegaze.errors import DataError
from freegaze.sources.lab_files.pose.points import Points, certain_by_hand, to_frame_numbers
from freegaze.sources.lab_files.tabular import read_table

_AXES = "xyz"
_FRAME = "fnum"


def read_anipose(file: Path) -> Points:
    """Read one row per frame: POINT_x, POINT_y, POINT_z, POINT_score, and ``fnum``.

    Raises:
        DataError: If there is no point of three coordinates, or the frame numbers are impossible.

    Source:
        Karashchuk et al. (2021), Cell Reports 36:109730, ``pose-3d`` of the program.
    """
    table = read_table(file)
    names = [
        name[:-2]
        for name in table.names
        if name.endswith("_x") and all(f"{name[:-2]}_{axis}" in table.names for axis in _AXES)
    ]
    if not names:
        raise DataError(
            f"{file}: no column POINT_x with POINT_y and POINT_z; is it of Anipose's folder "
            "`pose-3d`? Read other tables with `kind: table`"
        )
    space = np.stack(
        [np.stack([table.numbers(f"{n}_{axis}") for n in names], axis=1) for axis in _AXES], axis=-1
    )
    has_scores = all(f"{n}_score" in table.names for n in names)
    scores = np.stack([table.numbers(f"{n}_score") for n in names], axis=1) if has_scores else None
    frames = np.arange(len(table))
    if _FRAME in table.names:
        frames = to_frame_numbers(table.numbers(_FRAME), f"{file}, column {_FRAME!r}")
    order = np.argsort(frames, kind="stable")
    likelihood = certain_by_hand(space, scores)
    return Points(
        tuple(names), frames[order], space[order, :, :2], likelihood[order], space[order, :, 2]
    )
