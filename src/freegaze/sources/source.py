"""Sources of recordings, and the opening of recordings by the name of a source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast

from pydantic import Field

from freegaze.config import StrictConfig, build_config
from freegaze.errors import DataError
from freegaze.files.atomic import atomic_folder, visible_folders
from freegaze.files.kinds import describe_missing
from freegaze.recording.recording import Recording, keep_active_neurons
from freegaze.registry import Registry, require_names
from freegaze.sources.conversion import errors_name, safe_name
from freegaze.sources.remote.addresses import as_address, shown_address
from freegaze.sources.remote.blocks import address_of, local_place

_NOT_THERE = "does not exist; give the path of a file or folder to open"

PROBABLY_MS = (5.0, 1000.0)
"""Bin widths in this range were probably given in milliseconds instead of seconds."""


class SourceOptions(StrictConfig):
    """Options of every source.

    Args:
        sessions: Names of the sessions to open; all by default.
        min_rate_hz: Neurons with a lower mean rate in training bins are left out; 0 keeps all.
        leave_out_neurons: Names of neurons to leave out.
        slow_bins: Whether to accept bins of 5 to 1,000 s. Otherwise such a bin width is refused,
            because it is probably in milliseconds.
    """

    sessions: tuple[str, ...] | None = None
    min_rate_hz: float = Field(default=0.0, ge=0)
    leave_out_neurons: tuple[str, ...] = ()
    slow_bins: bool = False


O = TypeVar("O", bound=SourceOptions)  # noqa: E741 - options, as in `Options`


class AbstractSource(ABC, Generic[O]):
    """A file format or data set that is read into recordings.

    To add one, copy ``_template.py`` in this folder. The command line, the contract tests and the
    table in the docs find a registered source.

    Attributes:
        name: Name under which it is registered.
        Options: Options of opening; unknown names are refused.
        description: One line for listings.
        citation: Reference for the data or the format; empty for the user's own files.
        tiny_options: Options that open the file that ``write_tiny`` writes.
        reads_addresses: Whether it reads files on web servers, by ``freegaze.sources.remote``.
    """

    name: ClassVar[str] = ""
    Options: ClassVar[type[SourceOptions]]
    description: ClassVar[str]
    citation: ClassVar[str] = ""
    tiny_options: ClassVar[Mapping[str, Any]] = {}
    reads_addresses: ClassVar[bool] = False

    @abstractmethod
    def find_sessions(self, path: Path, options: O) -> Mapping[str, Path]:
        """Return the file or folder of each session at ``path``, which exists, by session name.

        Raises:
            DataError: If ``path`` cannot hold this format, with the remedy.
        """

    @abstractmethod
    def open_session(self, path: Path, name: str, options: O) -> Recording:
        """Read one session.

        ``open`` adds source, path, options and citation to the recording's provenance (a recording
        that freegaze wrote keeps its own, with ``opened_from``), leaves out neurons below
        ``min_rate_hz``, and puts ``path`` before the messages of errors.

        Args:
            path: The session's file or folder, from ``find_sessions``.
            name: The session's name, from ``find_sessions``.
            options: Options of this source.

        Raises:
            DataError: If a file is missing, damaged or of another layout.
        """

    @abstractmethod
    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write a small valid example into the empty folder ``path``; return the path to open."""

    def recognizes(self, path: Path) -> bool:
        """Return whether a file or folder that ``find_sessions`` found is of this format.

        Only names and first bytes are read.

        Raises:
            DataError: If it is not.
        """
        return True

    def looks_like(self, path: Path) -> bool:
        """Return whether ``path`` seems to have this format, by names and first bytes only."""
        try:
            found = self.find_sessions(path, cast(O, self.Options()))
        except DataError:
            return False
        return any(self._is_recognized(place) for place in found.values())

    def advise(self, path: Path) -> str | None:
        """Return how to use a path that no source opens by itself; ``None`` if this is unknown."""
        return None

    def select_neurons(self, recording: Recording, options: O) -> Recording:
        """Leave out the neurons that are named, and those below ``min_rate_hz``.

        Raises:
            DataError: If there is no neuron of a name, or none is left.
        """
        recording = without_neurons(recording, options.leave_out_neurons)
        if options.min_rate_hz == 0:
            return recording
        return keep_active_neurons(recording, options.min_rate_hz)

    def contents(self, path: Path) -> list[dict[str, Any]]:
        """List what a file holds beside what becomes a recording; one row per item.

        For formats in which the user chooses by name. Empty for all others.

        Raises:
            DataError: If the file is damaged.
        """
        return []

    def open(self, path: Path, options: O) -> list[Recording]:
        """Open the chosen sessions at ``path``, which exists.

        Raises:
            DataError: If there is no such session, or one cannot be read; the message names the
                file and the remedy.
        """
        found = self.find_sessions(path, options)
        picked = _pick_sessions(found, options.sessions, path)
        return _tell_apart(
            {name: self._open_session(found[name], name, options) for name in picked}
        )

    def _open_session(self, path: Path, name: str, options: O) -> Recording:
        shown = address_of(path) or str(path)
        with errors_name(shown):
            recording = self.open_session(path, name, options)
            known = recording.provenance
            if "opened_from" not in known:
                chosen = options.model_dump(mode="json")
                origin = {"source": self.name, "path": shown, "options": chosen}
                known = {**origin, "citation": self.citation, **known}
            return self.select_neurons(recording.with_provenance(**known), options)

    def _is_recognized(self, path: Path) -> bool:
        try:
            return self.recognizes(path)
        except DataError:
            return False


SOURCES: Registry[type[AbstractSource[Any]]] = Registry("source")

S = TypeVar("S", bound=type[AbstractSource[Any]])


def register_source(name: str) -> Callable[[S], S]:
    """Register a source class under ``name``, for ``open_recordings`` and the command line."""

    def enter(source: S) -> S:
        SOURCES.register(name)(source)
        source.name = name
        return source

    return enter


def open_recordings(source: str, path: Path | str, **options: Any) -> list[Recording]:
    """Open the recordings that a file or folder holds.

    Args:
        source: Name of the format (``freegaze sources`` lists them), or ``auto`` to detect it.
        path: File or folder; for ``nwb`` also an address, ``https://...`` or
            ``dandi://DANDISET/PATH``, of which only the needed parts are transferred.
        **options: The source's own options, such as ``min_rate_hz=3.0``.

    Returns:
        One recording per session, checked.

    Raises:
        RegistryError: If there is no such source.
        ConfigError: If an option is unknown or of the wrong kind.
        DataError: If the path is missing or cannot be read as a recording.

    Example:
        >>> [recording] = open_recordings("arrays", "mouse.npz")
        >>> recording.n_neurons
        6
    """
    if source == "auto":
        source = detect_source(path)
    opener = SOURCES.get(source)()
    chosen = build_config(opener.Options, options, where=f"options of source {source!r}")
    address = as_address(path)
    shown = None if address is None else shown_address(address)
    if shown is not None and not opener.reads_addresses:
        able = ", ".join(name for name in SOURCES if SOURCES.get(name).reads_addresses)
        raise DataError(
            f"{shown}: source {source!r} reads files of this machine only; download the file and "
            f"give its path (sources that read addresses: {able})"
        )
    where = local_place(path)
    if not where.exists():
        raise DataError(f"{where} {describe_missing(where) or _NOT_THERE}")
    recordings = opener.open(where, chosen)
    _check_sessions(recordings, where)
    if not chosen.slow_bins:
        _check_bin_width(recordings, where)
    given = chosen.model_dump(mode="json", exclude_unset=True)
    opened = {"name": source, "path": shown or str(where.resolve()), "options": given}
    return [recording.with_provenance(opened=opened) for recording in recordings]


def detect_source(path: Path | str) -> str:
    """Find the source that can open a path.

    Args:
        path: File or folder, or an address.

    Returns:
        The source's name.

    Raises:
        DataError: If the path is missing, or no source or several recognize it.
    """
    where = local_place(path)
    if not where.exists():
        raise DataError(f"{where} {describe_missing(where) or _NOT_THERE}")
    fitting = [name for name in SOURCES if SOURCES.get(name)().looks_like(where)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        for name in SOURCES:
            advice = SOURCES.get(name)().advise(where)
            if advice is not None:
                raise DataError(advice)
    what = f"may be any of {', '.join(fitting)}" if fitting else "is of no known format"
    raise DataError(f"{where} {what}; name the source (known: {', '.join(SOURCES)})")


def write_example(source: str, folder: Path | str, seed: int = 0) -> Path:
    """Write a small example of a source's files.

    Args:
        source: Name of the source.
        folder: New folder.
        seed: Fixes the numbers in the files.

    Returns:
        The path to open.

    Raises:
        RegistryError: If there is no such source.
        DataError: If the folder exists already, or the disk refuses.

    Example:
        >>> path = write_example("arrays", "example")
        >>> open_recordings("arrays", path)[0].n_neurons
        5
    """
    opener, target = SOURCES.get(source)(), Path(folder).expanduser()
    with atomic_folder(target, lambda _: False, "choose a new folder") as partial:
        opened = opener.write_tiny(partial, seed).relative_to(partial)
    return target / opened


def find_folders(path: Path, is_session: Callable[[Path], bool]) -> dict[str, Path]:
    """Find the folders of sessions: ``path`` itself, or those in it.

    Args:
        path: Path that the user gave.
        is_session: Whether a folder is a session.

    Raises:
        DataError: If ``path`` is no folder.
    """
    if not path.is_dir():
        raise DataError(f"{path} is a file; give the folder of a session, or of several")
    if is_session(path):
        return {path.resolve().name: path}
    return {folder.name: folder for folder in visible_folders(path) if is_session(folder)}


def find_files(path: Path, pattern: str) -> dict[str, Path]:
    """Find the files of sessions: ``path`` itself, or those in it that match a pattern.

    Args:
        path: Path that the user gave.
        pattern: Names of files in a folder, such as ``*.npz``; the text after the asterisk is not
            part of a session's name.
    """
    files = sorted(path.glob(pattern)) if path.is_dir() else [path]
    end = pattern.rpartition("*")[2].partition(".")[0]
    return {file.stem.removesuffix(end): file for file in files if file.stem}


def without_neurons(recording: Recording, names: tuple[str, ...]) -> Recording:
    """Leave out neurons by name.

    Args:
        recording: Any recording; neurons that its source has left out already are known.
        names: Names of the neurons.

    Raises:
        DataError: If there is no neuron of a name; the message names the nearest.
    """
    gone = recording.provenance.get("left_out_neurons", ())  # by the source itself
    what = f"leave_out_neurons: session {recording.session_id!r} has no neuron"
    require_names([name for name in names if name not in gone], recording.unit_ids, what)
    if not set(names) & set(recording.unit_ids):
        return recording
    return recording.select_neurons([n not in names for n in recording.unit_ids])


def _tell_apart(recordings: Mapping[str, Recording]) -> list[Recording]:
    """Name sessions of one id by their files; the id stays in the provenance."""
    ids = [recording.session_id for recording in recordings.values()]
    return [
        recording
        if ids.count(recording.session_id) == 1
        else replace(
            recording,
            session_id=safe_name(name, recording.session_id),
            provenance={"original_session_id": recording.session_id, **recording.provenance},
        )
        for name, recording in recordings.items()
    ]


def _pick_sessions(
    found: Mapping[str, Path], wanted: tuple[str, ...] | None, path: Path
) -> list[str]:
    """Return the names of the sessions to open, in the wanted order."""
    if not found:
        raise DataError(f"{path} holds no session of this format; check the path and the source")
    names = sorted(found) if wanted is None else list(wanted)
    require_names(names, found, f"{path} holds no session")
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: session {name!r} is there twice in the option `sessions`")
    return names


def _check_bin_width(recordings: list[Recording], path: Path) -> None:
    low, high = PROBABLY_MS
    for recording in recordings:
        width = recording.bin_width_s
        if low <= width <= high:
            raise DataError(
                f"{path}: session {recording.session_id!r} has bin_width_s = {width:g}, which is "
                f"{width:g} seconds per bin; for {width:g} ms write {width / 1000:g}, for bins as "
                "slow as that give the option `slow_bins=true` of the source (`--option "
                "slow_bins=true`, in train `--set source.options.slow_bins=true`)"
            )


def _check_sessions(recordings: list[Recording], path: Path) -> None:
    names = [r.session_id for r in recordings]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice or not names:
        what = f"session {twice[0]!r} is there twice" if twice else "no session was found"
        raise DataError(f"{path}: {what}; check the folder and the option `sessions`")
