"""The native recording on disk: a folder of memory-mapped arrays with a manifest and checksums.

::

    FOLDER/
      manifest.json        names, units, segments, provenance; shape, type, sha256 of arrays
      manifest.sha256      checksum of the manifest, as `sha256sum` writes it
      frames.npy frame_index.npy behavior.npy responses.npy
      annotations/NNN_NAME.npy   reference_rates/NNN_NAME.npy
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.files.arrays import (
    ArrayHeader,
    array_chunks,
    is_plain_dtype,
    map_npy,
    read_npy,
    read_npy_header,
    write_npy,
)
from freegaze.files.atomic import atomic_folder
from freegaze.recording.manifest import (
    CORE_ARRAYS,
    MANIFEST,
    ArrayEntry,
    is_store,
    plain_values,
    read_manifest,
    write_manifest,
)
from freegaze.recording.recording import Recording
from freegaze.recording.verification import verify_files


def save_store(
    recording: Recording,
    folder: Path | str,
    overwrite: bool = False,
) -> Path:
    """Write a recording as a store, completely or not at all.

    The files are written to a temporary folder beside ``folder``, which is renamed at the end.
    Frames are copied in pieces, so that memory-mapped frames may be larger than memory.

    Args:
        recording: Recording to write.
        folder: Folder to write to; made with its parents.
        overwrite: Whether an existing store may be replaced.

    Returns:
        The folder.

    Raises:
        DataError: If the folder exists and is no store, or is one and ``overwrite`` is off; if an
            annotation or the provenance holds something other than numbers, text and plain values;
            if the disk is full or read-only.

    Example:
        >>> save_store(recording, "sessions/mouse1").name
        'mouse1'
    """
    target = Path(folder)
    remedy = "allow overwriting, or choose another place"
    if target.is_dir() and not is_store(target):
        remedy = "it is not a store and is left alone; choose another place"
    provenance = plain_values(recording.provenance, recording.session_id)
    with atomic_folder(target, lambda path: overwrite and is_store(path), remedy) as partial:
        arrays = dict(_named_arrays(recording))
        entries = {
            name: _write_entry(partial, _file_name(name, i), array)
            for i, (name, array) in enumerate(arrays.items())
        }
        write_manifest(partial, recording, entries, provenance)
    return target


def open_store(folder: Path | str, verify: bool = False) -> Recording:
    """Open a store: frame numbers and behavior are read, all larger arrays are memory-mapped.

    Args:
        folder: A store.
        verify: Whether to compare all checksums first (reads every byte).

    Returns:
        The recording, as it was saved. Writing into its arrays never changes the files.

    Raises:
        DataError: If a file is missing, damaged or different from the manifest; the message names
            it.
    """
    root = Path(folder)
    manifest = read_manifest(root)
    for check in verify_files(root) if verify else ():
        if check.is_damaged:
            raise DataError(f"{check.path} is {check.verdict}; {check.detail}")
    headers = {name: _checked_header(root, name, entry) for name, entry in manifest.arrays.items()}
    _check_kinds(root, headers)

    def group(prefix: str) -> dict[str, np.ndarray]:
        names = [n for n in manifest.arrays if n.startswith(prefix + "/")]
        return {n.split("/", 1)[1]: map_npy(root / manifest.arrays[n].file) for n in names}

    try:
        return Recording(
            session_id=manifest.session_id,
            bin_width_s=manifest.bin_width_s,
            frames=map_npy(root / manifest.arrays["frames"].file),
            frame_index=read_npy(root / manifest.arrays["frame_index"].file),
            behavior=read_npy(root / manifest.arrays["behavior"].file),
            behavior_names=manifest.behavior_names,
            behavior_units=manifest.behavior_units,
            responses=map_npy(root / manifest.arrays["responses"].file),
            response_kind=manifest.response_kind,
            unit_ids=manifest.unit_ids,
            segments=manifest.segments,
            annotations=group("annotations"),
            reference_rates=group("reference_rates"),
            deg_per_px=manifest.deg_per_px,
            provenance=manifest.provenance,
        )
    except DataError as error:
        raise type(error)(f"{root / MANIFEST}: {error}") from None


def _named_arrays(r: Recording) -> Iterator[tuple[str, np.ndarray]]:
    yield from ((name, getattr(r, name)) for name in CORE_ARRAYS)
    for group in ("annotations", "reference_rates"):
        for name, array in getattr(r, group).items():
            array = np.asarray(array)
            if not is_plain_dtype(array.dtype):
                raise DataError(
                    f"session {r.session_id!r}: {group} {name!r} is of type {array.dtype}; a store "
                    "holds numbers and text"
                )
            yield f"{group}/{name}", array


def _file_name(name: str, number: int) -> str:
    if name in CORE_ARRAYS:
        return f"{name}.npy"
    group, _, rest = name.partition("/")
    return f"{group}/{number:03d}_{re.sub('[^A-Za-z0-9_-]', '_', rest)[:70] or '_'}.npy"


def _write_entry(root: Path, file: str, array: np.ndarray) -> ArrayEntry:
    path = root / file
    path.parent.mkdir(exist_ok=True)
    dtype = array.dtype.newbyteorder("=")
    sha256 = write_npy(path, array_chunks(array), array.shape, dtype)
    return ArrayEntry(file=file, dtype=dtype.str, shape=array.shape, sha256=sha256)


def _checked_header(root: Path, name: str, entry: ArrayEntry) -> ArrayHeader:
    path = root / entry.file
    header = read_npy_header(path)
    if header.shape != entry.shape or header.dtype.str != entry.dtype:
        raise ShapeError(
            f"{path}: {name} is {header.shape} of {header.dtype.str}, but the manifest has "
            f"{entry.shape} of {entry.dtype}; restore the store from a copy"
        )
    return header


def _check_kinds(root: Path, headers: Mapping[str, ArrayHeader]) -> None:
    expected = {"frames": ("u", 3), "frame_index": ("iu", 1), "behavior": ("f", 2)}
    expected["responses"] = ("f", 2)
    for name, header in headers.items():
        kinds, n_axes = expected.get(name, ("f", 2) if name.startswith("ref") else ("", 0))
        wrong = kinds and (header.dtype.kind not in kinds or len(header.shape) != n_axes)
        if wrong or not (header.shape or name.startswith("extra/")):
            raise ShapeError(
                f"{root / MANIFEST}: {name} has {len(header.shape)} axes of type {header.dtype}, "
                f"expected {n_axes or 'one or more'} of kind {kinds or 'any'}"
            )
