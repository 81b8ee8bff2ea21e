"""Points of SLEAP and sleap-io: analysis CSV and h5, with any order of axes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.hdf5 import opened_hdf5, read_whole
from freegaze.registry import require_names
from freegaze.sources.lab_files.config_points import SleapAxis, SleapConfig
from freegaze.sources.lab_files.pose.points import Points, certain_by_hand, to_frame_numbers
from freegaze.sources.lab_files.tabular import read_table

_MATLAB: tuple[SleapAxis, ...] = ("track", "xy", "node", "frame")
"""Order of SLEAP's own analysis file."""
_STANDARD: tuple[SleapAxis, ...] = ("frame", "track", "node", "xy")
"""Order of sleap-io's preset ``standard``."""


def read_sleap_csv(file: Path, config: SleapConfig) -> Points:
    """Read one row per instance: track, frame_idx, instance.score, then POINT.x, .y, .score.

    Raises:
        DataError: If a column is missing, or several instances are in a frame.
    """
    for key in ("axes", "first_frame"):
        if getattr(config, key) is not None:
            raise DataError(f"{file}: `{key}` applies to an h5, not to a CSV; leave it out")
    table = read_table(file)
    names = [name[:-2] for name in table.names if name.endswith(".x")]
    needed = ["frame_idx", *(f"{n}.{c}" for n in names for c in ("x", "y"))]
    missing = [c for c in needed if c not in table.names]
    if missing or not names:
        raise DataError(f"{file}: no column {(missing or ['POINT.x'])[0]!r}; is it SLEAP's CSV?")
    if not len(table):
        raise DataError(f"{file}: holds no frame; was the movie tracked?")
    frames = table.numbers("frame_idx")
    kept = np.arange(len(table))
    if "track" in table.names:
        tracks = np.array([str(t) for t in table.column("track").tolist()])
        known = sorted(set(tracks.tolist()) - {"nan", "None", ""})
        if known:
            kept = _join_rows(tracks, frames, known, config.track, file)
    elif config.track is not None:
        raise DataError(f"{file} names no tracks; leave out `track`")
    xy = np.stack(
        [np.stack([table.numbers(f"{n}.{c}")[kept] for c in ("x", "y")], -1) for n in names], 1
    )
    has_scores = all(f"{n}.score" in table.names for n in names)
    scores = np.stack([table.numbers(f"{n}.score")[kept] for n in names], 1) if has_scores else None
    try:
        numbers = to_frame_numbers(frames[kept], f"{file}, column 'frame_idx'")
    except DataError as error:
        raise DataError(
            f"{error}; one instance per frame is read: choose a `track`, or track the instances"
        ) from None
    order = np.argsort(numbers, kind="stable")
    likelihood = certain_by_hand(xy, scores)
    return Points(tuple(names), numbers[order], xy[order], likelihood[order])


def read_sleap_h5(file: Path, config: SleapConfig) -> Points:
    """Read an analysis file: ``tracks`` and ``point_scores`` in any order of axes.

    Raises:
        DataError: If the file is damaged, an array is missing, or tracks overlap in time.
        ShapeError: If the order of axes cannot be found.
    """
    with opened_hdf5(file) as store:
        missing = [n for n in ("tracks", "node_names") if n not in store]
        if missing:
            raise DataError(
                f"{file} has no {missing[0]!r}; write SLEAP's analysis file (`sleap-convert "
                "--format analysis`, or File > Export Analysis HDF5)"
            )
        names = [_text(n) for n in read_whole(store["node_names"]).tolist()]
        tracks: Any = store["tracks"]
        known = [_text(n) for n in np.ravel(read_whole(store.get("track_names", ()))).tolist()]
        axes = config.axes or _dims(tracks) or _find_axes(tracks.shape, len(names), known, file)
        if sorted(axes) != sorted(_MATLAB) or tracks.ndim != len(axes):
            raise ShapeError(
                f"{file}: tracks have shape {tracks.shape} and axes {', '.join(axes)}, expected "
                "track, xy, node and frame"
            )
        xy = _moved(read_whole(tracks), axes, ("track", "frame", "node", "xy"))
        scores = None
        if "point_scores" in store:
            dataset: Any = store["point_scores"]
            order = _dims(dataset) or tuple(axis for axis in axes if axis != "xy")
            scores = _moved(read_whole(dataset), order, ("track", "frame", "node"))
    known = known or [str(i) for i in range(len(xy))]
    if xy.shape[2:] != (len(names), 2) or len(known) != len(xy):
        raise ShapeError(f"{file}: {len(names)} node_names, {len(known)} tracks, {xy.shape}")
    if scores is not None and scores.shape != xy.shape[:3]:
        raise ShapeError(f"{file}: point_scores have shape {scores.shape}, tracks {xy.shape}")
    likelihood = certain_by_hand(xy, scores)
    picked = _join_tracks(np.asarray(np.isfinite(xy).any(axis=(2, 3))), known, config.track, file)
    rows = np.arange(xy.shape[1])
    frames = rows + (config.first_frame or 0)
    return Points(tuple(names), frames, xy[picked, rows], likelihood[picked, rows])


def _dims(dataset: h5py.Dataset) -> tuple[str, ...] | None:
    """Return the names of the axes that sleap-io stores with an array."""
    try:
        dims = json.loads(_text(dataset.attrs["dims"]))
        return tuple(str(axis) for axis in dims)
    except (KeyError, ValueError, TypeError):
        return None


def _find_axes(
    shape: tuple[int, ...], n_nodes: int, tracks: list[str], file: Path
) -> tuple[str, ...]:
    """Find the order of axes from the numbers of points and tracks; SLEAP's own order first."""

    def fits(axes: Sequence[str]) -> bool:
        sizes = dict(zip(axes, shape, strict=True))
        is_track = not tracks or sizes["track"] == len(tracks)
        return is_track and sizes["xy"] == 2 and sizes["node"] == n_nodes

    if len(shape) == len(_MATLAB):
        orders = [_MATLAB, _STANDARD] if fits(_MATLAB) or fits(_STANDARD) else None
        found = [axes for axes in orders or itertools.permutations(_MATLAB) if fits(axes)]
        if not tracks and _MATLAB in found:
            return _MATLAB
        if len(found) == 1:
            return found[0]
        if found:
            raise ShapeError(
                f"{file}: tracks of shape {shape} may be {' or '.join(map(str, found))}; state "
                "`axes`, such as [track, xy, node, frame]"
            )
    raise ShapeError(
        f"{file}: tracks have shape {shape}, expected 2 coordinates of {n_nodes} points for "
        f"{len(tracks) or 'each of the'} tracks"
    )


def _moved(values: np.ndarray, axes: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    if sorted(axes) != sorted(wanted) or values.ndim != len(axes):
        raise ShapeError(f"expected axes {', '.join(wanted)}, got {axes} of shape {values.shape}")
    return values.astype(np.float64).transpose([list(axes).index(axis) for axis in wanted])


def _wanted_tracks(known: list[str], wanted: str | Sequence[str] | None, file: Path) -> list[str]:
    names = known if wanted is None else [wanted] if isinstance(wanted, str) else list(wanted)
    require_names(names, known, f"{file} has no track")
    return names


def _join_tracks(
    is_there: np.ndarray, known: list[str], wanted: str | Sequence[str] | None, file: Path
) -> np.ndarray:
    """Return the track to use in each frame; ``is_there`` is (track, frame)."""
    names = _wanted_tracks(known, wanted, file)
    rows = [known.index(name) for name in names]
    _check_apart(is_there[rows].sum(axis=0), np.arange(is_there.shape[1]), wanted, names, file)
    return np.asarray(rows)[np.argmax(is_there[rows], axis=0)]


def _join_rows(
    tracks: np.ndarray,
    frames: np.ndarray,
    known: list[str],
    wanted: str | Sequence[str] | None,
    file: Path,
) -> np.ndarray:
    """Return the rows to use: in each frame, that of the first wanted track."""
    names = _wanted_tracks(known, wanted, file)
    rank = np.array([names.index(t) if t in names else len(names) for t in tracks.tolist()])
    rows = np.flatnonzero(rank < len(names))
    values, counts = np.unique(frames[rows], return_counts=True)
    _check_apart(counts, values, wanted, names, file)
    if isinstance(wanted, str):
        return rows  # a frame that is there twice is refused later
    rows = rows[np.argsort(rank[rows], kind="stable")]
    return np.sort(rows[np.unique(frames[rows], return_index=True)[1]])


def _check_apart(
    counts: np.ndarray,
    frames: np.ndarray,
    wanted: str | Sequence[str] | None,
    names: list[str],
    file: Path,
) -> None:
    """Refuse several tracks that are in one frame, unless the user has ranked them."""
    both = np.flatnonzero(counts > 1)
    if wanted is None and len(both):
        raise DataError(
            f"{file} has several tracks ({', '.join(names[:9])}) that overlap in {len(both)} "
            f"frames, first in frame {frames[both[0]]:g}; state `track`, or a list of tracks of "
            "one animal, of which the first in each frame is used"
        )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
