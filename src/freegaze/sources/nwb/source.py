"""Neurodata Without Borders (NWB 2) files, from any program or from freegaze."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from freegaze.errors import ConfigError
from freegaze.files.hdf5_scan import is_hdf5
from freegaze.recording.recording import Recording
from freegaze.sources.alignment.assembly import align_streams
from freegaze.sources.nwb.config import NwbOptions
from freegaze.sources.nwb.listing import list_nwb
from freegaze.sources.nwb.opening import opened_nwb
from freegaze.sources.nwb.own import is_own, read_own
from freegaze.sources.nwb.reading import read_streams, read_wanted_segments
from freegaze.sources.nwb.tiny import write_tiny_nwb
from freegaze.sources.nwb.zarr_store import is_zarr
from freegaze.sources.remote.blocks import address_of, local_place
from freegaze.sources.source import (
    AbstractSource,
    find_files,
    register_source,
)

DEFAULT_BIN_WIDTH_S = 0.05
_FOR_OWN = ("sessions", "min_rate_hz", "leave_out_neurons", "leave_out", "slow_bins")
_DEPTH = 2
"""Depth of folders in a dandiset: ``sub-*/``, sometimes ``sub-*/ses-*/``."""


@register_source("nwb")
class NwbSource(AbstractSource[NwbOptions]):
    """Files of one session, in HDF5 or Zarr: spikes or fluorescence, image series, behavior."""

    Options: ClassVar = NwbOptions
    description: ClassVar = "Neurodata Without Borders files (.nwb); needs the extra `nwb`"
    reads_addresses: ClassVar = True
    citation: ClassVar = "Rübel et al. (2022), eLife 11:e78362, doi:10.7554/eLife.78362"

    def find_sessions(self, path: Path, options: NwbOptions) -> dict[str, Path]:
        """Find the file, or every one in a folder and in folders in it (``sub-*/ses-*``)."""
        return _find_nwb(path)

    def open_session(self, path: Path, name: str, options: NwbOptions) -> Recording:
        """Read a recording that freegaze wrote, or align the streams of any other file."""
        with opened_nwb(path) as (_, root):
            if is_own(root):
                _check_own(options, path)
                own = read_own(root, options.leave_out)
                return own.with_provenance(opened_from=address_of(path) or str(path))
            return align_streams(
                read_streams(root, options, path.parent),
                str(root.session_id or name),
                options.bin_width_s or DEFAULT_BIN_WIDTH_S,
                start_s=options.start_s,
                stop_s=options.stop_s,
                wanted=read_wanted_segments(root, options),
                provenance={"identifier": str(root.identifier)},
                leave_out_neurons=options.leave_out_neurons,
            )

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write one file with pynwb."""
        return write_tiny_nwb(path / "tiny.nwb", seed)

    def recognizes(self, path: Path) -> bool:
        """Return whether a path is an HDF5 file called ``.nwb``, or a folder of NWB in Zarr."""
        if is_zarr(path):
            return (path / "session_start_time").exists()
        return path.suffix == ".nwb" and is_hdf5(path)

    def contents(self, path: Path) -> list[dict[str, Any]]:
        """List the series and tables of each file."""
        files = _find_nwb(local_place(path))
        return [
            {**({"file": name} if len(files) > 1 else {}), **row}
            for name, file in files.items()
            for row in list_nwb(file)
        ]


def _find_nwb(path: Path) -> dict[str, Path]:
    """Return the files by name; equal names in several folders get the folder's name, too."""
    if is_zarr(path):
        return {_name_of(path): path}
    if not path.is_dir():
        return find_files(path, "*.nwb")
    patterns = ("*.nwb", "*.zarr")
    files = [
        f for n in range(_DEPTH + 1) for p in patterns for f in sorted(path.glob("*/" * n + p))
    ]
    files = [f for f in files if not any(p.startswith(".") for p in f.relative_to(path).parts)]
    files = [f for f in files if f.suffix == ".nwb" or is_zarr(f)]
    names = [_name_of(f) for f in files]
    return {
        _name_of(f)
        if names.count(_name_of(f)) == 1
        else "_".join(f.relative_to(path).with_suffix("").parts): f
        for f in files
    }


def _name_of(path: Path) -> str:
    """Return the name of a session: that of its file without ``.nwb`` and ``.zarr``."""
    return path.resolve().name.removesuffix(".zarr").removesuffix(".nwb")


def _check_own(options: NwbOptions, file: Path) -> None:
    changed = [n for n in options.model_fields_set if n not in _FOR_OWN]
    if changed:
        raise ConfigError(
            f"{file}: freegaze wrote this file, which contains bins already, so that "
            f"`{changed[0]}` cannot be chosen; leave it out ({', '.join(_FOR_OWN)} can be)"
        )
