"""Open a run or a recording for the explorer, with other formats copied into stores.

Recordings are read, converted and checked in a process of their own, so that the memory of the
server does not depend on formats and lengths.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.pool import AsyncResult
from pathlib import Path
from types import TracebackType
from typing import Any

from freegaze.config import build_config
from freegaze.errors import DataError
from freegaze.evaluation.timeline import load_timelines
from freegaze.progress import Progress
from freegaze.recording.manifest import is_store, read_manifest
from freegaze.recording.store import save_store
from freegaze.sources import SOURCES, detect_source, open_recordings
from freegaze.sources.remote.addresses import as_address
from freegaze.sources.remote.blocks import local_place
from freegaze.sources.simulation import RECORDING
from freegaze.view.rows import ArrayRows
from freegaze.view.session import ViewedSession

REPORT, FLAGS = "quality.json", "flags.npy"


@dataclass(frozen=True)
class Quality:
    """Quality checks of a session.

    Args:
        checks: As ``flags.describe_quality`` returns them, with the names of the flags.
        flags: Flags of all bins, (time, flag), on disk.
    """

    checks: Mapping[str, Any]
    flags: ArrayRows


class Explorer:
    """Sessions of a run or a recording that are open for the explorer.

    Args:
        path: Run folder, or recording.
        scratch: Folder for what is computed, which the caller removes.
        source: Format of a recording; ``auto`` detects it.
        options: Options of the source of a recording.
        progress: Called with (description, done, total) while recordings are opened.

    Raises:
        CheckpointError: If a run is not evaluated or broken.
        DataError: If a recording cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        scratch: Path,
        source: str = "auto",
        options: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.path, self._scratch = path, scratch
        self._pool = multiprocessing.get_context("spawn").Pool(1, _quiet_worker)
        self._checks: dict[int, AsyncResult[None]] = {}
        report = progress or (lambda *_: None)
        try:
            is_run = (path / "config.yaml").is_file()
            report(f"opening {path}", 0, 1)
            self.sessions = self._of_run() if is_run else self._of_data(source, options or {})
            report(f"opening {path}", 1, 1)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Explorer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process that opens and checks recordings."""
        self._pool.terminate()

    def quality(self, number: int) -> Quality | None:
        """Return the quality checks of a session, ``None`` while they are made.

        The first call starts them.

        Args:
            number: Number of the session.

        Raises:
            DataError: If the recording cannot be read.
        """
        session = self.sessions[number]
        report, flags = session.scratch / REPORT, session.scratch / FLAGS
        if number not in self._checks:
            arguments = (session.store, report, flags)
            self._checks[number] = self._pool.apply_async(_check_quality, arguments)
        if not self._checks[number].ready():
            return None
        self._checks[number].get()  # raises what was raised there
        return Quality(json.loads(report.read_text("utf-8")), ArrayRows(flags))

    def _of_run(self) -> list[ViewedSession]:
        timelines, found = load_timelines(self.path), []
        for timeline in timelines:
            if timeline.source is None:
                raise DataError(
                    f"session {timeline.session_id!r} of {self.path} was made in Python, so that "
                    "its recording cannot be opened; save it as a store, and fit that"
                )
            given = timeline.source
            stores = self._stores(given["name"], Path(given["path"]), given["options"])
            if timeline.session_id not in stores:
                raise DataError(
                    f"{given['path']} holds no session {timeline.session_id!r} any more; restore "
                    "the data of the run"
                )
            store = stores[timeline.session_id]
            scratch = self._scratch / f"session_{len(found):04d}"
            found.append(ViewedSession(store, scratch, self.path, timeline))
        return found

    def _of_data(self, source: str, options: Mapping[str, Any]) -> list[ViewedSession]:
        name = detect_source(self.path) if source == "auto" else source
        stores = self._stores(name, self.path, options, is_whole=not set(options) - {"sessions"})
        return [
            ViewedSession(store, self._scratch / f"session_{i:04d}")
            for i, store in enumerate(stores.values())
        ]

    def _stores(
        self, source: str, path: Path, options: Mapping[str, Any], is_whole: bool = True
    ) -> dict[str, Path]:
        """Return the store of each session: its own, or a copy that another process makes."""
        own = _own_stores(source, path, options) if is_whole else None
        if own is not None:
            return own
        folder = self._scratch / f"copies_{len(list(self._scratch.iterdir())):04d}"
        names = self._pool.apply(copy_recordings, (source, path, dict(options), folder))
        return {name: folder / f"{i:04d}" for i, name in enumerate(names)}


def copy_recordings(source: str, path: Path, options: dict[str, Any], folder: Path) -> list[str]:
    """Open recordings and write each as a store.

    Args:
        source: Name of the format.
        path: File, folder or address.
        options: Options of the source.
        folder: New folder for the stores, which are numbered.

    Returns:
        The session of each store.

    Raises:
        DataError: If a recording cannot be opened, or the disk refuses.
    """
    recordings = open_recordings(source, path, **options)
    for i, recording in enumerate(recordings):
        save_store(recording, folder / f"{i:04d}")
    return [recording.session_id for recording in recordings]


def _own_stores(source: str, path: Path, options: Mapping[str, Any]) -> dict[str, Path] | None:
    """Return the folder of each session, ``None`` unless all sessions are stores."""
    opener = SOURCES.get(source)()
    place = local_place(path)
    if as_address(path) is not None or not place.exists():
        return None  # opening reports what is wrong
    chosen = build_config(opener.Options, dict(options), where=f"options of source {source!r}")
    found = opener.find_sessions(place, chosen)
    wanted = (
        sorted(found) if chosen.sessions is None else [n for n in chosen.sessions if n in found]
    )
    stores = [next(filter(is_store, (found[n], found[n] / RECORDING)), None) for n in wanted]
    named = {read_manifest(store).session_id: store for store in stores if store is not None}
    return named if len(named) == len(wanted) > 0 else None


def _check_quality(store: Path, report_file: Path, flags_file: Path) -> None:
    """Write the quality of a store; its checks are only imported where they are made."""
    from freegaze.view.flags import write_flags

    write_flags(store, report_file, flags_file)


def _quiet_worker() -> None:
    """Leave the interrupt key to the server, and the processor to it while both are busy."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)
