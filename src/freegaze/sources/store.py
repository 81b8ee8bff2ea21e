"""A recording as freegaze itself writes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from freegaze.config import StrictConfig
from freegaze.files.atomic import visible_folders
from freegaze.recording.recording import Recording, keep_active_neurons
from freegaze.recording.store import is_store, open_store, save_store
from freegaze.sources.conversion import errors_name
from freegaze.sources.simulation import TRUTH
from freegaze.sources.source import AbstractSource, pick_sessions, register_source
from freegaze.sources.tiny import make_tiny_recording


class StoreOptions(StrictConfig):
    """What to read of stores.

    Args:
        sessions: Folder names to open, where there are several in ``path``; all by default.
        min_rate_hz: Neurons with fewer spikes a second in training bins are left out; 0 keeps all.
        verify: Whether to compare every byte with its checksum first.
    """

    sessions: tuple[str, ...] | None = None
    min_rate_hz: float = Field(0.0, ge=0)
    verify: bool = False


@register_source("store")
class StoreSource(AbstractSource[StoreOptions]):
    """Memory-mapped folders with checksums, one a session."""

    Options: ClassVar = StoreOptions
    description: ClassVar = "Folders written by freegaze: memory-mapped arrays with checksums"

    def open(self, path: Path, options: StoreOptions) -> list[Recording]:
        """Open the store that ``path`` is, or those in it."""
        found = _find_stores(path)
        picked = pick_sessions(found, options.sessions, path)
        return [_open_one(found[name], options) for name in picked]

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write one store."""
        return save_store(make_tiny_recording(seed), path / "tiny")

    def looks_like(self, path: Path) -> bool:
        """Whether the folder, or one in it, holds a store's manifest but no truth."""
        return path.is_dir() and not (path / TRUTH).exists() and bool(_find_stores(path))


def _find_stores(path: Path) -> dict[str, Path]:
    if is_store(path) or not path.is_dir():
        return {path.resolve().name: path}
    return {p.name: p for p in visible_folders(path) if is_store(p)}


def _open_one(folder: Path, options: StoreOptions) -> Recording:
    with errors_name(folder):
        recording = open_store(folder, verify=options.verify)
        origin = {**recording.provenance, "opened_from": str(folder)}
        recording = replace(recording, provenance=origin)
        if options.min_rate_hz > 0:
            recording = keep_active_neurons(recording, options.min_rate_hz)
        return recording
