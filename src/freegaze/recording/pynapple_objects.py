"""Recordings as pynapple objects, and back; needs pynapple."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.recording.columns import find_column
from freegaze.recording.recording import Recording, ResponseKind, Segment

TIME = "time_s"
"""Annotation with the center of each bin on the session's clock."""

_SAME_S = 1e-6


def require_pynapple() -> Any:
    """Import pynapple, which takes seconds, only when it is used.

    Raises:
        DataError: If it is not installed.
    """
    try:
        import pynapple
    except ImportError:
        raise DataError(
            "this needs pynapple; install it with `pip install freegaze[pynapple]`"
        ) from None
    return pynapple


def to_pynapple(recording: Recording) -> dict[str, Any]:
    """Return a recording as pynapple objects, one row per bin at its center.

    Times are those of the annotation ``time_s``. A recording without it gets times from 0 on,
    which hides gaps between its segments.

    Args:
        recording: Any recording.

    Returns:
        ``responses`` and ``behavior`` (``TsdFrame``), ``video`` (``TsdTensor``) and ``segments``
        (``IntervalSet`` from the first to the last center of each, with ``role`` and ``trial``).

    Raises:
        DataError: If pynapple is not installed.
    """
    nap = require_pynapple()
    times = recording.annotations.get(TIME)
    if times is None:
        times = (np.arange(recording.n_bins) + 0.5) * recording.bin_width_s
    times = np.asarray(times, np.float64)
    whole = nap.IntervalSet(times[0], times[-1])
    starts = times[[segment.start for segment in recording.segments]]
    stops = times[[segment.stop - 1 for segment in recording.segments]]
    segments = nap.IntervalSet(
        starts,
        stops,
        metadata={
            "role": [segment.role or "" for segment in recording.segments],
            "trial": [segment.trial for segment in recording.segments],
        },
    )
    return {
        "responses": nap.TsdFrame(
            times, recording.responses, time_support=whole, columns=list(recording.unit_ids)
        ),
        "behavior": nap.TsdFrame(
            times, recording.behavior, time_support=whole, columns=list(recording.behavior_names)
        ),
        "video": nap.TsdTensor(times, recording.video(), time_support=whole),
        "segments": segments,
    }


def from_pynapple(
    responses: Any,
    *,
    response_kind: ResponseKind | str,
    behavior: Any = None,
    video: Any = None,
    segments: Any = None,
    units: Mapping[str, str] | None = None,
    session_id: str = "pynapple",
) -> Recording:
    """Make a recording of pynapple objects that share their times, one row per bin.

    Put spikes and signals onto bins with pynapple first: ``spikes.count(bin_width_s)`` gives
    responses, and ``behavior.interpolate(responses)`` behavior at the same times.

    Args:
        responses: ``TsdFrame`` of (time, neuron), regularly sampled within segments.
        response_kind: Kind of the responses.
        behavior: ``TsdFrame`` of (time, column) at the same times.
        video: ``TsdTensor`` of (time, height, width), uint8, at the same times; by default one
            black pixel.
        segments: ``IntervalSet``; its columns ``role`` and ``trial`` are used where it has them. By
            default a segment begins after each gap. Bins outside are left out.
        units: Unit of behavior columns by name; the standard unit by default.
        session_id: Name of the session.

    Returns:
        The recording, with ``time_s`` among its annotations.

    Raises:
        ShapeError: If objects do not share their times.
        DataError: If there are fewer than two bins, or values are impossible.
    """
    times = np.asarray(responses.t, np.float64)
    if len(times) < 2:
        raise DataError(f"responses have {len(times)} bins, expected at least 2")
    for name, other in (("behavior", behavior), ("video", video)):
        if other is not None and (
            np.shape(other.t) != times.shape or np.abs(np.asarray(other.t) - times).max() > _SAME_S
        ):
            raise ShapeError(
                f"{name} has {len(other.t)} times, the responses {len(times)}; both must be the "
                f"same: use `{name}.interpolate(responses)` or `responses.value_from({name})` of "
                "pynapple"
            )
    width = float(np.median(np.diff(times)))
    kept, cut = _segments_of(times, width, segments)
    frames = np.zeros((1, 1, 1), np.uint8) if video is None else np.asarray(video.d)[kept]
    names = () if behavior is None else tuple(map(str, behavior.columns))
    signals = np.empty((len(times), 0)) if behavior is None else np.asarray(behavior.d)
    stated = units or {}
    return Recording(
        session_id=session_id,
        bin_width_s=width,
        frames=frames,
        frame_index=np.zeros(len(kept), np.int64) if video is None else np.arange(len(kept)),
        behavior=signals[kept].astype(np.float32),
        behavior_names=names,
        behavior_units=tuple(stated.get(name, find_column(name).unit) for name in names),
        responses=np.asarray(responses.d)[kept].astype(np.float32),
        response_kind=ResponseKind(response_kind),
        unit_ids=tuple(map(str, responses.columns)),
        segments=cut,
        annotations={TIME: times[kept]},
        provenance={"source": "pynapple"},
    )


def _segments_of(
    times: np.ndarray, width: float, wanted: Any
) -> tuple[np.ndarray, tuple[Segment, ...]]:
    """Return the bins to keep and the segments, cut at gaps and at the intervals wanted."""
    group = np.zeros(len(times), np.int64)
    intervals: list[tuple[Any, bool]] = [(None, False)]
    if wanted is not None:
        group[:] = -1
        known = set(map(str, getattr(wanted, "metadata_columns", ())))
        roles = list(wanted["role"]) if "role" in known else [""] * len(wanted)
        trials = list(wanted["trial"]) if "trial" in known else [False] * len(wanted)
        intervals = [(str(r) or None, bool(t)) for r, t in zip(roles, trials, strict=True)]
        for i, (start, stop) in enumerate(np.asarray(wanted.values)):
            group[(times >= start - _SAME_S) & (times <= stop + _SAME_S)] = i
    kept = np.flatnonzero(group >= 0)
    if not len(kept):
        raise DataError("no bin lies inside the `segments`; are both on the same clock?")
    is_new = (np.diff(group[kept]) != 0) | (np.diff(times[kept]) > 1.5 * width)
    edges = np.r_[0, np.flatnonzero(is_new) + 1, len(kept)]
    segments = []
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        role, is_trial = intervals[int(group[kept[start]])]
        segments.append(Segment(start, stop, role, is_trial))
    return kept, tuple(segments)
