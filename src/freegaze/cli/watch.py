"""``freegaze watch``: a live table of a grid, bench, sweep or run, from its files alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from freegaze.errors import CheckpointError

if TYPE_CHECKING:
    from freegaze.jobs.fits import Fit, Work
    from freegaze.jobs.looking import Look

COLUMNS = ("fit", "state", "starts", "passes", "train", "validation", "lowest", "r", "detail")


def command(
    path: Annotated[Path, typer.Argument(help="Folder of a grid, bench, sweep or run.")],
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 5.0,
    once: Annotated[
        bool, typer.Option("--once", help="Print the table once, as without a terminal.")
    ] = False,
) -> None:
    """Show how far fits are: state, passes, training and validation loss, validation correlation.

    The table is read from the files of the fits, so it may be shown on any machine that sees the
    folder. It ends once all fits are done, or with Ctrl+C; no fit is changed or stopped. Where
    output is not a terminal, the table is printed once.

    For example:

        freegaze watch grids/table1

        freegaze watch sweeps/mouse --every 30

        freegaze watch runs/first --once
    """
    from freegaze.jobs.looking import look_at

    work, fits = _open(path)
    console = Console()
    looks = look_at(work, fits)
    if once or not console.is_terminal:
        console.print(_table(path, looks))
        return
    try:
        with Live(_table(path, looks), console=console, auto_refresh=False) as live:
            while any(look.state.state != "done" for look in looks):
                time.sleep(every)
                looks = look_at(work, fits)
                live.update(_table(path, looks), refresh=True)
    except KeyboardInterrupt:
        return


def _open(path: Path) -> tuple[Work, Sequence[Fit]]:
    """Open what a folder holds.

    Raises:
        CheckpointError: If it holds nothing that can be watched.
    """
    from freegaze.jobs.looking import RunFit, RunWork
    from freegaze.paper.grid import GridWork, open_grid
    from freegaze.paper.grid_config import GRID_FILE
    from freegaze.studies.bench import BenchWork
    from freegaze.studies.folder import BENCH_FILE, open_bench
    from freegaze.studies.sweep import SWEEP_FILE, SweepWork, open_sweep

    if (path / GRID_FILE).is_file():
        grid = open_grid(path)
        return GridWork(grid), grid.fits
    if (path / BENCH_FILE).is_file():
        bench = open_bench(path)
        return BenchWork(bench), bench.fits
    if (path / SWEEP_FILE).is_file():
        sweep = open_sweep(path)
        return SweepWork(sweep), sweep.trials
    if (path / "config.yaml").is_file():
        return RunWork(), [RunFit.of(path)]
    raise CheckpointError(
        f"{path} holds no grid, bench, sweep or run (no {GRID_FILE}, {BENCH_FILE}, {SWEEP_FILE} or "
        "config.yaml); check the path"
    )


def _table(path: Path, looks: Sequence[Look]) -> Group:
    from freegaze.jobs.looking import count_states

    table = Table()
    for name in COLUMNS:
        table.add_column(name, overflow="fold")
    for look in looks:
        state = look.state
        passes = f"{look.passes} + {look.refit_passes}" if look.refit_passes else f"{look.passes}"
        losses = (look.train_loss, look.validation_loss, look.best_loss, look.correlation)
        detail = look.problem or state.detail
        steps = f"{state.done}/{state.total} " if state.total else ""
        texts = (state.fit.name, state.state, str(state.starts), passes, *map(_number, losses))
        table.add_row(*map(escape, (*texts, steps + detail)))
    return Group(Text(f"{path}: {count_states(looks)}", overflow="fold"), table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
