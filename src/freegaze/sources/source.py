"""What a source is, and how to open one by name."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from freegaze.config import StrictConfig, build_config
from freegaze.errors import DataError
from freegaze.recording.recording import Recording
from freegaze.registry import Registry, nearest_names

O = TypeVar("O", bound=StrictConfig)  # noqa: E741 - options, as in `Options`


class AbstractSource(ABC, Generic[O]):
    """Reads one file format or data set into recordings.

    To add one, copy ``_template.py`` in this folder: registering it is enough for the command line,
    the contract tests and the table in the docs.

    Attributes:
        name: Under which it is registered.
        Options: What the user may choose when opening; unknown names are refused.
        description: One line for listings.
        citation: Whom to cite for the data or the format; empty for one's own files.
        tiny_options: What must be asked for to open the file that ``write_tiny`` writes.
    """

    name: ClassVar[str] = ""
    Options: ClassVar[type[StrictConfig]]
    description: ClassVar[str]
    citation: ClassVar[str] = ""
    tiny_options: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def open(self, path: Path, options: O) -> list[Recording]:
        """Read every session found at ``path``, which exists.

        Raises:
            DataError: Naming the file that is wrong, and what to do.
        """

    @abstractmethod
    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write a small valid example into the empty folder ``path``; return what to open."""

    @abstractmethod
    def looks_like(self, path: Path) -> bool:
        """Say whether ``path`` seems to hold this format, from names and first bytes only."""

    def contents(self, path: Path) -> list[dict[str, Any]]:
        """List what a file holds beside what becomes a recording; one row each.

        For formats in which the user chooses by name. Empty for all others.

        Raises:
            DataError: If the file is damaged.
        """
        return []

    def provenance(self, path: Path, options: StrictConfig, **more: Any) -> dict[str, Any]:
        """Return what a recording shall remember about where it came from."""
        chosen = options.model_dump(mode="json")
        origin = {"source": self.name, "path": str(path), "options": chosen}
        return {**origin, "citation": self.citation, **more}


SOURCES: Registry[type[AbstractSource[Any]]] = Registry("source")

S = TypeVar("S", bound=type[AbstractSource[Any]])


def register_source(name: str) -> Callable[[S], S]:
    """Enter a source class under ``name``, for ``open_recordings`` and the command line."""

    def enter(source: S) -> S:
        SOURCES.register(name)(source)
        source.name = name
        return source

    return enter


def open_recordings(source: str, path: Path | str, **options: Any) -> list[Recording]:
    """Open the recordings that a file or folder holds.

    Args:
        source: Name of the format (``freegaze sources`` lists them), or ``auto`` to find it out.
        path: File or folder.
        **options: The source's own options, such as ``min_rate_hz=3.0``.

    Returns:
        One recording a session, checked.

    Raises:
        RegistryError: If there is no such source.
        ConfigError: If an option is unknown or of the wrong kind.
        DataError: If the path is missing, or what is there cannot be a recording.

    Example:
        >>> open_recordings("arrays", "mouse1.npz")  # doctest: +SKIP
    """
    where = Path(path).expanduser()
    if source == "auto":
        source = detect_source(where)
    opener = SOURCES.get(source)()
    chosen = build_config(opener.Options, options, where=f"options of source {source!r}")
    if not where.exists():
        raise DataError(f"{where} does not exist; give the path of a file or folder to open")
    recordings = opener.open(where, chosen)
    _check_sessions(recordings, where)
    return recordings


def detect_source(path: Path | str) -> str:
    """Find out which source can open a path.

    Args:
        path: File or folder.

    Returns:
        The source's name.

    Raises:
        DataError: If the path is missing, or no source or several recognize it.
    """
    where = Path(path).expanduser()
    if not where.exists():
        raise DataError(f"{where} does not exist; give the path of a file or folder to open")
    fitting = [name for name in SOURCES if SOURCES.get(name)().looks_like(where)]
    if len(fitting) == 1:
        return fitting[0]
    what = f"may be any of {', '.join(fitting)}" if fitting else "is of no known format"
    raise DataError(f"{where} {what}; name the source (known: {', '.join(SOURCES)})")


def describe_sources() -> list[dict[str, str]]:
    """Describe every source, for listings and the docs.

    Returns:
        One row a source: name, description, options with their defaults, citation.
    """
    rows = []
    for name in SOURCES:
        source = SOURCES.get(name)
        defaults = source.Options().model_dump(mode="json")
        options = ", ".join(f"{key}={json.dumps(value)}" for key, value in defaults.items())
        row = {"name": name, "description": source.description, "options": options}
        rows.append({**row, "citation": source.citation})
    return rows


def pick_sessions(found: dict[str, Path], wanted: tuple[str, ...] | None, path: Path) -> list[str]:
    """Return the sessions to open, in the order asked for.

    Args:
        found: Where each session is.
        wanted: Their names, or ``None`` for all.
        path: Where they were looked for, for messages.

    Raises:
        DataError: If there is none, or one is not there.
    """
    if not found:
        raise DataError(f"{path} holds no session of this format; check the path and the source")
    for name in wanted or ():
        if name not in found:
            raise DataError(
                f"{path} holds no session {name!r} ({nearest_names(name, list(found))})"
            )
    return sorted(found) if wanted is None else list(wanted)


def _check_sessions(recordings: list[Recording], path: Path) -> None:
    names = [r.session_id for r in recordings]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice or not names:
        what = f"session {twice[0]!r} is there twice" if twice else "no session was found"
        raise DataError(f"{path}: {what}; check the folder and the option `sessions`")
