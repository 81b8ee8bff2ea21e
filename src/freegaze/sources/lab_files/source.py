"""Files of a laboratory, put together by one YAML that says what is where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from freegaze.config import StrictConfig, read_config
from freegaze.errors import ConfigError, DataError
from freegaze.files.arrays import map_npy
from freegaze.recording.recording import Recording, keep_active_neurons
from freegaze.sources.alignment.assembly import Streams, Stretch, align_streams
from freegaze.sources.alignment.readers import ArrayFrames, MovieFrames, movie_times
from freegaze.sources.alignment.streams import (
    EventStream,
    FrameStream,
    ResponseStream,
    SampleStream,
    make_frames,
)
from freegaze.sources.conversion import errors_name
from freegaze.sources.lab_files.config import (
    CsvConfig,
    KilosortConfig,
    MovieConfig,
    NpyConfig,
    SessionConfig,
    SpikeTableConfig,
    Suite2pConfig,
)
from freegaze.sources.lab_files.eye_points import read_pupil
from freegaze.sources.lab_files.neurons import (
    read_kilosort,
    read_npy_responses,
    read_spike_table,
    read_suite2p,
)
from freegaze.sources.lab_files.tables import (
    read_csv_stream,
    read_npy_stream,
    read_timestamps,
    times_of,
)
from freegaze.sources.lab_files.tiny import write_tiny_lab_folder
from freegaze.sources.source import AbstractSource, pick_sessions, register_source

_FIRST_BYTES = 1 << 16


class FilesOptions(StrictConfig):
    """What to read of laboratory files; all else stands in the YAML.

    Args:
        sessions: Names of the YAML files (without ending) to open; all by default.
        min_rate_hz: Neurons with fewer spikes a second in training bins are left out; 0 keeps all.
        leave_out: Streams of behavior not to read, by their name in the YAML.
        bin_width_s: Width of a bin in place of the YAML's.
    """

    sessions: tuple[str, ...] | None = None
    min_rate_hz: float = Field(default=0.0, ge=0)
    leave_out: tuple[str, ...] = ()
    bin_width_s: float | None = Field(default=None, gt=0)


@register_source("files")
class FilesSource(AbstractSource[FilesOptions]):
    """Kilosort, suite2p, movies, tracked points and tables, each on its own clock."""

    Options: ClassVar = FilesOptions
    description: ClassVar = (
        "A YAML that names what is where: Kilosort, suite2p, movies, tracked eyes, CSV"
    )

    def open(self, path: Path, options: FilesOptions) -> list[Recording]:
        """Open the YAML that ``path`` is, or those in it."""
        if not path.is_dir() and path.suffix not in (".yaml", ".yml"):
            raise DataError(f"{path} is no YAML file; give one that names what is where")
        picked = pick_sessions(found := _find_sessions(path), options.sessions, path)
        return [self._open_session(found[name], options) for name in picked]

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write a folder as the programs themselves would, and its YAML."""
        return write_tiny_lab_folder(path, seed)

    def looks_like(self, path: Path) -> bool:
        """Whether the file, or one in the folder, is a YAML with a key ``responses``."""
        return any(_is_session(file) for file in _find_sessions(path).values())

    def _open_session(self, file: Path, options: FilesOptions) -> Recording:
        config = read_config(SessionConfig, file)
        for name in options.leave_out:
            if name not in config.behavior:
                raise ConfigError(
                    f"{file}: leave_out: no behavior stream {name!r}; there are "
                    f"{', '.join(config.behavior) or 'none'}"
                )
        kept = {n: c for n, c in config.behavior.items() if n not in options.leave_out}
        width_s = options.bin_width_s or config.bin_width_s
        config = config.model_copy(update={"behavior": kept, "bin_width_s": width_s})
        with errors_name(file):
            stretches = [Stretch(**s.model_dump()) for s in config.segments or ()]
            recording = align_streams(
                read_streams(config, file.parent),
                config.session_id or file.stem,
                config.bin_width_s,
                start_s=config.start_s,
                stop_s=config.stop_s,
                stretches=stretches or None,
                provenance=self.provenance(file, options, config=config.model_dump(mode="json")),
            )
            recording = replace(recording, deg_per_px=config.deg_per_px)
            if options.min_rate_hz > 0:
                recording = keep_active_neurons(recording, options.min_rate_hz)
            return recording


def read_streams(config: SessionConfig, folder: Path) -> Streams:
    """Read what a configuration names; frames of the video are not read yet.

    Args:
        config: What is where.
        folder: What its paths are relative to.

    Returns:
        The streams, on the session's clock.

    Raises:
        DataError: Naming the file that is missing or wrong.
    """
    behavior = [_read_behavior(name, config, folder) for name in config.behavior]
    return Streams(_read_responses(config, folder), behavior, _read_video(config, folder))


def _read_responses(config: SessionConfig, folder: Path) -> EventStream | ResponseStream:
    responses = config.responses
    if isinstance(responses, KilosortConfig):
        return read_kilosort(responses, folder)
    if isinstance(responses, SpikeTableConfig):
        return read_spike_table(responses, folder)
    if isinstance(responses, Suite2pConfig):
        return read_suite2p(responses, folder)
    return read_npy_responses(responses, folder)


def _read_behavior(name: str, config: SessionConfig, folder: Path) -> SampleStream:
    stream = config.behavior[name]
    if isinstance(stream, CsvConfig):
        return read_csv_stream(name, stream, folder)
    if isinstance(stream, NpyConfig):
        return read_npy_stream(name, stream, folder)
    return read_pupil(name, stream, folder)


def _read_video(config: SessionConfig, folder: Path) -> FrameStream | None:
    video = config.video
    if video is None:
        return None
    file = folder / video.file
    if isinstance(video, MovieConfig):
        times = _movie_times(video, file, folder)
        reader = MovieFrames(file, len(times))
    else:
        reader = ArrayFrames(map_npy(file), str(file), video.gray_range)
        times = times_of(video, len(reader), folder, str(file))
    return make_frames(
        str(file),
        times,
        reader,
        clock=video.clock,
        rule=video.frames,
        max_gap_s=video.max_gap_s,
        frame_size=video.frame_size,
        is_sorting=video.sort,
    )


def _movie_times(video: MovieConfig, file: Path, folder: Path) -> np.ndarray:
    if video.timestamps is not None:
        return read_timestamps(folder / video.timestamps, video.timestamps_column)
    own = movie_times(file)
    return own if video.rate_hz is None else times_of(video, len(own), folder, str(file))


def _find_sessions(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        return {path.stem: path} if path.suffix in (".yaml", ".yml") else {}
    files = [p for p in sorted(path.iterdir()) if p.suffix in (".yaml", ".yml")]
    return {p.stem: p for p in files if _is_session(p)}


def _is_session(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            head = stream.read(_FIRST_BYTES)
    except OSError:
        return False
    return any(line.startswith(b"responses:") for line in head.splitlines())
