"""A live view of a grid: how many cells are done, and how far those that run are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import TaskID

from freegaze.cli.progress import progress_bars

if TYPE_CHECKING:
    from freegaze.paper.cells import Watch


@contextmanager
def grid_progress(title: str, n_cells: int, n_done: int, quiet: bool = False) -> Iterator[Watch]:
    """Show a bar for the grid and one for each running cell while the block runs.

    Args:
        title: What is reproduced.
        n_cells: Cells in all.
        n_done: Those that are done already.
        quiet: Show nothing.

    Yields:
        What to call with the progress of cells.
    """
    from freegaze.paper.cells import CellProgress

    with progress_bars(quiet) as bars:
        whole = bars.add_task(f"{title}, cells", total=n_cells, completed=n_done)
        running: dict[str, TaskID] = {}

        def watch(news: CellProgress) -> None:
            name = news.cell.name
            if news.what == "running":
                if name not in running:
                    running[name] = bars.add_task(name)
                bars.update(
                    running[name],
                    description=f"{name}: {news.description}",
                    completed=news.done,
                    total=news.total or None,
                )
                return
            if name in running:
                bars.remove_task(running.pop(name))
            bars.console.print(f"{name}: {news.what}", highlight=False)
            bars.advance(whole)

        yield watch
