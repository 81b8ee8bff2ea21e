"""Files of one raw session in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from freegaze.errors import DataError

MERGE = "_ephys_merge.json"
PATTERNS = {
    "world": "_world.nc",
    "eye": "_reye.nc",
    "imu": "_imu.nc",
    "top": "_top1.nc",
    "ball": "_speed.nc",
    "board": "ephys_bonsaiboardts.csv",
}
"""End of each file's name; capitals differ between sessions."""

_DEPTH = 3
"""Sessions lie in ``DATE/ANIMAL/fm1`` and the like."""


@dataclass(frozen=True)
class SessionFiles:
    """The files of one session.

    Args:
        merge: Sorted spikes.
        found: Each other existing file, by its name in ``PATTERNS``.
    """

    merge: Path
    found: dict[str, Path]

    def need(self, name: str) -> Path:
        """Return a file.

        Raises:
            DataError: If it does not exist.
        """
        if name not in self.found:
            raise DataError(
                f"{self.merge.parent} holds no *{PATTERNS[name]} beside {self.merge.name}; run the "
                "laboratory's preprocessing, or copy the file"
            )
        return self.found[name]


def find_sessions(path: Path) -> dict[str, Path]:
    """Return the sorted spikes of each session in a folder, or in folders in it, by session.

    Args:
        path: A folder, or one ``*_ephys_merge.json``.

    Raises:
        DataError: If two sessions have one name.
    """
    if not path.is_dir():
        return {session_name(path): path} if path.name.endswith(MERGE) else {}
    found: dict[str, Path] = {}
    for depth in range(_DEPTH + 1):
        for file in sorted(path.glob("/".join(["*"] * depth + [f"*{MERGE}"]))):
            if (name := session_name(file)) in found:
                raise DataError(f"session {name!r} is in {found[name].parent} and in {file.parent}")
            found[name] = file
    return found


def session_name(merge: Path) -> str:
    """Return the name of a session, which is the beginning of the names of its files."""
    return merge.name.removesuffix(MERGE) or merge.parent.name


def find_files(merge: Path) -> SessionFiles:
    """Find the files beside sorted spikes, in capitals or not.

    Raises:
        DataError: If several files could be one and the same.
    """
    name = session_name(merge).lower()
    found: dict[str, Path] = {}
    for kind, end in PATTERNS.items():
        fitting = [p for p in sorted(merge.parent.iterdir()) if p.name.lower().endswith(end)]
        own = [p for p in fitting if p.name.lower().startswith(name)]
        fitting = own if own else fitting
        if len(fitting) > 1:
            names = ", ".join(p.name for p in fitting)
            raise DataError(f"{merge.parent}: {names} are all *{end}; keep one beside {merge.name}")
        if fitting:
            found[kind] = fitting[0]
    return SessionFiles(merge, found)
