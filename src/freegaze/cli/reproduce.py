"""``freegaze reproduce``: a table of the paper, on any recordings or on simulated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from freegaze.cli.arguments import Quiet, Settings
from freegaze.cli.grid_progress import grid_progress
from freegaze.cli.progress import progress_bar
from freegaze.cli.tables import print_frame
from freegaze.config import build_config, read_setting
from freegaze.errors import ConfigError, FreegazeError
from freegaze.paper.cells import job_commands, run_cell, run_cells
from freegaze.paper.grid import (
    GRID_FILE,
    Grid,
    GridConfig,
    open_grid,
    read_grid_config,
    start_grid,
)
from freegaze.paper.presets import find_table
from freegaze.paper.result import collect, difference_frame, save_result
from freegaze.recording.atomic import atomic_file
from freegaze.report import write_grid_page


def command(
    table: Annotated[str, typer.Argument(help="table1, table2 or table3.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the grid; continued if begun.")],
    scale: Annotated[
        str | None, typer.Option(help="tiny (minutes), small (an hour) or full (the paper).")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="default, or paper: the original's encoders and recipes.")
    ] = None,
    source: Annotated[
        tuple[str, Path] | None,
        typer.Option(metavar="SOURCE PATH", help="Recordings, e.g. xu2023 data/xu2023."),
    ] = None,
    rows: Annotated[
        list[str] | None, typer.Option("--row", help="Only this row; may be given many times.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Fits of each row and session.")] = None,
    pretrained: Annotated[
        bool | None,
        typer.Option(
            "--pretrained/--no-pretrained",
            help="Whether ResNet-18 and EfficientNet-B0 start from ImageNet weights.",
        ),
    ] = None,
    settings: Settings = None,
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    emit_jobs: Annotated[
        Path | None, typer.Option(help="Write one command a cell to this file; run nothing.")
    ] = None,
    cell: Annotated[
        str | None, typer.Option(help="Run this one cell, ROW/SESSION/seed-K, of a grid begun.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Run a table of the paper: every row, session and seed, then the table.

    Cells that are done are kept; a grid that was stopped goes on where it was, and a cell that
    fails does not end the others.

    For example:

        freegaze reproduce table1 --scale tiny --out grids/table1

        freegaze reproduce table3 --source xu2023 data/xu2023 --version paper --out grids/table3

        freegaze reproduce table2 --out grids/table2 --emit-jobs jobs.txt
    """
    if cell is not None:
        _run_one(out, table, cell, quiet)
        return
    asked = {
        "scale": scale,
        "version": version,
        "rows": rows or None,
        "seeds": seeds,
        "pretrained": pretrained,
        "source": None if source is None else {"name": source[0], "path": source[1].resolve()},
        "settings": dict(map(read_setting, settings or ())) or None,
    }
    config = _config(out, table, {k: v for k, v in asked.items() if v is not None})
    with progress_bar(quiet) as progress:
        grid = start_grid(out, config, progress)
    if emit_jobs is not None:
        commands = job_commands(grid)
        with atomic_file(emit_jobs, overwrite=True) as partial:
            partial.write_text("".join(line + "\n" for line in commands), encoding="utf-8")
        typer.echo(f"{emit_jobs}: {len(commands)} commands, one a cell")
        return
    with grid_progress(grid, quiet) as watch:
        outcomes = run_cells(grid, grid.cells, jobs, watch)
    _report(grid, n_taken=sum(outcome == "taken" for outcome in outcomes.values()))


def _config(out: Path, table: str, asked: dict[str, Any]) -> GridConfig:
    """Return what is asked; a grid that was begun answers for options that are left out."""
    find_table(table)
    begun = (out / GRID_FILE).is_file()
    values = read_grid_config(out).model_dump(mode="json") if begun else {}
    return build_config(GridConfig, {**values, **asked, "table": table}, where="reproduce")


def _run_one(out: Path, table: str, name: str, quiet: bool) -> None:
    grid = open_grid(out)
    if grid.config.table != table:
        raise ConfigError(f"{out} holds a grid of {grid.config.table}, not of {table}")
    cell = grid.cell(name)
    with progress_bar(quiet) as progress:
        outcome = run_cell(grid, cell, progress)
    if outcome == "failed":
        raise FreegazeError(f"cell {name} failed: {cell.error}")
    typer.echo(f"{name}: {'another process works on it' if outcome == 'taken' else 'done'}")


def _report(grid: Grid, n_taken: int) -> None:
    result = collect(grid)
    for name, why in result.failures.items():
        typer.echo(f"failed: {name}: {why}", err=True)
    if n_taken:
        typer.echo(f"{n_taken} cells are being run by another process; run this again afterwards")
    if len(result.scores):
        for metric in ("bits_per_spike", "correlation"):
            print_frame(metric, result.wide(metric))
        if len(result.differences):
            differences = difference_frame(result)
            pooled = differences["session"] == differences["session"].iloc[-1]
            columns = [name for name in differences.columns if name != "session"]
            print_frame("Paired differences with 95 % intervals", differences.loc[pooled, columns])
    for path in (*save_result(result), write_grid_page(result)):
        typer.echo(str(path))
    if result.failures:
        raise FreegazeError(
            f"{len(result.failures)} of {len(grid.cells)} cells failed; the table is of the "
            "others. Run the command again to try the failed ones once more"
        )
