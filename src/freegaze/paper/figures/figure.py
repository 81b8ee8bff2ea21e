"""Figures of the paper on a grid: the cells that one needs, and what is done to each after its fit.

``paper`` figures are made as the original made them; ``default`` figures show what
``freegaze.explanation`` says about each neuron.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from freegaze.config import StrictConfig, build_config
from freegaze.errors import ConfigError
from freegaze.evaluation.storage import load_evaluation
from freegaze.explanation.explain import explain
from freegaze.explanation.result import SessionExplanation
from freegaze.explanation.storage import EXPLANATION, session_folder
from freegaze.files.pieces import load_piece, save_piece
from freegaze.fitted.encoder import FittedEncoder
from freegaze.paper.ascent import PaperAscent, has_most_exciting, keep_most_exciting
from freegaze.paper.cells import cell_encoder, cell_recordings
from freegaze.paper.grid import Cell, Grid
from freegaze.paper.presets import FIGURES, Table, Version, find_table, preset
from freegaze.paper.saliency import paper_saliency
from freegaze.progress import Progress
from freegaze.recording.recording import Recording

SALIENCY_FOLDER = "paper_saliency"


class FigureSettings(StrictConfig):
    """How large a figure's analyses are, and how it looks; ``--set figure.NAME=VALUE``.

    Defaults are those of the original; smaller scales start from smaller ones.

    Args:
        neurons: Best neurons of each session that galleries show.
        batches: Of gradient ascent, in the ``paper`` version.
        images: Images of a batch.
        steps: Steps of each.
        repeats: Of Figure C1.
        windows: Test windows that saliency is averaged over, in the ``paper`` version; all if null.
        lowpass: Whether galleries of the ``paper`` version are smoothed as the original's.
        limit: Gray level at which colors of the ``paper`` version saturate; the original's by
            default.
    """

    neurons: PositiveInt = 32
    batches: PositiveInt = 100
    images: PositiveInt = 64
    steps: PositiveInt = 100
    repeats: PositiveInt = 3
    windows: PositiveInt | None = None
    lowpass: bool = True
    limit: PositiveFloat | None = None


SMALLER: Mapping[str, Mapping[str, Any]] = {
    "tiny": {"neurons": 8, "batches": 1, "images": 8, "steps": 60, "repeats": 2, "windows": 256},
    "small": {"neurons": 12, "batches": 2, "steps": 100, "windows": 2000},
}
"""Settings of the scales that are not the original's."""


@runtime_checkable
class Explain(Protocol):
    """Explain the neurons of a session, keeping what is done in the run's folder."""

    def __call__(
        self,
        encoder: FittedEncoder,
        recording: Recording,
        run_folder: Path,
        *,
        progress: Progress | None = None,
    ) -> SessionExplanation:
        """Return the explanation."""
        ...


def figure_settings(scale: str, values: Mapping[str, Any]) -> FigureSettings:
    """Return the settings of a figure at a scale.

    Args:
        scale: ``tiny``, ``small`` or ``full``.
        values: What is asked to be otherwise.

    Raises:
        ConfigError: If there is no such setting.
    """
    return build_config(FigureSettings, {**SMALLER.get(scale, {}), **values}, where="figure")


def figure_cells(grid: Grid, name: str) -> dict[str, list[Cell]]:
    """Return the cells of a grid that a figure needs, by the name of the figure's row.

    Any grid will do that holds rows of the same configuration, such as Table 2 for Figure 3. Figure
    3 takes all seeds, the others the first.

    Raises:
        ConfigError: If a row is missing.
    """
    figure, found = find_table(name), {}
    for row in figure.rows:
        wanted = preset(figure.name, row.name, grid.config.version)
        same = [
            own.name
            for own in grid.rows
            if preset(grid.table.name, own.name, grid.config.version) == wanted
        ]
        if not same:
            raise ConfigError(
                f"{grid.path} holds a grid of {grid.table.name} without the row {row.name!r} that "
                f"{name} shows; choose another folder"
            )
        found[row.name] = [
            cell
            for cell in grid.cells
            if cell.row == same[0] and (cell.seed == 0 or len(figure.rows) > 1)
        ]
    return found


def best_units(cell: Cell, version: Version, n: int) -> list[tuple[str, float]]:
    """Return the names and correlations of the neurons that a cell predicts best, best first.

    By the original's correlation in the ``paper`` version, else by that of single bins.
    """
    table = load_evaluation(cell.run.path).table
    table = table.sort_values(
        correlation_name(version), ascending=False, kind="stable", na_position="last"
    )
    values = table[correlation_name(version)].astype(float)
    return list(zip(table["unit_id"].astype(str), values, strict=True))[:n]


def correlation_name(version: Version) -> str:
    """Return the column of scores by which neurons are ranked."""
    return "paper_correlation" if version == "paper" else "correlation"


def ascent_of(name: Literal["figure4", "figurec1"], settings: FigureSettings) -> PaperAscent:
    """Return the protocol of a gallery of the original."""
    return PaperAscent(settings.batches, settings.images, settings.steps, name == "figure4")


def repeats_of(name: str, settings: FigureSettings) -> int:
    """Return how often each image is looked for."""
    return settings.repeats if name == "figurec1" else 1


def saliency_file(run: Path, settings: FigureSettings) -> Path:
    """Return where the original's saliency is kept: its values, and names of both axes."""
    return run / SALIENCY_FOLDER / f"{settings.windows or 'all'}-windows.npz"


@dataclass(frozen=True)
class FigureStep:
    """What a figure needs of each cell after its fit; see ``freegaze.paper.cells.CellStep``.

    Args:
        figure: Name of the figure.
        settings: How large.
        version: Of the grid.
        explain: Explains a session, for figures of the ``default`` version.
    """

    figure: str
    settings: FigureSettings
    version: Version
    explain: Explain = explain

    def is_done(self, cell: Cell) -> bool:
        """Whether what is needed is kept."""
        if self.figure == "figure3":
            return True
        run = cell.run.path
        if self.version == "default":
            return EXPLANATION.is_whole(session_folder(run, cell.session_id))
        if self.figure == "figure5":
            return load_piece(saliency_file(run, self.settings)) is not None
        return has_most_exciting(run, *self._ascents(cell))

    def __call__(self, grid: Grid, cell: Cell, progress: Progress | None) -> None:
        """Compute and keep it.

        Raises:
            FreegazeError: As what is computed.
        """
        if self.is_done(cell):
            return
        encoder = cell_encoder(grid, cell)
        if self.version == "paper" and self.figure != "figure5":
            asked = self._ascents(cell)
            keep_most_exciting(cell.run.path, encoder, cell.session_id, *asked, progress=progress)
            return
        (recording,) = cell_recordings(grid, cell)
        if self.version == "default":
            self.explain(encoder, recording, cell.run.path, progress=progress)
            return
        found = paper_saliency(encoder, recording, self.settings.windows, progress=progress)
        kept = {
            "saliency": found,
            "unit_ids": np.array(encoder.sessions[cell.session_id].unit_ids),
            "features": np.array(encoder.behavior_names),
        }
        save_piece(saliency_file(cell.run.path, self.settings), kept)

    def _ascents(self, cell: Cell) -> tuple[list[str], PaperAscent, int]:
        assert self.figure in ("figure4", "figurec1"), "the others have no gallery"
        units = [unit for unit, _ in best_units(cell, self.version, self.settings.neurons)]
        return units, ascent_of(self.figure, self.settings), repeats_of(self.figure, self.settings)


def is_figure(table: Table) -> bool:
    """Whether what is reproduced is a figure."""
    return table.name in FIGURES
