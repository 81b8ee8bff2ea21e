"""Download, verification and unpacking of published data sets, each only once.

::

    OUT/checksums.json    size, sha256 and address of each file at the first download
    OUT/NAME.zip          as published
    OUT/NAME/             unpacked
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from freegaze.errors import ClaimError, DataError, RegistryError
from freegaze.files.arrays import file_sha256
from freegaze.files.artifact import read_json
from freegaze.files.atomic import cannot_write, check_room, write_file
from freegaze.files.checksums import FETCHED, read_checksums
from freegaze.files.claims import claimed
from freegaze.progress import Progress
from freegaze.registry import require_name
from freegaze.sources.fetching.connection import TransferConfig
from freegaze.sources.fetching.download import RemoteFile, download
from freegaze.sources.fetching.osf import list_osf
from freegaze.sources.fetching.unpacking import unpack_zip

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ ()+-]{0,199}")


class FetchConfig(TransferConfig):
    """Address and transfer of a published data set; see also ``TransferConfig``.

    Args:
        api: Address of the Open Science Framework's interface.
        node: Id of the project at this address.
        files: The files themselves; if given, no listing is read.
        only: Names of the wanted files, or patterns such as ``*.zip``; all by default.
        unpack: Whether ZIP archives are unpacked.
    """

    api: str = "https://api.osf.io/v2"
    node: str = "msp3a"
    files: tuple[RemoteFile, ...] = ()
    only: tuple[str, ...] = ()
    unpack: bool = True


DATASETS: dict[str, FetchConfig] = {"xu2023": FetchConfig()}
"""Published data sets. ``xu2023``: data and weights, doi 10.17605/OSF.IO/MSP3A."""


def find_dataset(name: str) -> FetchConfig:
    """Return the address of a data set.

    Raises:
        RegistryError: If there is no data set of this name.
    """
    require_name(name, DATASETS, "no data set", RegistryError)
    return DATASETS[name]


@dataclass(frozen=True)
class Fetched:
    """The outcome of fetching one file.

    Args:
        path: The file.
        folder: Folder into which it was unpacked, if it was.
        what: ``downloaded``, ``unpacked`` (the archive existed already), or ``verified``
            (everything existed).
    """

    path: Path
    folder: Path | None
    what: Literal["downloaded", "unpacked", "verified"]


def fetch(config: FetchConfig, out: Path, progress: Progress | None = None) -> list[Fetched]:
    """Download, verify and unpack a data set; existing files are verified and kept.

    If the publisher gives no checksum, later files are compared with that of the first download.

    Args:
        config: Address and transfer of the data set.
        out: Folder to put it in.
        progress: Called with every chunk, in megabytes.

    Returns:
        The outcome for each file.

    Raises:
        DataError: If a server, a file, an archive or the disk fails, or another process fetches
            into the same folder. Everything that has arrived is kept, and the same call continues.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with claimed(out / ".fetch.claim"):
            return [_fetch_one(file, config, out, progress) for file in _wanted(config)]
    except ClaimError as error:
        raise DataError(str(error)) from None
    except OSError as error:
        raise cannot_write(out, error) from None


def _wanted(config: FetchConfig) -> list[RemoteFile]:
    files = config.files or list_osf(config.api, config.node, config)
    names = [file.name for file in files]
    for name in names:
        if not _PLAIN_NAME.fullmatch(name) or name == FETCHED:
            raise DataError(f"a file may not be called {name!r} here; name the files yourself")
        if names.count(name) > 1:
            raise DataError(f"two files are called {name!r}; name the files yourself")
    wanted = [f for f in files if not config.only or any(fnmatch(f.name, p) for p in config.only)]
    if not wanted:
        raise DataError(f"no file matches {', '.join(config.only)}; there are {', '.join(names)}")
    return wanted


def _fetch_one(
    file: RemoteFile, config: FetchConfig, out: Path, progress: Progress | None
) -> Fetched:
    path, records = out / file.name, out / FETCHED
    kept = read_checksums(records) if records.is_file() else {}
    known = file.sha256 or kept.get(path)
    is_here = path.is_file()
    if is_here:
        digest = file_sha256(path)
        if known is not None and digest != known:
            raise DataError(
                f"{path}: expected sha256 {known}, the file has {digest}; it was changed, or the "
                "publisher has a new version. Move it away and run the command again"
            )
    else:
        part = out / f".{file.name}.part"
        n_kept = part.stat().st_size if part.is_file() else 0
        check_room(out, (file.size or 0) - n_kept, str(path))
        wanted = file.model_copy(update={"sha256": known})
        digest = download(wanted, path, config, progress)
    if path not in kept:
        _keep_record(records, file, path.stat().st_size, digest)
    folder = None
    is_unpacked = True
    if config.unpack and path.suffix.lower() == ".zip":
        folder = path.with_suffix("")
        is_unpacked = folder.is_dir()
        if not is_unpacked:
            unpack_zip(path, folder, config.max_bytes)
    what = "downloaded" if not is_here else "verified" if is_unpacked else "unpacked"
    return Fetched(path, folder, what)


def _keep_record(records: Path, file: RemoteFile, size: int, digest: str) -> None:
    kept = read_json(records) if records.is_file() else {}
    kept[file.name] = {"size": size, "sha256": digest, "url": file.url}
    write_file(records, json.dumps(kept, indent=2) + "\n")
