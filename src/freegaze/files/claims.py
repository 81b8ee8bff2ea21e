"""Claims: one process at a time works on something, on local disks and network file systems.

A claim is a folder with one entry, named by a generation and its owner::

    .claim/000001-OWNER/

It appears complete, by a rename that fails where another claim is. The owner renews its times. Once
an owner has ended or has shown no sign of life for too long, another process takes the claim over:
it renames the entry to the next generation and its own name. Of several such processes exactly one
finds the old name. An owner that was paused meanwhile finds its entry gone before it publishes
anything, see ``check_claims``. Nothing depends on locks of the file system or on clocks of hosts.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Literal

from freegaze.errors import ClaimError
from freegaze.files.owners import (
    BEAT_S,
    LIMIT_S,
    Heartbeat,
    Owner,
    has_given_up,
    partial_name,
    partial_owner,
)

LONGEST_POLL_S = 1.0
"""Longest wait between two tries."""

CHANGES = 50
"""Tries in a row that find the claim changed under them, before it counts as held."""

_held: ContextVar[tuple[Claim, ...]] = ContextVar("claims of this thread", default=())


class Claim:
    """The claim of one process on something.

    Args:
        folder: The folder of the claim; its parent exists.
        beat_s: Seconds between two signs of life.
        limit_s: Age of the last sign of life beyond which the claim of another may be taken over.
    """

    def __init__(self, folder: Path, beat_s: float = BEAT_S, limit_s: float = LIMIT_S) -> None:
        self.folder, self.beat_s, self.limit_s = folder, beat_s, limit_s
        self._entry: Path | None = None
        self._heartbeat: Heartbeat | None = None

    @property
    def owner(self) -> Owner | None:
        """The process that holds the claim now; ``None`` if there is none."""
        entry = self._current()
        return None if entry is None else _owner_of(entry)

    @property
    def is_held(self) -> bool:
        """Whether an owner holds it that has not given up."""
        entry = self._current()
        if entry is None:
            return False
        try:
            return not has_given_up(entry, _owner_of(entry), self.folder, self.limit_s)
        except FileNotFoundError:
            return False
        except OSError:  # a folder that cannot be written cannot be asked for its server's time
            return True

    def acquire(self, wait_s: float = 0.0) -> bool:
        """Claim it, or take it over from an owner that has given up.

        Args:
            wait_s: Seconds to wait for another owner.

        Returns:
            Whether the claim was granted.

        Raises:
            OSError: If the folder cannot be made or read.
        """
        until, pause, n_changes = time.monotonic() + wait_s, 0.01, 0
        while (outcome := self._try()) != "granted":
            n_changes = n_changes + 1 if outcome == "changed" else 0
            if outcome == "held" or n_changes > CHANGES:
                if time.monotonic() >= until:
                    return False
                pause = min(2 * pause, LONGEST_POLL_S)
            time.sleep(pause)
        assert self._entry is not None, "it was granted"
        self._heartbeat = Heartbeat(self._entry, self.beat_s)
        return True

    def check(self) -> None:
        """Make sure that the claim is still that of this process.

        Raises:
            ClaimError: If another process has taken it over.
        """
        if self._entry is None or not self._entry.is_dir():
            owner = self.owner
            by = "another process" if owner is None else owner.description
            raise ClaimError(
                f"{by} took over {self.folder.parent} while this process showed no sign of life "
                f"for {self.limit_s:g} s; nothing more is written here. Run the command again"
            )

    def release(self) -> None:
        """Give the claim up; one that was taken over stays with its new owner."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._entry is not None:
            with suppress(OSError):  # taken over, or a disk that is gone
                self._entry.rmdir()
                self.folder.rmdir()
        self._entry = self._heartbeat = None

    def _try(self) -> Literal["granted", "held", "changed"]:
        current = self._current()
        own = Owner.here()
        if current is None:
            return self._install(own)
        owner = _owner_of(current)
        try:
            if not has_given_up(current, owner, self.folder, self.limit_s):
                return "held"
        except FileNotFoundError:
            return "changed"
        return self._take_over(current, own)

    def _install(self, own: Owner) -> Literal["granted", "changed"]:
        """Put a folder with an entry in place; fails where another has an entry."""
        self._remove_abandoned()
        private = partial_name(self.folder, own)
        entry = private / f"{1:06d}-{own}"
        private.mkdir()
        entry.mkdir()
        try:
            private.rename(self.folder)
        except OSError as error:
            entry.rmdir()
            private.rmdir()
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return "changed"
            raise
        self._entry = self.folder / entry.name
        return "granted"

    def _take_over(self, current: Path, own: Owner) -> Literal["granted", "changed"]:
        generation = int(current.name.partition("-")[0]) + 1
        entry = self.folder / f"{generation:06d}-{own}"
        try:
            current.rename(entry)
            os.utime(entry)
        except FileNotFoundError:  # a reply that was lost, or another process was faster
            if not entry.is_dir():
                return "changed"
        self._entry = entry
        return "granted"

    def _current(self) -> Path | None:
        try:
            names = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return None
        entries = [self.folder / name for name in names if _read_entry(name) is not None]
        return entries[-1] if entries else None

    def _remove_abandoned(self) -> None:
        """Remove folders of processes that ended before they had put them in place."""
        for name in os.listdir(self.folder.parent):
            _, owner = partial_owner(name, self.folder)
            if owner is not None and owner.has_ended:
                path = self.folder.parent / name
                with suppress(OSError):
                    for entry in path.iterdir():
                        entry.rmdir()
                    path.rmdir()


@contextmanager
def claimed(
    folder: Path, wait_s: float = 0.0, beat_s: float = BEAT_S, limit_s: float = LIMIT_S
) -> Iterator[Claim]:
    """Hold a claim while the block runs; files written in it are checked against the claim.

    A block within another one may name the same claim again.

    Args:
        folder: The folder of the claim; its parent exists.
        wait_s: Seconds to wait for another owner.
        beat_s: Seconds between two signs of life.
        limit_s: Age of the last sign of life beyond which the claim of another may be taken over.

    Raises:
        ClaimError: If another process holds it.
        OSError: If the folder cannot be made or read.

    Example:
        >>> with claimed(Path("runs/.first.claim")) as claim:
        ...     claim.owner.process == os.getpid()
        True
    """
    for outer in _held.get():
        if outer.folder == folder:
            yield outer
            return
    claim = Claim(folder, beat_s, limit_s)
    if not claim.acquire(wait_s):
        owner = claim.owner
        by = "another process" if owner is None else f"another process ({owner.description})"
        raise ClaimError(f"{by} works on {folder.parent}; wait for it")
    token = _held.set((*_held.get(), claim))
    try:
        yield claim
    finally:
        _held.reset(token)
        claim.release()


def check_claims() -> None:
    """Make sure that no claim that this thread holds was taken over.

    ``freegaze.files.atomic`` calls it before each file or folder is moved to its place.

    Raises:
        ClaimError: If another process has taken one over.
    """
    for claim in _held.get():
        claim.check()


def _read_entry(name: str) -> Owner | None:
    generation, _, owner = name.partition("-")
    return Owner.read(owner) if generation.isdigit() else None


def _owner_of(entry: Path) -> Owner:
    owner = _read_entry(entry.name)
    assert owner is not None, "only names of owners are entries"
    return owner
