"""Lists of checksums: lines of ``sha256sum``, and what ``freegaze fetch`` keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from freegaze.errors import DataError
from freegaze.files.arrays import file_sha256, read_bounded

FETCHED = "checksums.json"
_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]{1,1000})")
_MAX_LIST_BYTES = 1 << 24


def read_checksums(file: Path) -> dict[Path, str]:
    """Return the checksum of each file that a list names.

    Raises:
        DataError: If it is no list, or names a file outside its folder.
    """
    is_fetched = file.name == FETCHED
    text = read_bounded(file, _MAX_LIST_BYTES)
    try:
        sums = _fetched(text) if is_fetched else _lines(text.decode("utf-8"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        writer = "`freegaze fetch`" if is_fetched else "sha256sum"
        raise DataError(
            f"{file} is no list of checksums as {writer} writes it; remove it if you trust the "
            "files beside it"
        ) from None
    root = file.parent.resolve()
    for name in sums:
        if "\0" in name or not (root / name).resolve().is_relative_to(root):
            raise DataError(f"{file} names {name!r}, which lies outside its folder")
    return {file.parent / name: digest for name, digest in sums.items()}


def checksum_lines(digests: Mapping[str, str]) -> bytes:
    """Return a list of checksums as ``sha256sum`` writes it.

    Args:
        digests: Sha256 of each file, in hexadecimal, by its name within the list's folder.
    """
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()


def check_files(list_file: Path, names: Sequence[str]) -> None:
    """Compare files with the list of checksums beside them, where there is one.

    Args:
        list_file: The list.
        names: Files beside it that will be read.

    Raises:
        DataError: If a file is missing or not as it was written, or the list is broken.
    """
    if not list_file.is_file():
        return
    expected = read_checksums(list_file)
    for path in map(list_file.with_name, names):
        if expected.get(path) != file_sha256(path):
            raise DataError(f"{path} has changed since it was written")


def _lines(text: str) -> dict[str, str]:
    matches = [_LINE.fullmatch(line) for line in text.removesuffix("\n").split("\n")]
    if not text.endswith("\n") or not all(matches):
        raise ValueError("not lines of sha256sum")
    return {m[2]: m[1] for m in matches if m}


def _fetched(text: bytes) -> dict[str, str]:
    return {str(name): str(record["sha256"]) for name, record in json.loads(text).items()}
