"""Template of a source: copy it to ``NAME.py`` and replace every part.

This one reads a folder with ``video.npy`` (time, height, width), ``spikes.npy`` (time, neuron) and
``speed.npy`` (time,).
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from freegaze.files.arrays import read_npy
from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.sources.conversion import to_column, to_float32, to_gray
from freegaze.sources.source import AbstractSource, SourceOptions, find_folders, register_source
from freegaze.sources.tiny import make_tiny_recording

FILES = ("video", "spikes", "speed")


class TemplateOptions(SourceOptions):
    """Options of opening, in addition to ``sessions`` and ``min_rate_hz``; each needs a default.

    Args:
        bin_width_s: Width of a bin in seconds.
    """

    bin_width_s: float = Field(default=0.05, gt=0)


@register_source("template")
class TemplateSource(AbstractSource[TemplateOptions]):
    """One sentence about the format."""

    Options: ClassVar = TemplateOptions
    description: ClassVar = "Folders with video.npy, spikes.npy and speed.npy"

    def find_sessions(self, path: Path, options: TemplateOptions) -> dict[str, Path]:
        """Find the folders with all three files."""
        return find_folders(path, lambda p: all((p / f"{name}.npy").is_file() for name in FILES))

    def open_session(self, path: Path, name: str, options: TemplateOptions) -> Recording:
        """Read one folder as one segment without a role, which a splitter divides."""
        video, spikes, speed = (path / f"{file}.npy" for file in FILES)
        frames = to_gray(read_npy(video), str(video))
        counts = to_float32(read_npy(spikes), str(spikes))
        return Recording(
            session_id=name,
            bin_width_s=options.bin_width_s,
            frames=frames,
            frame_index=np.arange(len(frames)),
            behavior=to_column(read_npy(speed), str(speed))[:, None],
            behavior_names=("speed",),
            behavior_units=("cm/s",),
            responses=counts,
            response_kind=ResponseKind.SPIKE_COUNTS,
            unit_ids=tuple(str(i) for i in range(counts.shape[-1])),
            segments=(Segment(0, len(frames)),),
        )

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write a small example, if possible with other tools than those of the reader."""
        recording = make_tiny_recording(seed)
        speed = recording.column("speed").copy()
        speed[20:25] = np.nan  # lost tracking
        folder = path / recording.session_id
        folder.mkdir()
        for name, array in zip(FILES, (recording.frames, recording.responses, speed), strict=True):
            np.save(folder / f"{name}.npy", array)
        return path
