"""A reproduced table of the paper as a page."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from freegaze.metrics.metric import METRICS
from freegaze.paper.result import ATTAINABLE, GridResult, row_label
from freegaze.reports.page import Page, Panel, Section, wide_panel, write_page
from freegaze.reports.sections.comparison import build_differences
from freegaze.reports.style import (
    BASELINE_COLORS,
    INK,
    MARKERS,
    PAPER,
    SMALL_PX,
    few_ticks,
    house_style,
    label_axes,
    new_figure,
    quiet_grid,
)
from freegaze.reports.wording import count, fixed, interval

ROW_PX = 40


@dataclass(frozen=True)
class RowScores:
    """One score of a row in every session, NaN where it is missing.

    Args:
        label: The row.
        values: Of each session.
        lows: Lower ends of their intervals.
        highs: Upper ends.
        printed: By the original, of each session.
    """

    label: str
    values: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]
    printed: Sequence[float]


LABELS = {
    "paper_correlation": "the original's correlation (2 s boxcar)",
    "paper_mse": "the original's MSE of smoothed counts",
    "attainable_correlation": "correlation of the best prediction from what was recorded",
}


def write_grid_page(result: GridResult) -> Path:
    """Write a grid's tables, with figures, as ``table.html`` in its folder.

    Args:
        result: From ``freegaze.paper.result.collect``.

    Returns:
        The file written.

    Raises:
        DataError: If it cannot be written.
    """
    grid = result.grid
    n_done = len(grid.fits) - len(result.failures) - result.n_missing
    sections = [_scores(result)] if len(result.scores) else []
    if len(result.differences):
        labels = {row.name: row_label(grid, row) for row in grid.rows}
        named = result.differences.replace({"first": labels, "second": labels})
        pooled = str(named["session_id"].iloc[-1])  # all sessions, or the only one
        sections.append(build_differences(named, drawn=pooled))
    if result.failures:
        sections.append(Section("failures", "Failed fits", {"rows": list(result.failures.items())}))
    page = Page(
        kicker=f"freegaze reproduce {grid.table.name}",
        title=grid.table.title,
        summary=result.caption,
        facts=[
            (f"{n_done} of {len(grid.fits)}", "fits done"),
            (count(len(grid.rows), "row"), "of the table"),
            (
                count(len(grid.session_ids), "session"),
                "real" if grid.config.source else "simulated",
            ),
        ],
        sections=sections,
        footer="Written by freegaze reproduce; Xu et al. (2023), NeurIPS 36.",
    )
    return write_page(page, grid.path / "table.html")


def _scores(result: GridResult) -> Section:
    return Section(
        "grid",
        "Scores",
        {
            "lead": "Means over neurons on held-out bins. Bars are 95 % intervals over blocks of "
            "time; the dark line is the mean over sessions. Open marks are numbers that the "
            "original printed.",
            "panels": [_panel(result, name) for name in result.metrics if name != ATTAINABLE],
            "header": (
                *("score", "row", "session", "value", "over time", "over seeds"),
                *("printed", "difference", "neurons"),
            ),
            "rows": [_cells(line) for line in result.scores.to_dict("records")],
        },
    )


def _panel(result: GridResult, metric: str) -> Panel:
    part = result.scores.loc[result.scores["metric"] == metric]
    sessions = result.grid.session_ids
    rows = [
        _row_scores(part, row.name, row_label(result.grid, row), sessions)
        for row in result.grid.rows
    ]
    label = score_name(metric)
    return wide_panel(
        lambda width: draw_rows(rows, sessions, label, width),
        f"grid-{metric}",
        f"{label}: "
        + "; ".join(f"{r.label}: {', '.join(fixed(v) for v in r.values)}" for r in rows),
        title=label[:1].upper() + label[1:],
    )


def score_name(metric: str) -> str:
    """Return how a score of a grid is named for people."""
    if metric in LABELS:
        return LABELS[metric]
    found = METRICS.get(metric)
    return f"{found.label} ({found.unit})" if found.unit not in ("", found.label) else found.label


def _row_scores(part: pd.DataFrame, row: str, label: str, sessions: tuple[str, ...]) -> RowScores:
    columns = ("value", "block_low", "block_high", "printed")
    own = part[part["row"] == row].set_index("session_id")[list(columns)].reindex(list(sessions))
    return RowScores(label, *(own[name].tolist() for name in columns))


def _cells(line: Mapping[Hashable, Any]) -> list[str]:
    return [
        score_name(line["metric"]),
        line["label"],
        line["session_id"],
        fixed(line["value"]),
        interval(line["block_low"], line["block_high"]),
        interval(line["seed_low"], line["seed_high"]),
        fixed(line["printed"]),
        fixed(line["difference"]),
        str(line["n_neurons"]),
    ]


@house_style
def draw_rows(
    rows: Sequence[RowScores], sessions: Sequence[str], label: str, width_px: float
) -> Figure:
    """Draw each row's score in every session with its interval, and the mean over sessions.

    Args:
        rows: From top to bottom.
        sessions: Names of the sessions, in the order of the values.
        label: What is scored, with its unit.
        width_px: Width in CSS pixels; the height follows from the number of rows.
    """
    figure, (ax,) = new_figure(width_px, 90 + ROW_PX * len(rows))
    places = np.arange(len(rows))[::-1]
    offsets = np.linspace(0.12, -0.22, len(sessions)) if len(sessions) > 1 else np.zeros(1)
    for i, session in enumerate(sessions):
        color, marker = BASELINE_COLORS[i % len(BASELINE_COLORS)], MARKERS[i % len(MARKERS)]
        values, lows, highs, printed = (
            np.array([getattr(row, name)[i] for row in rows], dtype=float)
            for name in ("values", "lows", "highs", "printed")
        )
        ax.hlines(places + offsets[i], lows, highs, color=color, linewidth=1.6, alpha=0.6)
        ax.plot(values, places + offsets[i], marker, color=color, markersize=5, label=session)
        if np.isfinite(printed).any():
            ax.plot(
                *(printed, places + offsets[i], marker),
                markerfacecolor="none",
                color=color,
                markersize=8,
                label=f"{session}, printed",
            )
    means = [_mean(row.values) for row in rows]
    ax.vlines(means, places - 0.3, places + 0.2, color=INK, linewidth=2, label="mean")
    for place, row in zip(places, rows, strict=True):
        name = ax.text(
            0.0, place + 0.28, row.label, transform=ax.get_yaxis_transform(), fontsize=SMALL_PX
        )
        name.set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 1.5})
    ax.set_ylim(-0.5, len(rows) - 0.2)
    ax.spines["left"].set_visible(False)
    few_ticks(ax)
    ax.set_yticks([])
    quiet_grid(ax, "x")
    label_axes(ax, label, "")
    columns = 2 if width_px < 500 else 4
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2)
    return figure


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
