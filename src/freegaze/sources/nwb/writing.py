"""Writing of a recording as a valid NWB file, without invented values.

========================================= ======================================================
in the file                               holds
========================================= ======================================================
``acquisition/head_camera``               ImageSeries: the frame of each bin
``processing/behavior``                   EyeTracking (theta, phi), PupilTracking (pupil_radius),
                                          BehavioralTimeSeries (all other columns); NaN where lost
``processing/ecephys/spike_counts``       TimeSeries (time, neuron): spikes in each bin. Times of
or ``processing/ophys/RESPONSE_KIND``     spikes are not known any more, so there are none
``processing/freegaze/recording``         one row: bin width, kind of the responses, calibration
``processing/freegaze/neurons``           names of the neurons
``processing/freegaze/series``            true name, unit and place of each behavior column,
                                          annotation and reference rate
``processing/freegaze/frame_index``       only where bins share frames
``general/notes``                         JSON with the provenance
``intervals/segments``                    start and stop (seconds and bins), role, trial
========================================= ======================================================

Every series has one row per bin, at the centre of the bin.
"""

from __future__ import annotations

import json
import math
import re
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from freegaze.errors import DataError, FreegazeError
from freegaze.files.arrays import array_chunks, is_plain_dtype
from freegaze.files.atomic import atomic_file
from freegaze.recording.manifest import plain_values
from freegaze.recording.recording import Recording, ResponseKind
from freegaze.sources.alignment.assembly import TIME
from freegaze.sources.nwb.opening import require_pynwb

MODULE, RECORDING, NEURONS, SERIES = "freegaze", "recording", "neurons", "series"
FRAME_INDEX, SEGMENTS, VIDEO = "frame_index", "segments", "head_camera"
LAYOUT_VERSION = 1
UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)
"""Start of a session if it is unknown; NWB requires one."""

NOTES = "provenance"
"""Key of the provenance in the notes, which are JSON."""

_UNKNOWN_SUBJECT = {"subject_id": "unknown", "sex": "U", "age": "P0D/", "description": "unknown"}
"""An age that is true of every animal: at least 0 days."""

_EYE = ("theta", "phi")
_OTHER = "BehavioralTimeSeries"
_HOLDERS: dict[str, tuple[str, ...]] = {
    "EyeTracking": _EYE,
    "PupilTracking": ("pupil_radius",),
    _OTHER: (),
}
"""Containers of NWB, and the behavior columns of each; the last contains all others."""

MOST_AXES = 4
"""Of a ``TimeSeries``."""
_CHUNK_BYTES = 1 << 18  # of video, compressed together


def write_nwb(
    recording: Recording,
    file: Path | str,
    *,
    session_start_time: datetime | None = None,
    subject: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a recording as NWB; the module describes the layout.

    Reading it returns the same recording, without frames that no bin shows.

    Args:
        recording: Recording to write.
        file: File to write; its name ends in ``.nwb``.
        session_start_time: Start of the session with its time zone; a recording has no such field.
            Without it, the file has 1970 and states that the start is unknown.
        subject: Fields of ``pynwb.file.Subject``, such as ``subject_id``, ``species``, ``sex``,
            ``age``; archives require them; a recording has no such fields.
        overwrite: Whether an existing file may be replaced.

    Returns:
        The file.

    Raises:
        DataError: If pynwb is missing, the file exists, NWB cannot store an annotation, or the disk
            refuses.

    Example:
        >>> write_nwb(recording, "mouse1.nwb").name
        'mouse1.nwb'
    """
    target = Path(file)
    with unfinished_nwb(target, overwrite) as partial:
        fill_nwb(partial, recording, session_start_time, subject)
    return target


@contextmanager
def unfinished_nwb(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a file to write into, which is renamed at the end; see ``atomic_file``.

    Raises:
        DataError: In the same cases as ``write_nwb``.
    """
    require_pynwb()
    if target.suffix != ".nwb":
        raise DataError(f"{target}: the name must end in .nwb")
    with atomic_file(target, overwrite) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the name of the unfinished file
        try:
            yield partial
        except FreegazeError as error:
            raise type(error)(str(error).replace(str(partial), str(target))) from None
        except OSError:
            raise
        except Exception as error:  # hdmf's own, about values that NWB cannot hold
            raise DataError(f"{target}: NWB cannot hold this ({error})") from None


def fill_nwb(
    file: Path,
    recording: Recording,
    session_start_time: datetime | None = None,
    subject: Mapping[str, Any] | None = None,
) -> None:
    """Write a recording into a new file; after a failure, a part of the file remains."""
    pynwb = require_pynwb()
    root = _Writer(pynwb, recording).root(session_start_time, subject or {})
    with pynwb.NWBHDF5IO(str(file), "w") as io:
        io.write(root)


def bin_times(recording: Recording) -> np.ndarray:
    """Return the centre of each bin in seconds: as annotated, or counted from 0."""
    known = recording.annotations.get(TIME)
    if known is not None:
        times = np.asarray(known)
        is_time = times.shape == (recording.n_bins,) and times.dtype.kind == "f"
        if is_time and np.isfinite(times).all() and (np.diff(times) > 0).all():
            return times.astype(np.float64)
    return (np.arange(recording.n_bins) + 0.5) * recording.bin_width_s


def clock_fields(times: np.ndarray, bin_width_s: float) -> dict[str, Any]:
    """Return a rate and start where bins are contiguous, else the timestamps."""
    regular = times[0] + np.arange(len(times)) * bin_width_s
    if np.abs(times - regular).max() < 1e-6 * bin_width_s:
        return {"starting_time": float(times[0]), "rate": 1.0 / bin_width_s}
    return {"timestamps": times}


def safe_name(name: str) -> str:
    """Return a name without characters that NWB forbids."""
    return re.sub(r"[/:]", "_", name).strip() or "_"


def make_table(name: str, description: str, columns: Mapping[str, tuple[str, list[Any]]]) -> Any:
    """Return a DynamicTable.

    Args:
        name: Name of the table.
        description: Description of the table.
        columns: Description and values of each column.
    """
    from hdmf.common import DynamicTable, VectorData

    vectors = [VectorData(name=n, description=d, data=v) for n, (d, v) in columns.items()]
    return DynamicTable(name=name, description=description, columns=vectors)


class _Writer:
    def __init__(self, pynwb: Any, recording: Recording) -> None:
        self.pynwb, self.recording = pynwb, recording
        self.times = bin_times(recording)
        self.clock = clock_fields(self.times, recording.bin_width_s)
        self.rows: list[tuple[str, str, str, str]] = []
        self.taken: set[str] = set()

    def root(self, start: datetime | None, subject: Mapping[str, Any]) -> Any:
        r = self.recording
        unknown = "" if start else " The start of the session is unknown; 1970 stands for it."
        root = self.pynwb.NWBFile(
            session_description=(
                f"Video, behavior and responses on bins of {r.bin_width_s:g} s.{unknown}"
            ),
            identifier=str(uuid.uuid4()),
            session_start_time=start or UNKNOWN_START,
            session_id=r.session_id,
            notes=json.dumps({NOTES: plain_values(r.provenance, r.session_id)}),
        )
        root.subject = self.pynwb.file.Subject(**{**_UNKNOWN_SUBJECT, **subject})
        own = root.create_processing_module(MODULE, "What else a freegaze recording holds")
        self._add_video(root, own)
        self._add_behavior(root)
        self._add_responses(root)
        for name, array in r.annotations.items():
            own.add(self._series("annotation", name, np.asarray(array), ""))
        for name, rates in r.reference_rates.items():
            own.add(self._series("reference_rate", name, rates, "count"))
        self._add_tables(root, own)
        return root

    def _add_video(self, root: Any, own: Any) -> None:
        r, h5 = self.recording, self.pynwb.H5DataIO
        shape = (r.n_bins, *r.frame_size)
        rows = max(1, min(r.n_bins, _CHUNK_BYTES // max(1, math.prod(r.frame_size))))
        frames = self.pynwb.image.ImageSeries(
            name=VIDEO,
            description="Gray frame of each bin, (bin, height, width)",
            data=h5(
                _iterate(_shown_frames(r), shape), compression="gzip", chunks=(rows, *r.frame_size)
            ),
            unit="gray level",
            **self.clock,
        )
        root.add_acquisition(frames)
        if not np.array_equal(r.frame_index, np.arange(len(r.frames))):
            own.add(
                self.pynwb.TimeSeries(
                    name=FRAME_INDEX,
                    description="Number of the frame of each bin; equal numbers are one frame",
                    data=r.frame_index.astype(np.int64),
                    unit="n.a.",
                    **self.clock,
                )
            )

    def _add_behavior(self, root: Any) -> None:
        r = self.recording
        if not r.behavior_names:
            return
        module = root.create_processing_module("behavior", "Signals of behavior, NaN where lost")
        held: dict[str, list[Any]] = {holder: [] for holder in _HOLDERS}
        for name, unit in zip(r.behavior_names, r.behavior_units, strict=True):
            holder = next((h for h, names in _HOLDERS.items() if name in names), _OTHER)
            series = self._series("behavior", name, r.column(name), unit, f"behavior/{holder}")
            held[holder].append(series)
        for holder, series in held.items():
            key = "spatial_series" if holder == "EyeTracking" else "time_series"
            if series:
                module.add(getattr(self.pynwb.behavior, holder)(**{key: series}))

    def _add_responses(self, root: Any) -> None:
        r = self.recording
        name, module, text = response_place(r.response_kind)
        root.create_processing_module(module, text).add(
            self.pynwb.TimeSeries(
                name=name,
                description=(
                    f"{text} of each neuron in each bin of {r.bin_width_s:g} s, (bin, neuron); "
                    f"names are in processing/{MODULE}/{NEURONS}"
                ),
                data=self.pynwb.H5DataIO(r.responses, compression="gzip"),
                unit=response_unit(r.response_kind),
                **self.clock,
            )
        )

    def _series(
        self, kind: str, name: str, array: np.ndarray, unit: str, place: str = MODULE
    ) -> Any:
        if not is_plain_dtype(array.dtype) or not 1 <= array.ndim <= MOST_AXES:
            raise DataError(
                f"{kind} {name!r} is {array.dtype} of shape {array.shape}; NWB holds numbers, "
                "truth values and text of at most 4 axes"
            )
        stored = safe_name(name if kind == "behavior" else f"{kind}_{name}")
        while f"{place}/{stored}" in self.taken:
            stored += "_"
        self.taken.add(f"{place}/{stored}")
        self.rows.append((kind, name, unit, f"{place}/{stored}"))
        fields: dict[str, Any] = {
            "name": stored,
            "description": f"{kind.replace('_', ' ')} {name!r}",
            "data": array.astype(object) if array.dtype.kind == "U" else array,
            "unit": unit or "n.a.",
            **self.clock,
        }
        if kind == "behavior" and name in _EYE:
            fields["unit"] = "degrees" if unit == "deg" else fields["unit"]  # NWB's word for it
            return self.pynwb.behavior.SpatialSeries(reference_frame="eye in the head", **fields)
        return self.pynwb.TimeSeries(**fields)

    def _add_tables(self, root: Any, own: Any) -> None:
        r = self.recording
        fields = {
            "layout_version": ("Of this arrangement", LAYOUT_VERSION),
            "session_id": ("Name of the session", r.session_id),
            "bin_width_s": ("Width of a bin in seconds", float(r.bin_width_s)),
            "response_kind": ("What the responses are", r.response_kind.value),
        }
        if r.deg_per_px is not None:
            fields["deg_per_px"] = ("Calibration of the camera", float(r.deg_per_px))
        own.add(
            make_table(
                RECORDING,
                "The whole recording, in one row",
                {name: (text, [value]) for name, (text, value) in fields.items()},
            )
        )
        names = {"unit_id": ("The source's name of each neuron", list(r.unit_ids))}
        own.add(make_table(NEURONS, "Columns of the responses, in order", names))
        if self.rows:
            texts = ("What it is", "True name", "True unit", "Module, holder and name")
            columns = {
                name: (texts[i], [row[i] for row in self.rows])
                for i, name in enumerate(("kind", "true_name", "unit", "place"))
            }
            own.add(make_table(SERIES, "True names and units of the series", columns))
        self._add_segments(root)

    def _add_segments(self, root: Any) -> None:
        half = self.recording.bin_width_s / 2
        # A segment ends where the next one begins, to the last bit: overlaps make readers drop one.
        starts = np.append(self.times, np.inf) - half
        segments = self.pynwb.epoch.TimeIntervals(
            name=SEGMENTS, description="Contiguous bins; windows never cross their ends"
        )
        segments.add_column("role", "train, validation, test, or empty where undecided")
        segments.add_column("trial", "Whether it is one repeat of a trial")
        segments.add_column("start_bin", "First bin")
        segments.add_column("stop_bin", "One past the last bin")
        for s in self.recording.segments:
            segments.add_row(
                start_time=float(starts[s.start]),
                stop_time=float(min(self.times[s.stop - 1] + half, starts[s.stop])),
                role=s.role or "",
                trial=s.trial,
                start_bin=s.start,
                stop_bin=s.stop,
            )
        root.add_time_intervals(segments)


def response_place(kind: ResponseKind) -> tuple[str, str, str]:
    """Return name, module and description of the series with the responses."""
    if kind is ResponseKind.SPIKE_COUNTS:
        return kind.value, "ecephys", "Number of sorted spikes"
    text = "Inferred spikes" if kind is ResponseKind.INFERRED_SPIKES else "Fluorescence"
    return kind.value, "ophys", text


def response_unit(kind: ResponseKind) -> str:
    """Return NWB's word for the unit of the responses."""
    return "count" if kind is ResponseKind.SPIKE_COUNTS else "a.u."


def _shown_frames(recording: Recording) -> Iterator[np.ndarray]:
    for bins in array_chunks(recording.frame_index):
        for frame in bins:
            yield recording.frames[frame]


def _iterate(frames: Iterator[np.ndarray], shape: tuple[int, ...]) -> Any:
    from hdmf.data_utils import DataChunkIterator

    rows = max(1, (1 << 24) // max(1, math.prod(shape[1:])))
    return DataChunkIterator(
        data=frames, maxshape=shape, dtype=np.dtype(np.uint8), buffer_size=min(rows, shape[0])
    )
