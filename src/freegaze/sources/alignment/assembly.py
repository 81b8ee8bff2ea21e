"""Assembly of streams on one clock into a recording."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from freegaze.config import StrictConfig
from freegaze.errors import DataError, DataWarning
from freegaze.recording.columns import find_column
from freegaze.recording.recording import Recording, ResponseKind, Role, Segment
from freegaze.sources.alignment.bins import (
    Bins,
    count_events,
    hold,
    integrate,
    interpolate,
    interpolate_angle,
    make_bins,
)
from freegaze.sources.alignment.clock import check_restart, typical_interval
from freegaze.sources.alignment.frames import plan_frames, read_pictures
from freegaze.sources.alignment.selection import (
    lost_values_of,
    pick_neurons,
    to_standard_unit,
    warn_of_late_spikes,
    warn_of_wrapping,
)
from freegaze.sources.alignment.streams import (
    EventStream,
    FrameStream,
    ResponseStream,
    SampleStream,
    describe_streams,
)
from freegaze.sources.conversion import safe_name

_SLOW_FRAMES_S, _SLOW_FRAMES_BINS = 1.0, 10
"""Frames further apart than both do not form a video."""

TIME = "time_s"
"""Annotation with the centre of each bin on the session's clock."""


class SegmentConfig(StrictConfig):
    """A part of the session that becomes a segment of its own, such as a trial or a test block.

    Args:
        start_s: Start on the session's clock.
        stop_s: End on the session's clock.
        role: Role of the segment.
        trial: Whether it is one repeat of a trial.
    """

    start_s: float
    stop_s: float
    role: Role | None = None
    trial: bool = False


@dataclass(frozen=True)
class Streams:
    """All that was recorded in one session.

    Args:
        responses: Spikes, or sampled responses.
        behavior: Signals.
        video: The video; ``None`` stands for one black pixel throughout.
        invalid: Start and stop of intervals that must not be used, (n, 2), in any order.
    """

    responses: EventStream | ResponseStream
    behavior: Sequence[SampleStream]
    video: FrameStream | None
    invalid: Float[np.ndarray, "n 2"] = field(default_factory=lambda: np.empty((0, 2)))


def align_streams(
    streams: Streams,
    session_id: str,
    bin_width_s: float,
    *,
    start_s: float | None = None,
    stop_s: float | None = None,
    wanted: Sequence[SegmentConfig] | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    leave_out_neurons: Sequence[str] = (),
) -> Recording:
    """Put streams onto equal bins.

    Spikes are counted between the edges of a bin; inferred spikes are spread over the time of their
    sample and summed; fluorescence and behavior are interpolated linearly at the centre of a bin,
    and lost within gaps. Bins span the time that responses and video share. Bins without video,
    without sampled responses, or in which units were not observed, are left out, and a new segment
    begins after them. Behavior columns of the data dictionary are converted to its units.

    Args:
        streams: Everything that was recorded, on one clock.
        session_id: Name of the session; characters that the name of a folder cannot have are
            replaced, and ``provenance`` keeps the original.
        bin_width_s: Width of a bin.
        start_s: Left edge of the first bin. If it is ``None``, the first bin begins with the later
            of responses and video.
        stop_s: No bin ends after this. If it is ``None``, the last bin ends with the earlier of
            responses and video.
        wanted: If given, the segments; bins that are not wholly inside one are left out.
        provenance: Origin of the streams.
        progress: Called with the numbers of frames read and of all frames.
        leave_out_neurons: Names of neurons to leave out before lost bins are determined.

    Returns:
        The recording, with ``time_s`` among its annotations.

    Raises:
        DataError: If streams do not overlap, or the recording is impossible.
    """
    bins = _common_bins(streams, bin_width_s, start_s, stop_s)
    responses, kind, unit_ids = _responses(streams.responses, bins)
    group = _groups(bins, wanted)
    is_unobserved = _unobserved(streams, bins)
    is_usable = (group >= 0) & ~is_unobserved
    kept_units = pick_neurons(
        responses, unit_ids, is_usable, leave_out_neurons, _name_of(streams.responses)
    )
    left_out_neurons = [name for i, name in enumerate(unit_ids) if i not in set(kept_units)]
    responses, unit_ids = responses[:, kept_units], tuple(unit_ids[i] for i in kept_units)
    is_left_out = ~is_usable | ~np.isfinite(responses).all(axis=1)
    if is_left_out.all():
        raise DataError(
            f"session {session_id!r}: no bin of {bin_width_s:g} s lies inside the segments and has "
            "responses; check the clocks and the gaps"
        )
    name = safe_name(session_id, "session")
    origin = dict(provenance or {})
    if name != session_id:
        origin["original_session_id"] = session_id
    if left_out_neurons:
        origin["left_out_neurons"] = left_out_neurons
    frames, frame_index, is_lost = _video(streams.video, bins, is_left_out, progress)
    kept = ~(is_left_out | is_lost)
    behavior, units = _behavior(streams.behavior, bins, kept)
    lost_values = {name: s for stream in streams.behavior for name, s in lost_values_of(stream)}
    report = {
        "start_s": bins.start_s,
        "stop_s": float(bins.edges[-1]),
        "n_bins": bins.n_bins,
        "n_without_responses_or_segment": int(is_left_out.sum()),
        "n_unobserved": int(is_unobserved.sum()),
        "n_without_video": int((is_lost & ~is_left_out).sum()),
        "max_gap_s": {s.name: s.max_gap_s for s in streams.behavior},
        "streams": describe_streams(streams.responses, streams.behavior, streams.video),
        "lost_values": {name: [s.value, s.share] for name, s in lost_values.items()},
        "quality": {s.name: dict(s.quality) for s in streams.behavior if s.quality},
    }
    return Recording(
        session_id=name,
        bin_width_s=bin_width_s,
        frames=frames,
        frame_index=frame_index,
        behavior=behavior,
        behavior_names=tuple(c for s in streams.behavior for c in s.columns),
        behavior_units=units,
        responses=responses[kept],
        response_kind=kind,
        unit_ids=unit_ids,
        segments=_segments(group, kept, wanted),
        annotations={TIME: bins.centers[kept]},
        provenance={**origin, "alignment": report},
    )


def _common_bins(
    streams: Streams, width_s: float, start_s: float | None, stop_s: float | None
) -> Bins:
    responses = streams.responses
    spans = {
        "responses": (
            responses.samples if isinstance(responses, ResponseStream) else responses
        ).span()
    }
    if streams.video is not None:
        spans["video"] = streams.video.span()
    told = "; ".join(f"{name} {a:.3f} to {b:.3f} s" for name, (a, b) in spans.items())
    start = max(a for a, _ in spans.values()) if start_s is None else start_s
    stop = min(b for _, b in spans.values()) if stop_s is None else stop_s
    if not start < stop:
        raise DataError(
            f"responses and video do not overlap within `start_s` and `stop_s` ({told}); "
            f"{_joining_offset(spans)}"
        )
    try:
        return make_bins(start, stop, width_s)
    except DataError as error:
        raise DataError(f"{error} ({told})") from None


def _name_of(responses: EventStream | ResponseStream) -> str:
    return responses.name if isinstance(responses, EventStream) else responses.samples.name


def _unobserved(streams: Streams, bins: Bins) -> np.ndarray:
    """Return which bins are marked as invalid or have units that were not observed."""
    is_unobserved = bins.touch(streams.invalid)
    observed = getattr(streams.responses, "observed", None)
    return is_unobserved if observed is None else is_unobserved | ~bins.are_within(observed)


def _joining_offset(spans: Mapping[str, tuple[float, float]]) -> str:
    """Return the remedy for recording times that do not overlap."""
    starts = [start for start, _ in spans.values()]
    if len(starts) < 2 or max(starts) < min(stop for _, stop in spans.values()):
        return "correct `start_s` and `stop_s`"
    later = starts[0] - starts[1]
    return (
        f"if both began together, `offset_s` of the clock of the video must be {later:+.3f} s "
        f"greater, or that of the responses {-later:+.3f} s"
    )


def _responses(
    stream: EventStream | ResponseStream, bins: Bins
) -> tuple[np.ndarray, ResponseKind, tuple[str, ...]]:
    try:
        if isinstance(stream, EventStream):
            if not stream.is_sorting:
                for name, times in zip(stream.unit_ids, stream.times, strict=True):
                    check_restart(times, f"{stream.name}, unit {name}")
            warn_of_late_spikes(stream)
            counts = count_events(stream.times, bins)
            if not counts.any():
                raise DataError(
                    f"{stream.name}: no spike between {bins.start_s:.6g} and "
                    f"{bins.edges[-1]:.6g} s; state `offset_s` of the clock"
                )
            return counts, ResponseKind.SPIKE_COUNTS, stream.unit_ids
        samples = stream.samples
        out = np.empty((bins.n_bins, len(samples.columns)), np.float32)
    except MemoryError:
        raise DataError(f"{bins.n_bins} bins do not fit into memory; choose wider ones") from None
    for i, column in enumerate(samples.values.T):
        if stream.kind is ResponseKind.FLUORESCENCE:
            out[:, i] = interpolate(samples.times, column, bins.centers, samples.max_gap_s)
        else:
            out[:, i] = integrate(samples.times, column, bins, samples.max_gap_s)
    if stream.kind is ResponseKind.SPIKE_COUNTS:  # whole again after sums of fractions of 1
        near = np.round(out)
        out = np.where(np.abs(out - near) < 1e-3, near, out)
        _check_whole(out, samples, bins)
    return out, stream.kind, samples.columns


def _check_whole(counts: np.ndarray, samples: SampleStream, bins: Bins) -> None:
    """Refuse counts whose own bins do not fit into those of the recording."""
    known, given = counts[np.isfinite(counts)], samples.values[np.isfinite(samples.values)]
    if (known == np.round(known)).all() or (given != np.round(given)).any():
        return
    step, start = typical_interval(samples.times), round(samples.span()[0], 6)
    raise DataError(
        f"{samples.name}: its counts are of {step:.6g} s each, from {start:.9g} s on, which do not "
        f"lie within bins of {bins.width_s:g} s from {round(bins.start_s, 6):.9g} s on; state "
        f"`bin_width_s: {step:.6g}` (or a multiple) and `start_s: {start:.9g}`"
    )


def _video(
    video: FrameStream | None,
    bins: Bins,
    is_left_out: np.ndarray,
    progress: Callable[[int, int], None] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if video is None:
        n_kept = int((~is_left_out).sum())
        black = np.zeros((1, 1, 1), np.uint8)
        return black, np.zeros(n_kept, np.int64), np.zeros(bins.n_bins, bool)
    _warn_of_slow_video(video, bins)
    plan = plan_frames(
        video.times, video.order, bins, video.rule, video.max_gap_s, is_left_out, video.shows
    )
    if not len(plan.frames):
        raise DataError(f"{video.name}: no frame lies in any bin; check clock and `max_gap_s`")
    pictures = read_pictures(video.reader, plan, video.frame_size, progress)
    return pictures, plan.frame_index, plan.is_lost


def _warn_of_slow_video(video: FrameStream, bins: Bins) -> None:
    """Warn of frames so far apart that their times are probably in another unit."""
    step = typical_interval(np.sort(video.times))
    if video.shows is None and step > max(_SLOW_FRAMES_S, _SLOW_FRAMES_BINS * bins.width_s):
        warnings.warn(
            f"{video.name}: its frames are {step:.3g} s apart and bins {bins.width_s:g} s wide; if "
            "times are not in seconds state `scale_to_s` of the clock (0.001 for milliseconds)",
            DataWarning,
            stacklevel=4,
        )


def _behavior(
    streams: Sequence[SampleStream], bins: Bins, kept: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]]:
    centers = bins.centers[kept]
    columns, units = [], []
    for stream in streams:
        for name, unit, signal in zip(stream.columns, stream.units, stream.values.T, strict=True):
            values, unit_kept = to_standard_unit(signal, name, unit, stream.name)
            units.append(unit_kept)
            is_circular = find_column(name).is_circular
            if not is_circular:
                warn_of_wrapping(values, name, unit_kept, stream.name)
            between = interpolate_angle if is_circular else interpolate
            at = hold if stream.is_stepping else between
            column = at(stream.times, values, centers, stream.max_gap_s)
            with np.errstate(over="ignore"):
                column = column.astype(np.float32)
            column[np.isinf(column)] = np.nan
            if np.isnan(column).all():
                start, stop = stream.span()
                raise DataError(
                    f"{stream.name}: {name!r} is lost in every bin (it lasts from {start:.6g} to "
                    f"{stop:.6g} s, the bins from {centers[0]:.6g} to {centers[-1]:.6g} s; gaps "
                    f"wider than {stream.max_gap_s:.3g} s are not filled); check its clock, that "
                    "of the responses, and `max_gap_s`, or leave it out"
                )
            columns.append(column)
    if not columns:
        return np.empty((len(centers), 0), np.float32), ()
    return np.column_stack(columns), tuple(units)


def _groups(bins: Bins, wanted: Sequence[SegmentConfig] | None) -> np.ndarray:
    """Return the number of the wanted segment that holds each bin, -1 where none does."""
    if wanted is None:
        return np.zeros(bins.n_bins, np.int64)
    group = np.full(bins.n_bins, -1)
    for i, segment in enumerate(wanted):
        is_inside = bins.are_within(np.array([[segment.start_s, segment.stop_s]]))
        if (group[is_inside] >= 0).any():
            raise DataError(
                f"the segment from {segment.start_s:.6g} to {segment.stop_s:.6g} s overlaps "
                "another; each bin can be in one only"
            )
        group[is_inside] = i
    return group


def _segments(
    group: np.ndarray, kept: np.ndarray, wanted: Sequence[SegmentConfig] | None
) -> tuple[Segment, ...]:
    where = np.flatnonzero(kept)
    is_new = (np.diff(where) > 1) | (np.diff(group[where]) != 0)
    starts = [0, *(np.flatnonzero(is_new) + 1).tolist(), len(where)]
    segments = []
    for start, stop in pairwise(starts):
        asked = wanted[int(group[where[start]])] if wanted else None
        role, is_trial = (asked.role, asked.trial) if asked else (None, False)
        segments.append(Segment(start, stop, role, is_trial))
    return tuple(segments)
