"""Kinds of files that stand where another was expected, by their first bytes."""

from __future__ import annotations

import os
from pathlib import Path

_N_BYTES = 256

_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer, not the file itself; run `git annex get`"),
    (b"<!DOCTYPE", "a web page, not the file itself; download it again"),
    (b"<html", "a web page, not the file itself; download it again"),
    (b"MATLAB 5.0", "a MATLAB file that is damaged, or is not expected here; name it `.mat`"),
    (b"PAR1", "a Parquet file that is damaged, or is not expected here; name it `.parquet`"),
    (b"\x1f\x8b", "compressed (gzip); unpack it"),
    *(
        (bytes([0x80, protocol]), "a Python pickle, which is not read; export CSV or HDF5")
        for protocol in (2, 3, 4, 5)
    ),
    (b"7z\xbc\xaf", "compressed (7z); unpack it"),
)


def describe_kind(path: Path) -> str | None:
    """Return what a file is by its first bytes, and the remedy; ``None`` where that is open."""
    try:
        with path.open("rb") as file:
            head = file.read(_N_BYTES)
    except (OSError, ValueError):
        return None
    if not head:
        return "empty; copy or write it again"
    return next((kind for start, kind in _KINDS if head.lower().startswith(start.lower())), None)


def describe_missing(path: Path) -> str | None:
    """Return what a link is whose file is not there, and the remedy; ``None`` if it is no link."""
    try:
        target = os.readlink(path)
    except (OSError, ValueError):
        return None
    if ".git/annex" in target.replace("\\", "/"):
        return "is a link of git-annex to content that is not here; run `git annex get`"
    return f"is a link to {target}, which does not exist; restore it"
