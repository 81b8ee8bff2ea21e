"""Write a folder or a file so that others see all of it or nothing."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from freegaze.errors import DataError


@contextmanager
def atomic_folder(
    target: Path, may_replace: Callable[[Path], bool] = lambda _: False, remedy: str = ""
) -> Iterator[Path]:
    """Give a new sibling folder to write into, and put it in the place of ``target`` at the end.

    The caller flushes the files that it writes. If its block raises, ``target`` stays as it was.

    Args:
        target: Where the folder shall be; its parents are made.
        may_replace: Asked about a ``target`` that exists and is not empty.
        remedy: What the user can do when it may not be replaced.

    Raises:
        DataError: If ``target`` may not be replaced, or the disk refuses.
    """
    _check_target(target, may_replace, remedy)
    mark = uuid.uuid4().hex[:8]
    partial = target.parent / f".{target.name}.partial-{mark}"
    try:
        partial.mkdir(parents=True)
        yield partial
        for folder in [partial, *(p for p in partial.rglob("*") if p.is_dir())]:
            sync_folder(folder)
        _swap(partial, target, target.parent / f".{target.name}.old-{mark}")
    except OSError as error:
        raise cannot_write(target, error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def atomic_file(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Give the path of a new sibling file to write, and rename it to ``target`` at the end.

    Args:
        target: Where the file shall be; its parents are made.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        DataError: If ``target`` exists and may not be replaced, or the disk refuses.
    """
    if target.exists() and not overwrite:
        raise DataError(f"{target} exists already; choose another name or allow overwriting")
    partial = target.parent / f".{target.name}.partial-{uuid.uuid4().hex[:8]}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise cannot_write(target, error) from None
    finally:
        with suppress(OSError):
            partial.unlink()


def visible_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder by name, without those that begin with a dot.

    What a killed process left half-written is such a one, and is never believed.
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
    """Turn what the system raised into one line about the file."""
    what = error.strerror or str(error)
    return DataError(f"{target} cannot be written ({what}); nothing was changed there")


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
