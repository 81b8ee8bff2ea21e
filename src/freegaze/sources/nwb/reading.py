"""An NWB file of anybody's, as streams on one clock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.hdf5 import read_whole
from freegaze.recording.recording import ResponseKind, Role
from freegaze.registry import nearest_names
from freegaze.sources.alignment.assembly import SegmentConfig, Streams
from freegaze.sources.alignment.clock import ClockConfig, read_times
from freegaze.sources.alignment.frames import AbstractFrameReader
from freegaze.sources.alignment.readers import (
    ArrayFrames,
    JoinedFrames,
    MovieFrames,
    movie_times,
)
from freegaze.sources.alignment.streams import (
    EventStream,
    FrameStream,
    ResponseStream,
    SampleStream,
    make_frames,
    make_samples,
    regular_times,
    without_columns,
)
from freegaze.sources.conversion import is_file
from freegaze.sources.nwb.config import NwbOptions
from freegaze.sources.nwb.listing import (
    NwbItem,
    find_items,
    only_item,
    pick_item,
    series_times,
)
from freegaze.sources.nwb.opening import check_columns
from freegaze.sources.nwb.writing import MODULE

UNITS = "units"
_VIDEO_KINDS = ("ImageSeries", "OpticalSeries")
_BEHAVIOR_KINDS = ("TimeSeries", "SpatialSeries")
_MOST_COLUMNS = 4  # a plain series with more is no signal of behavior, unless asked for
_AXES = "xyz"
_PREDICTIONS = f"processing/{MODULE}/"


def read_streams(root: Any, options: NwbOptions, folder: Path) -> Streams:
    """Choose the series of an open file and read them; frames are read later.

    Args:
        root: The open file's root.
        options: Which series.
        folder: What paths of external movies are relative to.

    Raises:
        DataError: If a series is missing, one must be chosen, or its data are impossible.
    """
    items = find_items(root)
    reader = _Reader(items, options)
    responses, responses_item = reader.responses(root)
    video, video_item = reader.video(folder)
    used = [item.path for item in (responses_item, video_item) if item is not None]
    streams = Streams(responses, reader.behavior(used), video)
    unknown = sorted((set(options.clocks) | set(options.sort)) - reader.asked)
    if unknown:
        raise DataError(
            f"clocks, sort: {unknown[0]!r} is no series in use "
            f"({nearest_names(unknown[0], sorted(reader.known))})"
        )
    return streams


def read_wanted_segments(root: Any, options: NwbOptions) -> list[SegmentConfig] | None:
    """Read the table of intervals that was asked for, if any.

    Raises:
        DataError: If there is no such table.
    """
    if options.segments is None:
        return None
    tables = [i for i in find_items(root) if i.kind == "TimeIntervals"]
    item = pick_item(tables, options.segments, "segments")
    check_columns(item.thing, "start_time", "stop_time", "role", "split")
    start, stop = (np.asarray(item.thing[name][:]) for name in ("start_time", "stop_time"))
    roles: list[Role | None] = [None] * len(start)
    for name in ("role", "split"):
        if name in item.thing.colnames:
            texts = [str(text) for text in item.thing[name][:]]
            roles = [text if text in get_args(Role) else None for text in texts]  # type: ignore[misc]
    is_trial = item.name == "trials"
    return [
        SegmentConfig(start_s=float(a), stop_s=float(b), role=role, trial=is_trial)
        for a, b, role in zip(start, stop, roles, strict=True)
    ]


class _Reader:
    """Reads the chosen series, and remembers which names of clocks were asked for."""

    def __init__(self, items: Sequence[NwbItem], options: NwbOptions) -> None:
        self.items, self.options = items, options
        self.series = [i for i in items if hasattr(i.thing, "timestamps")]
        self.asked: set[str] = set()
        self.known: set[str] = set()

    def responses(self, root: Any) -> tuple[EventStream | ResponseStream, NwbItem | None]:
        wanted = self.options.responses
        has_spikes = root.units is not None and "spike_times" in root.units.colnames
        if wanted == UNITS and not has_spikes:
            raise DataError("responses: the file has no units with spike times")
        if wanted == UNITS or (wanted is None and has_spikes):
            return self._spikes(root.units), None
        rois = [i for i in self.series if i.kind == "RoiResponseSeries"]
        if wanted is None:
            item = only_item(rois, "units with spike times or RoiResponseSeries", "responses")
        else:
            item = pick_item(self.series, wanted, "responses")
        times, values = series_times(item.thing), _values(item)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2:
            raise ShapeError(f"{item.path}: expected (time, neuron), got {values.shape}")
        names = _neuron_names(item, values.shape[1])
        samples = self._samples(item, times, values, names, [""] * len(names))
        kind = self.options.response_kind or ResponseKind.FLUORESCENCE
        return ResponseStream(samples, kind), item

    def video(self, folder: Path) -> tuple[FrameStream | None, NwbItem | None]:
        wanted = self.options.video
        if wanted == "none":
            return None, None
        if wanted is None:
            item = only_item(
                [i for i in self.items if i.kind in _VIDEO_KINDS],
                "image series (`none` goes without video)",
                "video",
            )
        else:
            images = [i for i in self.items if hasattr(i.thing, "external_file")]
            item = pick_item(images, wanted, "video")
        reader, times = self._frames(item, folder)
        return make_frames(
            item.path,
            times,
            reader,
            clock=self._clock(item),
            rule=self.options.frames,
            max_gap_s=self.options.max_gap_s,
            frame_size=self.options.frame_size,
            is_sorting=self._is_sorting(item),
        ), item

    def behavior(self, used: list[str]) -> list[SampleStream]:
        if self.options.behavior is not None:
            streams = [self._column(n, text) for n, text in self.options.behavior.items()]
        else:
            streams = [self._signals(i) for i in self.series if self._is_signal(i, used)]
        return without_columns(streams, self.options.leave_out)

    def _spikes(self, units: Any) -> EventStream:
        read = ("spike_times", "unit_name", "obs_intervals", *self.options.keep_units)
        check_columns(units, *read)
        kept = np.ones(len(units), bool)
        for column, allowed in self.options.keep_units.items():
            if column not in units.colnames:
                near = nearest_names(column, list(units.colnames))
                raise DataError(f"keep_units: units have no column {column!r} ({near})")
            values = [str(v) for v in units[column][:]]
            kept &= np.isin(values, allowed)
            if not kept.any():
                raise DataError(f"keep_units: no unit is left; {column} holds {set(values)}")
        clock = self._clock(None)
        picked = np.flatnonzero(kept).tolist()
        index = units["spike_times"]
        times = [
            clock.to_session(read_times(np.asarray(index[i]), f"units, row {i}")) for i in picked
        ]
        named = "unit_name" if "unit_name" in units.colnames else None
        names = units[named][:] if named else units.id[:]
        extent = None
        if "obs_intervals" in units.colnames:
            parts = [np.asarray(units["obs_intervals"][i]) for i in picked]
            spans = np.concatenate([p.reshape(-1) for p in parts] or [np.empty(0)])
            if len(spans):
                seen = clock.to_session(read_times(spans, "units, obs_intervals"))
                extent = float(seen.min()), float(seen.max())
        return EventStream(UNITS, times, tuple(str(names[i]) for i in picked), extent)

    def _frames(self, item: NwbItem, folder: Path) -> tuple[AbstractFrameReader, np.ndarray]:
        series = item.thing
        files = [folder / str(f) for f in series.external_file or ()]
        if not files:
            is_turned = self.options.video_order == "width_height"
            reader = ArrayFrames(series.data, item.path, self.options.gray_range, is_turned)
            return reader, series_times(series)
        for file in files:
            if not is_file(file):
                raise DataError(f"{item.path}: its movie {file} does not exist; put it there")
        if series.timestamps is not None:
            times = series_times(series)
            n_frames = len(times)
        else:
            n_frames = sum(len(movie_times(file)) for file in files)
            if not series.rate:
                raise DataError(f"{item.path} has neither timestamps nor a rate")
            times = regular_times(n_frames, series.rate, series.starting_time or 0.0)
        if len(files) == 1:
            return MovieFrames(files[0], n_frames), times
        starts = np.asarray(series.starting_frame if series.starting_frame is not None else [])
        lengths = np.diff([*starts.tolist(), n_frames])
        if len(starts) != len(files) or starts[:1].tolist() != [0] or (lengths <= 0).any():
            raise DataError(f"{item.path}: starting_frame {starts.tolist()} does not fit its files")
        parts = [MovieFrames(f, int(n)) for f, n in zip(files, lengths, strict=True)]
        return JoinedFrames(parts), times

    def _is_signal(self, item: NwbItem, used: list[str]) -> bool:
        if item.kind not in _BEHAVIOR_KINDS or item.path in used:
            return False
        if item.path.startswith(_PREDICTIONS):
            return False
        data = item.thing.data
        shape, dtype = np.shape(data), getattr(data, "dtype", np.asarray(data).dtype)
        n_columns = 1 if len(shape) == 1 else shape[1] if len(shape) == 2 else 0
        return dtype.kind in "biuf" and 0 < n_columns <= _MOST_COLUMNS and shape[0] > 1

    def _signals(self, item: NwbItem) -> SampleStream:
        values = _values(item)
        values = values[:, None] if values.ndim == 1 else values
        n = values.shape[1]
        is_place = item.kind == "SpatialSeries" and n <= len(_AXES)
        ends = [f"_{a}" for a in _AXES] if is_place else [f"_{i}" for i in range(n)]
        names = [item.name] if n == 1 else [item.name + end for end in ends[:n]]
        return self._samples(
            item, series_times(item.thing), values, names, [str(item.thing.unit or "")] * n
        )

    def _column(self, name: str, text: str) -> SampleStream:
        parts = re.fullmatch(r"(.+?)(?:\[(\d+)\])?", text)
        wanted, number = parts.groups() if parts else (text, None)
        item = pick_item(self.series, wanted, f"behavior.{name}")
        values = _values(item)
        if values.ndim == 2:
            if number is None and values.shape[1] != 1:
                raise DataError(
                    f"behavior.{name}: {item.path} has {values.shape[1]} columns; choose one, for "
                    f"example {wanted}[0]"
                )
            if int(number or 0) >= values.shape[1]:
                raise DataError(f"behavior.{name}: {item.path} has {values.shape[1]} columns")
            values = values[:, int(number or 0)]
        elif values.ndim != 1 or number not in (None, "0"):
            raise DataError(f"behavior.{name}: {item.path} is of shape {values.shape}")
        unit = str(item.thing.unit or "")
        return self._samples(item, series_times(item.thing), values, [name], [unit])

    def _samples(
        self,
        item: NwbItem,
        times: np.ndarray,
        values: np.ndarray,
        columns: list[str],
        units: list[str],
    ) -> SampleStream:
        return make_samples(
            item.path,
            times,
            values,
            columns,
            units,
            clock=self._clock(item),
            max_gap_s=self.options.max_gap_s,
            is_sorting=self._is_sorting(item),
        )

    def _clock(self, item: NwbItem | None) -> ClockConfig:
        found = self._named(self.options.clocks, item)
        return ClockConfig() if found is None else self.options.clocks[found]

    def _is_sorting(self, item: NwbItem) -> bool:
        return self._named(self.options.sort, item) is not None

    def _named(self, names: Any, item: NwbItem | None) -> str | None:
        path = UNITS if item is None else item.path
        self.known.add(path)
        fitting = [n for n in names if path == n or path.endswith("/" + n)]
        self.asked.update(fitting)
        return fitting[0] if fitting else None


def _values(item: NwbItem) -> np.ndarray:
    """Return a series' values in its unit."""
    series = item.thing
    values = read_whole(series.data)
    if values.dtype.kind not in "biuf":
        raise DataError(f"{item.path}: expected numbers, got {values.dtype}")
    conversion, offset = float(series.conversion or 1.0), float(series.offset or 0.0)
    if (conversion, offset) == (1.0, 0.0):
        return values
    return values.astype(np.float64) * conversion + offset


def _neuron_names(item: NwbItem, n: int) -> list[str]:
    region = getattr(item.thing, "rois", None)
    if region is None:
        return [str(i) for i in range(n)]
    rows = read_whole(region.data)
    names = [str(i) for i in read_whole(region.table.id.data)[rows].tolist()]
    if len(names) != n:
        raise ShapeError(f"{item.path} has {n} columns but names {len(names)} regions")
    return names
