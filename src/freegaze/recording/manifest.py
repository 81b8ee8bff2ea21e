"""Manifest of a store: plain values, names of arrays, and checksums."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from freegaze.config import StrictConfig, build_config
from freegaze.errors import ConfigError, DataError
from freegaze.files.arrays import parsing, read_bounded
from freegaze.files.artifact import write_sealed
from freegaze.recording.recording import Recording, ResponseKind, Segment

MANIFEST = "manifest.json"
MANIFEST_SUM = "manifest.sha256"
FORMAT = "freegaze-store"

CORE_ARRAYS = ("frames", "frame_index", "behavior", "responses")
ARRAY_GROUPS = ("annotations", "reference_rates", "extra")
"""Groups of further arrays. Version 0.1 could write ``extra``; they are verified, not read."""

_MAX_MANIFEST_BYTES = 1 << 26  # 64 MiB: ten times what a million segments and unit names need
_FILE_PATTERN = re.compile(rf"(?:(?:{'|'.join(ARRAY_GROUPS)})/\d+_)?[A-Za-z0-9_-]{{1,80}}\.npy")


class ArrayEntry(StrictConfig):
    """One array of a store: its file within the folder, type, shape and checksum."""

    file: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str


class Manifest(StrictConfig):
    """All parts of a ``Recording`` that are not arrays, and a list of its arrays."""

    format: Literal["freegaze-store"]
    version: Literal[1]
    session_id: str
    bin_width_s: float
    response_kind: ResponseKind
    behavior_names: tuple[str, ...]
    behavior_units: tuple[str, ...]
    unit_ids: tuple[str, ...]
    deg_per_px: float | None
    segments: tuple[Segment, ...]
    arrays: dict[str, ArrayEntry]
    provenance: dict[str, Any]


def is_store(folder: Path | str) -> bool:
    """Return whether a folder holds a store's manifest (which may still be damaged)."""
    path = Path(folder) / MANIFEST
    try:
        return path.is_file() and f'"{FORMAT}"' in path.read_bytes()[:200].decode(
            "utf-8", "replace"
        )
    except OSError:
        return False


def read_manifest(folder: Path | str) -> Manifest:
    """Read and check a store's manifest.

    Raises:
        DataError: If it is missing, or not what a manifest must be.
    """
    root = Path(folder)
    path = root / MANIFEST
    with parsing(path):
        values = json.loads(_manifest_text(root))
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(values).__name__}")
    try:
        manifest = build_config(Manifest, values, where=str(path))
    except (ConfigError, RecursionError) as error:
        raise DataError(f"{error}; restore the store from a copy") from None
    _check_names(path, manifest)
    return manifest


def manifest_sums(folder: Path | str) -> dict[Path, str]:
    """Return the sha256 of each file of a store that its manifest lists; none for another folder.

    Raises:
        DataError: If the manifest is not what a manifest must be.
    """
    root = Path(folder)
    if not is_store(root):
        return {}
    sums = {root / entry.file: entry.sha256 for entry in read_manifest(root).arrays.values()}
    return sums if (root / MANIFEST_SUM).is_file() else {**sums, root / MANIFEST_SUM: ""}


def write_manifest(
    root: Path, r: Recording, arrays: dict[str, ArrayEntry], provenance: dict[str, Any]
) -> None:
    """Write a new folder's manifest and its checksum, and flush them to the disk.

    Args:
        root: The folder, which holds the arrays already.
        r: The recording.
        arrays: Written arrays by name.
        provenance: The recording's provenance as plain values.
    """
    manifest = Manifest(
        format=FORMAT,
        version=1,
        session_id=r.session_id,
        bin_width_s=float(r.bin_width_s),
        response_kind=r.response_kind,
        behavior_names=r.behavior_names,
        behavior_units=r.behavior_units,
        unit_ids=r.unit_ids,
        deg_per_px=r.deg_per_px,
        segments=r.segments,
        arrays=arrays,
        provenance=provenance,
    )
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    write_sealed(root, {MANIFEST: text}, MANIFEST_SUM)


def _manifest_text(root: Path) -> bytes:
    path = root / MANIFEST
    if not root.is_dir():
        raise DataError(f"{root} does not exist or is no folder; check the path")
    if not path.is_file():
        raise DataError(f"{root} holds no {MANIFEST}, so it is no store; check the path")
    return read_bounded(path, _MAX_MANIFEST_BYTES)


def _check_names(path: Path, manifest: Manifest) -> None:
    missing = [name for name in CORE_ARRAYS if name not in manifest.arrays]
    if missing:
        raise DataError(f"{path}: lists no array {missing[0]!r}; restore the store from a copy")
    root = path.parent.resolve()
    for name, entry in manifest.arrays.items():
        if name not in CORE_ARRAYS and name.split("/", 1)[0] not in ARRAY_GROUPS:
            raise DataError(
                f"{path}: unknown array {name!r}; expected {CORE_ARRAYS} or {ARRAY_GROUPS}/NAME"
            )
        inside = (root / entry.file).resolve().is_relative_to(root)
        if not _FILE_PATTERN.fullmatch(entry.file) or not inside:
            raise DataError(f"{path}: array {name!r} is in {entry.file!r}, outside the store")


def plain_values(provenance: Mapping[str, Any], session_id: str) -> dict[str, Any]:
    """Return provenance as JSON can hold it: tuples become lists, paths text.

    Raises:
        DataError: If it holds something else.
    """
    try:
        return json.loads(json.dumps(dict(provenance), default=_plain, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"session {session_id!r}: its provenance cannot be written as JSON ({error}); use "
            "numbers, text, lists and dicts"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not a plain value")
