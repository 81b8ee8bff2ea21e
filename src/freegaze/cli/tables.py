"""Plain values as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd


def print_nested(title: str, values: Mapping[str, Any]) -> None:
    """Print a nested dictionary as a table of two columns."""
    table = Table(title=escape(title), show_header=False, title_justify="left")
    for name, value in _flat(values):
        table.add_row(escape(name), escape(_text(value)))
    Console().print(table)


MAX_NAME_WIDTH = 32
"""Characters of a name that are kept in one line; longer ones are folded."""


def print_frame(title: str, frame: pd.DataFrame) -> None:
    """Print a data frame, numbers with four significant digits."""
    print_rows(title, map(str, frame.columns), frame.itertuples(index=False))


def print_rows(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print rows of plain values, numbers with four significant digits."""
    table = Table(title=escape(title), title_justify="left")
    texts = [[escape(_text(value)) for value in row] for row in rows]
    # The first column holds names that are typed again in a command: they stay in one line.
    longest = max((len(row[0]) for row in texts), default=0)
    for place, name in enumerate(columns):
        width = min(longest, MAX_NAME_WIDTH) if place == 0 else None
        table.add_column(escape(name), overflow="fold", min_width=width)  # nothing is cut off
    for row in texts:
        table.add_row(*row)
    Console().print(table)


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a data frame as CSV; an existing file is replaced.

    Raises:
        DataError: If the file cannot be written.
    """
    from freegaze.files.atomic import write_file

    write_file(path, frame.to_csv(index=False))


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{before}{name}, ")
        else:
            rows.append((f"{before}{name}", value))
    return rows


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
