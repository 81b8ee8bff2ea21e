"""The folders of Xu et al. (2023): ``ROOT/SESSION/{train,test}_KEY_seg_K.npy``."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
from pydantic import Field

from freegaze.errors import ConfigError, ShapeError
from freegaze.recording.recording import Recording, ResponseKind
from freegaze.registry import require_name
from freegaze.sources.conversion import kept_columns, stack_columns
from freegaze.sources.source import (
    AbstractSource,
    SourceOptions,
    find_folders,
    register_source,
    without_neurons,
)
from freegaze.sources.tiny import XU_BIN_WIDTH_S, make_tiny_recording
from freegaze.sources.xu2023.layout import (
    BEHAVIOR_KEYS,
    RESPONSES,
    VideoKind,
    find_parts,
    is_session,
    part_file,
    read_responses,
    read_video,
    segments_of,
)

# fmt: off
PAPER_DROPPED_UNITS: dict[str, tuple[int, tuple[int, ...]]] = {
    "070921_J553RT": (108, (
        1, 20, 21, 25, 27, 30, 31, 35, 39, 45, 46, 49, 50, 51, 52, 53, 54, 55, 57, 58, 59, 64, 65,
        68, 75, 77, 79, 81, 83, 84, 87, 88, 90, 91, 94, 95, 97, 104, 105, 107)),
    "101521_J559NC": (63, (1, 4, 9, 22, 25, 27, 28, 29, 43, 45, 46, 47, 51, 53)),
    "110421_J569LT": (52, (
        0, 1, 2, 5, 6, 8, 11, 12, 13, 16, 18, 22, 24, 26, 28, 30, 41, 44, 47, 49)),
}
# fmt: on
"""Number of units of each session, and the columns of ``nsp`` that the original leaves out."""


def paper_units(session_id: str, n_neurons: int) -> tuple[str, ...]:
    """Name the units that the original kept: their columns of ``nsp``.

    Args:
        session_id: The session.
        n_neurons: Number of units. If the session is unknown or has another number in the original,
            units are named by their order.
    """
    n_units, dropped = PAPER_DROPPED_UNITS.get(session_id, (0, ()))
    kept = [unit for unit in range(n_units) if unit not in dropped]
    return tuple(str(unit) for unit in (kept if len(kept) == n_neurons else range(n_neurons)))


class Xu2023Options(SourceOptions):
    """Options of folders of Xu et al. (2023).

    Args:
        video: Mean or middle of a bin's three camera frames, as seen by the camera or
            (``shift``) corrected for eye movements.
        units: ``rate`` keeps neurons with at least ``min_rate_hz`` in training bins; ``paper``
            keeps those on the original's lists for its three sessions; ``all`` keeps every neuron.
        min_rate_hz: Threshold for ``rate``, in spikes per second; 3 Hz in the paper.
        leave_out: Behavior columns (our names) that are not read.
    """

    video: VideoKind = "vid_mean"
    units: Literal["rate", "paper", "all"] = "rate"
    min_rate_hz: float = Field(default=3.0, ge=0)
    leave_out: tuple[str, ...] = ()


@register_source("xu2023")
class Xu2023Source(AbstractSource[Xu2023Options]):
    """Sessions of Xu et al. (2023), or anything written in their layout."""

    Options: ClassVar = Xu2023Options
    description: ClassVar = "Folders of Xu et al. (2023): {train,test}_KEY_seg_K.npy a session"
    citation: ClassVar = (
        "Xu, Hou, Niell, Beyeler (2023). Multimodal deep learning model unveils behavioral "
        "dynamics of V1 activity in freely moving mice. NeurIPS 36. "
        "Data: doi.org/10.17605/OSF.IO/MSP3A"
    )

    def find_sessions(self, path: Path, options: Xu2023Options) -> dict[str, Path]:
        """Find the folders with ``train_nsp_seg_0.npy`` or another part."""
        return find_folders(path, is_session)

    def open_session(self, path: Path, name: str, options: Xu2023Options) -> Recording:
        """Read all segments of one session."""
        known = {ours: key for key, (ours, _) in BEHAVIOR_KEYS.items()}
        columns = kept_columns(list(known), options.leave_out)
        if not any(path.glob("t*_gz_seg_*.npy")):  # optional: the original never reads it
            columns = [column for column in columns if column != "gz"]
        keys = [known[column] for column in columns]
        parts = find_parts(path, [RESPONSES, options.video, *keys])
        n_bins = sum(part.n_bins for part in parts)
        return Recording(
            session_id=name,
            bin_width_s=XU_BIN_WIDTH_S,
            frames=read_video(parts, options.video),
            frame_index=np.arange(n_bins),
            behavior=stack_columns(
                {
                    f"*_{key}_seg_*.npy": np.concatenate([part.read_column(key) for part in parts])
                    for key in keys
                },
                n_bins,
                str(path),
                {f"*_{key}_seg_*.npy": column for column, key in known.items()},
            ),
            behavior_names=tuple(columns),
            behavior_units=tuple(BEHAVIOR_KEYS[key][1] for key in keys),
            responses=read_responses(parts),
            response_kind=ResponseKind.SPIKE_COUNTS,
            unit_ids=tuple(str(i) for i in range(parts[0].headers[RESPONSES].shape[1])),
            segments=segments_of(parts),
        )

    def select_neurons(self, recording: Recording, options: Xu2023Options) -> Recording:
        """Keep all neurons, those above the rate, or those on the original's list."""
        if options.units == "rate":
            return super().select_neurons(recording, options)
        if "min_rate_hz" in options.model_fields_set:
            raise ConfigError(
                f"`min_rate_hz` applies to `units: rate`, not to `units: {options.units}`; leave "
                "one of them out"
            )
        if options.units == "paper":
            recording = _of_the_paper(recording)
        return without_neurons(recording, options.leave_out_neurons)

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write a session with two segments in the form of the original's files."""
        recording = make_tiny_recording(seed)
        folder = path / recording.session_id
        folder.mkdir()
        names = {key: ours for key, (ours, _) in BEHAVIOR_KEYS.items()}
        for i, segment in enumerate(recording.segments):
            bins = segment.bins()
            arrays = {key: recording.column(ours)[bins] for key, ours in names.items()}
            arrays |= {"nsp": recording.responses[bins]}
            for key, array in arrays.items():
                np.save(part_file(folder, segment.role, key, i // 2), array.astype(np.float64))
            for kind in get_args(VideoKind):
                np.save(part_file(folder, segment.role, kind, i // 2), recording.video(bins))
        return path


def _of_the_paper(recording: Recording) -> Recording:
    """Leave out the neurons that the original leaves out."""
    name = recording.session_id
    what, remedy = "`units: paper` has no list for session", "; choose `units: rate`"
    require_name(name, PAPER_DROPPED_UNITS, what, remedy=remedy)
    n_units, dropped = PAPER_DROPPED_UNITS[name]
    if recording.n_neurons != n_units:
        raise ShapeError(
            f"`units: paper` expects {n_units} units in session {name!r}, got "
            f"{recording.n_neurons}; choose `units: rate`"
        )
    return recording.select_neurons(np.setdiff1d(np.arange(n_units), dropped))
