"""Template of a source. Copy it to ``NAME.py``, replace every part; there is nothing else to do.

This one reads a folder with ``video.npy`` (time, height, width), ``spikes.npy`` (time, neuron) and
``speed.npy`` (time,).
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from freegaze.config import StrictConfig
from freegaze.files.arrays import read_npy
from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.sources.conversion import errors_name, to_column, to_float32, to_gray
from freegaze.sources.source import AbstractSource, register_source
from freegaze.sources.tiny import make_tiny_recording


class TemplateOptions(StrictConfig):
    """What the user may choose when opening; every option needs a default.

    Args:
        bin_width_s: Width of a bin in seconds.
    """

    bin_width_s: float = Field(0.05, gt=0)


@register_source("template")
class TemplateSource(AbstractSource[TemplateOptions]):
    """One sentence about the format."""

    Options: ClassVar = TemplateOptions
    description: ClassVar = "A folder with video.npy, spikes.npy and speed.npy"
    citation: ClassVar = ""

    def open(self, path: Path, options: TemplateOptions) -> list[Recording]:
        """Read the folder as one session, whose segments a splitter shall choose."""
        video, spikes, speed = (path / f"{name}.npy" for name in ("video", "spikes", "speed"))
        frames = to_gray(read_npy(video), str(video))
        counts = to_float32(read_npy(spikes), str(spikes))
        with errors_name(path):  # so that whatever the recording complains of names the folder
            recording = Recording(
                session_id=path.resolve().name,
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
                provenance=self.provenance(path, options),
            )
        return [recording]

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write a small example, with other tools than the reader's where there are any."""
        recording = make_tiny_recording(seed)
        np.save(path / "video.npy", recording.frames)
        np.save(path / "spikes.npy", recording.responses)
        np.save(path / "speed.npy", recording.column("speed"))
        return path

    def looks_like(self, path: Path) -> bool:
        """Say whether the three files are there."""
        return all((path / f"{name}.npy").is_file() for name in ("video", "spikes", "speed"))
