"""Formats in which recordings are written, the fields that each cannot store, and conversion.

A target is one row at the end of this file, which ``freegaze convert`` and ``freegaze targets``
read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from freegaze.config import StrictConfig
from freegaze.errors import ConfigError, DataError
from freegaze.files.arrays import file_sha256
from freegaze.files.atomic import cannot_write, scratch_folder
from freegaze.progress import Progress
from freegaze.recording.recording import Recording
from freegaze.recording.reshaping import cut_segments, resize_video
from freegaze.recording.store import save_store
from freegaze.registry import Registry
from freegaze.sources.arrays.layout import write_arrays
from freegaze.sources.nwb.opening import opened_nwb
from freegaze.sources.nwb.own import read_own
from freegaze.sources.nwb.writing import MOST_AXES, write_nwb
from freegaze.sources.source import SOURCES, detect_source, open_recordings
from freegaze.sources.xu2023.layout import BEHAVIOR_KEYS, write_xu2023


@dataclass(frozen=True)
class Target:
    """A format to write.

    Args:
        description: One line for listings.
        path: Path of a session, from the wanted folder and its name.
        write: Write a recording there, completely or not at all; never replaces anything.
        losses: List the fields of a recording that the format cannot store, one sentence each.
        prepare: Leave out the fields that ``losses`` names.
        is_same: Function that compares two sessions on disk, the one just written first; by default
            byte by byte.
    """

    description: str
    path: Callable[[Path, str], Path]
    write: Callable[[Recording, Path], Any]
    losses: Callable[[Recording], list[str]]
    prepare: Callable[[Recording], Recording] = lambda recording: recording
    is_same: Callable[[Path, Path], bool] = lambda new, place: _sums(new) == _sums(place)


@dataclass(frozen=True)
class Converted:
    """One session that was written.

    Args:
        session_id: Name of the session.
        path: Path that was written.
        losses: Fields that the target could not store.
        was_there: Whether the same session existed already.
    """

    session_id: str
    path: Path
    losses: tuple[str, ...]
    was_there: bool = False


class ConversionConfig(StrictConfig):
    """Changes during the conversion; the provenance of each written recording keeps them.

    Args:
        resize: (height, width) of the frames; by default they keep their size.
        segments: Number of segments to cut the session into; by default it keeps its own.
        test: Share of each segment to test on.
        bin_ms: Width of the bins to which the source converts raw streams; by default its own.
    """

    bin_ms: float | None = Field(default=None, gt=0)
    resize: tuple[int, int] | None = None
    segments: int | None = None
    test: float = 0.3


TARGETS: Registry[Target] = Registry("target", "freegaze.sources")


def convert(
    source: str,
    path: Path | str,
    target: str,
    out: Path | str,
    options: dict[str, Any] | None = None,
    config: ConversionConfig | None = None,
    progress: Progress | None = None,
) -> list[Converted]:
    """Read recordings from one format and write them in another.

    Nothing that exists is replaced, and no session is written before all have been read and their
    places are known to be free. Fields that a target cannot store are reported. A session that
    exists already and is the same is kept, so that the same call continues a conversion that was
    stopped.

    Args:
        source: Name of the source, or ``auto``.
        path: Path to open.
        target: Name of the target.
        out: Folder in which each session gets its own file or folder.
        options: The source's options.
        config: Changes during the conversion.
        progress: Called at every step.

    Returns:
        What was written.

    Raises:
        RegistryError: If there is no such source or target.
        ConfigError: If an option is wrong, or ``bin_ms`` is given for bins that exist already.
        DataError: If the source cannot be read, a place is taken, a session's name cannot be that
            of a file, or the target cannot hold the recording at all.
    """
    row = TARGETS.get(target)
    changes = config or ConversionConfig()
    tell = progress or (lambda what, done, total: None)
    tell(f"opening {path}", 0, 1)
    chosen = {**(options or {}), **_bin_option(source, path, options or {}, changes.bin_ms)}
    recordings = open_recordings(source, path, **chosen)
    folder = Path(out)
    places = [row.path(folder, _file_name(r)) for r in recordings]
    steps = zip(recordings, places, strict=True)
    is_there = [place.exists() or place.is_symlink() for place in places]
    written: dict[int, Converted] = {}
    # What is there is looked at first: a place that is taken is found before anything is written.
    for i, (recording, place) in sorted(enumerate(steps), key=lambda item: not is_there[item[0]]):
        name = recording.session_id
        changed = _change(
            recording, changes, folder, lambda a, b, n=name: tell(f"resizing {n}", a, b)
        )
        losses = tuple(row.losses(changed))
        tell(f"writing {name}", len(written), len(places))
        if is_there[i]:
            _keep_or_refuse(row, changed, place)
        else:
            row.write(row.prepare(changed), folder)
        written[i] = Converted(name, place, losses, was_there=is_there[i])
        tell(f"writing {name}", len(written), len(places))
    return [written[i] for i in range(len(places))]


def _bin_option(
    source: str, path: Path | str, options: Mapping[str, Any], bin_ms: float | None
) -> dict[str, float]:
    """Return the option ``bin_width_s`` of a source that bins raw streams."""
    if bin_ms is None:
        return {}
    name = detect_source(path) if source == "auto" else source
    binning = [n for n in SOURCES if "bin_width_s" in SOURCES.get(n).Options.model_fields]
    if name not in binning:
        raise ConfigError(
            f"{path}: source {name!r} holds bins already, so that --bin-ms cannot be chosen; leave "
            f"it out (sources that bin raw files: {', '.join(binning)})"
        )
    if "bin_width_s" in options:
        raise ConfigError(
            "--bin-ms and --option bin_width_s state the same option twice; give one of them"
        )
    return {"bin_width_s": bin_ms / 1000}


def _change(
    recording: Recording, config: ConversionConfig, out: Path, steps: Callable[[int, int], None]
) -> Recording:
    told: dict[str, Any] = {"freegaze": version("freegaze")}
    if config.bin_ms is not None:
        told["bin_ms"] = config.bin_ms
    if config.resize is not None:
        before = recording.frame_size
        if config.resize != before:
            scratch = next((p for p in (out, *out.parents) if p.is_dir()), None)
            recording = resize_video(recording, config.resize, scratch, steps)
        told["resize"] = {"from": list(before), "to": list(config.resize)}
    if config.segments is not None:
        recording = cut_segments(recording, config.segments, config.test)
        told |= {"segments": config.segments, "test": config.test}
    return recording.with_provenance(conversion=told)


def _keep_or_refuse(row: Target, recording: Recording, place: Path) -> None:
    """Accept an existing session if it is the one that would be written."""
    refusal = DataError(
        f"{place} exists already and holds something else; choose another place, or remove it"
    )
    if place.is_symlink():
        raise refusal
    try:
        with scratch_folder(place) as scratch:
            row.write(row.prepare(recording), scratch)
            new = row.path(scratch, recording.session_id)
            if not row.is_same(new, place):
                raise refusal
    except OSError as error:
        raise cannot_write(place, error) from None


def _sums(place: Path) -> dict[str, str]:
    files = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
    return {str(p.relative_to(place)): file_sha256(p) for p in files}


def _file_name(recording: Recording) -> str:
    name = recording.session_id
    is_plain = name not in ("", ".", "..") and not any(c in name for c in "/\\\0")
    if not is_plain or len(name.encode("utf-8", "replace")) > 200:
        raise DataError(
            f"session {name[:80]!r} cannot name a file or folder; open it under another name"
        )
    return name


_PROVENANCE = "provenance: where the recording came from and with which options"


def _truth_losses(recording: Recording) -> list[str]:
    has_truth = "truth" in recording.provenance
    return ["the truth about a simulated session: it stays in the source's truth.npz"] * has_truth


_XU_UNITS = dict(BEHAVIOR_KEYS.values())


def _xu2023_losses(r: Recording) -> list[str]:
    numbered = tuple(str(i) for i in range(r.n_neurons))
    units = dict(zip(r.behavior_names, r.behavior_units, strict=True))
    dropped = [name for name in units if name not in _XU_UNITS]
    other = [f"{n} in {unit}" for n, unit in units.items() if unit != _XU_UNITS.get(n, unit)]
    absent = [name for name in _XU_UNITS if name not in (*units, "gz")]
    found = [
        (r.unit_ids != numbered, "unit ids: units are numbered from 0"),
        (dropped, f"behavior {', '.join(dropped)}: the layout has no place for it"),
        (other, f"units of behavior: {', '.join(other)} will be taken for the layout's own"),
        (absent, f"nothing, but reading it back needs the option leave_out: {absent}"),
        (r.annotations, f"annotations {', '.join(r.annotations)}"),
        (r.reference_rates, f"reference rates {', '.join(r.reference_rates)}"),
        (r.deg_per_px is not None, "calibration of the camera (deg_per_px)"),
        (r.is_in_trial().any(), "which segments are trials"),
        (len(r.frames) != r.n_bins, "that bins share frames: each bin gets its own copy"),
        (True, _PROVENANCE),
    ]
    return [*_truth_losses(r), *(sentence for is_lost, sentence in found if is_lost)]


def _for_xu2023(recording: Recording) -> Recording:
    kept = [i for i, name in enumerate(recording.behavior_names) if name in _XU_UNITS]
    return replace(
        recording,
        behavior=recording.behavior[:, kept],
        behavior_names=tuple(recording.behavior_names[i] for i in kept),
        behavior_units=tuple(recording.behavior_units[i] for i in kept),
    )


def _nwb_losses(r: Recording) -> list[str]:
    n_unseen = len(r.frames) - len(np.unique(r.frame_index))
    unseen = [f"{n_unseen} frames that no bin shows"] * (n_unseen > 0)
    deep = r.annotations.keys() - _for_nwb(r).annotations.keys()
    odd = [f"annotation {name}: more axes than NWB has" for name in sorted(deep)]
    return [*_truth_losses(r), *unseen, *odd]


def _for_nwb(recording: Recording) -> Recording:
    kept = {n: a for n, a in recording.annotations.items() if np.ndim(a) <= MOST_AXES}
    return replace(recording, annotations=kept)


def _is_same_nwb(new: Path, place: Path) -> bool:
    """Return whether two files contain the same recording; each has its own ids and dates."""
    stores = []
    for name, file in (("new", new), ("there", place)):
        try:
            with opened_nwb(file) as (_, root):
                stores.append(save_store(read_own(root, ()), new.parent / name))
        except DataError:
            return False
    return _sums(stores[0]) == _sums(stores[1])


TARGETS.register("store")(
    Target(
        description="a folder of memory-mapped arrays with checksums; holds everything",
        path=lambda out, name: out / name,
        write=lambda recording, out: save_store(recording, out / recording.session_id),
        losses=_truth_losses,
    )
)
TARGETS.register("arrays")(
    Target(
        description="one .npz of plain arrays; holds everything but the provenance",
        path=lambda out, name: out / f"{name}.npz",
        write=lambda recording, out: write_arrays(recording, out / f"{recording.session_id}.npz"),
        losses=lambda recording: [*_truth_losses(recording), _PROVENANCE],
    )
)
TARGETS.register("nwb")(
    Target(
        description="one .nwb; holds everything, counts instead of spike times; needs extra `nwb`",
        path=lambda out, name: out / f"{name}.nwb",
        write=lambda recording, out: write_nwb(recording, out / f"{recording.session_id}.nwb"),
        losses=_nwb_losses,
        prepare=_for_nwb,
        is_same=_is_same_nwb,
    )
)
TARGETS.register("xu2023")(
    Target(
        description="the folders of Xu et al. (2023); spike counts in 48 ms bins",
        path=lambda out, name: out / name,
        write=write_xu2023,
        losses=_xu2023_losses,
        prepare=_for_xu2023,
    )
)
