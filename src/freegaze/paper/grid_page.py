"""A reproduced table of the paper as a page."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from freegaze.metrics.metric import METRICS
from freegaze.paper.result import ATTAINABLE, GridResult, row_label
from freegaze.reports.page import Page, Panel, Section, write_page
from freegaze.reports.sections.comparison import build_differences
from freegaze.reports.sections.grid import build_failures, row_scores, score_panel
from freegaze.reports.wording import fixed, interval

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
    sections += build_failures(result.failures)
    page = Page(
        kicker=f"freegaze reproduce {grid.table.name}",
        title=grid.table.title,
        summary=result.caption,
        facts=[
            (f"{n_done} of {len(grid.fits)}", "fits done"),
            (str(len(grid.rows)), "rows of the table"),
            (
                str(len(grid.session_ids)),
                f"{'real' if grid.config.source else 'simulated'} sessions",
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
    columns = ("value", "block_low", "block_high", "printed")
    rows = [
        row_scores(
            part.loc[part["row"] == row.name], row_label(result.grid, row), sessions, columns
        )
        for row in result.grid.rows
    ]
    return score_panel(f"grid-{metric}", score_name(metric), rows, sessions)


def score_name(metric: str) -> str:
    """Return how a score of a grid is named for people."""
    if metric in LABELS:
        return LABELS[metric]
    found = METRICS.get(metric)
    return f"{found.label} ({found.unit})" if found.unit not in ("", found.label) else found.label


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
