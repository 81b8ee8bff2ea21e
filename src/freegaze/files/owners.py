"""Owners of unfinished work on disk: names of processes, signs of life, ages by the server's clock.

The name of an owner is part of the name of a folder, so that it is there as soon as the folder is.
An owner on this machine is looked up among its processes. An owner on another machine is judged by
the times of its folder, which it renews while it works. Both times of a comparison are set by the
file server, so that clocks of different hosts need not agree.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

BEAT_S = 20.0
"""Seconds between two signs of life."""

LIMIT_S = 180.0
"""Age of the last sign of life beyond which an owner has lost its folder.

Clients of network file systems keep the times of files for up to 60 s, to which come several signs
of life that a busy server delays.
"""

LONGEST_HOST = 24


@dataclass(frozen=True)
class Owner:
    """A process, as one word in the names of folders.

    Args:
        machine: The machine since its last start, and the namespace of its process numbers.
        process: Number of the process.
        started: When the process began, in ticks of that machine; 0 where that is unknown.
        number: A random number, so that no two names are alike.
        host: Name of the machine, for messages.
    """

    machine: str
    process: int
    started: int
    number: str
    host: str

    @classmethod
    def here(cls) -> Owner:
        """Return a new name of this process."""
        process = os.getpid()
        _, started = _process_state(process)
        host = "".join(c for c in socket.gethostname() if c.isalnum() or c in ".-_")
        return cls(_machine(), process, started, uuid.uuid4().hex[:8], host[:LONGEST_HOST])

    @classmethod
    def read(cls, text: str) -> Owner | None:
        """Read a name; ``None`` if it is none."""
        parts = text.split("-", 4)
        if len(parts) != 5 or not (parts[1] + parts[2]).isdigit():
            return None
        return cls(parts[0], int(parts[1]), int(parts[2]), parts[3], parts[4])

    def __str__(self) -> str:
        return f"{self.machine}-{self.process}-{self.started}-{self.number}-{self.host}"

    @property
    def description(self) -> str:
        """Process and host, for messages."""
        return f"process {self.process} on {self.host}"

    @property
    def has_ended(self) -> bool:
        """Whether this is a process of this machine that has ended."""
        if self.machine != _machine() or os.name != "posix":
            return False
        with suppress(PermissionError):
            try:
                os.kill(self.process, 0)
            except ProcessLookupError:
                return True
        state, started = _process_state(self.process)
        is_other = 0 not in (started, self.started) and started != self.started
        return state in ("Z", "X") or is_other


def has_given_up(folder: Path, owner: Owner, target: Path, limit_s: float = LIMIT_S) -> bool:
    """Return whether an owner has ended, or its folder has had no sign of life for too long.

    Args:
        folder: The folder.
        owner: Owner of the folder.
        target: What the owner prepares or holds; the server's time is asked for beside it.
        limit_s: Greatest age of the last sign of life, in seconds.

    Raises:
        OSError: If the folder is gone, or the disk refuses.
    """
    return owner.has_ended or age_s(folder, target) > limit_s


def age_s(folder: Path, target: Path) -> float:
    """Return the seconds since a folder's last sign of life, by the file server's clock.

    A rename counts as one: it sets the time of a folder's last change where ``os.utime`` sets both.

    Args:
        folder: The folder.
        target: A place on the same disk, beside which a folder is made for its time and removed.

    Raises:
        OSError: If the folder is gone, or the disk refuses.
    """
    handle = os.open(folder, os.O_RDONLY)  # opening asks the server, where a lookup may not
    try:
        found = os.fstat(handle)
    finally:
        os.close(handle)
    probe = partial_name(target, Owner.here())
    probe.mkdir()
    try:
        now_ns = probe.stat().st_mtime_ns
    finally:
        probe.rmdir()
    return (now_ns - max(found.st_mtime_ns, found.st_ctime_ns)) / 1e9


def partial_name(target: Path, owner: Owner) -> Path:
    """Return the hidden folder beside a target in which its owner prepares it.

    It is without the host, as names of targets may be long.
    """
    return target.with_name(f".{target.name}.partial-{replace(owner, host='')}")


def partial_owner(name: str, target: Path) -> tuple[bool, Owner | None]:
    """Return whether a name is that of a target's unfinished folder, and its owner if it names one.

    Args:
        name: Name of a file or folder beside the target.
        target: The target.
    """
    prefix = f".{target.name}.partial-"
    is_partial = name.startswith(prefix)
    return is_partial, Owner.read(name.removeprefix(prefix)) if is_partial else None


class Heartbeat:
    """A thread that renews the times of a folder until it is stopped or the folder is gone.

    Args:
        folder: The folder.
        every_s: Seconds between two signs of life.
    """

    def __init__(self, folder: Path, every_s: float = BEAT_S) -> None:
        self._folder, self._every_s = folder, every_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(self._every_s):
            try:
                os.utime(self._folder)
            except FileNotFoundError:  # it was taken over
                return
            except OSError:  # a server that does not answer now may answer later
                continue


@cache
def _machine() -> str:
    """Return a short name of this machine since its start, and of its process namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot, space = str(uuid.getnode()), ""
    return hashlib.sha256(f"{socket.gethostname()} {boot} {space}".encode()).hexdigest()[:8]


def _process_state(process: int) -> tuple[str, int]:
    """Return the state of a process and when it began; an empty state and 0 where unknown."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, IndexError, ValueError):
        return "", 0
