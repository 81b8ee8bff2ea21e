"""A table or figure of the paper as a grid of fits: rows x sessions x seeds, in one folder.

::

    grid.yaml                            the configuration; another one needs another folder
    sessions/SESSION/                    simulated sessions, where no other source was given
    fits/ROW/SESSION/seed-K/             an ordinary run folder with its evaluation
    fits/ROW/SESSION/seed-K.error.txt    why a fit failed, until it is tried again
    table.csv, table.md, table.html      the scores; differences.csv beside them
    figure3.pdf, .svg, .png, .csv ...    figures, and the numbers that they show

Version 0.1 named the folder of fits ``cells``; such a grid is read and continued.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from freegaze.config import dump_yaml
from freegaze.errors import CheckpointError, ConfigError, RegistryError
from freegaze.files.atomic import write_file
from freegaze.files.claims import claimed
from freegaze.fitted.encoder import FittedEncoder
from freegaze.fitted.storage import load_encoder
from freegaze.jobs.fits import Fit
from freegaze.paper.figure import AbstractFigure
from freegaze.paper.grid_config import (
    GRID_FILE,
    GridConfig,
    Scale,
    find_scale,
    fit_config,
    read_grid_config,
)
from freegaze.paper.presets import Row, Table, find_table, preset
from freegaze.paper.scores import paper_scores
from freegaze.progress import Progress
from freegaze.recording.recording import Recording
from freegaze.registry import require_name, require_names
from freegaze.reports.wording import count
from freegaze.runs.config import RunConfig, SourceConfig
from freegaze.simulation import SimulationConfig, simulate
from freegaze.sources import open_recordings
from freegaze.sources.simulation import write_simulation
from freegaze.studies.fitting import evaluate_fit, fit_or_resume
from freegaze.training.processes import make_accelerator


@dataclass(frozen=True)
class Grid:
    """A grid on disk; ``start_grid`` and ``open_grid`` make one.

    Args:
        path: Folder of the grid.
        config: Configuration of the grid.
        session_ids: Names of the sessions.
    """

    path: Path
    config: GridConfig
    session_ids: tuple[str, ...]

    @property
    def table(self) -> Table:
        """The table or figure it was begun for."""
        return find_table(self.config.table)

    @property
    def scale(self) -> Scale:
        """Its scale."""
        return find_scale(self.config.scale)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows it runs, in the table's order."""
        wanted = self.config.rows
        return tuple(r for r in self.table.rows if not wanted or r.name in wanted)

    @property
    def source(self) -> SourceConfig:
        """Source of its sessions."""
        return self.config.source or _own_source(self.path)

    @property
    def description(self) -> str:
        """Version, sessions, scale and seeds in words."""
        config = self.config
        kind = "simulated" if config.source is None else f"source {config.source.name!r}"
        return (
            f"Version {config.version}: {count(len(self.session_ids), 'session')} ({kind}, scale "
            f"{config.scale}), {count(config.seeds, 'seed')}"
        )

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        """All fits: the first seed of every row and session comes before the second."""
        old = self.path / "cells"
        folder = old if old.is_dir() else self.path / "fits"
        return tuple(
            Fit(row.name, session, seed, folder)
            for seed in range(self.config.seeds)
            for row in self.rows
            for session in self.session_ids
        )

    def fit(self, name: str) -> Fit:
        """Return a fit by name.

        Raises:
            RegistryError: If the grid has no such fit.
        """
        fits = {fit.name: fit for fit in self.fits}
        remedy = "; fits are named ROW/SESSION/seed-K"
        require_name(name, fits, f"{self.path} has no fit", RegistryError, remedy)
        return fits[name]

    def fits_of(self, table: Table) -> dict[str, list[Fit]]:
        """Return the fits that a table or figure shows, by the name of its row.

        A figure may be drawn from any grid with rows of the same configuration, such as Figure 3
        from Table 2.

        Raises:
            ConfigError: If a row is missing.
        """
        version, found = self.config.version, {}
        own = {row.name: preset(self.table.name, row.name, version) for row in self.rows}
        for row in table.rows if table.is_figure else self.rows:
            wanted = preset(table.name, row.name, version)
            same = next((name for name, config in own.items() if config == wanted), None)
            if same is None:
                raise ConfigError(
                    f"{self.path} holds a grid of {self.table.name} without the row {row.name!r} "
                    f"that {table.name} shows; choose another folder"
                )
            fits = [fit for fit in self.fits if fit.row == same]
            found[row.name] = [fit for fit in fits if table.has_all_seeds or fit.seed == 0]
        return found

    def select(self, table: Table, rows: Sequence[str] = ()) -> list[Fit]:
        """Return the fits that a table or figure shows, in the order in which they are run.

        Args:
            table: The table or figure.
            rows: Names of the grid's rows to keep; all by default.

        Raises:
            ConfigError: If a row is missing.
            RegistryError: If the grid does not hold one of ``rows``.
        """
        known = [row.name for row in self.rows]
        require_names(rows, known, f"the grid in {self.path} has no row", RegistryError)
        shown = {fit for fits in self.fits_of(table).values() for fit in fits}
        return [fit for fit in self.fits if fit in shown and (not rows or fit.row in rows)]

    def run_config(self, fit: Fit) -> RunConfig:
        """Return the configuration of a fit.

        Raises:
            ConfigError: If the grid's settings do not fit the row's encoder.
        """
        return fit_config(self.config, self.source, fit.row, fit.session_id, fit.seed)

    def recordings(self, fit: Fit) -> list[Recording]:
        """Open the recordings that a fit is made on.

        Raises:
            DataError: If the source cannot be opened.
        """
        source = self.run_config(fit).source
        assert source.path is not None, "a grid's source has a path"
        return open_recordings(source.name, source.path, **source.options)

    def encoder(self, fit: Fit) -> FittedEncoder:
        """Load a fitted encoder onto the device that its training uses.

        Raises:
            CheckpointError: If the fit is not finished, or broken.
        """
        device = make_accelerator(self.run_config(fit).training).device
        return load_encoder(fit.run.path, device)


@dataclass(frozen=True)
class GridWork:
    """The work of each fit of a grid; see ``freegaze.jobs.fits.Work``.

    Args:
        grid: The grid.
        figure: A figure that needs more of each fit than its evaluation.
    """

    grid: Grid
    figure: AbstractFigure | None = None

    def is_done(self, fit: Fit) -> bool:
        """Return whether a fit is evaluated, and what the figure needs is computed."""
        return fit.state == "done" and (self.figure is None or self.figure.is_done(fit))

    def __call__(self, fit: Fit, progress: Progress | None) -> None:
        """Fit and evaluate, then compute what the figure needs.

        Raises:
            FreegazeError: If fitting, evaluation or the computation of the figure fails.
        """
        if fit.state != "done":
            self._fit_and_evaluate(fit, progress)
        if self.figure is not None and not self.figure.is_done(fit):
            self.figure.compute(self.grid, fit, progress)

    def _fit_and_evaluate(self, fit: Fit, progress: Progress | None) -> None:
        recordings, config = self.grid.recordings(fit), self.grid.run_config(fit)
        fit_or_resume(recordings, config, fit.run.path, progress)
        scores = {"draws": self.grid.scale.draws, "extra_score": paper_scores}
        evaluate_fit(fit.run.path, recordings, config, progress, **scores)


def start_grid(path: Path, config: GridConfig) -> Grid:
    """Begin a grid, or continue the one in the folder if it has the same configuration.

    Args:
        path: The grid's folder.
        config: Configuration of the grid.

    Returns:
        The grid; its sessions are not simulated and its fits not run yet.

    Raises:
        ConfigError: If the folder holds a grid with other settings, or a setting is wrong.
        RegistryError: If table, scale or a row is unknown.
        DataError: If the source cannot be opened, or the disk refuses.
    """
    table = find_table(config.table)
    is_begun = (path / GRID_FILE).exists()
    if is_begun:
        _check_same(path, config)
    source = config.source or _own_source(path)
    for row in [table.row(name) for name in config.rows] or table.rows:
        fit_config(config, source, row.name, "any", 0)  # a wrong setting shows before hours of work
    grid = Grid(path, config, _session_ids(path, config))
    if not is_begun:
        write_file(path / GRID_FILE, dump_yaml(config))
    return grid


def open_grid(path: Path) -> Grid:
    """Open a grid that was begun.

    Args:
        path: The grid's folder.

    Raises:
        CheckpointError: If there is none, or its sessions are not there yet.
        DataError: If its source cannot be opened.
    """
    config = read_grid_config(path)
    grid = Grid(path, config, _session_ids(path, config))
    missing = missing_sessions(grid)
    if missing:
        raise CheckpointError(
            f"{path} lacks the simulated session {missing[0].session_id!r}; run `freegaze "
            f"reproduce {config.table} --out {path}` once, which simulates it"
        )
    return grid


def missing_sessions(grid: Grid) -> list[SimulationConfig]:
    """Return the configurations of the sessions that are not simulated yet."""
    folder = grid.path / "sessions"
    return [own for own in grid.config.simulations if not (folder / own.session_id).is_dir()]


def simulate_sessions(grid: Grid, progress: Progress | None = None) -> None:
    """Simulate the sessions of a grid that are missing.

    Args:
        grid: The grid.
        progress: Called after every step.

    Raises:
        DataError: If the disk refuses.
    """
    grid.path.mkdir(parents=True, exist_ok=True)
    with claimed(grid.path / ".sessions.claim", math.inf):  # for the first of several processes
        for config in missing_sessions(grid):
            (grid.path / "sessions").mkdir(exist_ok=True)
            write_simulation(*simulate(config, progress), grid.path / "sessions")


def _session_ids(path: Path, config: GridConfig) -> tuple[str, ...]:
    if config.source is None:
        return tuple(own.session_id for own in config.simulations)
    if config.source.path is None:
        raise ConfigError(f"{path / GRID_FILE}: the source has no path; give one")
    recordings = open_recordings(config.source.name, config.source.path, **config.source.options)
    return tuple(recording.session_id for recording in recordings)


def _check_same(path: Path, config: GridConfig) -> None:
    before = read_grid_config(path).model_dump(mode="json")
    for key, value in config.model_dump(mode="json").items():
        if before[key] != value:
            raise ConfigError(
                f"{path} holds a grid with {key} {before[key]!r}, requested is {value!r}; choose "
                "another folder, or leave the option out to continue that grid"
            )


def _own_source(path: Path) -> SourceConfig:
    return SourceConfig(name="simulation", path=(path / "sessions").resolve())
