"""Figures of the paper as files: PDF, SVG, PNG, what they show as CSV, and a caption."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from freegaze.errors import RegistryError
from freegaze.evaluation.compare import ALL_SESSIONS
from freegaze.files.atomic import write_file
from freegaze.paper.classes import THRESHOLD
from freegaze.paper.figures.draw_classes import Bar, draw_classes
from freegaze.paper.figures.draw_correlations import CorrelationPanel, draw_correlations
from freegaze.paper.figures.draw_gallery import draw_gallery
from freegaze.paper.figures.draw_gaze_shifts import ShiftResponses, draw_gaze_shifts
from freegaze.paper.figures.figure import FigureSettings
from freegaze.paper.figures.figure3 import Figure3, figure3
from freegaze.paper.figures.figure4 import Figure4, figure4
from freegaze.paper.figures.figure5 import Figure5, figure5
from freegaze.paper.grid import Grid
from freegaze.reports.export import save_figure
from freegaze.reports.wording import count, fixed, interval

PaperFigure = Figure3 | Figure4 | Figure5


def write_paper_figure(grid: Grid, name: str, settings: FigureSettings) -> list[Path]:
    """Write a figure of the paper into a grid's folder.

    Args:
        grid: A grid whose cells are done, as far as they are to be shown.
        name: ``figure3``, ``figure4``, ``figure5`` or ``figurec1``.
        settings: With which the cells were worked on.

    Returns:
        The files written: drawings, tables, and the caption.

    Raises:
        RegistryError: If there is no such figure.
        FreegazeError: If what it needs is missing; see ``figure3`` and so on.
    """
    if name == "figure3":
        data: PaperFigure = figure3(grid)
    elif name in ("figure4", "figurec1"):
        data = figure4(grid, name, settings)
    elif name == "figure5":
        data = figure5(grid, settings)
    else:
        raise RegistryError(f"no figure {name!r}; choose figure3, figure4, figure5 or figurec1")
    return save_paper_figure(data, name, grid.path, source=_source(grid))


def save_paper_figure(data: PaperFigure, name: str, folder: Path, source: str = "") -> list[Path]:
    """Write a figure's drawings, tables and caption.

    Args:
        data: What it shows.
        name: First part of the files' names.
        folder: Where to.
        source: Words about the recordings, for the caption.
    """
    paths: list[Path] = []
    for end, figure in draw_paper_figure(data).items():
        paths += save_figure(figure, folder / f"{name}{quote(end, safe=' ')}")
    for end, table in data.tables.items():
        path = folder / f"{name}{quote(end, safe=' ')}.csv"
        paths.append(write_file(path, table.to_csv(index=False, float_format="%.9g")))
    caption = f"{data.caption} {source}".strip() + "\n"
    return [*paths, write_file(folder / f"{name}.md", caption)]


def draw_paper_figure(data: PaperFigure) -> dict[str, Figure]:
    """Draw a figure.

    Args:
        data: What it shows.

    Returns:
        Drawings by the end of their files' names.
    """
    if isinstance(data, Figure3):
        return {"": _correlations(data)}
    if isinstance(data, Figure4):
        return {
            f"_{s.session_id}": draw_gallery(
                *(s.pictures, s.unit_ids, s.correlations, s.columns, s.limit, data.unit),
                *(s.session_id, s.deg_per_px),
            )
            for s in data.sessions
        }
    shifts = {
        f"_gaze_shifts_{name}": _gaze_shifts(own, str(name))
        for name, own in _by_session(data.gaze_shifts)
    }
    return {"": _classes(data), **shifts}


def _source(grid: Grid) -> str:
    where = "simulated sessions" if grid.is_simulated else f"source {grid.source.name!r}"
    n_seeds = "one seed" if grid.config.seeds == 1 else f"{grid.config.seeds} seeds"
    return (
        f"Version {grid.config.version}, scale {grid.config.scale}, {where}, {n_seeds} of each fit."
    )


def _correlations(data: Figure3) -> Figure:
    numbers = {name: i for i, name in enumerate(data.session_ids)}
    panels = []
    for test in data.tests.to_dict("records"):
        name = test["session_id"]
        own = data.neurons
        if name != ALL_SESSIONS:
            own = own.loc[own["session_id"] == name]
        panels.append(
            CorrelationPanel(
                "all sessions" if name == ALL_SESSIONS else str(name),
                own["vision"].to_numpy(float),
                own["multimodal"].to_numpy(float),
                [numbers[s] for s in own["session_id"]],
                _note(test, data.version),
            )
        )
    return draw_correlations(panels)


def _note(test: Mapping[Hashable, Any], version: str) -> tuple[str, str]:
    value, low, high, p, p_wilcoxon = (
        float(test[k])
        for k in ("difference", "difference_low", "difference_high", "p", "p_wilcoxon")
    )
    sign = "+" if value > 0 else ""
    reach = f" ({interval(low, high)})" if np.isfinite(low) else ""
    shown = p_wilcoxon if version == "paper" else p
    chance = f", p = {shown:.2g}" if np.isfinite(shown) else ""
    return f"Δr {sign}{fixed(value)}{reach}", f"{count(test['n_neurons'], 'neuron')}{chance}"


def _classes(data: Figure5) -> Figure:
    key = "variable" if data.version == "paper" else "class"
    shares = (
        {"share": "all neurons", "share_good": "good neurons"}
        if data.version == "paper"
        else {"share": "all neurons"}
    )
    sessions = data.session_ids
    whole = ALL_SESSIONS if len(sessions) > 1 else sessions[0]
    bars = []
    for kind in dict.fromkeys(data.counts[key]):
        own = data.counts[data.counts[key] == kind].set_index("session_id")
        bars.append(
            Bar(
                str(kind).replace("_", " "),
                {label: float(own.loc[whole, name]) for name, label in shares.items()},
                [float(own.loc[session, "share"]) for session in sessions],
                float(own.loc[whole, "expected_share"]) if "expected_share" in own else np.nan,
            )
        )
    saliency = {
        str(name): own["value"].to_numpy(float)
        for name, own in data.saliency.groupby("signal", sort=False)
    }
    if data.version == "paper":
        return draw_classes(bars, sessions, saliency, "saliency (sd)", THRESHOLD)
    return draw_classes(bars, sessions, saliency, "saliency (counts/bin per sd)")


def _by_session(table: pd.DataFrame) -> list[tuple[object, pd.DataFrame]]:
    return list(table.groupby("session_id", sort=False)) if len(table) else []


def _gaze_shifts(table: pd.DataFrame, title: str) -> Figure:
    """Draw a session's shifts, neurons sorted by when their first direction's prediction peaks."""
    offsets = np.unique(table["offset_s"].to_numpy(float))
    responses, order = {}, None
    for direction, own in table.groupby("direction", sort=False):
        wide = own.pivot(index="unit_id", columns="offset_s", values=["observed", "predicted"])
        ratios = {}
        for kind in ("observed", "predicted"):
            values = wide[kind].to_numpy(float)
            mean = values.mean(1, keepdims=True)
            ratios[kind] = np.divide(
                values, mean, out=np.full_like(values, np.nan), where=np.abs(mean) > 0
            )
        if order is None:
            peaks = np.nan_to_num(ratios["predicted"], nan=-np.inf).argmax(1)
            order = np.argsort(peaks, kind="stable")
        responses[str(direction)] = ShiftResponses(
            ratios["observed"][order],
            ratios["predicted"][order],
            int(own["n_events"].to_numpy().max()),
        )
    return draw_gaze_shifts(offsets, responses, title)
