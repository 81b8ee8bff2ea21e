"""Recordings as freegaze writes them: stores, and simulated sessions with their truth."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from freegaze.recording.recording import Recording
from freegaze.recording.store import is_store, open_store, save_store
from freegaze.sources.simulation import RECORDING, TRUTH, is_simulation, write_simulation
from freegaze.sources.source import (
    AbstractSource,
    SourceOptions,
    find_folders,
    register_source,
)
from freegaze.sources.tiny import make_tiny_recording


class StoreOptions(SourceOptions):
    """Options of stores and simulated sessions.

    Args:
        verify: Whether to compare every byte with its checksum first.
    """

    verify: bool = False


@register_source("store")
class StoreSource(AbstractSource[StoreOptions]):
    """Memory-mapped folders with checksums, one per session."""

    Options: ClassVar = StoreOptions
    description: ClassVar = "Folders written by freegaze: memory-mapped arrays with checksums"

    def find_sessions(self, path: Path, options: StoreOptions) -> dict[str, Path]:
        """Find the stores."""
        return find_folders(path, is_store)

    def open_session(self, path: Path, name: str, options: StoreOptions) -> Recording:
        """Open one store."""
        recording = open_store(path, verify=options.verify)
        return recording.with_provenance(opened_from=str(path))

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Write one store."""
        return save_store(make_tiny_recording(seed), path / "tiny")

    def looks_like(self, path: Path) -> bool:
        """Return whether there is a store, and no truth of a simulation beside it."""
        return not (path / TRUTH).exists() and super().looks_like(path)


@register_source("simulation")
class SimulationSource(AbstractSource[StoreOptions]):
    """Stores of the virtual mouse, beside the truth, as ``freegaze simulate`` writes them."""

    Options: ClassVar = StoreOptions
    description: ClassVar = "Folders written by `freegaze simulate`: recordings with known truth"

    def find_sessions(self, path: Path, options: StoreOptions) -> dict[str, Path]:
        """Find the folders with a store and a truth."""
        return find_folders(path, is_simulation)

    def open_session(self, path: Path, name: str, options: StoreOptions) -> Recording:
        """Open the store, and note the path of the truth."""
        recording = open_store(path / RECORDING, verify=options.verify)
        places = {"path": str(path), "truth": str(path / TRUTH), "opened_from": str(path)}
        return recording.with_provenance(**places)

    def write_tiny(self, path: Path, seed: int) -> Path:
        """Simulate half a minute of six neurons on a coarse camera."""
        from freegaze.simulation import SimulationConfig, simulate

        config = SimulationConfig(
            minutes=0.5, n_neurons=6, seed=seed, frame_size=(12, 16), n_segments=2
        )
        write_simulation(*simulate(config), path)
        return path
