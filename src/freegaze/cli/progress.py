"""Progress bars for functions that report (description, done, total), and for grids of fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from freegaze.jobs.workers import FitProgress, Watch


def progress_bars(quiet: bool) -> Progress:
    """Return progress bars: description, steps, elapsed and remaining time."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=quiet)


@contextmanager
def progress_bar(quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar with steps, elapsed and remaining time while the block runs.

    Args:
        quiet: Show nothing.

    Yields:
        A function of (description, done, total) to call after every step.
    """
    with progress_bars(quiet) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )


@contextmanager
def grid_progress(title: str, n_fits: int, n_done: int, quiet: bool = False) -> Iterator[Watch]:
    """Show a bar for a grid and one for each running fit while the block runs.

    Args:
        title: Name of the bar of the grid.
        n_fits: Fits in all.
        n_done: Fits that are done already.
        quiet: Show nothing.

    Yields:
        A function to call with the progress of fits.
    """
    with progress_bars(quiet) as bars:
        whole = bars.add_task(f"{title}, fits", total=n_fits, completed=n_done)
        running: dict[str, TaskID] = {}

        def watch(news: FitProgress) -> None:
            name = news.fit.name
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
