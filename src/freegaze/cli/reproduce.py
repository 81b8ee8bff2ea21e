"""``freegaze reproduce``: tables and figures of the paper, on any recordings or simulated ones."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freegaze.cli.arguments import Quiet, Settings
from freegaze.cli.grid_progress import grid_progress
from freegaze.cli.progress import progress_bar
from freegaze.cli.tables import print_frame
from freegaze.errors import ConfigError, FreegazeError

if TYPE_CHECKING:
    from freegaze.paper.cells import Outcome
    from freegaze.paper.figures.figure import FigureStep
    from freegaze.paper.grid import Cell, Grid, GridConfig

FIGURE_PREFIX = "figure."


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="WHAT", help="table1, table2, table3, figure3, figure4, figure5 or figurec1."
        ),
    ],
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
    """Run a table or figure of the paper: every row, session and seed, then what they show.

    Cells that are done are kept; a grid that was stopped goes on where it was, and a cell that
    fails does not end the others. A figure may be drawn in the folder of any grid that holds its
    rows; --set figure.NAME=VALUE changes how it is made, any other --set the fits.

    For example:

        freegaze reproduce table1 --scale tiny --out grids/table1

        freegaze reproduce table3 --source xu2023 data/xu2023 --version paper --out grids/table3

        freegaze reproduce table2 --out grids/table2 --emit-jobs jobs.txt

        freegaze reproduce figure4 --out grids/table2 --set figure.neurons=12
    """
    from freegaze.files.atomic import write_file
    from freegaze.paper.cells import is_done, job_commands, run_cells
    from freegaze.paper.grid import start_grid

    of_fits, of_figure = _split_settings(settings or [])
    if cell is not None:
        _run_one(out, name, cell, of_figure, quiet)
        return
    asked = {
        "scale": scale,
        "version": version,
        "rows": rows or None,
        "seeds": seeds,
        "pretrained": pretrained,
        "source": None if source is None else {"name": source[0], "path": source[1].resolve()},
        "settings": of_fits or None,
    }
    config = _config(out, name, {k: v for k, v in asked.items() if v is not None})
    step = _step(config, name, of_figure)
    with progress_bar(quiet) as progress:
        grid = start_grid(out, config, progress)
    cells = _cells(grid, name)
    left = [cell for cell in cells if not is_done(cell, step)]
    if emit_jobs is not None:
        verb = shlex.join([name, *_set_options(of_figure)])
        commands = job_commands(grid, left, verb)
        write_file(emit_jobs, "".join(line + "\n" for line in commands))
        typer.echo(f"{emit_jobs}: {len(commands)} commands, one a cell")
        return
    with grid_progress(name, len(cells), len(cells) - len(left), quiet) as watch:
        outcomes = run_cells(grid, cells, jobs, watch, step)
    n_taken = sum(outcome == "taken" for outcome in outcomes.values())
    if n_taken:
        typer.echo(f"{n_taken} cells are being run by another process; run this again afterwards")
    if step is None:
        _report(grid)
    else:
        _draw(grid, step, cells, outcomes)


def _split_settings(settings: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell settings of fits from those of a figure."""
    from freegaze.config import read_setting

    values = dict(map(read_setting, settings))
    of_figure = {k: v for k, v in values.items() if k.startswith(FIGURE_PREFIX)}
    of_fits = {k: v for k, v in values.items() if k not in of_figure}
    return of_fits, {k.removeprefix(FIGURE_PREFIX): v for k, v in of_figure.items()}


def _set_options(of_figure: dict[str, Any]) -> list[str]:
    options = ((f"--set={FIGURE_PREFIX}{key}=", value) for key, value in of_figure.items())
    return [f"{start}{json.dumps(value)}" for start, value in options]


def _config(out: Path, name: str, asked: dict[str, Any]) -> GridConfig:
    """Return what is asked; a grid that was begun answers for options that are left out."""
    from freegaze.config import build_config
    from freegaze.paper.figures.figure import is_figure
    from freegaze.paper.grid import GRID_FILE, GridConfig, read_grid_config
    from freegaze.paper.presets import find_table

    begun = (out / GRID_FILE).is_file()
    values = read_grid_config(out).model_dump(mode="json") if begun else {}
    keeps_table = begun and is_figure(find_table(name))  # a figure fits grids of other names
    table = values["table"] if keeps_table else find_table(name).name
    return build_config(GridConfig, {**values, **asked, "table": table}, where="reproduce")


def _step(config: GridConfig, name: str, of_figure: dict[str, Any]) -> FigureStep | None:
    from freegaze.paper.figures.figure import FigureStep, figure_settings, is_figure
    from freegaze.paper.presets import find_table

    if not is_figure(find_table(name)):
        if of_figure:
            raise ConfigError(f"{name} is no figure; leave --set {FIGURE_PREFIX}... out")
        return None
    settings = figure_settings(config.scale, of_figure)
    return FigureStep(name, settings, config.version)


def _cells(grid: Grid, name: str) -> list[Cell]:
    from freegaze.paper.figures.figure import figure_cells, is_figure
    from freegaze.paper.presets import find_table

    if not is_figure(find_table(name)):
        return list(grid.cells)
    return [cell for own in figure_cells(grid, name).values() for cell in own]


def _run_one(out: Path, name: str, cell_name: str, of_figure: dict[str, Any], quiet: bool) -> None:
    from freegaze.paper.cells import run_cell
    from freegaze.paper.figures.figure import is_figure
    from freegaze.paper.grid import open_grid
    from freegaze.paper.presets import find_table

    grid = open_grid(out)
    if not is_figure(find_table(name)) and grid.config.table != name:
        raise ConfigError(f"{out} holds a grid of {grid.config.table}, not of {name}")
    cell, step = grid.cell(cell_name), _step(grid.config, name, of_figure)
    with progress_bar(quiet) as progress:
        outcome = run_cell(grid, cell, progress, step)
    if outcome == "failed":
        raise FreegazeError(f"cell {cell_name} failed: {cell.error}")
    what = "another process works on it" if outcome == "taken" else "done"
    typer.echo(f"{cell_name}: {what}")


def _draw(grid: Grid, step: FigureStep, cells: list[Cell], outcomes: dict[str, Outcome]) -> None:
    from freegaze.paper.cells import is_done
    from freegaze.paper.figures.files import write_paper_figure

    failed = [cell for cell in cells if outcomes[cell.name] == "failed"]
    for cell in failed:
        typer.echo(f"failed: {cell.name}: {cell.error}", err=True)
    if failed:
        raise FreegazeError(
            f"{len(failed)} of {len(cells)} cells failed, so {step.figure} was not drawn; run the "
            "command again to try them once more"
        )
    if all(is_done(cell, step) for cell in cells):
        for path in write_paper_figure(grid, step.figure, step.settings):
            typer.echo(str(path))


def _report(grid: Grid) -> None:
    from freegaze.paper.grid_page import write_grid_page
    from freegaze.paper.result import collect, difference_frame, save_result

    result = collect(grid)
    for name, why in result.failures.items():
        typer.echo(f"failed: {name}: {why}", err=True)
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
