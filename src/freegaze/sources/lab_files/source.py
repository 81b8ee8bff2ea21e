"""Files of a laboratory, combined into a recording by one YAML that names them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from freegaze.config import read_config
from freegaze.errors import ConfigError, DataError
from freegaze.recording.recording import Recording
from freegaze.sources.alignment.assembly import Streams, align_streams
from freegaze.sources.alignment.streams import (
    EventStream,
    FrameStream,
    ResponseStream,
    SampleStream,
)
from freegaze.sources.lab_files.caiman import read_caiman
from freegaze.sources.lab_files.clocks import resolve_clocks, states_date
from freegaze.sources.lab_files.config import SessionConfig
from freegaze.sources.lab_files.eye_points import read_pupil
from freegaze.sources.lab_files.facemap import read_facemap
from freegaze.sources.lab_files.kilosort import read_kilosort
from freegaze.sources.lab_files.neurons import (
    read_array_responses,
    read_spike_table,
    read_spike_trains,
)
from freegaze.sources.lab_files.sensors import check_distinct, read_imu
from freegaze.sources.lab_files.signals import (
    read_array_stream,
    read_events,
    read_table_stream,
)
from freegaze.sources.lab_files.sorted_units import read_sorted_units
from freegaze.sources.lab_files.suite2p import read_suite2p
from freegaze.sources.lab_files.tiny import write_tiny_lab_folder
from freegaze.sources.lab_files.top_view import read_top_view
from freegaze.sources.lab_files.video import read_video
from freegaze.sources.sensors.lens import UndistortedFrames
from freegaze.sources.source import AbstractSource, SourceOptions, register_source

_FIRST_BYTES = 1 << 16
_PARTS = {
    *(".csv", ".tsv", ".txt", ".ssv", ".dat", ".parquet", ".pqt", ".mat", ".npy", ".h5", ".hdf5"),
    *(".mp4", ".avi", ".mkv", ".mov", ".h264", ".slp"),
}
_PARTS_OF_FOLDERS = ("spike_times.npy", "plane0", "spks.npy", "F.npy")
"""Names of files that Kilosort, phy and suite2p write into their folders."""


class FilesOptions(SourceOptions):
    """Options of laboratory files, beside the YAML; a session is named by its YAML.

    Args:
        leave_out: Streams of behavior that are not read, by their name in the YAML.
        bin_width_s: Width of a bin, instead of that in the YAML.
    """

    leave_out: tuple[str, ...] = ()
    bin_width_s: float | None = Field(default=None, gt=0)


@register_source("files")
class FilesSource(AbstractSource[FilesOptions]):
    """Kilosort, suite2p, movies, tracked points and tables, each on its own clock."""

    Options: ClassVar = FilesOptions
    description: ClassVar = (
        "A YAML that names what is where: Kilosort, suite2p, movies, tracked eyes, CSV"
    )

    def find_sessions(self, path: Path, options: FilesOptions) -> dict[str, Path]:
        """Find the YAML, or those in a folder with a key ``responses``."""
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        found = {file.stem: file for file in files if file.suffix in (".yaml", ".yml")}
        if path.is_dir():
            return {name: file for name, file in found.items() if self.recognizes(file)}
        if not found:
            raise DataError(f"{path} is no YAML file; give one that names what is where")
        return found

    def open_session(self, path: Path, name: str, options: FilesOptions) -> Recording:
        """Read and align the files that a YAML names."""
        config = read_config(SessionConfig, path)
        for stream in options.leave_out:
            if stream not in config.behavior:
                raise ConfigError(
                    f"{path}: leave_out: no behavior stream {stream!r}; there are "
                    f"{', '.join(config.behavior) or 'none'}"
                )
        kept = {n: c for n, c in config.behavior.items() if n not in options.leave_out}
        width_s = options.bin_width_s or config.bin_width_s
        config = config.model_copy(update={"behavior": kept, "bin_width_s": width_s})
        if config.starts_at is not None and not states_date(config):
            raise ConfigError(
                f"{path}: `starts_at` of the session applies to clocks that state a date, and none "
                "does; state `starts_at` of a clock (1970-01-01 for times that are dates "
                "themselves), or leave it out"
            )
        config, clocks = resolve_clocks(config, path.parent, config.starts_at)
        streams = read_streams(config, path.parent)
        recording = align_streams(
            streams,
            config.session_id or name,
            config.bin_width_s,
            start_s=config.start_s,
            stop_s=config.stop_s,
            wanted=config.segments or None,
            provenance={"config": config.model_dump(mode="json"), "clocks": clocks},
            leave_out_neurons=options.leave_out_neurons,
        )
        return _with_lens(recording, streams.video, config.deg_per_px)

    def advise(self, path: Path) -> str | None:
        """Return how to use a file of a laboratory that is only one part of a recording."""
        if not _is_part(path):
            return None
        return (
            f"{path} is one part of a recording; name it, and the other parts, in a YAML for the "
            "source `files` (`freegaze sources files --example FOLDER` writes an example)"
        )

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write a folder in the formats of the programs themselves, and its YAML."""
        return write_tiny_lab_folder(path, seed)

    def recognizes(self, path: Path) -> bool:
        """Return whether a YAML has a key ``responses`` near its beginning."""
        try:
            with path.open("rb") as stream:
                head = stream.read(_FIRST_BYTES)
        except OSError:
            return False
        return any(line.startswith(b"responses:") for line in head.splitlines())


def read_streams(config: SessionConfig, folder: Path) -> Streams:
    """Read what a configuration names; frames of the video are not read yet.

    Args:
        config: Files and their keys.
        folder: Folder that its paths are relative to.

    Returns:
        The streams, on the session's clock.

    Raises:
        DataError: If a file is missing or wrong; the message names it.
    """
    behavior = [
        _BEHAVIOR[stream.kind](name, stream, folder) for name, stream in config.behavior.items()
    ]
    check_distinct(behavior)
    responses = _RESPONSES[config.responses.kind](config.responses, folder)
    return Streams(responses, behavior, read_video(config.video, folder))


_RESPONSES: dict[str, Callable[[Any, Path], EventStream | ResponseStream]] = {
    "kilosort": read_kilosort,
    "spikeinterface": read_sorted_units,
    "spike_table": read_spike_table,
    "spike_trains": read_spike_trains,
    "suite2p": read_suite2p,
    "caiman": read_caiman,
    "npy": read_array_responses,
    "array": read_array_responses,
}
_BEHAVIOR: dict[str, Callable[[str, Any, Path], SampleStream]] = {
    "table": read_table_stream,
    "csv": read_table_stream,
    "npy": read_array_stream,
    "array": read_array_stream,
    "events": read_events,
    "deeplabcut": read_pupil,
    "sleap": read_pupil,
    "movement": read_pupil,
    "anipose": read_pupil,
    "facemap": read_facemap,
    "imu": read_imu,
    "top_view": read_top_view,
}
"""Reader of each ``kind`` of stream."""


def _is_part(path: Path) -> bool:
    """Return whether a path has a name that a file or folder of a YAML can have."""
    if path.is_dir():
        return any((path / name).exists() for name in _PARTS_OF_FOLDERS)
    return path.suffix.lower() in _PARTS


def _with_lens(
    recording: Recording, video: FrameStream | None, deg_per_px: float | None
) -> Recording:
    """Add the calibration of the camera, stated or from the lens, and the lens's quality."""
    reader = None if video is None else video.reader
    if not isinstance(reader, UndistortedFrames) or reader.frame_size is None:
        return replace(recording, deg_per_px=deg_per_px)
    alignment = dict(recording.provenance["alignment"])
    alignment["quality"] = {**alignment["quality"], "video": reader.quality()}
    if deg_per_px is None and reader.projection == "equidistant":
        deg_per_px = reader.deg_per_px * reader.frame_size[0] / recording.frame_size[0]
    return replace(recording, deg_per_px=deg_per_px).with_provenance(alignment=alignment)
