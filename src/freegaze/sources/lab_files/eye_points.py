"""Tracked points on the eye, as DeepLabCut and SLEAP write them, turned into a pupil."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from freegaze.errors import DataError, ShapeError
from freegaze.files.arrays import parsing
from freegaze.files.hdf5 import check_dataset, opened_hdf5, read_whole
from freegaze.registry import nearest_names
from freegaze.sources.alignment.streams import SampleStream, make_samples
from freegaze.sources.lab_files.config import DeepLabCutConfig, PupilConfig, SleapConfig
from freegaze.sources.lab_files.sensors import gaze_columns, renamed
from freegaze.sources.lab_files.tables import times_of, to_numbers
from freegaze.sources.sensors.pupil import fit_pupil

_MOST_FRAMES = 100_000_000
"""More than a week at 120 Hz; a frame number above it is not one."""


@dataclass(frozen=True)
class Points:
    """Tracked points.

    Args:
        names: Of the points.
        xy: (time, point, 2) in px, NaN where not found.
        likelihood: (time, point), 0..1.
    """

    names: tuple[str, ...]
    xy: np.ndarray
    likelihood: np.ndarray


def read_pupil(name: str, config: DeepLabCutConfig | SleapConfig, folder: Path) -> SampleStream:
    """Read tracked points and fit the pupil to them.

    Args:
        name: Of the stream, for messages.
        config: Which file, and how to fit.
        folder: What the file's path is relative to.

    Raises:
        DataError: If the file is missing, damaged or of another layout, or a point is not in it.
    """
    file = folder / config.file
    points = read_points(config, folder)
    times = times_of(config, len(points.xy), folder, str(file))
    columns, units, values, quality = _pupil_columns(points, config, file)
    return make_samples(
        f"behavior.{name}",
        times,
        values,
        renamed(columns, config.rename, name),
        units,
        clock=config.clock,
        max_gap_s=config.max_gap_s,
        is_sorting=config.sort,
        quality=quality,
    )


def read_points(config: DeepLabCutConfig | SleapConfig, folder: Path) -> Points:
    """Read tracked points, one row per frame.

    Args:
        config: Which file.
        folder: What the file's path is relative to.

    Raises:
        DataError: If the file is missing, damaged, empty or of another layout.
    """
    file = folder / config.file
    is_hdf = file.suffix.lower() in (".h5", ".hdf5", ".slp")
    with parsing(file):
        if isinstance(config, DeepLabCutConfig):
            points = _read_deeplabcut_h5(file) if is_hdf else _read_deeplabcut_csv(file)
        elif is_hdf:
            points = _read_sleap_h5(file, config.track)
        else:
            points = _read_sleap_csv(file, config.track)
    if not len(points.xy):
        raise DataError(f"{file}: holds no frame; was the movie tracked?")
    return points


def check_points(points: Points, wanted: Sequence[str], file: Path) -> None:
    """Make sure that points have been tracked.

    Raises:
        DataError: Naming the first that is not there.
    """
    for name in wanted:
        if name not in points.names:
            raise DataError(
                f"{file} has no point {name!r} ({nearest_names(name, list(points.names))})"
            )


def _pupil_columns(
    points: Points, config: PupilConfig, file: Path
) -> tuple[list[str], list[str], np.ndarray, dict[str, float]]:
    wanted = points.names if config.points is None else config.points
    check_points(points, wanted, file)
    picked = [points.names.index(name) for name in wanted]
    is_good = points.likelihood[:, picked] >= config.min_likelihood
    fitted = fit_pupil(points.xy[:, picked].astype(np.float64), is_good, config.shape)
    if np.isnan(fitted[:, 0]).all():
        raise DataError(
            f"{file}: no frame has enough points for a pupil ({config.shape} of {len(picked)}); "
            "lower `min_likelihood`, or choose `circle` or `center`"
        )
    n_columns = 2 if config.shape == "center" else 3
    columns = ["pupil_x", "pupil_y", "pupil_radius"][:n_columns]
    units, values = ["px"] * n_columns, [*fitted[:, :n_columns].T]
    for name, scale, i in (
        ("theta", config.theta_deg_per_px, 0),
        ("phi", config.phi_deg_per_px, 1),
    ):
        if scale is not None:
            columns.append(name)
            units.append("deg")
            values.append(scale * (fitted[:, i] - np.nanmedian(fitted[:, i])))
    quality: dict[str, float] = {}
    if config.gaze is not None:
        angles, quality = gaze_columns(fitted, is_good.mean(1), config.gaze, str(file))
        columns, units, values = (
            [*columns, "theta", "phi"],
            [*units, "deg", "deg"],
            [*values, *angles],
        )
    return columns, units, np.column_stack(values), quality


def _read_deeplabcut_csv(file: Path) -> Points:
    """Three rows of header (scorer, bodyparts, coords), then one row per frame."""
    head = pd.read_csv(file, header=None, nrows=4, dtype=str).to_numpy(dtype=object)
    labels = [str(row[0]).strip() for row in head]
    if labels[:3] != ["scorer", "bodyparts", "coords"]:
        raise DataError(
            f"{file}: expected rows scorer, bodyparts and coords as DeepLabCut writes for one "
            f"animal, got {', '.join(labels)}"
        )
    columns = [(str(part).strip(), str(coord).strip()) for part, coord in head[1:3, 1:].T]
    rows = pd.read_csv(file, header=None, skiprows=3, index_col=0, low_memory=False)
    if rows.shape[1] != len(columns):
        raise DataError(f"{file}: {len(columns)} columns in its header, {rows.shape[1]} below")
    values = [to_numbers(rows.iloc[:, i].to_numpy(), str(file)) for i in range(len(columns))]
    return _deeplabcut_points(file, columns, np.column_stack(values))


def _read_deeplabcut_h5(file: Path) -> Points:
    """Read the table that pandas writes with PyTables, running nothing that is in the file."""
    with opened_hdf5(file) as store:
        groups = [g for g in store.values() if isinstance(g, h5py.Group) and "table" in g]
        if len(groups) != 1:
            raise DataError(
                f"{file}: expected one table, as DeepLabCut writes it; export CSV instead"
            )
        group = groups[0]
        axes = _plain_pickle(group.attrs["non_index_axes"], file)
        rows = read_whole(group["table"])
    names = rows.dtype.names or ()
    blocks = [n for n in names if n.startswith("values_block")]
    if len(blocks) != 1:
        raise DataError(f"{file}: expected one block of values; export CSV instead")
    columns = [(str(c[-2]), str(c[-1])) for c in axes[0][1]]
    values = np.atleast_2d(rows[blocks[0]]).astype(np.float64).reshape(len(rows), -1)
    if values.shape[1] != len(columns):
        raise ShapeError(f"{file}: {len(columns)} columns named, {values.shape[1]} there")
    order = np.argsort(rows["index"], kind="stable") if "index" in names else slice(None)
    return _deeplabcut_points(file, columns, values[order])


def _deeplabcut_points(file: Path, columns: list[tuple[str, str]], values: np.ndarray) -> Points:
    names = list(dict.fromkeys(part for part, _ in columns))
    place = {column: i for i, column in enumerate(columns)}
    needed = [(name, c) for name in names for c in ("x", "y", "likelihood")]
    missing = [column for column in needed if column not in place]
    if missing or len(place) != len(columns):
        what = f"{missing[0]} is missing" if missing else "a point is there twice"
        raise DataError(f"{file}: expected x, y and likelihood of each point once, {what}")
    arranged = values[:, [place[column] for column in needed]].reshape(len(values), -1, 3)
    likelihood = np.nan_to_num(arranged[..., 2], nan=0.0)
    return Points(tuple(names), arranged[..., :2], likelihood)


def _read_sleap_csv(file: Path, track: str | None) -> Points:
    """One row an instance: track, frame_idx, instance.score, then POINT.x, .y, .score."""
    frame: Any = pd.read_csv(file, low_memory=False)
    names = [str(c)[:-2] for c in frame.columns if str(c).endswith(".x")]
    needed = ["frame_idx", *(f"{n}.{c}" for n in names for c in ("x", "y", "score"))]
    missing = [c for c in needed if c not in frame.columns]
    if missing or not names:
        raise DataError(f"{file}: no column {(missing or ['POINT.x'])[0]!r}; is it SLEAP's CSV?")
    tracks = sorted({str(t) for t in frame["track"].dropna()}) if "track" in frame else []
    if tracks:
        frame = frame[frame["track"].astype(str) == _pick_track(file, tracks, track)]
    numbers = to_numbers(frame["frame_idx"].to_numpy(), f"{file}, column 'frame_idx'")
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < _MOST_FRAMES):
        raise DataError(f"{file}: frame_idx goes from {numbers.min()} to {numbers.max()}")
    if len(np.unique(numbers)) != len(numbers) or (numbers != np.round(numbers)).any():
        raise DataError(f"{file}: a frame_idx is no whole number or there twice; choose a `track`")
    at = numbers.astype(np.int64)
    n_frames = int(at.max()) + 1 if len(at) else 0
    arranged = np.full((n_frames, len(names), 3), np.nan)
    for i, name in enumerate(names):
        for j, part in enumerate(("x", "y", "score")):
            column = f"{name}.{part}"
            arranged[at, i, j] = to_numbers(frame[column].to_numpy(), f"{file}, {column!r}")
    return Points(tuple(names), arranged[..., :2], np.nan_to_num(arranged[..., 2], nan=0.0))


def _read_sleap_h5(file: Path, track: str | None) -> Points:
    """SLEAP's analysis file: ``tracks`` (track, 2, point, frame) and ``point_scores``."""
    with opened_hdf5(file) as store:
        missing = [n for n in ("tracks", "node_names") if n not in store]
        if missing:
            raise DataError(f"{file} has no {missing[0]!r}; export SLEAP's analysis file")
        tracks: Any = store["tracks"]
        if tracks.ndim != 4 or tracks.shape[1] != 2:
            raise ShapeError(f"{file}: tracks must be (track, 2, point, frame), got {tracks.shape}")
        names = [_text(n) for n in read_whole(store["node_names"])]
        known = [_text(n) for n in read_whole(store.get("track_names", ()))]
        known = known or [str(i) for i in range(tracks.shape[0])]
        picked = known.index(_pick_track(file, known, track))
        check_dataset(tracks)
        xy = np.asarray(tracks[picked], np.float64).transpose(2, 1, 0)
        if "point_scores" in store:
            scores = read_whole(store["point_scores"])[picked].astype(np.float64).T
        else:
            scores = np.ones(xy.shape[:2])
    if xy.shape[1] != len(names) or scores.shape != xy.shape[:2]:
        raise ShapeError(f"{file}: {len(names)} node_names, tracks {xy.shape}, {scores.shape}")
    return Points(tuple(names), xy, np.nan_to_num(scores, nan=0.0))


def _pick_track(file: Path, known: list[str], wanted: str | None) -> str:
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted is None:
        raise DataError(f"{file} has several tracks ({', '.join(known[:9])}); state `track`")
    if wanted not in known:
        raise DataError(f"{file} has no track {wanted!r} ({nearest_names(wanted, known)})")
    return wanted


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class _PlainUnpickler(pickle.Unpickler):
    """Unpickles lists, tuples, text and numbers; anything that would run code is refused."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is not plain")


def _plain_pickle(stored: Any, file: Path) -> Any:
    data = stored if isinstance(stored, bytes) else bytes(np.asarray(stored).tobytes())
    try:
        return _PlainUnpickler(io.BytesIO(data)).load()
    except Exception:  # pickle raises anything on broken bytes
        raise DataError(
            f"{file}: names of its columns cannot be read; export CSV instead"
        ) from None
