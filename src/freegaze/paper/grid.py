"""A table or figure of the paper as a grid of runs: rows x sessions x seeds, in one folder.

::

    grid.yaml                            what was asked; another question needs another folder
    sessions/SESSION/                    simulated sessions, where no other source was given
    cells/ROW/SESSION/seed-K/            an ordinary run folder with its evaluation
    cells/ROW/SESSION/seed-K.error.txt   why a cell failed, until it is tried again
    table.csv, table.md, table.html      what came out; differences.csv beside them
    figure3.pdf, .svg, .png, .csv ...    figures, and the numbers that they show
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import Field, PositiveInt

from freegaze.config import StrictConfig, build_config, dump_yaml, read_config
from freegaze.errors import CheckpointError, ConfigError, RegistryError
from freegaze.files.atomic import atomic_file
from freegaze.paper.presets import Row, Table, Version, find_table, preset, reads_photographs
from freegaze.paper.scales import Scale, find_scale
from freegaze.progress import Progress
from freegaze.runs.config import RunConfig, SourceConfig, resolve_config
from freegaze.runs.run_folder import RunFolder
from freegaze.simulation import SimulationConfig, simulate
from freegaze.sources import open_recordings
from freegaze.sources.simulation import write_simulation

GRID_FILE = "grid.yaml"
PAPER_FRAME_SIZE = (60, 80)
"""(height, width) that the original's encoders need: three strides of 2 leave 3 x 5."""

CellState = Literal["waiting", "done", "failed"]


class GridConfig(StrictConfig):
    """What a grid is asked to reproduce.

    Args:
        table: ``table1``, ``table2`` or ``table3``; or a figure, whose rows it then runs.
        scale: ``tiny``, ``small`` or ``full``; sizes of simulated sessions, and passes at most.
        version: ``default``, or ``paper`` for the original's encoders and recipes.
        rows: Names of the rows to run; all by default.
        seeds: Fits of each row and session; the seeds are 0, 1, ...
        pretrained: Whether networks made for photographs start from ImageNet weights, which are
            downloaded once, or from random ones.
        source: Recordings to run on; simulated sessions by default.
        settings: Settings of every run by dotted name, ``{"training.precision": "bfloat16"}``.
    """

    table: str
    scale: str = "small"
    version: Version = "default"
    rows: tuple[str, ...] = ()
    seeds: PositiveInt = 1
    pretrained: bool = True
    source: SourceConfig | None = None
    settings: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Args:
        row: Name of the row.
        session_id: The session.
        seed: Of the fit.
        folder: The grid's folder of cells.
    """

    row: str
    session_id: str
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """How a cell is named on the command line."""
        return f"{self.row}/{self.session_id}/seed-{self.seed}"

    @property
    def run(self) -> RunFolder:
        """Its run."""
        return RunFolder(self.folder / self.name)

    @property
    def error_file(self) -> Path:
        """Why it failed."""
        return self.folder / f"{self.name}.error.txt"

    @property
    def state(self) -> CellState:
        """How far it is."""
        if (self.run.path / "evaluation" / "summary.json").is_file():
            return "done"
        return "failed" if self.error_file.is_file() else "waiting"

    @property
    def error(self) -> str:
        """First line of why it failed; empty if it did not."""
        if not self.error_file.is_file():
            return ""
        return (self.error_file.read_text(encoding="utf-8").splitlines() or [""])[0]

    @contextmanager
    def claimed(self) -> Iterator[bool]:
        """Hold the cell for this process; yields whether it could be had.

        The system gives a lock up when its process ends, however it ends.
        """
        lock = FileLock(self.folder / f"{self.name}.lock", timeout=0)
        lock_folder = Path(lock.lock_file).parent
        lock_folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()


@dataclass(frozen=True)
class Grid:
    """A grid on disk; ``start_grid`` and ``open_grid`` make one.

    Args:
        path: Its folder.
        config: What it is asked.
        session_ids: Its sessions.
    """

    path: Path
    config: GridConfig
    session_ids: tuple[str, ...]

    @property
    def table(self) -> Table:
        """The table it reproduces."""
        return find_table(self.config.table)

    @property
    def scale(self) -> Scale:
        """Its size."""
        return find_scale(self.config.scale)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows it runs, in the table's order."""
        wanted = self.config.rows
        return tuple(r for r in self.table.rows if not wanted or r.name in wanted)

    @property
    def is_simulated(self) -> bool:
        """Whether its sessions are those it simulated itself."""
        return self.config.source is None

    @property
    def source(self) -> SourceConfig:
        """Where its sessions are."""
        return self.config.source or _own_source(self.path)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All cells: the first seed of every row and session comes before the second."""
        return tuple(
            Cell(row.name, session, seed, self.path / "cells")
            for seed in range(self.config.seeds)
            for row in self.rows
            for session in self.session_ids
        )

    def cell(self, name: str) -> Cell:
        """Return a cell by name.

        Raises:
            RegistryError: If the grid has no such cell.
        """
        for cell in self.cells:
            if cell.name == name:
                return cell
        raise RegistryError(
            f"{self.path} has no cell {name!r}; cells are named ROW/SESSION/seed-K, for example "
            f"{self.cells[0].name}"
        )

    def run_config(self, cell: Cell) -> RunConfig:
        """Return the configuration of a cell's run.

        Raises:
            ConfigError: If the grid's own settings do not fit the row's encoder.
        """
        return cell_config(self.config, self.source, cell.row, cell.session_id, cell.seed)


def cell_config(
    config: GridConfig, source: SourceConfig, row: str, session_id: str, seed: int
) -> RunConfig:
    """Return the configuration of one run of a grid.

    Args:
        config: What the grid is asked.
        source: Where its sessions are.
        row: Name of the row.
        session_id: The session.
        seed: Of the fit.

    Raises:
        ConfigError: If the grid's own settings do not fit the row's encoder.
        RegistryError: If a name is unknown.
    """
    values = preset(config.table, row, config.version).model_dump(mode="json")
    options = {**source.options, "sessions": [session_id]}
    if config.version == "paper" and source.name == "xu2023":
        options = {"units": "paper", **options}
        values["data"]["min_rate_hz"] = 0.0  # the original's own lists of units, not a rate
    values["source"] = {"name": source.name, "path": source.path, "options": options}
    values["training"]["seed"] = seed
    most = find_scale(config.scale).max_passes
    if most is not None:
        values["training"]["max_passes"] = min(most, values["training"]["max_passes"])
    if not config.pretrained and reads_photographs(find_table(config.table).row(row)):
        values["model"]["core"]["weights"] = "none"
    for key, value in config.settings.items():
        _set(values, key, value)
    return resolve_config(build_config(RunConfig, values, where=f"row {row!r}"))


def start_grid(path: Path, config: GridConfig, progress: Progress | None = None) -> Grid:
    """Begin a grid, or continue the one in the folder if it was asked the same.

    Args:
        path: The grid's folder.
        config: What is asked.
        progress: Told how far the simulation of sessions is.

    Returns:
        The grid; its cells are not run yet.

    Raises:
        ConfigError: If the folder holds a grid with other settings, or a setting is wrong.
        RegistryError: If table, scale or a row is unknown.
        DataError: If the source cannot be opened, or sessions cannot be written.
    """
    is_begun = (path / GRID_FILE).exists()
    if is_begun:
        _check_same(path, config)
    table = find_table(config.table)
    for name in config.rows:
        table.row(name)
    source = config.source or _own_source(path)
    for row in table.rows:  # a wrong setting shows before the time to simulate is spent
        if not config.rows or row.name in config.rows:
            cell_config(config, source, row.name, "any", 0)
    if not is_begun:
        with atomic_file(path / GRID_FILE) as partial:
            partial.write_text(dump_yaml(config), encoding="utf-8")
    if config.source is None:
        _simulate_sessions(path, config, progress)
    return open_grid(path)


def open_grid(path: Path) -> Grid:
    """Open a grid that was begun.

    Args:
        path: The grid's folder.

    Raises:
        CheckpointError: If there is none, or its sessions are not there yet.
        DataError: If its source cannot be opened.
    """
    config = read_grid_config(path)
    if config.source is not None:
        source = config.source
        if source.path is None:
            raise ConfigError(f"{path / GRID_FILE}: the source has no path; give one")
        recordings = open_recordings(source.name, source.path, **source.options)
        return Grid(path, config, tuple(r.session_id for r in recordings))
    wanted = tuple(c.session_id for c in _simulations(config))
    missing = [name for name in wanted if not (path / "sessions" / name).is_dir()]
    if missing:
        raise CheckpointError(
            f"{path} lacks the simulated session {missing[0]!r}; run `freegaze reproduce "
            f"{config.table} --out {path}` once, which simulates it"
        )
    return Grid(path, config, wanted)


def read_grid_config(path: Path) -> GridConfig:
    """Read what a grid was asked.

    Raises:
        CheckpointError: If there is no grid in the folder.
        ConfigError: If its file is damaged.
    """
    if not (path / GRID_FILE).is_file():
        raise CheckpointError(f"{path} holds no grid (no {GRID_FILE}); check the path")
    return read_config(GridConfig, path / GRID_FILE)


def _check_same(path: Path, config: GridConfig) -> None:
    before = read_grid_config(path).model_dump(mode="json")
    now = config.model_dump(mode="json")
    for key, value in now.items():
        if before[key] != value:
            raise ConfigError(
                f"{path} holds a grid with {key} {before[key]!r}, asked for now is {value!r}; "
                "choose another folder, or leave the option out to go on with that grid"
            )


def _own_source(path: Path) -> SourceConfig:
    return SourceConfig(name="simulation", path=(path / "sessions").resolve())


def _simulations(config: GridConfig) -> list[SimulationConfig]:
    size = PAPER_FRAME_SIZE if config.version == "paper" else None
    return find_scale(config.scale).simulations(size)


def _simulate_sessions(path: Path, config: GridConfig, progress: Progress | None) -> None:
    folder = path / "sessions"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(path / "sessions.lock"):  # a second process waits for the first one's sessions
        for simulation in _simulations(config):
            if not (folder / simulation.session_id).is_dir():
                write_simulation(*simulate(simulation, progress), folder)


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    node: Any = values
    for part in path:
        node = node.get(part) if isinstance(node, Mapping) else None
    if not isinstance(node, dict) or not path:
        raise ConfigError(f"settings: no option {key!r}; name one such as training.precision")
    node[last] = value
