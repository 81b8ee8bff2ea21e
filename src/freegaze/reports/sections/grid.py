"""Scores of the rows of a grid or bench as panels, and its failed fits as a section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from freegaze.reports.figures.rows import RowScores, draw_rows
from freegaze.reports.page import Panel, Section, wide_panel
from freegaze.reports.wording import fixed


@dataclass(frozen=True)
class NumberTable:
    """A table of numbers as text.

    Args:
        title: Heading.
        header: Name of each column.
        rows: Cells of each row.
        n_names: Number of columns, from the left, that hold names.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    n_names: int


def row_scores(
    lines: pd.DataFrame, label: str, sessions: Sequence[str], columns: Sequence[str]
) -> RowScores:
    """Return the scores of one row in every session, NaN where one is missing.

    Args:
        lines: Lines of the row, one per session, with a column ``session_id``.
        label: Name of the row.
        sessions: The sessions, in order.
        columns: Columns of the value, of both ends of its interval, and of the printed value where
            there is one.
    """
    own = lines.set_index("session_id").reindex(list(sessions), columns=list(columns))
    values, lows, highs, *printed = (own[name].tolist() for name in columns)
    return RowScores(label, values, lows, highs, *(printed or [[float("nan")] * len(sessions)]))


def score_panel(name: str, label: str, rows: Sequence[RowScores], sessions: Sequence[str]) -> Panel:
    """Draw one score of all rows, with the values as the description of the drawing.

    Args:
        name: Identifier of the panel within the page.
        label: Name of the score, with its unit.
        rows: Rows from top to bottom.
        sessions: Names of the sessions, in the order of the values.
    """
    values = "; ".join(f"{row.label}: {', '.join(map(fixed, row.values))}" for row in rows)
    return wide_panel(
        lambda width: draw_rows(rows, sessions, label, width),
        name,
        f"{label}: {values}",
        title=label[:1].upper() + label[1:],
    )


def build_failures(failures: Mapping[str, str]) -> list[Section]:
    """Return a section of the failed fits, or nothing where none failed.

    Args:
        failures: Name of each failed fit, and the reason.
    """
    rows = list(failures.items())
    return [Section("failures", "Failed fits", {"rows": rows})] if rows else []


def failures_markdown(failures: Mapping[str, str]) -> list[str]:
    """Return the failed fits as a section in Markdown, or nothing where none failed.

    Args:
        failures: Name of each failed fit, and the reason.
    """
    lines = "".join(f"* `{name}`: {why}\n" for name, why in failures.items())
    return ["## Failed fits\n", lines] if failures else []


def missing_fits(failures: Mapping[str, str], n_missing: int) -> list[str]:
    """Return a sentence about fits that a table lacks, or nothing where it lacks none.

    Args:
        failures: Name of each failed fit, and the reason.
        n_missing: Fits that were not run yet.
    """
    is_whole = not failures and not n_missing
    return [] if is_whole else [f"{len(failures)} fits failed, {n_missing} were not run."]
