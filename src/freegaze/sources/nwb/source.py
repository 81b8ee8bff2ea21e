"""Neurodata Without Borders (NWB 2) files, of anybody's or as freegaze writes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from freegaze.errors import ConfigError
from freegaze.files.hdf5_scan import is_hdf5
from freegaze.recording.recording import Recording, keep_active_neurons
from freegaze.sources.alignment.assembly import align_streams
from freegaze.sources.conversion import errors_name
from freegaze.sources.nwb.config import NwbOptions
from freegaze.sources.nwb.listing import list_nwb
from freegaze.sources.nwb.opening import opened_nwb
from freegaze.sources.nwb.own import is_own, read_own
from freegaze.sources.nwb.reading import read_streams, read_stretches
from freegaze.sources.nwb.tiny import write_tiny_nwb
from freegaze.sources.source import AbstractSource, pick_sessions, register_source

DEFAULT_BIN_WIDTH_S = 0.05
_FOR_OWN = ("sessions", "min_rate_hz", "leave_out")


@register_source("nwb")
class NwbSource(AbstractSource[NwbOptions]):
    """One file a session: spikes or fluorescence, image series, behavior, aligned onto bins."""

    Options: ClassVar = NwbOptions
    description: ClassVar = "Neurodata Without Borders files (.nwb); needs the extra `nwb`"
    citation: ClassVar = "Rübel et al. (2022), eLife 11:e78362, doi:10.7554/eLife.78362"

    def open(self, path: Path, options: NwbOptions) -> list[Recording]:
        """Open the file that ``path`` is, or every ``.nwb`` in it."""
        found = _find_files(path)
        picked = pick_sessions(found, options.sessions, path)
        return [self._open_file(found[name], options) for name in picked]

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write one file with pynwb."""
        return write_tiny_nwb(path / "tiny.nwb", seed)

    def looks_like(self, path: Path) -> bool:
        """Whether the file, or one in the folder, is an HDF5 file called ``.nwb``."""
        return any(f.suffix == ".nwb" and is_hdf5(f) for f in _find_files(path).values())

    def contents(self, path: Path) -> list[dict[str, Any]]:
        """List the series and tables of each file."""
        files = _find_files(path)
        return [
            {**({"file": name} if len(files) > 1 else {}), **row}
            for name, file in files.items()
            for row in list_nwb(file)
        ]

    def _open_file(self, file: Path, options: NwbOptions) -> Recording:
        with errors_name(file), opened_nwb(file) as (_, root):
            if is_own(root):
                recording = _open_own(root, options, file)
                origin = {**recording.provenance, "opened_from": str(file)}
                recording = replace(recording, provenance=origin)
            else:
                recording = align_streams(
                    read_streams(root, options, file.parent),
                    str(root.session_id or file.stem),
                    options.bin_width_s or DEFAULT_BIN_WIDTH_S,
                    start_s=options.start_s,
                    stop_s=options.stop_s,
                    stretches=read_stretches(root, options),
                    provenance=self.provenance(file, options, identifier=str(root.identifier)),
                )
            if options.min_rate_hz > 0:
                recording = keep_active_neurons(recording, options.min_rate_hz)
            return recording


def _open_own(root: Any, options: NwbOptions, file: Path) -> Recording:
    changed = [n for n in options.model_fields_set if n not in _FOR_OWN]
    if changed:
        raise ConfigError(
            f"{file}: freegaze wrote it, it holds bins already: `{changed[0]}` cannot be chosen; "
            f"leave it out ({', '.join(_FOR_OWN)} can be)"
        )
    return read_own(root, options.leave_out)


def _find_files(path: Path) -> dict[str, Path]:
    files = sorted(path.glob("*.nwb")) if path.is_dir() else [path]
    return {file.stem: file for file in files}
