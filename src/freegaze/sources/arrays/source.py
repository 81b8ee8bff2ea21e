"""One recording as one ``.npz`` of plain arrays, or a folder of such files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from freegaze.config import StrictConfig
from freegaze.errors import DataError
from freegaze.files.npz import NpzReader
from freegaze.recording.recording import Recording, Segment, keep_active_neurons
from freegaze.sources.arrays.layout import read_arrays
from freegaze.sources.conversion import errors_name
from freegaze.sources.source import AbstractSource, pick_sessions, register_source
from freegaze.sources.tiny import make_tiny_recording

LONGEST_TRIAL_S = 20.0
"""Equal segments shorter than this are taken for trials. Longer ones hold at least one of the 20 s
blocks of time that intervals resample where there are no trials."""


class ArraysOptions(StrictConfig):
    """What to read of ``.npz`` files.

    Args:
        sessions: File names without ``.npz`` to open; all by default.
        trials: Whether every segment is one trial. By default they are where there are several, all
            of the same length and shorter than 20 s.
        min_rate_hz: Neurons with fewer spikes a second in training bins are left out; 0 keeps all.
        leave_out: Behavior columns not to read.
    """

    sessions: tuple[str, ...] | None = None
    trials: bool | None = None
    min_rate_hz: float = Field(0.0, ge=0)
    leave_out: tuple[str, ...] = ()


@register_source("arrays")
class ArraysSource(AbstractSource[ArraysOptions]):
    """Plain arrays of one's own; the keys are those of ``arrays_layout``."""

    Options: ClassVar = ArraysOptions
    description: ClassVar = (
        "One .npz of plain arrays a session: responses, video, behavior, segment"
    )

    def open(self, path: Path, options: ArraysOptions) -> list[Recording]:
        """Read one file, or every ``.npz`` in a folder."""
        files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
        found = {file.stem: file for file in files if file.stem}
        picked = pick_sessions(found, options.sessions, path)
        return [self._open_file(found[name], options) for name in picked]

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write one file as a user would, with numpy."""
        r = make_tiny_recording(seed)
        file = path / f"{r.session_id}.npz"
        np.savez(
            file,
            bin_width_s=r.bin_width_s,
            response_kind=r.response_kind.value,
            responses=r.responses.astype(np.int64),
            video=r.video(),
            behavior=r.behavior.astype(np.float64),
            behavior_names=list(r.behavior_names),
            behavior_units=list(r.behavior_units),
            segment=r.segment_index(),
            split=np.repeat([s.role or "" for s in r.segments], [s.n_bins for s in r.segments]),
            room_light_lux=np.arange(r.n_bins) % 7,
        )
        return file

    def looks_like(self, path: Path) -> bool:
        """Whether a file, or one in the folder, is an ``.npz`` with ``responses``."""
        files = [path] if path.is_file() else sorted(path.glob("*.npz"))
        return any(_has_responses(file) for file in files)

    def _open_file(self, file: Path, options: ArraysOptions) -> Recording:
        with errors_name(file):
            recording, ignored = read_arrays(file, options.leave_out)
            segments, told = _mark_trials(recording, options.trials, _says_trials(file))
            origin = self.provenance(file, options, trials=told, ignored_keys=ignored)
            recording = replace(recording, segments=segments, provenance=origin)
            if options.min_rate_hz > 0:
                recording = keep_active_neurons(recording, options.min_rate_hz)
            return recording


def _says_trials(file: Path) -> bool:
    with NpzReader(file) as reader:
        return "trial" in reader.headers


def _mark_trials(
    recording: Recording, trials: bool | None, is_said: bool
) -> tuple[tuple[Segment, ...], str]:
    segments = recording.segments
    if trials is not None:
        told = f"every segment is {'one trial' if trials else 'no trial'}, as asked for"
        return tuple(replace(s, trial=trials) for s in segments), told
    if is_said:
        return segments, "as marked in the file"
    lengths = {s.n_bins for s in segments}
    length_s = max(lengths) * recording.bin_width_s
    if len(segments) > 1 and len(lengths) == 1 and length_s < LONGEST_TRIAL_S:
        told = f"every segment is one trial: all last {length_s:.4g} s (`trials: false` if not)"
        return tuple(replace(s, trial=True) for s in segments), told
    return segments, "no segment is a trial"


def _has_responses(file: Path) -> bool:
    try:
        with NpzReader(file) as reader:
            return "responses" in reader.headers
    except DataError:
        return False
