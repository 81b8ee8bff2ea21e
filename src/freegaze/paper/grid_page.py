"""Tables of a grid on disk, and as a page."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from freegaze.files.artifact import write_sealed
from freegaze.metrics.metric import METRICS
from freegaze.paper.result import ATTAINABLE, GridResult, markdown, row_label
from freegaze.reports.page import Page, Panel, Section, render_page
from freegaze.reports.sections.comparison import build_differences
from freegaze.reports.sections.grid import NumberTable, build_failures, row_scores, score_panel
from freegaze.reports.wording import fixed, interval

SUMS = "table.sha256"
"""Checksums of what is written, in the grid's folder."""

HEADER = (
    *("score", "row", "session", "value", "over time", "over seeds"),
    *("printed", "difference", "neurons"),
)

LABELS = {
    "paper_correlation": "the original's correlation (2 s boxcar)",
    "paper_mse": "the original's MSE of smoothed counts",
    "attainable_correlation": "correlation of the best prediction from what was recorded",
}


def save_result(result: GridResult) -> list[Path]:
    """Write a grid's tables beside its fits, as CSV, Markdown and a page.

    Args:
        result: Result of ``freegaze.paper.result.collect``.

    Returns:
        The files.

    Raises:
        DataError: If they cannot be written.
    """
    contents = {
        "table.csv": result.scores.to_csv(index=False),
        "differences.csv": result.differences.to_csv(index=False),
        "table.html": render_page(_page(result)),
        "table.md": markdown(result),
    }
    return write_sealed(result.grid.path, contents, SUMS)


def _page(result: GridResult) -> Page:
    grid = result.grid
    n_done = len(grid.fits) - len(result.failures) - result.n_missing
    sections = [_scores(result)] if len(result.scores) else []
    if len(result.differences):
        labels = {row.name: row_label(grid, row) for row in grid.rows}
        named = result.differences.replace({"first": labels, "second": labels})
        pooled = str(named["session_id"].iloc[-1])  # all sessions, or the only one
        sections.append(build_differences(named, drawn=pooled))
    sections += build_failures(result.failures)
    return Page(
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


def _scores(result: GridResult) -> Section:
    rows = [_cells(line) for line in result.scores.to_dict("records")]
    return Section(
        "grid",
        "Scores",
        {
            "lead": "Means over neurons on held-out bins. Bars are 95 % intervals over blocks of "
            "time; the dark line is the mean over sessions. Open marks are numbers that the "
            "original printed.",
            "panels": [_panel(result, name) for name in result.metrics if name != ATTAINABLE],
            "tables": [NumberTable("In numbers", HEADER, rows, n_names=3)],
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
    """Return the printed name of a score of a grid."""
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
