"""Find changed bytes: compare files with every checksum that was written beside them.

Checksums are lines of ``sha256sum`` in files ``*.sha256`` (a store's ``manifest.sha256``, a run's
``checksums.sha256``), the ``sha256`` of each array in a store's manifest, and the
``checksums.json`` that ``freegaze fetch`` keeps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from freegaze.errors import DataError
from freegaze.recording.array_files import file_sha256
from freegaze.recording.atomic import is_hidden
from freegaze.recording.manifest import MANIFEST, MANIFEST_SUM, manifest_sums

Verdict = Literal["ok", "changed", "missing", "unreadable", "not covered"]

FETCHED = "checksums.json"
_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]{1,1000})")
_MAX_LIST_BYTES = 1 << 24


@dataclass(frozen=True)
class FileCheck:
    """What was found out about one file.

    Args:
        path: The file.
        verdict: ``not covered`` where no checksum was kept.
        detail: What is wrong, in a few words.
    """

    path: Path
    verdict: Verdict
    detail: str = ""

    @property
    def is_damaged(self) -> bool:
        """Whether the file is not what it was."""
        return self.verdict not in ("ok", "not covered")


def verify_files(path: Path | str) -> Iterator[FileCheck]:
    """Compare every file in a folder with its checksum, wherever one was kept.

    Args:
        path: A store, a run, or any folder above them.

    Yields:
        One result a file, in order of the names.

    Raises:
        DataError: If there is no such folder, or no checksum anywhere in it.
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"{root} is no folder; give the folder of a store, a run or fetched data")
    lists = [p for p in _files(root) if p.suffix == ".sha256" or p.name in (MANIFEST, FETCHED)]
    expected: dict[Path, str] = {}
    broken: dict[Path, str] = {}
    for file in lists:
        try:
            expected |= read_checksums(file)
        except DataError as error:
            broken[file] = str(error)
    for file in lists:
        if file.name == MANIFEST_SUM and file not in broken:  # it must name the manifest
            expected.setdefault(file.with_name(MANIFEST), "")
    if not expected and not broken:
        raise DataError(
            f"{root} holds no checksums, so that nothing can be said about its files; a store and "
            "a finished run have them"
        )
    for file in sorted({*_files(root), *expected}):
        if file in broken:
            yield FileCheck(file, "unreadable", broken[file])
        else:
            yield _check(file, expected)


def _files(root: Path) -> list[Path]:
    """Files by name, without locks and what a killed process left half-written."""
    return sorted(p for p in root.rglob("*") if p.is_file() and not is_hidden(p, root))


def _check(file: Path, expected: dict[Path, str]) -> FileCheck:
    if file not in expected:
        is_list = file.suffix == ".sha256" or file.name == FETCHED
        return FileCheck(file, "ok" if is_list else "not covered")
    if not file.is_file():
        return FileCheck(file, "missing", "restore it from a copy")
    try:
        found = file_sha256(file)
    except DataError as error:
        return FileCheck(file, "unreadable", str(error))
    if found != expected[file]:
        return FileCheck(file, "changed", "restore it from a copy, or write it again")
    return FileCheck(file, "ok")


def read_checksums(file: Path) -> dict[Path, str]:
    """Return the checksum of each file that a list names.

    Raises:
        DataError: If it is no list, or names a file outside its folder.
    """
    if file.name == MANIFEST:
        return manifest_sums(file.parent)
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_LIST_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read ({' '.join(str(error).split())})") from None
    if len(content) > _MAX_LIST_BYTES:
        raise DataError("is too long to be a list of checksums")
    sums = _fetched(text) if file.name == FETCHED else _lines(text)
    root = file.parent.resolve()
    for name in sums:
        if "\0" in name or not (root / name).resolve().is_relative_to(root):
            raise DataError(f"names {name!r}, which lies outside its folder")
    return {file.parent / name: digest for name, digest in sums.items()}


def _lines(text: str) -> dict[str, str]:
    matches = [_LINE.fullmatch(line) for line in text.removesuffix("\n").split("\n")]
    if not text.endswith("\n") or not all(matches):
        raise DataError("is no list of checksums as sha256sum writes it")
    return {m[2]: m[1] for m in matches if m}


def _fetched(text: str) -> dict[str, str]:
    try:
        records = json.loads(text)
        return {str(name): str(record["sha256"]) for name, record in records.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise DataError("is no list of checksums as `freegaze fetch` writes it") from None
