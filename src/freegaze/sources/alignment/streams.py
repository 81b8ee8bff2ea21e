"""The three kinds of streams: events of units, samples of signals, frames of a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from freegaze.errors import DataError, ShapeError
from freegaze.quality.plausibility import DOUBLED_S
from freegaze.recording.recording import ResponseKind
from freegaze.sources.alignment.clock import (
    ClockConfig,
    order_of,
    read_times,
    time_step,
    typical_interval,
)
from freegaze.sources.alignment.frames import AbstractFrameReader, FrameRule
from freegaze.sources.conversion import kept_columns

MOST_GAPS = 50
"""Number of gaps of a stream that the provenance keeps."""
SHARED_TIMES = 0.1
"""A clock is coarse if more than this share of samples has the time of another."""
_COARSE_S = (1e-3, 5e-4, 2.5e-4, 2e-4)
"""Resolutions of spike times at which different spikes of a unit may share a time."""
_GRID_TOLERANCE, _ON_GRID = 0.05, 0.9
"""Of steps by chance a tenth lies that near to a multiple."""
_NEAR_S = 0.1
DEFAULT_GAP = 3.0
"""A gap is wider than this many typical intervals, unless the user states a width."""


@dataclass(frozen=True)
class EventStream:
    """Spike times of each unit, on the session's clock.

    Args:
        name: Name of the stream, for messages.
        times: Spike times of each unit, in any order.
        unit_ids: Name of each unit.
        extent: Start and end of the recording of all units; if ``None``, the first and the last
            event of any unit.
        observed: Start and stop of each interval in which all units were recorded, (n, 2), in
            order; ``None`` if they were recorded throughout.
        is_sorting: Whether the times of a unit may be in any order, even if its clock seems to
            begin again.
    """

    name: str
    times: Sequence[np.ndarray]
    unit_ids: tuple[str, ...]
    extent: tuple[float, float] | None = None
    observed: Float[np.ndarray, "n 2"] | None = None
    is_sorting: bool = False

    def span(self) -> tuple[float, float]:
        """Return first and last time.

        Raises:
            DataError: If there is no event.
        """
        if self.observed is not None:
            return float(self.observed[0, 0]), float(self.observed[-1, 1])
        if self.extent is not None:
            return self.extent
        filled = [t for t in self.times if len(t)]
        if not filled:
            raise DataError(f"{self.name}: no unit has any spike; check the selection of units")
        return min(float(t.min()) for t in filled), max(float(t.max()) for t in filled)


@dataclass(frozen=True)
class SampleStream:
    """Signals sampled together, on the session's clock. Made by ``make_samples``.

    Args:
        name: Name of the stream, for messages.
        times: Time of each sample, in order, (n,).
        values: (n, column), NaN where lost.
        columns: Name of each column.
        units: Unit of each column.
        max_gap_s: Between samples further apart, signals are lost.
        quality: Numbers by name that describe how well the signals were computed.
        is_stepping: Whether a value holds until the next sample, instead of being interpolated.
    """

    name: str
    times: Float[np.ndarray, " n"]
    values: Float[np.ndarray, "n column"]
    columns: tuple[str, ...]
    units: tuple[str, ...]
    max_gap_s: float
    quality: Mapping[str, float] = field(default_factory=dict)
    is_stepping: bool = False

    def span(self) -> tuple[float, float]:
        """Return the time covered: half an interval beyond the first and last sample."""
        half = typical_interval(self.times) / 2
        return float(self.times[0]) - half, float(self.times[-1]) + half


@dataclass(frozen=True)
class ResponseStream:
    """Sampled responses: fluorescence, inferred spikes, or counts that were binned already."""

    samples: SampleStream
    kind: ResponseKind


@dataclass(frozen=True)
class FrameStream:
    """A video, on the session's clock. Made by ``make_frames``.

    Args:
        name: Name of the stream, for messages.
        reader: The frames.
        times: Time of each frame, as they are read.
        order: Indices that sort the times; ``None`` if they are in order.
        rule: Choice of the frame that a bin shows.
        max_gap_s: Bins within a wider gap have no video and are left out.
        frame_size: (height, width) to scale to, or ``None``.
        shows: Number of the frame that is shown from each time on, until the next; ``None`` where
            each frame has a time of its own.
    """

    name: str
    reader: AbstractFrameReader
    times: Float[np.ndarray, " n"]
    order: np.ndarray | None
    rule: FrameRule
    max_gap_s: float
    frame_size: tuple[int, int] | None = None
    shows: Integer[np.ndarray, " n"] | None = None

    def span(self) -> tuple[float, float]:
        """Return the time covered: half an interval before the first frame to one after the last.

        The last frame lasts until the next one would begin. Frames that are shown until the next
        cover the time from the first on.
        """
        times = self.times if self.order is None else self.times[self.order]
        step = typical_interval(times)
        start = float(times[0]) if self.shows is not None else float(times[0]) - step / 2
        return start, float(times[-1]) + step


def make_samples(
    name: str,
    times: np.ndarray,
    values: np.ndarray,
    columns: Sequence[str],
    units: Sequence[str],
    *,
    clock: ClockConfig | None = None,
    max_gap_s: float | None = None,
    is_sorting: bool = False,
    quality: Mapping[str, float] | None = None,
    is_stepping: bool = False,
) -> SampleStream:
    """Check sampled signals and bring them onto the session's clock.

    Args:
        name: Name of the stream, for messages.
        times: Times as the device wrote them, (n,).
        values: (n,) or (n, column), numbers; NaN, or infinite, where lost.
        columns: Name of each column.
        units: Unit of each column.
        clock: Conversion of the times to the session's clock.
        max_gap_s: Between samples further apart signals are lost; three typical intervals if
            ``None``.
        is_sorting: Whether to sort samples that are out of order.
        quality: Numbers by name that describe how well the signals were computed.
        is_stepping: Whether a value holds until the next sample.

    Returns:
        The stream. Samples at equal times are kept; they are averaged in use.

    Raises:
        ShapeError: If lengths disagree.
        DataError: If the stream is empty, or times are not finite or go back.
    """
    times, order = _session_times(name, times, clock, is_sorting)
    if values.ndim == 1:
        values = values[:, None]
    if values.shape != (len(times), len(columns)):
        raise ShapeError(
            f"{name}: {len(times)} times and {len(columns)} columns ({', '.join(columns)}) but "
            f"values of shape {values.shape}; both must agree"
        )
    if values.dtype.kind not in "biuf":
        raise DataError(f"{name}: expected numbers, got {values.dtype}; write NaN where lost")
    is_lost = _are_lost(values)
    values = values.astype(np.float64)
    values[is_lost] = np.nan
    if order is not None:
        times, values = times[order], values[order]
    gap = DEFAULT_GAP * typical_interval(times) if max_gap_s is None else max_gap_s
    names = tuple(columns), tuple(units)
    return SampleStream(name, times, values, *names, gap, quality or {}, is_stepping)


def _are_lost(values: np.ndarray) -> np.ndarray:
    """Return which values are not finite; the smallest integer also stands for NaN."""
    if values.dtype.kind == "i" and values.dtype.itemsize >= 4:
        return values == np.iinfo(values.dtype).min
    return ~np.isfinite(values)


def make_frames(
    name: str,
    times: np.ndarray,
    reader: AbstractFrameReader,
    *,
    clock: ClockConfig | None = None,
    rule: FrameRule = "mean",
    max_gap_s: float | None = None,
    frame_size: tuple[int, int] | None = None,
    is_sorting: bool = False,
    shows: np.ndarray | None = None,
) -> FrameStream:
    """Check a video's times and bring them onto the session's clock; see ``make_samples``.

    Args:
        name: Name of the stream, for messages.
        times: Time of each frame, or of each entry of ``shows``.
        reader: The frames.
        clock: Conversion of the times to the session's clock.
        rule: Choice of the frame that a bin shows.
        max_gap_s: Bins within a wider gap are left out; three typical intervals if ``None``.
        frame_size: (height, width) to scale to.
        is_sorting: Whether to sort frames that are out of order.
        shows: Number of the frame that is shown from each time on, for pictures shown repeatedly.

    Raises:
        ShapeError: If there is not one time per frame.
        DataError: If there is no frame, or times are not finite or go back.
    """
    n_times = len(reader) if shows is None else len(shows)
    if np.shape(times)[:1] != (n_times,):
        raise ShapeError(
            f"{name}: {n_times} frames but times of shape {np.shape(times)}; give one per frame"
        )
    if shows is not None and len(shows) and not 0 <= shows.min() <= shows.max() < len(reader):
        raise DataError(
            f"{name}: shows pictures {shows.min()} to {shows.max()} but there are {len(reader)}, "
            "counted from 0"
        )
    times, order = _session_times(name, times, clock, is_sorting)
    ordered = times if order is None else times[order]
    gap = DEFAULT_GAP * typical_interval(ordered) if max_gap_s is None else max_gap_s
    return FrameStream(name, reader, times, order, rule, gap, frame_size, shows)


def without_columns(
    streams: Sequence[SampleStream], leave_out: Sequence[str]
) -> list[SampleStream]:
    """Return streams without some of their columns; those without any column are left out.

    Raises:
        DataError: If no stream has a column to leave out.
    """
    kept_columns([name for stream in streams for name in stream.columns], leave_out)
    kept = []
    for stream in streams:
        places = [i for i, name in enumerate(stream.columns) if name not in leave_out]
        columns, units = ([names[i] for i in places] for names in (stream.columns, stream.units))
        if places:
            values = stream.values[:, places]
            kept.append(replace(stream, values=values, columns=tuple(columns), units=tuple(units)))
    return kept


def describe_streams(
    responses: EventStream | ResponseStream,
    behavior: Sequence[SampleStream],
    video: FrameStream | None,
) -> list[dict[str, Any]]:
    """Describe the times of each stream, as plain values for the provenance.

    Args:
        responses: Spikes, or sampled responses.
        behavior: Signals.
        video: The video, if there is one.

    Returns:
        For each stream its name, kind, number of times, span, resolution of its times (0 if it is
        unknown) and the longest gaps, in seconds. For spikes also the share of each unit's that
        follow another within ``DOUBLED_S``.
    """
    rows = []
    if isinstance(responses, EventStream):
        pooled = np.sort(np.concatenate([np.empty(0), *responses.times]))
        rows.append(
            _describe(responses.name, "responses", responses.span(), pooled, _event_step(pooled))
        )
        rows[0]["doubled"] = _doubled(responses)
        observed = responses.observed
        if observed is not None:
            gaps = zip(observed[:-1, 1].tolist(), observed[1:, 0].tolist(), strict=True)
            rows[0]["gaps_s"] = [list(gap) for gap in gaps][:MOST_GAPS]
    else:
        rows.append(_describe_samples(responses.samples, "responses"))
    if video is not None:
        times = video.times if video.order is None else video.times[video.order]
        step = _sample_step(times)
        rows.append(_describe(video.name, "video", video.span(), times, step, video.max_gap_s))
    return rows + [_describe_samples(stream, "behavior") for stream in behavior]


def _doubled(responses: EventStream) -> dict[str, float]:
    """Return the share of each unit's spikes that follow another within 0.1 ms.

    Empty where times are so coarse that different spikes share one.
    """
    steps = np.diff(np.sort(np.concatenate([np.empty(0), *responses.times])))
    steps = steps[(steps > DOUBLED_S) & (steps < _NEAR_S)]  # over which no clock drifts
    for grid in _COARSE_S:
        away = np.abs(steps - grid * np.round(steps / grid))
        if len(steps) and (away < _GRID_TOLERANCE * grid).mean() > _ON_GRID:
            return {}
    return {
        name: float((np.diff(np.sort(times)) <= DOUBLED_S).mean()) if len(times) > 1 else 0.0
        for name, times in zip(responses.unit_ids, responses.times, strict=True)
    }


def _describe_samples(stream: SampleStream, kind: str) -> dict[str, Any]:
    step = _sample_step(stream.times)
    row = _describe(stream.name, kind, stream.span(), stream.times, step, stream.max_gap_s)
    return {**row, "columns": list(stream.columns)} if kind == "behavior" else row


def _describe(
    name: str,
    kind: str,
    span: tuple[float, float],
    times: np.ndarray,
    step_s: float,
    max_gap_s: float = np.inf,
) -> dict[str, Any]:
    steps = np.diff(times)
    wide = np.flatnonzero(steps > max_gap_s)
    longest = np.sort(wide[np.argsort(steps[wide])[-MOST_GAPS:]]) if len(wide) else wide
    return {
        "name": name,
        "kind": kind,
        "n": len(times),
        "start_s": span[0],
        "stop_s": span[1],
        "resolution_s": step_s,
        "gaps_s": [[float(times[i]), float(times[i + 1])] for i in longest],
    }


def _sample_step(times: np.ndarray) -> float:
    """Return the resolution of a clock that gives several samples one time, else 0."""
    shared = float((np.diff(times) == 0).mean()) if len(times) > 1 else 0.0
    return time_step(times) if shared > SHARED_TIMES else 0.0


def _event_step(times: np.ndarray) -> float:
    """Return the smallest interval if chance would give a smaller one among so many events."""
    if len(times) < 2 or times[-1] <= times[0]:
        return 0.0
    step, by_chance = time_step(times), (times[-1] - times[0]) / len(times) ** 2
    return step if step > 10 * by_chance else 0.0


def regular_times(n: int, rate_hz: float, start_s: float = 0.0) -> Float[np.ndarray, " n"]:
    """Return the times of samples at a constant rate."""
    return start_s + np.arange(n) / rate_hz


def _session_times(
    name: str, times: np.ndarray, clock: ClockConfig | None, is_sorting: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    own = read_times(times, name)
    if not len(own):
        raise DataError(f"{name}: is empty; leave this stream out, or check the file")
    times = (clock or ClockConfig()).to_session(own)
    return times, order_of(times, name, is_sorting)
