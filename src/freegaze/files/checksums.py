"""Lists of checksums: lines of ``sha256sum``, and what ``freegaze fetch`` keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from freegaze.errors import DataError
from freegaze.files.arrays import file_sha256

FETCHED = "checksums.json"
_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]{1,1000})")
_MAX_LIST_BYTES = 1 << 24


def read_checksums(file: Path) -> dict[Path, str]:
    """Return the checksum of each file that a list names.

    Raises:
        DataError: If it is no list, or names a file outside its folder.
    """
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
        raise DataError("is no list of checksums as sha256sum writes it")
    return {m[2]: m[1] for m in matches if m}


def _fetched(text: str) -> dict[str, str]:
    try:
        records = json.loads(text)
        return {str(name): str(record["sha256"]) for name, record in records.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise DataError("is no list of checksums as `freegaze fetch` writes it") from None
