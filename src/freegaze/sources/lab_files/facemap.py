"""Pupil, blinks and motion of the face, as facemap finds them in a movie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.plain_pickle import read_pickled_npy
from freegaze.sources.alignment.streams import SampleStream, make_samples
from freegaze.sources.lab_files.config_points import FacemapConfig
from freegaze.sources.lab_files.sensors import linear_gaze, renamed
from freegaze.sources.lab_files.times import times_of


def read_facemap(name: str, config: FacemapConfig, folder: Path) -> SampleStream:
    """Read the pupil, the blink areas and components of the motion.

    Args:
        name: Name of the stream, for messages.
        config: Keys that name the regions.
        folder: What the file's path is relative to.

    Returns:
        ``pupil_x`` and ``pupil_y`` in px of the pupil's region, ``pupil_radius`` (half the long
        axis) and ``pupil_area``, lost where no pupil was found; ``blink``; ``motion_0`` ...

    Raises:
        DataError: If the file is damaged or of another program, or a region must be chosen.
        ShapeError: If arrays disagree in their number of frames.

    Source:
        Syeda et al. (2024), Nature Neuroscience 27:187; the layout is documented by facemap
        (outputs). Its centers are (row, column) within the region, its ``axlen`` squared half axes.
    """
    file = folder / config.file
    if file.suffix.lower() == ".mat":
        raise DataError(f"{file}: give the file `_proc.npy` that facemap writes beside it")
    proc = read_pickled_npy(file)
    if not isinstance(proc, dict) or not {"pupil", "motSVD"} & set(proc):
        raise DataError(f"{file} is no output of facemap (`*_proc.npy`), as it has no `pupil`")
    columns: dict[str, np.ndarray] = {}
    pupils = _regions(proc, "pupil")
    if pupils or config.pupil is not None:
        columns |= _pupil(_picked(pupils, config.pupil, "pupil", file), config, file)
    columns |= _blinks(proc)
    if config.components:
        motion = [_array(part) for part in _regions(proc, "motSVD")]
        filled = {i: part for i, part in enumerate(motion) if part.ndim == 2 and len(part)}
        values = _picked(filled, config.region, "region", file)
        if values.shape[1] < config.components:
            raise DataError(
                f"{file}: has {values.shape[1]} `components`, {config.components} asked"
            )
        columns |= {f"motion_{k}": values[:, k] for k in range(config.components)}
    if not columns:
        raise DataError(f"{file}: holds no pupil and no blink; state `components` of the motion")
    lengths = {key: len(values) for key, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ShapeError(f"{file}: columns have different numbers of frames: {lengths}")
    values = np.column_stack(list(columns.values()))
    times, rows = times_of(config, len(values), folder, str(file), "frames")
    names = tuple(columns)
    return make_samples(
        f"behavior.{name}",
        times,
        values[rows],
        renamed(names, config.rename, name),
        [_unit(column) for column in names],
        clock=config.clock,
        max_gap_s=config.max_gap_s,
        is_sorting=config.sort,
    )


def _unit(column: str) -> str:
    if column in ("theta", "phi"):
        return "deg"
    if column == "pupil_area":
        return "px^2"
    return "px" if column.startswith("pupil") else ""


def _regions(proc: dict[str, Any], key: str) -> list[Any]:
    found = proc.get(key, [])
    return list(found) if isinstance(found, list | tuple | np.ndarray) else []


def _picked(found: Any, wanted: int | None, what: str, file: Path) -> Any:
    """Return the region of a number; without a number, the only region."""
    there = dict(enumerate(found)) if isinstance(found, list) else found
    if wanted is None and len(there) == 1:
        return next(iter(there.values()))
    if wanted is None or wanted not in there:
        numbers = ", ".join(map(str, there)) or "none"
        raise DataError(f"{file}: state `{what}`, the number of one (there are {numbers})")
    return there[wanted]


def _pupil(pupil: Any, config: FacemapConfig, file: Path) -> dict[str, np.ndarray]:
    keys = pupil if isinstance(pupil, dict) else {}
    if not {"com", "area"} <= set(keys):
        raise DataError(f"{file}: its pupil has no `com` and `area`; run facemap again")
    center, area = _array(keys["com"]), _array(keys["area"])
    if center.shape != (len(area), 2) or area.ndim != 1:
        raise ShapeError(f"{file}: `com` of the pupil has shape {center.shape}, area {area.shape}")
    axes = _array(keys.get("axlen"))
    circle = np.sqrt(np.where(area > 0, area, np.nan) / np.pi)
    radius = np.sqrt(axes.max(axis=1)) if axes.shape == center.shape else circle
    is_lost = ~(area > 0) | ~np.isfinite(center).all(axis=1)
    columns = {
        "pupil_x": center[:, 1],
        "pupil_y": center[:, 0],
        "pupil_radius": radius,
        "pupil_area": area,
    }
    columns = {key: np.where(is_lost, np.nan, values) for key, values in columns.items()}
    if is_lost.all():
        raise DataError(f"{file}: facemap found no pupil in any frame; draw its region again")
    return columns | linear_gaze(columns["pupil_x"], columns["pupil_y"], config)


def _blinks(proc: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the area of each blink region; they are numbered where there are several."""
    blinks = [_array(part) for part in _regions(proc, "blink")]
    blinks = [part for part in blinks if part.ndim == 1 and len(part)]
    return {
        "blink" if len(blinks) == 1 else f"blink_{i}": values for i, values in enumerate(blinks)
    }


def _array(value: Any) -> np.ndarray:
    """Return an array of numbers, an empty one for anything else."""
    is_numeric = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
    return value.astype(np.float64) if is_numeric else np.empty(0)
