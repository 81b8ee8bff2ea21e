"""Recordings: video, behavior and responses on one clock of equal bins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Integer, UInt8
from pydantic import ConfigDict, with_config

from freegaze.errors import DataError, ShapeError
from freegaze.registry import require_name

Role = Literal["train", "validation", "test"]
"""Role of bins; ``None`` instead leaves the role to a splitter."""

PIECE_BYTES = 1 << 21
"""Of 64-bit numbers that are computed together. Responses may be mapped, and longer than memory."""


class ResponseKind(StrEnum):
    """Kind of the values in ``responses``, which determines the loss and the metrics."""

    SPIKE_COUNTS = "spike_counts"
    """Sorted spikes in a bin: whole numbers, never negative."""
    INFERRED_SPIKES = "inferred_spikes"
    """Deconvolved calcium: never negative, fractional."""
    FLUORESCENCE = "fluorescence"
    """Calcium traces: any sign."""


@with_config(ConfigDict(extra="forbid"))  # where a manifest is read
@dataclass(frozen=True, slots=True)
class Segment:
    """Contiguous bins; windows and smoothing never cross its ends.

    Args:
        start: First bin.
        stop: One past the last bin.
        role: Role of the segment; ``None`` if a splitter decides.
        trial: Whether it is one repeat of an experiment's trial (then intervals resample trials).
    """

    start: int
    stop: int
    role: Role | None = None
    trial: bool = False

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return self.stop - self.start

    def bins(self) -> np.ndarray:
        """Return the bins, shape (n_bins,)."""
        return np.arange(self.start, self.stop)


@dataclass(frozen=True)
class Recording:
    """One session of one animal, aligned to bins of equal width. Immutable; checked once, here.

    A bin's frame is ``frames[frame_index[bin]]``, so that repeated stimuli share their pixels.

    Args:
        session_id: Name of the session, unique among those fitted together.
        bin_width_s: Width of a bin in seconds.
        frames: Gray frames, shape (n_frames, height, width), uint8; may be memory-mapped.
        frame_index: Number of the frame of each bin, shape (time,).
        behavior: One column per signal, (time, n_behavior), float32; NaN where tracking was lost.
        behavior_names: Name of each column (speed, pitch, roll, phi, theta, pupil_radius, gz ...).
        behavior_units: Unit of each column ("cm/s", "deg", "px" ...).
        responses: One column per neuron, shape (time, n_neurons), float32.
        response_kind: Kind of the responses.
        unit_ids: The source's own name of each neuron.
        segments: Segments in order of time, which cover every bin once.
        annotations: Further per-bin arrays, first axis time (``stimulus_direction_deg`` ...).
        reference_rates: Expected responses known from elsewhere, each (time, n_neurons): a
            simulation's ``oracle`` and ``attainable``.
        deg_per_px: Calibration of the camera, or ``None`` where it is unknown.
        provenance: Origin of the recording: source, path, options, checksums, citation.

    Raises:
        ShapeError: If arrays disagree in length.
        DataError: If values are impossible for their kind.
    """

    session_id: str
    bin_width_s: float
    frames: UInt8[np.ndarray, "n_frames height width"]
    frame_index: Integer[np.ndarray, " time"]
    behavior: Float[np.ndarray, "time n_behavior"]
    behavior_names: tuple[str, ...]
    behavior_units: tuple[str, ...]
    responses: Float[np.ndarray, "time n_neurons"]
    response_kind: ResponseKind
    unit_ids: tuple[str, ...]
    segments: tuple[Segment, ...]
    annotations: Mapping[str, np.ndarray] = field(default_factory=dict)
    reference_rates: Mapping[str, np.ndarray] = field(default_factory=dict)
    deg_per_px: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        validate_recording(self)

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return len(self.frame_index)

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.responses.shape[1]

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) of the video in pixels."""
        return (self.frames.shape[1], self.frames.shape[2])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_bins * self.bin_width_s

    def video(self, bins: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return the frames of some bins, shape (n, height, width), uint8."""
        return self.frames[self.frame_index[bins]]

    def column(self, name: str) -> np.ndarray:
        """Return one behavior signal, shape (time,).

        Raises:
            DataError: If there is no such column; the message names the nearest.
        """
        what = f"session {self.session_id!r} has no behavior column"
        require_name(name, self.behavior_names, what)
        return self.behavior[:, self.behavior_names.index(name)]

    def rates_hz(self, role: Role | None = None) -> np.ndarray:
        """Return each neuron's mean response per second in segments of a role (or in all)."""
        return self.mean_response(self.bins_of(role)) / self.bin_width_s

    def mean_response(self, bins: np.ndarray) -> np.ndarray:
        """Return each neuron's mean response in some bins, shape (n_neurons,), float64."""
        total = np.zeros(self.n_neurons)
        for piece in _pieces(len(bins), self.n_neurons):
            part = self.responses[bins[piece]].astype(np.float64)
            part[0] += total  # bin after bin, as in one sum over all of them
            total = part.sum(0)
        return total / len(bins)

    def bins_of(self, role: Role | None = None) -> np.ndarray:
        """Return the bins in segments of ``role`` (all bins for ``None``)."""
        picked = [s.bins() for s in self.segments if role is None or s.role == role]
        return np.concatenate(picked) if picked else np.empty(0, dtype=np.int64)

    def segment_index(self) -> np.ndarray:
        """Return the number of the segment that each bin belongs to, shape (time,)."""
        return np.repeat(np.arange(len(self.segments)), [s.n_bins for s in self.segments])

    def is_in_trial(self) -> np.ndarray:
        """Return whether each bin lies in a trial, shape (time,)."""
        return np.repeat([s.trial for s in self.segments], [s.n_bins for s in self.segments])

    def with_segments(self, segments: Sequence[Segment]) -> Recording:
        """Return the same recording with other segments (see ``freegaze.dataset.splits``)."""
        return replace(self, segments=tuple(segments))

    def with_provenance(self, **more: Any) -> Recording:
        """Return the same recording with further provenance; its arrays are not checked again."""
        other = copy(self)
        object.__setattr__(other, "provenance", {**self.provenance, **more})
        return other

    def to_pynapple(self) -> dict[str, Any]:
        """Return the recording as pynapple objects; see ``recording.pynapple_objects``."""
        from freegaze.recording.pynapple_objects import to_pynapple

        return to_pynapple(self)

    @staticmethod
    def from_pynapple(responses: Any, **streams: Any) -> Recording:
        """Make a recording of pynapple objects; see ``recording.pynapple_objects``."""
        from freegaze.recording.pynapple_objects import from_pynapple

        return from_pynapple(responses, **streams)

    def __repr__(self) -> str:
        origin = self.provenance.get("source", "unknown source")
        minutes = {role or "undecided": 0.0 for role in (*get_args(Role), None)}
        for segment in self.segments:
            minutes[segment.role or "undecided"] += segment.n_bins * self.bin_width_s / 60
        roles = ", ".join(f"{role} {value:.3g} min" for role, value in minutes.items() if value)
        columns = zip(self.behavior_names, self.behavior_units, strict=True)
        height, width = self.frame_size
        return (
            f"Recording {self.session_id!r} ({origin})\n"
            f"  {self.n_bins} bins of {self.bin_width_s * 1000:.4g} ms in {len(self.segments)} "
            f"segments: {roles}\n"
            f"  {self.n_neurons} neurons, {self.response_kind.value}\n"
            f"  video: {len(self.frames)} frames of {height} x {width} px\n"
            f"  behavior: {', '.join(f'{name} ({unit})' for name, unit in columns) or 'none'}"
        )

    def select_neurons(self, keep: np.ndarray | Sequence[int]) -> Recording:
        """Return the recording with some of its neurons, in the order given.

        Args:
            keep: Column numbers, or a boolean mask, of the neurons to keep.

        Raises:
            DataError: If none is left.
        """
        everyone = np.arange(self.n_neurons)
        columns = everyone[np.asarray(keep)]
        if np.array_equal(columns, everyone):  # a copy would only cost memory
            return self
        if not len(columns):
            raise DataError(
                f"session {self.session_id!r}: none of its {self.n_neurons} neurons is left after "
                "selection; lower the rate threshold (`min_rate_hz`) or check the responses"
            )
        return replace(
            self,
            # `take` keeps a bin's responses together; indexing would keep a neuron's
            responses=self.responses.take(columns, axis=1),
            unit_ids=tuple(self.unit_ids[i] for i in columns),
            reference_rates={k: v.take(columns, axis=1) for k, v in self.reference_rates.items()},
        )


def keep_active_neurons(
    recording: Recording, min_rate_hz: float, training_bins: np.ndarray | None = None
) -> Recording:
    """Keep the neurons that fire at least ``min_rate_hz`` in training bins.

    Only training bins are counted, so that the choice is independent of the test data. Fluorescence
    has no firing rate: such a recording is returned unchanged.

    Args:
        recording: Any recording.
        min_rate_hz: Threshold in spikes per second; 3 Hz in Xu et al. (2023).
        training_bins: Bins to count in. Without it, these are the bins of segments marked
            ``train``, or all bins if there is no such segment.

    Returns:
        A recording with the active neurons.

    Raises:
        DataError: If no neuron is above the threshold.
    """
    if recording.response_kind is ResponseKind.FLUORESCENCE:
        return recording
    if training_bins is None:
        has_train = any(s.role == "train" for s in recording.segments)
        training_bins = recording.bins_of("train" if has_train else None)
    rates_hz = recording.mean_response(training_bins) / recording.bin_width_s
    if not (rates_hz >= min_rate_hz).any():
        raise DataError(
            f"session {recording.session_id!r}: no neuron fires at {min_rate_hz:g} Hz or more "
            f"(highest: {rates_hz.max(initial=0):.2f} Hz); lower `min_rate_hz`"
        )
    return recording.select_neurons(rates_hz >= min_rate_hz)


def validate_recording(recording: Recording) -> None:
    """Check that a recording's arrays agree and hold possible values.

    Raises:
        ShapeError: If arrays disagree in length or dimension.
        DataError: If values are impossible: negative or fractional counts, non-finite responses, a
            behavior column of NaN only, frames outside the video, segments that overlap.
    """
    r = recording
    where = f"session {r.session_id!r}"
    if not (np.isfinite(r.bin_width_s) and r.bin_width_s > 0):
        raise DataError(f"{where}: bin_width_s must be a positive number, got {r.bin_width_s}")
    _check_shapes(r, where)
    if r.n_bins == 0 or r.n_neurons == 0:
        raise DataError(
            f"{where}: holds {r.n_bins} bins and {r.n_neurons} neurons; both must be > 0"
        )
    if r.frame_index.min() < 0 or r.frame_index.max() >= len(r.frames):
        raise DataError(
            f"{where}: frame_index points to frame {r.frame_index.max()} (lowest "
            f"{r.frame_index.min()}) but there are {len(r.frames)} frames"
        )
    _check_behavior(r, where)
    check_responses(r.responses, r.response_kind, where)
    _check_segments(r, where)


def check_responses(responses: np.ndarray, kind: ResponseKind, where: str) -> None:
    """Check that responses are possible for their kind.

    Args:
        responses: Shape (time, n_neurons).
        kind: Stated kind of the responses.
        where: File or session, for the message.

    Raises:
        DataError: Naming the first wrong neuron and bin.
    """

    def complain(bad: np.ndarray, what: str, remedy: str) -> None:
        if bad.any():
            time, neuron = np.argwhere(bad)[0] + (piece.start, 0)
            raise DataError(
                f"{where}: {kind.value} {what}, but bin {time} of neuron {neuron} is "
                f"{responses[time, neuron]}; {remedy}"
            )

    for piece in _pieces(*responses.shape):
        part = responses[piece]
        complain(~np.isfinite(part), "must be finite", "remove or fill those bins")
        if kind is not ResponseKind.FLUORESCENCE:
            complain(part < 0, "cannot be negative", "is it `fluorescence`?")
        if kind is ResponseKind.SPIKE_COUNTS:
            complain(part != np.round(part), "must be whole", "is it `inferred_spikes`?")


def _pieces(n_bins: int, n_columns: int) -> Iterator[slice]:
    """Cut bins into pieces of about ``PIECE_BYTES``."""
    n_together = max(1, PIECE_BYTES // (8 * max(1, n_columns)))
    for start in range(0, n_bins, n_together):
        yield slice(start, start + n_together)


def _check_shapes(r: Recording, where: str) -> None:
    if r.frames.ndim != 3 or r.frames.dtype != np.uint8:
        raise ShapeError(
            f"{where}: frames must be (frame, height, width) of uint8, got {r.frames.shape} of "
            f"{r.frames.dtype}"
        )
    n_bins = len(r.frame_index)
    for name, array, n_columns in (
        ("behavior", r.behavior, len(r.behavior_names)),
        ("responses", r.responses, len(r.unit_ids)),
        *((f"reference_rates[{k!r}]", v, len(r.unit_ids)) for k, v in r.reference_rates.items()),
    ):
        if array.shape != (n_bins, n_columns):
            raise ShapeError(
                f"{where}: {name} must be (time, column) = ({n_bins}, {n_columns}) to agree with "
                f"frame_index and the names of its columns, got {array.shape}"
            )
    for name, array in r.annotations.items():
        if len(array) != n_bins:
            raise ShapeError(
                f"{where}: annotation {name!r} has {len(array)} rows, expected {n_bins}"
            )
    if len(r.behavior_units) != len(r.behavior_names):
        raise ShapeError(
            f"{where}: {len(r.behavior_names)} behavior names but {len(r.behavior_units)} units"
        )
    for what, names in (("behavior_names", r.behavior_names), ("unit_ids", r.unit_ids)):
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise DataError(f"{where}: {what} holds {twice[0]!r} more than once; rename one")


def _check_behavior(r: Recording, where: str) -> None:
    for name, column in zip(r.behavior_names, r.behavior.T, strict=True):
        if np.isinf(column).any():
            raise DataError(
                f"{where}: behavior column {name!r} is infinite at bin "
                f"{int(np.flatnonzero(np.isinf(column))[0])}; mark lost tracking as NaN"
            )
        if np.isnan(column).all():
            raise DataError(f"{where}: behavior column {name!r} is NaN throughout; leave it out")


def _check_segments(r: Recording, where: str) -> None:
    end = 0
    for i, segment in enumerate(r.segments):
        if segment.start != end or segment.stop <= segment.start:
            raise DataError(
                f"{where}: segment {i} is bins {segment.start}..{segment.stop}, expected it to "
                f"start at {end} and to hold at least one bin"
            )
        end = segment.stop
    if end != r.n_bins:
        raise DataError(f"{where}: the segments cover {end} bins of {r.n_bins}")


def as_list(recordings: Recording | Sequence[Recording]) -> list[Recording]:
    """Return one or several recordings as a list."""
    return [recordings] if isinstance(recordings, Recording) else list(recordings)
