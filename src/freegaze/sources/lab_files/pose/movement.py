"""Points in the netCDF files of movement, which reads those of many trackers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.hdf5 import opened_hdf5, read_whole
from freegaze.sources.lab_files.config_points import MovementConfig
from freegaze.sources.lab_files.pose.points import (
    Points,
    certain_by_hand,
    pick_animal,
    to_frame_numbers,
)

_AXES = ("time", "individuals", "keypoints", "space")
_SINGULAR = {"keypoint": "keypoints", "individual": "individuals"}
"""Names of axes in some versions, and those in others."""
_SPACES = (("x", "y"), ("x", "y", "z"))
_SECONDS = ("s", "sec", "second", "seconds")


def read_movement(file: Path, config: MovementConfig) -> Points:
    """Read ``position`` and ``confidence`` of one individual.

    netCDF 4 is HDF5, so movement itself is not needed. Boxes without key points are read as one
    point ``centroid``. Times are those of the file, where it states them in seconds; otherwise
    frames have the numbers of the file. A confidence per individual is that of all its points.

    Args:
        file: File as ``Dataset.to_netcdf`` writes it.
        config: Keys that name the individual.

    Raises:
        DataError: If there is no such array, or the times are of another unit.
        ShapeError: If it has other axes.

    Source:
        The layout is documented by movement (poses and bounding boxes dataset).
    """
    with opened_hdf5(file) as store:
        if "position" not in store:
            raise DataError(
                f"{file} holds no `position`, expected poses that movement saved with `to_netcdf`"
            )
        xyz, labels = _labeled(store, "position", file)
        confidence = None
        if "confidence" in store:
            confidence, _ = _labeled(store, "confidence", file)
        times = _times(store, file)
        numbers = _frame_numbers(store, file)
    space = tuple(labels.get("space", ()))
    if space not in _SPACES:
        raise ShapeError(f"{file}: coordinates are {', '.join(space) or 'unnamed'}, expected x, y")
    animals = labels.get("individuals", ["0"])
    chosen = animals.index(pick_animal(animals, config.individual, file))
    xyz = xyz[:, chosen]
    if confidence is not None:
        confidence = confidence[:, chosen]
        if confidence.shape not in (xyz.shape[:2], (len(xyz), 1)):
            raise ShapeError(
                f"{file}: confidence has shape {confidence.shape}, position {xyz.shape}"
            )
        confidence = np.broadcast_to(confidence, xyz.shape[:2])
    likelihood = certain_by_hand(xyz, confidence)
    frames = np.arange(len(xyz)) if numbers is None else numbers
    if len(frames) != len(xyz):
        raise ShapeError(f"{file}: {len(frames)} numbers of frames, position {xyz.shape}")
    order = np.argsort(frames, kind="stable")
    xyz = xyz[order]
    return Points(
        tuple(labels.get("keypoints", ["centroid"])),
        frames[order],
        xyz[..., :2],
        likelihood[order],
        xyz[..., 2] if len(space) == 3 else None,
        times,
    )


def _labeled(store: h5py.File, name: str, file: Path) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Return an array with its axes as in ``_AXES``, and the labels of those that have some.

    Axes that the array lacks have length 1, except ``space``, which confidences lack.
    """
    dataset: Any = store[name]
    stored = [_axis(dataset, i, f"{file}: {name}") for i in range(dataset.ndim)]
    axes = [_SINGULAR.get(axis, axis) for axis in stored]
    wanted = [axis for axis in _AXES if axis in axes]
    if len(wanted) != len(axes) or "time" not in axes:
        raise ShapeError(
            f"{file}: {name} has the axes {', '.join(axes)}, expected {', '.join(_AXES)}"
        )
    values = _unpacked(dataset).transpose([axes.index(axis) for axis in wanted])
    for i, axis in enumerate(_AXES):
        if axis not in axes and axis != "space":
            values = np.expand_dims(values, i)
    labels = {
        axis: [_text(label) for label in np.ravel(read_whole(store[key])).tolist()]
        for axis, key in zip(axes, stored, strict=True)
        if axis != "time" and key in store
    }
    for axis, names in labels.items():
        if len(names) != dataset.shape[axes.index(axis)]:
            raise ShapeError(f"{file}: {name} has shape {dataset.shape}, {axis} {len(names)} names")
    return values, labels


def _axis(dataset: Any, i: int, where: str) -> str:
    """Return the name of an axis, which netCDF keeps as a reference to a data set."""
    scales = list(dataset.dims[i].values())
    if len(scales) != 1:
        raise ShapeError(f"{where} has an axis without a name; save it with `to_netcdf`")
    return str(scales[0].name).rpartition("/")[2]


def _unpacked(dataset: Any) -> np.ndarray:
    """Return values as netCDF means them: scaled, and NaN where nothing was written."""
    stored = read_whole(dataset)
    if stored.dtype.kind not in "iuf":
        raise DataError(f"{dataset.file.filename}: {dataset.name} holds {stored.dtype}, no numbers")
    values = stored.astype(np.float64)
    for key in ("_FillValue", "missing_value"):
        if key in dataset.attrs:
            values[stored == np.ravel(dataset.attrs[key])[0]] = np.nan
    scale, offset = (
        float(np.ravel(dataset.attrs.get(key, default))[0])
        for key, default in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    return values * scale + offset


def _times(store: h5py.File, file: Path) -> np.ndarray | None:
    """Return the times in seconds, ``None`` where the file numbers frames."""
    if "time" not in store or _text(store.attrs.get("time_unit", "frames")) == "frames":
        return None
    dataset: Any = store["time"]
    unit = _text(dataset.attrs.get("units", "seconds"))
    if unit not in _SECONDS:
        raise DataError(f"{file}: times are in {unit!r}, expected seconds; state `timestamps`")
    return _unpacked(dataset)


def _frame_numbers(store: h5py.File, file: Path) -> np.ndarray | None:
    """Return the numbers of the frames, ``None`` where the file states times in seconds."""
    if "time" not in store or _text(store.attrs.get("time_unit", "")) != "frames":
        return None
    return to_frame_numbers(_unpacked(store["time"]), f"{file}: time")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
