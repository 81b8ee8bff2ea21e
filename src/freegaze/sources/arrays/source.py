"""Recordings as one ``.npz`` of plain arrays, or a folder of such files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from freegaze.files.npz import NpzReader
from freegaze.recording.recording import Recording, Segment
from freegaze.sources.arrays.layout import read_arrays
from freegaze.sources.source import AbstractSource, SourceOptions, find_files, register_source
from freegaze.sources.tiny import make_tiny_recording

LONGEST_TRIAL_S = 20.0
"""Equal segments that are shorter than this are assumed to be trials. Longer ones contain at least
one of the 20 s blocks that intervals resample without trials."""


class ArraysOptions(SourceOptions):
    """Options of ``.npz`` files; a session is named by its file.

    Args:
        trials: Whether every segment is one trial. If it is not given, they are trials if there are
            several, of equal length and shorter than 20 s.
        leave_out: Behavior columns not to read.
    """

    trials: bool | None = None
    leave_out: tuple[str, ...] = ()


@register_source("arrays")
class ArraysSource(AbstractSource[ArraysOptions]):
    """Plain arrays of one's own; the keys are those of ``layout``."""

    Options: ClassVar = ArraysOptions
    description: ClassVar = (
        "One .npz of plain arrays per session: responses, video, behavior, segment"
    )

    def find_sessions(self, path: Path, options: ArraysOptions) -> dict[str, Path]:
        """Find the file, or every ``.npz`` in a folder."""
        return find_files(path, "*.npz")

    def open_session(self, path: Path, name: str, options: ArraysOptions) -> Recording:
        """Read one file."""
        recording, ignored = read_arrays(path, options.leave_out)
        segments, told = _mark_trials(recording, options.trials, _has_key(path, "trial"))
        origin = {"trials": told, "ignored_keys": ignored}
        return replace(recording, segments=segments, provenance=origin)

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

    def recognizes(self, path: Path) -> bool:
        """Return whether a file is an ``.npz`` with ``responses``."""
        return _has_key(path, "responses")


def _has_key(file: Path, key: str) -> bool:
    with NpzReader(file) as reader:
        return key in reader.headers


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
