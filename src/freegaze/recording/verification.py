"""Find changed bytes: compare files with every checksum that was written beside them.

Checksums are lines of ``sha256sum`` in files ``*.sha256`` (a store's ``manifest.sha256``, a run's
``checksums.sha256``), the ``sha256`` of each array in a store's manifest, and the
``checksums.json`` that ``freegaze fetch`` keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from freegaze.errors import DataError
from freegaze.files.arrays import file_sha256
from freegaze.files.atomic import is_hidden
from freegaze.files.checksums import FETCHED, read_checksums
from freegaze.recording.manifest import MANIFEST, MANIFEST_SUM, manifest_sums

Verdict = Literal["ok", "changed", "missing", "unreadable", "not covered"]


@dataclass(frozen=True)
class FileCheck:
    """The result of verifying one file.

    Args:
        path: The file.
        verdict: ``not covered`` where no checksum was kept.
        detail: Description of the fault, in a few words.
    """

    path: Path
    verdict: Verdict
    detail: str = ""

    @property
    def is_damaged(self) -> bool:
        """Return whether the file has changed or is missing."""
        return self.verdict not in ("ok", "not covered")


def verify_files(path: Path | str) -> Iterator[FileCheck]:
    """Compare every file in a folder with its checksum, wherever one was kept.

    Args:
        path: A store, a run, or any folder above them.

    Yields:
        One result per file, in order of the names.

    Raises:
        DataError: If there is no such folder, or no checksum anywhere in it.
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"{root} is no folder; give the folder of a store, a run or fetched data")
    # Without locks and what a killed process left half-written.
    files = [p for p in root.rglob("*") if p.is_file() and not is_hidden(p, root)]
    lists = {p for p in files if p.suffix == ".sha256" or p.name in (MANIFEST, FETCHED)}
    expected: dict[Path, str] = {}
    broken: dict[Path, FileCheck] = {}
    for file in sorted(lists):
        is_manifest = file.name == MANIFEST
        try:
            expected |= manifest_sums(file.parent) if is_manifest else read_checksums(file)
        except DataError as error:
            broken[file] = FileCheck(file, "unreadable", str(error))
    for file in lists - broken.keys():
        if file.name == MANIFEST_SUM:  # it must name the manifest
            expected.setdefault(file.with_name(MANIFEST), "")
    if not expected and not broken:
        raise DataError(
            f"{root} holds no checksums, so that its files cannot be verified; a store and a "
            "finished run have them"
        )
    for file in sorted({*files, *expected}):
        yield broken.get(file) or _check(file, expected.get(file), file in lists)


def _check(file: Path, expected: str | None, is_list: bool) -> FileCheck:
    if expected is None:
        return FileCheck(file, "ok" if is_list and file.name != MANIFEST else "not covered")
    if not file.is_file():
        return FileCheck(file, "missing", "restore it from a copy")
    try:
        found = file_sha256(file)
    except DataError as error:
        return FileCheck(file, "unreadable", str(error))
    if found != expected:
        return FileCheck(file, "changed", "restore it from a copy, or write it again")
    return FileCheck(file, "ok")
