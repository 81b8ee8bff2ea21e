"""Download of one file over HTTP: resumed where it broke off, checked, written whole."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from freegaze.config import StrictConfig
from freegaze.errors import DataError
from freegaze.files.arrays import file_sha256
from freegaze.files.atomic import sync_folder, write_file
from freegaze.progress import Progress

CHUNK_BYTES = 1 << 18
MEGABYTE = 10**6
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Answers of a server that may be another a moment later."""

LARGEST_JSON_BYTES = 20 * MEGABYTE


class RemoteFile(StrictConfig):
    """A published file.

    Args:
        name: Its name on this disk.
        url: Its address, ``http`` or ``https``.
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


class TransferConfig(StrictConfig):
    """Timeouts, retries and the largest size of a transfer.

    Args:
        timeout_s: Silence after which a connection is closed.
        attempts: Failures in a row, without one new byte, after which a file is given up.
        wait_s: Pause after the first failure; each further one doubles it.
        max_gb: Largest file, and largest unpacked archive, in units of 10^9 bytes.
    """

    timeout_s: PositiveFloat = 60.0
    attempts: PositiveInt = 6
    wait_s: float = Field(default=1.0, ge=0)
    max_gb: PositiveFloat = 100.0

    @property
    def max_bytes(self) -> int:
        """``max_gb`` in bytes."""
        return int(self.max_gb * 1e9)


class _BrokenOffError(Exception):
    """A transfer that is worth another attempt."""


def download(
    file: RemoteFile, target: Path, config: TransferConfig, progress: Progress | None = None
) -> str:
    """Download a file, going on with what an earlier attempt left.

    What has arrived is kept in ``.NAME.part`` beside the target, with the version (ETag) that the
    server gave it; it is resumed only if the server still has that version, and otherwise begun
    anew.

    Args:
        file: What to download.
        target: Where to write it.
        config: Timeouts, retries and the largest size.
        progress: Called with every chunk, in megabytes.

    Returns:
        The file's sha256.

    Raises:
        DataError: If the server refuses, sends something else or stays silent, if size or checksum
            are not those that the publisher gives, or if the disk refuses.
    """
    part = _Part(target)
    try:
        _persist(lambda: _transfer(file, part, config, progress), file.url, config, part)
        digest = file_sha256(part.path)
        if file.sha256 is not None and digest != file.sha256:
            part.discard()
            raise DataError(
                f"{file.url}: expected sha256 {file.sha256}, what came has {digest}; it was "
                "removed. Try again, and ask the publisher if this repeats"
            )
        part.finish()
    except OSError as error:
        raise DataError(
            f"{target} cannot be written ({error.strerror}); what has arrived is kept. Mend that "
            "and run the command again"
        ) from None
    return digest


def fetch_json(url: str, config: TransferConfig) -> Any:
    """Read a JSON document.

    Args:
        url: Its address.
        config: Timeouts and retries.

    Raises:
        DataError: If the server refuses or stays silent, or it is no JSON.
    """
    text = _persist(lambda: _read_all(url, config), url, config)
    if len(text) > LARGEST_JSON_BYTES:
        raise DataError(f"{url}: a listing of more than {LARGEST_JSON_BYTES:,} bytes is not read")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise DataError(
            f"{url}: expected JSON, got {text[:40]!r}; check the address in the configuration"
        ) from None


class _Part:
    """What has arrived of a file, and which version of it that is."""

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
        """Begin anew; in this order, a crash leaves no part beside a version it is not of."""
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


def _persist(
    attempt: Callable[[], Any], url: str, config: TransferConfig, part: _Part | None = None
) -> Any:
    """Try until it works, or until it failed too often without any new byte."""
    failures = 0
    while True:
        before = part.size if part else 0
        try:
            return attempt()
        except _BrokenOffError as error:
            has_more = part is not None and part.size > before
            failures = 0 if has_more else failures + 1
            if failures >= config.attempts:
                kept = f"; {part.size:,} bytes are kept" if part and part.version else ""
                raise DataError(
                    f"{url}: given up after {failures} attempts without progress: {error}{kept}. "
                    "Run the command again to go on"
                ) from None
            time.sleep(config.wait_s * 2 ** max(failures - 1, 0))


def _transfer(
    file: RemoteFile, part: _Part, config: TransferConfig, progress: Progress | None
) -> None:
    start, version = part.size, part.version
    headers = {}
    if version is not None:
        if start == file.size:
            return
        headers = {"Range": f"bytes={start}-", "If-Range": version}
    with _open(file.url, headers, config, part) as response:
        if response.status == 416:  # nothing is left to send; the part is the whole
            return
        total = _announced(response, start)
        _check_size(file, file.size if total is None else total, config)
        is_rest = response.status == 206
        with part.path.open("ab") if is_rest else part.open_new(_etag(response)) as sink:
            size = sink.tell()
            while chunk := _read(response, CHUNK_BYTES):
                sink.write(chunk)
                sink.flush()
                size += len(chunk)
                if size > config.max_bytes:
                    _check_size(file, size, config)
                if progress is not None:
                    progress(f"{file.name}, MB", size // MEGABYTE, (total or size) // MEGABYTE)
    expected = file.size if total is None else total
    if expected is not None and size < expected:
        raise _BrokenOffError(f"the connection was cut after {size:,} of {expected:,} bytes")
    _check_size(file, size, config)


def _read_all(url: str, config: TransferConfig) -> bytes:
    with _open(url, {"Accept": "application/json"}, config) as response:
        length = response.length
        text = _read(response, LARGEST_JSON_BYTES + 1)
    if length is not None and len(text) < min(length, LARGEST_JSON_BYTES):
        raise _BrokenOffError(f"the connection was cut after {len(text)} of {length} bytes")
    return text


def _open(
    url: str, headers: dict[str, str], config: TransferConfig, part: _Part | None = None
) -> Any:
    """Open a connection; the answer's status is 200, 206, or 416 where the part is the whole."""
    headers = {"User-Agent": "freegaze", "Accept-Encoding": "identity", **headers}
    try:
        request = urllib.request.Request(url, headers=headers)
        return _opener().open(request, timeout=config.timeout_s)
    except urllib.error.HTTPError as error:
        if error.code == 416 and part is not None:
            if error.headers.get("Content-Range") == f"bytes */{part.size}":
                return error
            part.discard()
        error.close()
        if error.code in (*TRY_AGAIN, 416):
            raise _BrokenOffError(f"the server answered {error.code} {error.reason}") from None
        raise DataError(
            f"{url}: the server answered {error.code} {error.reason}; check the address in the "
            "configuration, or download the file with a browser"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(str(getattr(error, "reason", None) or error)) from None
    except ValueError as error:
        raise DataError(f"{url!r} is not an address ({error}); expected https://...") from None


def _opener() -> urllib.request.OpenerDirector:
    """An opener of web addresses only: a redirection cannot lead to a file of this machine."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _read(response: Any, n_bytes: int) -> bytes:
    try:
        return response.read(n_bytes)
    except http.client.IncompleteRead as error:
        return error.partial
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(str(error) or type(error).__name__) from None


def _announced(response: Any, start: int) -> int | None:
    """Return the size of the whole file that the server announces."""
    if response.status != 206:
        return response.length
    words = response.headers.get("Content-Range", "")
    span, _, total = words.removeprefix("bytes ").partition("/")
    if span.partition("-")[0] != str(start):
        raise _BrokenOffError(f"asked for bytes from {start} on, the server sent {words!r}")
    return int(total) if total.isdecimal() else None


def _etag(response: Any) -> str | None:
    """Return the version, unless the server calls it a weak one, which may hide other bytes."""
    words = response.headers.get("ETag", "")
    return words if words.startswith('"') and words.isascii() else None


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
