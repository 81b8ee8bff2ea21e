"""Reading of any NWB file as streams on one clock."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from freegaze.errors import DataError, DataWarning, ShapeError
from freegaze.files.hdf5 import read_whole
from freegaze.recording.recording import ResponseKind, Role
from freegaze.registry import nearest_names, require_names
from freegaze.sources.alignment.assembly import SegmentConfig, Streams
from freegaze.sources.alignment.clock import ClockConfig, read_times, warn_of_units
from freegaze.sources.alignment.streams import (
    EventStream,
    FrameStream,
    ResponseStream,
    SampleStream,
    make_frames,
    make_samples,
    without_columns,
)
from freegaze.sources.nwb.config import NwbOptions
from freegaze.sources.nwb.images import pick_video, read_frames
from freegaze.sources.nwb.listing import (
    NwbItem,
    core_kind,
    find_items,
    only_item,
    pick_item,
    series_times,
)
from freegaze.sources.nwb.neurons import pick_regions, read_units
from freegaze.sources.nwb.opening import check_columns
from freegaze.sources.nwb.writing import MODULE

UNITS = "units"
_OF_VIDEO = ("video_order", "gray_range", "frames", "frame_size")
_BEHAVIOR_KINDS = ("TimeSeries", "SpatialSeries")
_MOST_COLUMNS = 4  # a plain series with more is no signal of behavior, unless asked for
_LOW_CONFIDENCE = 0.5
_AXES = "xyz"
_PREDICTIONS = f"processing/{MODULE}/"


def read_streams(root: Any, options: NwbOptions, folder: Path) -> Streams:
    """Choose the series of an open file and read them; frames are read later.

    Args:
        root: The open file's root.
        options: Options that choose the series.
        folder: Folder that paths of external movies are relative to.

    Raises:
        DataError: If a series is missing or must be chosen, or its data are impossible.
    """
    items = find_items(root)
    reader = _Reader(items, options)
    responses, responses_item = reader.responses(root)
    video, video_item = reader.video(folder)
    used = [item.path for item in (responses_item, video_item) if item is not None]
    streams = Streams(responses, reader.behavior(used), video, _invalid_times(root, options))
    named = set(options.clocks) | set(options.sort) | set(options.lost_values)
    unknown = sorted(named - reader.asked)
    if unknown:
        raise DataError(
            f"clocks, sort, lost_values: {unknown[0]!r} is no series in use "
            f"({nearest_names(unknown[0], sorted(reader.known))})"
        )
    return streams


def read_wanted_segments(root: Any, options: NwbOptions) -> list[SegmentConfig] | None:
    """Read the wanted table of intervals, if any.

    Raises:
        DataError: If there is no such table.
    """
    if options.segments is None:
        return None
    tables = [i for i in find_items(root) if i.kind == "TimeIntervals"]
    item = pick_item(tables, options.segments, "segments")
    check_columns(item.thing, "start_time", "stop_time", "role", "split")
    start, stop = (np.asarray(item.thing[name][:]) for name in ("start_time", "stop_time"))
    is_whole = np.isfinite(start) & np.isfinite(stop)
    if not is_whole.all():
        _warn(f"{item.path}: {int((~is_whole).sum())} intervals without an end are left out")
    roles: list[Role | None] = [None] * len(start)
    for name in ("role", "split"):
        if name in item.thing.colnames:
            texts = [str(text) for text in item.thing[name][:]]
            roles = [text if text in get_args(Role) else None for text in texts]  # type: ignore[misc]
    is_trial = item.name == "trials"
    return [
        SegmentConfig(start_s=float(a), stop_s=float(b), role=role, trial=is_trial)
        for a, b, role, kept in zip(start, stop, roles, is_whole, strict=True)
        if kept
    ]


def _invalid_times(root: Any, options: NwbOptions) -> np.ndarray:
    """Return the intervals that the file marks as invalid, (n, 2), on the session's clock."""
    table = root.invalid_times
    if table is None or not len(table):
        if options.keep_invalid_times:
            raise DataError(
                "`keep_invalid_times` does not apply: the file marks none; leave it out"
            )
        return np.empty((0, 2))
    if options.keep_invalid_times:
        return np.empty((0, 2))
    check_columns(table, "start_time", "stop_time")
    columns = [np.asarray(table[name][:]) for name in ("start_time", "stop_time")]
    start, stop = (read_times(column, "invalid_times") for column in columns)
    return np.column_stack([start, stop])[stop > start]


def short_names(items: Sequence[NwbItem]) -> dict[str, str]:
    """Return a name for each series by its path, with its container if two names agree."""
    names = {item.path: item.path.split("/") for item in items}
    short: dict[str, str] = {}
    for path, parts in names.items():
        n = 1
        while n < len(parts) and sum(p[-n:] == parts[-n:] for p in names.values()) > 1:
            n += 1
        short[path] = "_".join(parts[-n:])
    return short


def _with_units(streams: Sequence[SampleStream], units: Mapping[str, str]) -> list[SampleStream]:
    """Return streams with the units that the user states."""
    names = [name for stream in streams for name in stream.columns]
    require_names(units, names, "units: no behavior column")
    return [
        replace(
            stream,
            units=tuple(units.get(n, u) for n, u in zip(stream.columns, stream.units, strict=True)),
        )
        for stream in streams
    ]


class _Reader:
    """Reads the chosen series, and remembers the names whose clocks were looked up."""

    def __init__(self, items: Sequence[NwbItem], options: NwbOptions) -> None:
        self.items, self.options = items, options
        self.series = [i for i in items if hasattr(i.thing, "timestamps")]
        self.has_confidence = False
        self.asked: set[str] = set()
        self.known: set[str] = set()

    def responses(self, root: Any) -> tuple[EventStream | ResponseStream, NwbItem | None]:
        wanted, options = self.options.responses, self.options
        tables = self._tables_of_units(root)
        if not tables and not self.series:
            raise DataError(
                "the file holds neither units with spike times nor any series, which a recording "
                "needs; give another file of this session"
            )
        if wanted == UNITS and not tables:
            raise DataError("responses: the file has no units with spike times")
        by_path = [t for t in tables if wanted is not None and t.path.endswith(wanted)]
        if by_path or (wanted is None and tables):
            item = only_item(by_path or tables, "tables of units with spike times", "responses")
            if options.response_kind is not None:
                raise DataError(
                    f"`response_kind` does not apply to {item.path}, which holds spikes; leave it "
                    "out"
                )
            clock, is_sorting = self._clock(None), self._is_sorting(None)
            return read_units(item.thing, item.path, options.keep_units, clock, is_sorting), None
        if wanted is None:
            rois = [i for i in self.series if core_kind(i.thing) == "RoiResponseSeries"]
            item = only_item(rois, "units with spike times or RoiResponseSeries", "responses")
        else:
            item = pick_item(self.series, wanted, "responses")
        times, values = series_times(item.thing), _values(item)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2:
            raise ShapeError(f"{item.path}: expected (time, neuron), got {values.shape}")
        picked, names = pick_regions(item.thing, values.shape[1], options.keep_units, item.path)
        samples = self._samples(item, times, values[:, picked], list(names), [""] * len(names))
        kind = options.response_kind or ResponseKind.FLUORESCENCE
        return ResponseStream(samples, kind), item

    def _tables_of_units(self, root: Any) -> list[NwbItem]:
        """Return the tables with spike times: the file's own, else those of processing modules."""
        found = [
            i
            for i in self.items
            if "spike_times" in getattr(i.thing, "colnames", ()) and core_kind(i.thing) == "Units"
        ]
        own = [i for i in found if i.thing is root.units]
        return own if own and self.options.responses in (None, UNITS) else found

    def video(self, folder: Path) -> tuple[FrameStream | None, NwbItem | None]:
        if self.options.video == "none":
            refused = [n for n in _OF_VIDEO if n in self.options.model_fields_set]
            if refused:
                raise DataError(f"`{refused[0]}` does not apply without video; leave it out")
            return None, None
        item = pick_video(self.series, self.options.video)
        reader, times, shows = read_frames(item, folder, self.options)
        return make_frames(
            item.path,
            times,
            reader,
            clock=self._clock(item),
            rule=self.options.frames,
            max_gap_s=self.options.max_gap_s,
            frame_size=self.options.frame_size,
            is_sorting=self._is_sorting(item),
            shows=shows,
        ), item

    def behavior(self, used: list[str]) -> list[SampleStream]:
        if self.options.behavior is not None:
            streams = [self._column(n, text) for n, text in self.options.behavior.items()]
        else:
            signals = [i for i in self.series if self._is_signal(i, used)]
            short = short_names(signals)
            streams = [self._signals(i, short[i.path]) for i in signals]
        if self.options.min_confidence is not None and not self.has_confidence:
            raise DataError("`min_confidence` does not apply: no series in use has a `confidence`")
        streams = _with_units(streams, self.options.units)
        return without_columns(streams, self.options.leave_out)

    def _is_signal(self, item: NwbItem, used: list[str]) -> bool:
        if core_kind(item.thing) not in _BEHAVIOR_KINDS or item.path in used:
            return False
        if item.path.startswith(_PREDICTIONS):
            return False
        data = item.thing.data
        data = data if hasattr(data, "dtype") else np.asarray(data)
        shape, dtype = np.shape(data), data.dtype
        if core_kind(item.thing.parent) == "BehavioralEvents":
            _warn(f"{item.path} holds events, no signal, and is left out; name it in `behavior`")
            return False
        _warn_if_turned(item, shape)
        n_columns = 1 if len(shape) == 1 else shape[1] if len(shape) == 2 else 0
        return dtype.kind in "biuf" and 0 < n_columns <= _MOST_COLUMNS and shape[0] > 1

    def _certain_values(self, item: NwbItem) -> np.ndarray:
        """Return the values of a signal, NaN where lost or where a tracker had no confidence."""
        values = _values(item, self._lost(item))
        if getattr(item.thing, "confidence", None) is None:
            return values
        confidence, least = read_whole(item.thing.confidence), self.options.min_confidence
        if confidence.shape != values.shape[:1] or confidence.dtype.kind not in "biuf":
            raise ShapeError(
                f"{item.path}: confidence has shape {confidence.shape}, its data {values.shape}"
            )
        self.has_confidence = True
        if least is None:
            n_low = int((confidence < _LOW_CONFIDENCE).sum())
            if n_low:
                _warn(
                    f"{item.path}: {n_low} of {len(values)} samples have a `confidence` below "
                    f"{_LOW_CONFIDENCE:g} and count as certain; state `min_confidence`"
                )
            return values
        values = values.astype(np.float64)
        values[confidence < least] = np.nan  # what a person has labeled has no confidence
        return values

    def _signals(self, item: NwbItem, name: str) -> SampleStream:
        values = self._certain_values(item)
        values = values[:, None] if values.ndim == 1 else values
        n = values.shape[1]
        is_place = core_kind(item.thing) == "SpatialSeries" and n <= len(_AXES)
        ends = [f"_{a}" for a in _AXES] if is_place else [f"_{i}" for i in range(n)]
        names = [name] if n == 1 else [name + end for end in ends[:n]]
        return self._samples(
            item, series_times(item.thing), values, names, [str(item.thing.unit or "")] * n
        )

    def _column(self, name: str, text: str) -> SampleStream:
        parts = re.fullmatch(r"(.+?)(?:\[(\d+)\])?", text)
        wanted, number = parts.groups() if parts else (text, None)
        item = pick_item(self.series, wanted, f"behavior.{name}")
        values = self._certain_values(item)
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
        clock = ClockConfig() if found is None else self.options.clocks[found]
        if item is not None and item.thing.timestamps is not None:
            warn_of_units(read_whole(item.thing.timestamps), clock, item.path)
        return clock

    def _lost(self, item: NwbItem) -> tuple[float, ...]:
        found = self._named(self.options.lost_values, item)
        return () if found is None else self.options.lost_values[found]

    def _is_sorting(self, item: NwbItem | None) -> bool:
        return self._named(self.options.sort, item) is not None

    def _named(self, names: Any, item: NwbItem | None) -> str | None:
        path = UNITS if item is None else item.path
        self.known.add(path)
        fitting = [n for n in names if path == n or path.endswith("/" + n)]
        self.asked.update(fitting)
        return fitting[0] if fitting else None


def _warn_if_turned(item: NwbItem, shape: tuple[int, ...]) -> None:
    """Warn of a series whose second axis has as many entries as there are timestamps."""
    n_times = None if item.thing.timestamps is None else len(item.thing.timestamps)
    if len(shape) == 2 and n_times == shape[1] != shape[0]:
        _warn(
            f"{item.path}: its data have shape {shape} but there are {n_times} timestamps: time "
            "must be the first axis; write the series again"
        )


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=4)


def _values(item: NwbItem, lost: tuple[float, ...] = ()) -> np.ndarray:
    """Return a series' values in its unit; stored numbers that stand for lost samples are NaN."""
    series = item.thing
    values = read_whole(series.data)
    if values.dtype.kind not in "biuf":
        raise DataError(f"{item.path}: expected numbers, got {values.dtype}")
    if lost:
        is_lost = np.isin(values, lost)
        if not is_lost.any():
            raise DataError(f"lost_values: no sample of {item.path} is {list(lost)}; leave it out")
        values = np.where(is_lost, np.nan, values)
    conversion, offset = float(series.conversion or 1.0), float(series.offset or 0.0)
    if (conversion, offset) == (1.0, 0.0):
        return values
    return values.astype(np.float64) * conversion + offset
