"""Figures 4 and C1 as data: pictures of what excites the best neurons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from freegaze.errors import DataError
from freegaze.explanation.result import METHODS, SessionExplanation
from freegaze.explanation.storage import load_explanation
from freegaze.paper.ascent import MostExciting, load_most_exciting, lowpass
from freegaze.paper.figures.figure import (
    FigureSettings,
    ascent_of,
    best_units,
    figure_cells,
    repeats_of,
)
from freegaze.paper.grid import Cell, Grid
from freegaze.paper.presets import Version
from freegaze.paper.printed import MICE

Gallery = Literal["figure4", "figurec1"]

GALLERY_METHODS: Mapping[Gallery, tuple[str, ...]] = {
    "figure4": ("ascent",),
    "figurec1": ("ascent", "gradient", "linear"),
}
"""Receptive fields that the ``default`` version shows. Where Figure C1 looked for the same images
three times, three ways that have little in common look for the same field."""

FIRST_LIMIT, LIMIT = 0.2, 0.15
"""Gray levels at which the original's colors saturate: mouse 1, the others (Q36)."""


@dataclass(frozen=True, eq=False)
class SessionGallery:
    """The pictures of one session.

    Args:
        session_id: The session.
        unit_ids: Its neurons, best first.
        correlations: By which they are sorted.
        columns: What each of a neuron's pictures is, ``repeat 1`` or a method.
        pictures: One a neuron and column.
        limit: Value at which colors saturate; NaN: each picture's own largest.
        deg_per_px: Calibration of the camera, where it is known.
        starts: Expected count less penalty of the starting images; NaN without ascent.
        ends: The same of the final images.
    """

    session_id: str
    unit_ids: tuple[str, ...]
    correlations: Float[np.ndarray, " neuron"]
    columns: tuple[str, ...]
    pictures: Float[np.ndarray, "neuron column height width"]
    limit: float
    deg_per_px: float | None
    starts: Float[np.ndarray, "neuron column"]
    ends: Float[np.ndarray, "neuron column"]

    @property
    def neurons(self) -> pd.DataFrame:
        """One row a neuron and picture: which, how well predicted, how much it climbed."""
        return pd.DataFrame(
            [
                {
                    "session_id": self.session_id,
                    "rank": rank + 1,
                    "unit_id": unit,
                    "correlation": self.correlations[rank],
                    "picture": column,
                    "start": self.starts[rank, k],
                    "end": self.ends[rank, k],
                    "largest": np.abs(self.pictures[rank, k]).max(),
                    "limit": self.limit,
                }
                for rank, unit in enumerate(self.unit_ids)
                for k, column in enumerate(self.columns)
            ]
        )

    @property
    def levels(self) -> pd.DataFrame:
        """One row a picture and line of pixels: ``x_0``, ``x_1`` ... from left to right."""
        _, _, height, width = self.pictures.shape
        names = [(unit, column) for unit in self.unit_ids for column in self.columns]
        frame = pd.DataFrame(
            self.pictures.reshape(-1, width).astype(np.float32),
            columns=[f"x_{i}" for i in range(width)],
        )
        frame.insert(0, "y", np.tile(np.arange(height), len(names)))
        frame.insert(0, "picture", np.repeat([column for _, column in names], height))
        frame.insert(0, "unit_id", np.repeat([unit for unit, _ in names], height))
        return frame


@dataclass(frozen=True, eq=False)
class Figure4:
    """Galleries of all sessions.

    Args:
        name: ``figure4`` or ``figurec1``.
        version: Of the grid.
        sessions: One gallery each.
        settings: How the pictures were made.
    """

    name: Gallery
    version: Version
    sessions: tuple[SessionGallery, ...]
    settings: FigureSettings

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """What is written beside the figure, by the end of the file's name."""
        neurons = pd.concat([s.neurons for s in self.sessions], ignore_index=True)
        return {"": neurons, **{f"_{s.session_id}": s.levels for s in self.sessions}}

    @property
    def unit(self) -> str:
        """What colors mean."""
        if self.version == "paper":
            return "gray level (0 to 1 is black to white)"
        return "field, share of its largest value"

    @property
    def caption(self) -> str:
        """What is shown."""
        if self.version == "default":
            names = "; ".join(METHODS[m] for m in GALLERY_METHODS[self.name])
            return (
                f"Receptive fields of the best neurons ({names}) on the retinal image, behavior at "
                "its training median, at the strongest moment; sorted by the correlation of single "
                "bins. Colors of each picture end at its own largest value. No smoothing."
            )
        s = self.settings
        behavior = (
            "every behavior feature starts at 1 and is optimized too"
            if self.name == "figure4"
            else f"behavior is drawn from -1 to 1 for each batch and kept; {s.repeats} repeats"
        )
        smoothed = "low-pass Butterworth, 0.05 cycles a pixel" if s.lowpass else "not smoothed"
        size = f"{s.batches} batches of {s.images} images, {s.steps} steps"
        whole = FigureSettings()
        is_whole = (s.batches, s.images, s.steps) == (whole.batches, whole.images, whole.steps)
        less = f" (the original: {whole.batches} of {whole.images}, {whole.steps} steps)"
        return (
            "Images that excite the best neurons most, sorted by the original's correlation: mean "
            f"of {size}{'' if is_whole else less}. Dropout is on, the image passes the shifter, "
            f"{behavior}. {smoothed[0].upper()}{smoothed[1:]}; colors end at fixed gray levels."
        )


def figure4(grid: Grid, name: Gallery, settings: FigureSettings) -> Figure4:
    """Gather a gallery from the cells of a grid that are done.

    Args:
        grid: The grid.
        name: ``figure4`` or ``figurec1``.
        settings: With which the cells were worked on.

    Returns:
        The figure's data.

    Raises:
        ConfigError: If the grid lacks the row.
        DataError: If no cell is done.
        CheckpointError: If a kept result is missing or broken.

    Source: Xu et al. (2023), Figures 4 and C1 (deviations Q34 to Q37).
    """
    cells = [c for own in figure_cells(grid, name).values() for c in own if c.state == "done"]
    if not cells:
        raise DataError(f"{grid.path}: no session of {name} is done yet")
    make = _paper_gallery if grid.config.version == "paper" else _default_gallery
    sessions = tuple(make(cell, name, settings) for cell in cells)
    return Figure4(name, grid.config.version, sessions, settings)


def gallery_of(
    explanation: SessionExplanation, name: Gallery, ranked: list[tuple[str, float]]
) -> SessionGallery:
    """Show an explanation's receptive fields.

    Args:
        explanation: Of the session.
        name: ``figure4`` or ``figurec1``, which decides on the methods.
        ranked: Neurons with their correlations, best first.
    """
    columns = tuple(m for m in GALLERY_METHODS[name] if m in explanation.fields)
    places = [explanation.unit_ids.index(unit) for unit, _ in ranked]
    pictures = np.stack([[explanation.picture(m, place) for m in columns] for place in places])
    return SessionGallery(
        explanation.session_id,
        tuple(unit for unit, _ in ranked),
        np.array([correlation for _, correlation in ranked]),
        columns,
        pictures.astype(np.float64),
        float("nan"),
        explanation.deg_per_px,
        *np.full((2, len(ranked), len(columns)), np.nan),
    )


def _default_gallery(cell: Cell, name: Gallery, settings: FigureSettings) -> SessionGallery:
    explanation = load_explanation(cell.run.path, cell.session_id)
    return gallery_of(explanation, name, best_units(cell, "default", settings.neurons))


def _paper_gallery(cell: Cell, name: Gallery, settings: FigureSettings) -> SessionGallery:
    ranked = best_units(cell, "paper", settings.neurons)
    protocol, repeats = ascent_of(name, settings), range(1, repeats_of(name, settings) + 1)
    found = [
        [load_most_exciting(cell.run.path, unit, protocol, k) for k in repeats]
        for unit, _ in ranked
    ]
    fixed = FIRST_LIMIT if cell.session_id == MICE[0] else LIMIT
    return SessionGallery(
        cell.session_id,
        tuple(unit for unit, _ in ranked),
        np.array([correlation for _, correlation in ranked]),
        tuple(f"repeat {k}" for k in repeats),
        np.array([[_picture(f, settings.lowpass) for f in row] for row in found]),
        settings.limit or fixed,
        None,
        np.array([[f.start for f in row] for row in found]),
        np.array([[f.end for f in row] for row in found]),
    )


def _picture(found: MostExciting, is_smoothed: bool) -> np.ndarray:
    return lowpass(found.picture) if is_smoothed else found.picture.astype(np.float64)
