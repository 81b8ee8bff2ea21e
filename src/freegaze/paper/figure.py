"""A figure of the paper as one object: its rows, computation, data and files."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable
from urllib.parse import quote

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from freegaze.config import StrictConfig, build_config
from freegaze.errors import DataError
from freegaze.evaluation.storage import load_scores
from freegaze.explanation.explain import explain
from freegaze.explanation.result import EXPLANATION, session_folder
from freegaze.files.atomic import write_file
from freegaze.jobs.fits import Fit
from freegaze.paper.presets import FIGURES, Table, Version
from freegaze.progress import Progress
from freegaze.reports.style import PRINT_RC, any_script

if TYPE_CHECKING:
    from freegaze.paper.grid import Grid

PNG_DPI = 300

_FORMATS: dict[str, dict[str, Any]] = {
    "pdf": {"metadata": {"CreationDate": None, "Creator": None, "Producer": None}},
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "png": {"metadata": {"Software": None}, "dpi": PNG_DPI},
}


@runtime_checkable
class FigureData(Protocol):
    """What a figure shows."""

    @property
    def caption(self) -> str:
        """Text below the figure; its numbers are those that were used."""
        ...

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Tables to write beside it, by the end of the file's name."""
        ...

    def draw(self) -> Mapping[str, Figure]:
        """Return the drawings, by the end of the file's name."""
        ...


class AbstractFigure(StrictConfig, ABC):
    """One version of a figure. Its fields are its settings, ``--set figure.NAME=VALUE``.

    Defaults of the fields are those of the original; ``smaller`` holds other ones by scale.
    """

    smaller: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def is_done(self, fit: Fit) -> bool:
        """Return whether all is kept that this figure needs of an evaluated fit."""
        return True

    def compute(self, grid: Grid, fit: Fit, progress: Progress | None = None) -> None:
        """Compute what this figure needs of a fit, and keep it in the run folder.

        Raises:
            FreegazeError: If the computation of the figure fails.
        """

    @abstractmethod
    def gather(self, grid: Grid, fits: Mapping[str, Sequence[Fit]]) -> FigureData:
        """Gather the data from the fits that are done.

        Args:
            grid: The grid.
            fits: All fits of the figure's rows, by row; some may not be done.

        Raises:
            DataError: If too few fits are done.
            CheckpointError: If a kept result is missing or broken.
        """


class ExplainedFigure(AbstractFigure):
    """A figure that shows explanations of the fits' sessions."""

    def is_done(self, fit: Fit) -> bool:
        """Return whether the session is explained."""
        return EXPLANATION.is_whole(session_folder(fit.run.path, fit.session_id))

    def compute(self, grid: Grid, fit: Fit, progress: Progress | None = None) -> None:
        """Explain the session; what was done of it is kept."""
        (recording,) = grid.recordings(fit)
        explain(grid.encoder(fit), recording, fit.run.path, progress=progress)


@dataclass(frozen=True, kw_only=True)
class PaperFigure(Table):
    """A figure in both versions, and the rows of tables that it shows.

    Args:
        default: The figure as this package makes it.
        paper: The figure as the original made it.
    """

    default: type[AbstractFigure]
    paper: type[AbstractFigure]
    has_all_seeds: bool = False
    is_figure: ClassVar[bool] = True

    def configure(
        self, version: Version, scale: str, settings: Mapping[str, Any]
    ) -> AbstractFigure:
        """Return the figure in one version with its settings; see ``Table.configure``."""
        kind = self.paper if version == "paper" else self.default
        known = {**kind.smaller.get(scale, {}), **settings}
        return build_config(kind, known, where=f"{self.name}, version {version}")


def register_figure(figure: PaperFigure) -> PaperFigure:
    """Enter a figure into ``FIGURES``.

    Raises:
        RegistryError: If its name is taken.
    """
    FIGURES.register(figure.name)(figure)
    return figure


def write_figure(grid: Grid, figure: Table, version: AbstractFigure) -> list[Path]:
    """Write a figure into a grid's folder.

    Args:
        grid: A grid whose fits are done, as far as they are to be shown.
        figure: The figure.
        version: Version of the figure, with the settings of its computation.

    Returns:
        The files written: drawings, tables, and the caption.

    Raises:
        FreegazeError: If what it needs is missing.
    """
    data = version.gather(grid, grid.fits_of(figure))
    return save_data(data, grid.path / figure.name, f"{grid.description} of each fit.")


def save_data(data: FigureData, stem: Path, source: str = "") -> list[Path]:
    """Write a figure's drawings, tables and caption.

    Args:
        data: Data of the figure.
        stem: First part of the files' paths.
        source: A sentence about the recordings, for the caption.

    Returns:
        The files written.

    Raises:
        DataError: If the disk refuses.
    """
    paths = []
    for end, drawing in data.draw().items():
        paths += save_drawing(drawing, _with_end(stem, end))
    texts = {
        f"{_with_end(stem, end)}.csv": table.to_csv(index=False, float_format="%.9g")
        for end, table in data.tables.items()
    }
    texts[f"{stem}.md"] = f"{data.caption} {source}".strip() + "\n"
    for path, text in texts.items():
        write_file(Path(path), text)
    return [*paths, *map(Path, texts)]


def save_drawing(drawing: Figure, stem: Path) -> list[Path]:
    """Write a drawing as PDF, SVG (text stays text) and PNG of 300 dpi, on white.

    The same drawing gives the same bytes.

    Args:
        drawing: Drawing to write, drawn in ``print_style``.
        stem: The files' path without their suffix; existing files are replaced.

    Returns:
        The three files.

    Raises:
        DataError: If the disk refuses.
    """
    paths = []
    for suffix, options in _FORMATS.items():
        stream = io.BytesIO()
        with mpl.rc_context({**PRINT_RC, "svg.hashsalt": stem.name}), any_script():
            drawing.savefig(stream, format=suffix, facecolor="white", **options)
        paths.append(stem.with_name(f"{stem.name}.{suffix}"))
        write_file(paths[-1], stream.getvalue())
    return paths


def done_fits(grid: Grid, fits: Mapping[str, Sequence[Fit]]) -> list[Fit]:
    """Return the fits that are done, for figures that show sessions one by one.

    Raises:
        DataError: If there is none.
    """
    done = [fit for own in fits.values() for fit in own if fit.state == "done"]
    if not done:
        raise DataError(f"{grid.path}: no fit that the figure shows is done yet")
    return done


def best_units(fit: Fit, score: str, n: int) -> list[tuple[str, float]]:
    """Return names and scores of the neurons that a fit predicts best, best first.

    Args:
        fit: An evaluated fit.
        score: ``correlation``, or ``paper_correlation`` for the original's.
        n: Most neurons to return.
    """
    table = load_scores(fit.run.path)
    table = table.sort_values(score, ascending=False, kind="stable", na_position="last")
    units, scores = table["unit_id"].astype(str), table[score].astype(float)
    return list(zip(units, scores, strict=True))[:n]


def _with_end(stem: Path, end: str) -> Path:
    return stem.with_name(stem.name + quote(end, safe=" "))
