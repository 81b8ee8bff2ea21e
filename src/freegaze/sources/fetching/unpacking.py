"""Safe unpacking of archives from unknown sources."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from freegaze.errors import DataError
from freegaze.files.atomic import atomic_folder, check_room

CHUNK_BYTES = 1 << 20
MAX_FILES = 200_000


def unpack_zip(archive: Path, folder: Path, max_bytes: int, max_files: int = MAX_FILES) -> Path:
    """Unpack a ZIP archive into a new folder, completely or not at all.

    Args:
        archive: The archive.
        folder: The folder to make.
        max_bytes: Largest unpacked size.
        max_files: Largest number of files.

    Returns:
        The folder.

    Raises:
        DataError: If a member leads out of the folder, is a link or a device, is encrypted or
            comes twice; if the archive is broken or too large; if the disk refuses.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            _check(archive, members, max_bytes, max_files)
            check_room(folder.parent, sum(m.file_size for m in members), str(folder))
            with atomic_folder(folder) as partial:
                _extract(opened, members, partial, max_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DataError(
            f"{archive} cannot be unpacked ({error}); remove it and download it again"
        ) from None
    except OSError as error:
        raise DataError(f"{archive} cannot be unpacked ({error.strerror or error})") from None
    return folder


def _check(archive: Path, members: list[zipfile.ZipInfo], max_bytes: int, max_files: int) -> None:
    if len(members) > max_files:
        raise DataError(f"{archive} holds {len(members):,} files, more than {max_files:,} allowed")
    size = sum(member.file_size for member in members)
    if size > max_bytes:
        raise DataError(
            f"{archive} would unpack to {size:,} bytes, more than {max_bytes:,} allowed; raise "
            "`max_gb` if you trust it"
        )
    seen: set[str] = set()
    for member in members:
        if why := _objection(member):
            raise DataError(f"{archive} is not unpacked: its member {member.filename!r} {why}")
        name = str(PurePosixPath(member.filename)).casefold()  # one file on some systems
        if name in seen and not member.is_dir():
            raise DataError(f"{archive} is not unpacked: it has {member.filename!r} twice")
        seen.add(name)


def _objection(member: zipfile.ZipInfo) -> str:
    path = PurePosixPath(member.filename)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(member.filename).anchor:
        return "leads out of the folder"
    if "\\" in member.filename or not path.parts:
        return "has no proper name"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device, not a file"
    if member.flag_bits & 1:
        return "is encrypted"
    return ""


def _extract(
    opened: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path, max_bytes: int
) -> None:
    left = max_bytes
    for member in members:
        target = folder.joinpath(*PurePosixPath(member.filename).parts)
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(member) as source, target.open("xb") as sink:
            while chunk := source.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:  # whatever its header says
                    raise DataError(f"{opened.filename} unpacks to more than it declares")
                sink.write(chunk)
