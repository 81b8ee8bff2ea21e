"""Reading of a file on a web server in blocks that are kept on this disk.

::

    CACHE/KEY/NAME          blocks that have arrived, each at its position; the rest is a hole
              NAME.blocks   for each block 0, or 2^32 + its CRC-32
              NAME.json     address, size and version on the server

An address may hold secrets: a signature in its query, a password. Only ``NAME.json`` keeps the
whole address, in a folder that no other user may read. Everywhere else it is ``shown_address``.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from freegaze.errors import CheckpointError, DataError
from freegaze.files.artifact import read_json
from freegaze.files.atomic import cannot_write, write_file
from freegaze.files.claims import claimed
from freegaze.sources.fetching.connection import (
    BrokenOffError,
    TransferConfig,
    open_connection,
    persist,
    read_some,
    strong_etag,
)
from freegaze.sources.remote.addresses import (
    KEY_LENGTH,
    address_key,
    as_address,
    shown_address,
    web_address,
)

BLOCK_BYTES = 1 << 17
"""Smallest transfer. Headers of HDF5 are scattered in pieces of some KB, and chunks of arrays
have 10 KB to some MB."""

LONGEST_REQUEST = 16
"""Largest number of blocks in one request. A request that continues the last one is twice as long,
up to this."""

CACHE = "FREEGAZE_CACHE"
"""Environment variable that names the folder of the blocks; ``~/.cache/freegaze`` by default."""

_PRESENT = np.uint64(1 << 32)
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")


def cache_folder() -> Path:
    """Return the folder in which blocks are kept."""
    stated = os.environ.get(CACHE)
    if stated:
        return Path(stated).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "freegaze"


def local_place(path: Path | str, config: TransferConfig | None = None) -> Path:
    """Return the path on this machine for a path or an address.

    Args:
        path: A path, which is returned, or an address. Of a file at an address, only the first
            block is read; ``open_blocks`` reads others on demand.
        config: Timeouts and retries.

    Raises:
        DataError: If there is no such file, the server serves no parts of files, or the disk
            refuses.
    """
    given = as_address(path)
    if given is None:
        return Path(path).expanduser()
    address = _whole_address(given)
    chosen = config or TransferConfig()
    url, shown = web_address(address, chosen), shown_address(address)
    place = _place(address_key(address), shown)
    try:
        place.parent.parent.mkdir(parents=True, exist_ok=True)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        with claimed(place.with_name(f".{place.name}.claim"), math.inf):
            _prepare(place, {"address": shown, "whole": address, "url": url}, chosen)
    except OSError as error:
        raise cannot_write(place, error) from None
    return place


def _place(key: str, shown: str) -> Path:
    """Return the path of the blocks of an address."""
    name = shown.partition("#")[0].rstrip("/").rpartition("/")[2]
    return cache_folder() / key / name


def _whole_address(address: str) -> str:
    """Return an address with the query that a shown one has lost."""
    bare, mark, key = address.partition("#")
    if not mark or not _KEY.fullmatch(key):
        return address
    whole = _read_about(_about_file(_place(key, bare))).get("whole")
    if whole is None:
        raise DataError(
            f"{bare} was opened with a user name or a query, which may be secrets and are kept "
            "only on the machine where it was opened; give the whole address as the path"
        )
    return str(whole)


def address_of(place: Path) -> str | None:
    """Return the address of a file that ``local_place`` prepared, ``None`` for any other path.

    It is the one of ``shown_address``, without secrets.
    """
    if not place.name:  # the working folder and the root have none
        return None
    about = _about_file(place)
    is_prepared = about.is_file() and _blocks_file(place).is_file()
    return str(read_json(about)["address"]) if is_prepared else None


def n_blocks_here(place: Path) -> int:
    """Return how many blocks of a file have arrived on this machine."""
    return int(np.count_nonzero(np.fromfile(_blocks_file(place), np.uint64)))


def open_blocks(place: Path, config: TransferConfig | None = None) -> BlockFile:
    """Open a file that ``local_place`` prepared.

    Args:
        place: Path of the file on this machine.
        config: Timeouts and retries.
    """
    return BlockFile(place, config or TransferConfig())


class BlockFile(io.RawIOBase):
    """A remote file as a binary file for reading, such as ``h5py.File`` takes.

    Args:
        place: Path of its blocks.
        config: Timeouts and retries.

    Attributes:
        n_transferred: Bytes that this object has read from the server.
        failure: The last error; h5py replaces errors of the file by its own.
    """

    def __init__(self, place: Path, config: TransferConfig) -> None:
        super().__init__()
        about = read_json(_about_file(place))
        self.address, self.url = str(about["address"]), str(about["url"])
        self.n_bytes, self.version = int(about["size"]), about["version"]
        self.config, self.place = config, place
        self.n_transferred = 0
        self.failure: DataError | None = None
        self._at = 0
        self._last_stop, self._last_length = -1, 1
        self._data = place.open("r+b", buffering=0)
        self._known = np.memmap(_blocks_file(place), np.uint64, "r+")
        self._checked = np.zeros(len(self._known), bool)

    def __repr__(self) -> str:
        return self.address

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def seekable(self) -> bool:
        """Return ``True``."""
        return True

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a byte, as the seek of any file."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.n_bytes}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the current position on; return the number of bytes."""
        view = memoryview(buffer).cast("B")
        n = max(min(len(view), self.n_bytes - self._at), 0)
        if n == 0:
            return 0
        try:
            self._provide(self._at // BLOCK_BYTES, -(-(self._at + n) // BLOCK_BYTES))
            view[:n] = os.pread(self._data.fileno(), n, self._at)
        except DataError as error:
            self.failure = error
            raise
        except OSError as error:
            self.failure = cannot_write(self.place, error)
            raise self.failure from None
        self._at += n
        return n

    def close(self) -> None:
        """Close the file of the blocks."""
        if not self.closed:
            self._data.close()
            del self._known
        super().close()

    def _provide(self, first: int, stop: int) -> None:
        """Make blocks available, and check that they are as they arrived."""
        missing = [k for k in range(first, stop) if not self._is_here(k)]
        while missing:
            start = missing[0]
            length = 1
            while length < LONGEST_REQUEST and start + length in missing:
                length += 1
            if start == self._last_stop:  # reads on: more of it will be wanted
                length = max(length, min(2 * self._last_length, LONGEST_REQUEST))
            length = min(length, len(self._known) - start)
            self._fetch(start, start + length)
            self._last_stop, self._last_length = start + length, length
            missing = [k for k in missing if k >= start + length]

    def _is_here(self, block: int) -> bool:
        known = self._known[block]
        if not known:
            return False
        if not self._checked[block]:
            content = os.pread(self._data.fileno(), BLOCK_BYTES, block * BLOCK_BYTES)
            self._checked[block] = known == _PRESENT | np.uint64(zlib.crc32(content))
        return bool(self._checked[block])

    def _fetch(self, first: int, stop: int) -> None:
        start, end = first * BLOCK_BYTES, min(stop * BLOCK_BYTES, self.n_bytes)
        content, _ = _request(self.url, self.address, start, end, self.version, self.config)
        self.n_transferred += len(content)
        os.pwrite(self._data.fileno(), content, start)
        for k in range(first, stop):
            part = content[(k - first) * BLOCK_BYTES : (k - first + 1) * BLOCK_BYTES]
            self._known[k] = _PRESENT | np.uint64(zlib.crc32(part))
            self._checked[k] = True


def _prepare(place: Path, names: dict[str, str], config: TransferConfig) -> None:
    """Read the first block, and keep the earlier blocks if they are of the same version."""
    content, (size, version) = _request(
        names["url"], names["address"], 0, BLOCK_BYTES, None, config
    )
    about = {**names, "size": size, "version": version}
    file = _about_file(place)
    old = _read_about(file)
    is_same = all(old.get(key) == about[key] for key in ("address", "size", "version"))
    if not is_same or version is None or not place.is_file():
        file.unlink(missing_ok=True)
        n_blocks = -(-size // BLOCK_BYTES)
        with place.open("wb") as data:
            data.truncate(size)
            data.write(content)
        known = np.zeros(n_blocks, np.uint64)
        known[0] = _PRESENT | np.uint64(zlib.crc32(content))
        _blocks_file(place).write_bytes(known.tobytes())
    write_file(file, json.dumps(about, indent=2) + "\n")


def _request(
    url: str, address: str, start: int, stop: int, version: str | None, config: TransferConfig
) -> tuple[bytes, tuple[int, str | None]]:
    """Read bytes ``start`` to ``stop``; return them, and size and version of the whole file."""
    arrived = _Arrived()

    def attempt() -> tuple[int, str | None]:
        first = start + arrived.size
        headers = {"Range": f"bytes={first}-{stop - 1}"}
        if version is not None and version.startswith('"'):
            headers["If-Range"] = version
        with open_connection(url, headers, config) as response:
            if response.status != 206:
                raise (
                    _changed(address)
                    if version is not None
                    else DataError(
                        f"{address}: the server sends no parts of files; download the file with a "
                        "browser and give its path"
                    )
                )
            words = response.headers.get("Content-Range", "")
            found = _RANGE.fullmatch(words)
            if found is None or int(found[1]) != first:
                raise BrokenOffError(f"expected bytes from {first} on, the server sent {words!r}")
            size = int(found[3])
            now = strong_etag(response) or response.headers.get("Last-Modified")
            if version is not None and now != version:
                raise _changed(address)
            expected = min(stop, size) - start
            while arrived.size < expected:
                piece = read_some(response, expected - arrived.size)
                if not piece:
                    raise BrokenOffError(
                        f"the connection was cut after {arrived.size} of {expected} bytes"
                    )
                arrived.content += piece
        return size, now

    about = persist(attempt, address, config, arrived)
    return bytes(arrived.content), about


class _Arrived:
    """Bytes of one request that have arrived; they are kept when the connection is cut."""

    version = None

    def __init__(self) -> None:
        self.content = bytearray()

    @property
    def size(self) -> int:
        return len(self.content)

    def discard(self) -> None:
        self.content.clear()


def _changed(address: str) -> DataError:
    return DataError(
        f"{address}: the file has changed on the server since it was opened; open it again"
    )


def _read_about(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except CheckpointError:  # missing, or half written when the machine stopped
        return {}


def _about_file(place: Path) -> Path:
    return place.with_name(f"{place.name}.json")


def _blocks_file(place: Path) -> Path:
    return place.with_name(f"{place.name}.blocks")
