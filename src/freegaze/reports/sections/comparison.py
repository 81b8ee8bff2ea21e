"""Paired differences between models, as figures and a table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from freegaze.metrics.metric import METRICS
from freegaze.reports.figures.comparison import Difference, draw_differences
from freegaze.reports.inputs import score_label
from freegaze.reports.page import Panel, Section, panel
from freegaze.reports.wording import LEVEL, fixed, interval, shorten

HEADER = ("score", "session", "first", "second", "difference", f"{LEVEL} interval", "p", "neurons")


def build_differences(table: pd.DataFrame, drawn: str | None = None) -> Section:
    """Draw and list differences, second minus first model, of every score and session.

    Args:
        table: Table of differences, as in `freegaze.evaluation.compare.Comparison`.
        drawn: The only session that is drawn; all are listed.
    """
    rows: list[dict[str, Any]] = [
        {str(key): value for key, value in row.items()} for row in table.to_dict("records")
    ]
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    return Section(
        "comparison",
        "Paired differences",
        {
            "lead": "Second model minus first, on the same test bins of the same neurons. "
            "Intervals resample blocks of time, then neurons, then seeds.",
            "panels": [_panel(rows, metric, i, drawn) for i, metric in enumerate(metrics)],
            "header": HEADER,
            "rows": [_cells(row) for row in rows],
        },
    )


def _panel(rows: list[dict[str, Any]], metric: str, number: int, drawn: str | None) -> Panel:
    part = [row for row in rows if row["metric"] == metric and drawn in (None, row["session_id"])]
    has_sessions = len({row["session_id"] for row in part}) > 1
    differences = [
        Difference(
            shorten(f"{row['second']} − {row['first']}", 50)
            + (f", {shorten(row['session_id'], 20)}" if has_sessions else ""),
            *(row["difference"], row["difference_low"], row["difference_high"]),
        )
        for row in part
    ]
    better = "right" if METRICS.get(metric).higher_is_better else "left"
    figure = draw_differences(differences, f"difference in {score_label(metric)}", 340)
    return panel(
        figure,
        f"difference-{number}",
        f"Differences in {score_label(metric)}: "
        + "; ".join(f"{d.name}: {fixed(d.value, 3)}" for d in differences),
        title=score_label(metric)[:1].upper() + score_label(metric)[1:],
        caption=f"To the {better} the second model is better. Bars are {LEVEL} intervals.",
    )


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        score_label(row["metric"]),
        row["session_id"],
        f"{row['first']}: {fixed(row['first_mean'], 3)}",
        f"{row['second']}: {fixed(row['second_mean'], 3)}",
        fixed(row["difference"], 3),
        interval(row["difference_low"], row["difference_high"], 3),
        fixed(row["p"], 3),
        str(row["n_neurons"]),
    ]
