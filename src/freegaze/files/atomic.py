"""Write a folder or a file so that other processes see it completely or not at all.

Unfinished files are in a hidden folder ``.NAME.partial-OWNER`` beside the target, see
``freegaze.files.owners``. The next process that writes to the same target removes hidden folders of
owners that have ended or show no sign of life. A process whose claim was taken over publishes
nothing, see ``freegaze.files.claims``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from freegaze.errors import DataError
from freegaze.files.claims import check_claims
from freegaze.files.owners import Heartbeat, Owner, has_given_up, partial_name, partial_owner

_PARTIAL, _OLD = ".partial-", ".old-"


@contextmanager
def atomic_folder(
    target: Path, may_replace: Callable[[Path], bool] = lambda _: False, remedy: str = ""
) -> Iterator[Path]:
    """Yield a new folder beside ``target`` to write into, and move it to ``target`` at the end.

    The caller flushes the files that it writes. If its block raises, ``target`` stays as it was.

    Args:
        target: Path of the folder; missing parents are made.
        may_replace: Asked about a ``target`` that exists and is not empty.
        remedy: Remedy for the user if it may not be replaced.

    Raises:
        DataError: If ``target`` may not be replaced, or the disk refuses.
        ClaimError: If a claim of this thread was taken over; ``target`` stays as it was.
    """
    if target.parent.is_dir():
        remove_leftovers(target)  # which may put back what shall not be replaced
    _check_target(target, may_replace, remedy)
    try:
        with scratch_folder(target) as partial:
            yield partial
            for folder in [partial, *(p for p in partial.rglob("*") if p.is_dir())]:
                sync_folder(folder)
            check_claims()
            _swap(partial, target, partial.with_name(partial.name.replace(_PARTIAL, _OLD)))
    except OSError as error:
        raise cannot_write(target, error) from None


@contextmanager
def atomic_file(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield the path of a new file to write, and move it to ``target`` at the end.

    Args:
        target: Path of the file; missing parents are made.
        overwrite: Whether an existing file may be replaced.

    Raises:
        DataError: If ``target`` exists and may not be replaced, or the disk refuses.
        ClaimError: If a claim of this thread was taken over; ``target`` stays as it was.
    """
    if target.exists() and not overwrite:
        raise DataError(f"{target} exists already; choose another name or allow overwriting")
    try:
        with scratch_folder(target) as folder:
            partial = folder / target.name
            yield partial
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            check_claims()
            partial.replace(target)
            sync_folder(target.parent)
    except OSError as error:
        raise cannot_write(target, error) from None


def write_file(path: Path, content: bytes | str) -> Path:
    """Write a new file or replace one; a reader finds the old file or the new one, complete.

    Args:
        path: Path to write to; its folder is made.
        content: Content to write; text as UTF-8.

    Returns:
        The path.

    Raises:
        DataError: If the disk refuses; an existing file then stays.
    """
    with atomic_file(path, overwrite=True) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """Give a new hidden folder beside a place, held by this process, which is gone afterwards.

    Leftovers of killed processes are removed first. A folder that a killed process had moved away
    in order to replace it is moved back.

    Args:
        target: The place; its parents are made.

    Raises:
        OSError: If the folder cannot be made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target)
    folder = partial_name(target, Owner.here())
    folder.mkdir()
    heartbeat = Heartbeat(folder)
    try:
        yield folder
    finally:
        heartbeat.stop()
        shutil.rmtree(folder, ignore_errors=True)


def check_room(folder: Path, n_bytes: int, what: str) -> None:
    """Check that a disk has space for a file or folder.

    Args:
        folder: A folder of the disk.
        n_bytes: Number of bytes to be written.
        what: Name of the file or folder, for the message.

    Raises:
        DataError: If there is too little.
    """
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise DataError(
            f"{what} needs {n_bytes:,} bytes, {folder} has {free:,} free; make room, or choose "
            "another folder"
        )


def is_hidden(path: Path, root: Path) -> bool:
    """Return whether a path or a folder on the way to it from ``root`` begins with a dot."""
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def visible_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder by name, without those that begin with a dot.

    Unfinished folders of killed processes begin with a dot and are never read.
    """
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def cannot_write(target: Path, error: OSError) -> DataError:
    """Convert an error of the system into one line about the file."""
    what = error.strerror or str(error)
    return DataError(f"{target} cannot be written ({what}); nothing was changed there")


def remove_leftovers(target: Path) -> None:
    """Remove the leftovers of killed processes beside a target; see ``scratch_folder``.

    Args:
        target: The path; its folder exists.
    """
    with os.scandir(target.parent) as entries:
        names = [e.name for e in entries if e.name.startswith(f".{target.name}.")]
    for name in names:
        path = target.parent / name
        is_partial, owner = partial_owner(name, target)
        if is_partial:
            _remove_abandoned(path, owner, target)
        elif name.startswith(f".{target.name}{_OLD}") and path.is_dir():
            if target.exists():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.rename(target)


def _remove_abandoned(path: Path, owner: Owner | None, target: Path) -> None:
    """Remove what an owner that has given up left unfinished; version 0.1 named no owners."""
    with suppress(OSError):  # gone already
        if owner is None or has_given_up(path, owner, target):
            mine = partial_name(target, Owner.here())
            path.rename(mine)  # an owner that wakes up must not publish what is half removed
            if mine.is_dir():
                shutil.rmtree(mine, ignore_errors=True)
            else:
                mine.unlink()


def _check_target(target: Path, may_replace: Callable[[Path], bool], remedy: str) -> None:
    if not target.exists() and not target.is_symlink():
        return
    if not target.is_dir() or target.is_symlink():
        raise DataError(f"{target} exists and is not a folder; choose another place")
    if any(target.iterdir()) and not may_replace(target):
        raise DataError(f"{target} exists already; {remedy or 'choose another place'}")


def _swap(partial: Path, target: Path, old: Path) -> None:
    had_one = target.exists()
    if had_one:
        target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        if had_one:
            old.rename(target)
        raise
    sync_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)
