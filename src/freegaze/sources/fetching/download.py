"""Download of one file over HTTP, which can be resumed and is checked."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import NonNegativeInt, field_validator

from freegaze.config import StrictConfig
from freegaze.errors import DataError
from freegaze.files.arrays import file_sha256
from freegaze.files.atomic import sync_folder, write_file
from freegaze.progress import Progress
from freegaze.sources.fetching.connection import (
    BrokenOffError,
    TransferConfig,
    open_connection,
    persist,
    read_some,
    strong_etag,
)

CHUNK_BYTES = 1 << 18
MEGABYTE = 10**6
LARGEST_JSON_BYTES = 20 * MEGABYTE


class RemoteFile(StrictConfig):
    """A published file.

    Args:
        name: Name of the file on this disk.
        url: Address of the file, ``http`` or ``https``.
        size: Bytes, if known.
        sha256: Checksum, if known.
    """

    name: str
    url: str
    size: NonNegativeInt | None = None
    sha256: str | None = None

    @field_validator("sha256")
    @classmethod
    def _is_checksum(cls, sha256: str | None) -> str | None:
        if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256.lower()):
            raise ValueError("must be 64 hexadecimal digits")
        return None if sha256 is None else sha256.lower()


def download(
    file: RemoteFile, target: Path, config: TransferConfig, progress: Progress | None = None
) -> str:
    """Download a file, or continue an earlier attempt.

    The bytes that have arrived are kept in ``.NAME.part`` beside the target, with the version
    (ETag) of the server. The download is resumed if the server still has this version; otherwise it
    begins anew.

    Args:
        file: File to download.
        target: Path to write.
        config: Timeouts, retries and the largest size.
        progress: Called with every chunk, in megabytes.

    Returns:
        The file's sha256.

    Raises:
        DataError: If the server refuses, sends something else or does not answer, if size or
            checksum are not those of the publisher, or if the disk refuses.
    """
    part = _Part(target)
    try:
        persist(lambda: _transfer(file, part, config, progress), file.url, config, part)
        digest = file_sha256(part.path)
        if file.sha256 is not None and digest != file.sha256:
            part.discard()
            raise DataError(
                f"{file.url}: expected sha256 {file.sha256}, the received file has {digest}; "
                "it was removed. Try again, and ask the publisher if this repeats"
            )
        part.finish()
    except OSError as error:
        raise DataError(
            f"{target} cannot be written ({error.strerror}); the bytes that have arrived are "
            "kept. Correct this and run the command again"
        ) from None
    return digest


def fetch_json(url: str, config: TransferConfig) -> Any:
    """Read a JSON document.

    Args:
        url: Address of the document.
        config: Timeouts and retries.

    Raises:
        DataError: If the server refuses or does not answer, or the answer is not JSON.
    """
    text = persist(lambda: _read_all(url, config), url, config)
    if len(text) > LARGEST_JSON_BYTES:
        raise DataError(f"{url}: a listing of more than {LARGEST_JSON_BYTES:,} bytes is not read")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise DataError(
            f"{url}: expected JSON, got {text[:40]!r}; check the address in the configuration"
        ) from None


class _Part:
    """The part of a file that has arrived, and its version."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.part")
        self.version_file = target.with_name(f".{target.name}.part.version")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def version(self) -> str | None:
        """ETag of the version; ``None`` if the part cannot be resumed."""
        if not self.size or not self.version_file.is_file():
            return None
        return self.version_file.read_text(encoding="utf-8", errors="ignore") or None

    def open_new(self, version: str | None) -> BinaryIO:
        """Begin anew, in an order in which a crash leaves no part with a wrong version."""
        self.version_file.unlink(missing_ok=True)
        file = self.path.open("wb")
        if version is not None:
            write_file(self.version_file, version)
        return file

    def discard(self) -> None:
        self.version_file.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def finish(self) -> None:
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self.version_file.unlink(missing_ok=True)
        sync_folder(self.target.parent)


def _transfer(
    file: RemoteFile, part: _Part, config: TransferConfig, progress: Progress | None
) -> None:
    start, version = part.size, part.version
    headers = {}
    if version is not None:
        if start == file.size:
            return
        headers = {"Range": f"bytes={start}-", "If-Range": version}
    with open_connection(file.url, headers, config, part) as response:
        if response.status == 416:  # nothing is left to send; the part is the whole
            return
        total = _announced(response, start)
        _check_size(file, file.size if total is None else total, config)
        is_rest = response.status == 206
        with part.path.open("ab") if is_rest else part.open_new(strong_etag(response)) as sink:
            size = sink.tell()
            while chunk := read_some(response, CHUNK_BYTES):
                sink.write(chunk)
                sink.flush()
                size += len(chunk)
                if size > config.max_bytes:
                    _check_size(file, size, config)
                if progress is not None:
                    progress(f"{file.name}, MB", size // MEGABYTE, (total or size) // MEGABYTE)
    expected = file.size if total is None else total
    if expected is not None and size < expected:
        raise BrokenOffError(f"the connection was cut after {size:,} of {expected:,} bytes")
    _check_size(file, size, config)


def _read_all(url: str, config: TransferConfig) -> bytes:
    with open_connection(url, {"Accept": "application/json"}, config) as response:
        length = response.length
        text = read_some(response, LARGEST_JSON_BYTES + 1)
    if length is not None and len(text) < min(length, LARGEST_JSON_BYTES):
        raise BrokenOffError(f"the connection was cut after {len(text)} of {length} bytes")
    return text


def _announced(response: Any, start: int) -> int | None:
    """Return the size of the whole file that the server announces."""
    if response.status != 206:
        return response.length
    words = response.headers.get("Content-Range", "")
    span, _, total = words.removeprefix("bytes ").partition("/")
    if span.partition("-")[0] != str(start):
        raise BrokenOffError(f"expected bytes from {start} on, the server sent {words!r}")
    return int(total) if total.isdecimal() else None


def _check_size(file: RemoteFile, size: int | None, config: TransferConfig) -> None:
    if size is None:
        return
    if file.size is not None and size != file.size:
        raise DataError(
            f"{file.url}: the publisher lists {file.size:,} bytes, the server sends {size:,}; try "
            "again later, or correct the size in the configuration"
        )
    if size > config.max_bytes:
        raise DataError(
            f"{file.url}: more than the {config.max_bytes:,} bytes allowed; raise `max_gb`"
        )
