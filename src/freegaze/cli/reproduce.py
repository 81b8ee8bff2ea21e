"""``freegaze reproduce``: tables and figures of the paper, on any recordings or simulated ones."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freegaze.cli.arguments import Quiet, Settings, read_settings
from freegaze.cli.engines import (
    Again,
    On,
    array_of,
    check_again,
    engine_of,
    print_unfinished,
    run_as_task,
    split_settings,
    unfinished,
)
from freegaze.cli.fits import print_failures, print_files, print_taken
from freegaze.cli.progress import grid_progress, progress_bar
from freegaze.cli.tables import print_frame
from freegaze.errors import ConfigError, FreegazeError

if TYPE_CHECKING:
    from freegaze.jobs.fits import Fit, Outcome
    from freegaze.jobs.slurm import SlurmArray
    from freegaze.jobs.workers import Engine
    from freegaze.paper.grid import Grid, GridWork
    from freegaze.paper.presets import Table
    from freegaze.paper.result import GridResult

FIGURE_PREFIX = "figure."


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="WHAT", help="table1, table2, table3, figure3, figure4, figure5 or figurec1."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the grid; an existing one continues.")
    ] = None,
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
        list[str] | None,
        typer.Option(
            "--row", help="Only this row, of the table or of an existing grid; may be repeated."
        ),
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
    workers: Annotated[
        int, typer.Option("--workers", "--jobs", min=1, help="Worker processes.")
    ] = 1,
    on: On = "local",
    again: Again = None,
    emit_jobs: Annotated[
        Path | None, typer.Option(help="Write one command per fit to this file; run nothing.")
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(
            "--fit", "--cell", help="Run one fit, ROW/SESSION/seed-K, of an existing grid."
        ),
    ] = None,
    list_rows: Annotated[bool, typer.Option("--rows", help="List the rows; run nothing.")] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Print states and scores so far; run nothing.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Run the fits of a table or figure of the paper, then write the table or figure.

    A fit is one row, session and seed. Fits that are done are kept, a stopped grid continues, and a
    fit that fails does not end the others. A figure may be drawn in the folder of any grid that
    holds its rows. `--set figure.NAME=VALUE` is a setting of the figure, any other `--set` one of
    the fits. With `--on slurm` this command may be ended: its tasks go on, and the same command
    waits for them again.

    For example:

        freegaze reproduce table1 --scale tiny --out grids/table1

        freegaze reproduce table1 --out grids/table1 --status

        freegaze reproduce table3 --source xu2023 data/xu2023 --version paper --out grids/table3

        freegaze reproduce table2 --out grids/table2 --on slurm --set slurm.time=04:00:00

        freegaze reproduce table2 --out grids/table2 --on slurm --again failed

        freegaze reproduce table2 --out grids/table2 --emit-jobs jobs.txt

        freegaze reproduce figure4 --out grids/table2 --set figure.neurons=12
    """
    from freegaze.paper.grid import GridWork, open_grid, start_grid
    from freegaze.paper.grid_config import grid_config
    from freegaze.paper.presets import find_table

    of_slurm, others = split_settings(settings)
    table, values = find_table(name), read_settings(others)
    of_figure = {key: values.pop(key) for key in [*values] if key.startswith(FIGURE_PREFIX)}
    own = {key.removeprefix(FIGURE_PREFIX): value for key, value in of_figure.items()}
    check_again(again)
    if list_rows:
        print_frame(f"{name}: {table.title}", table.frame)
        return
    if out is None:
        raise ConfigError("the folder of the grid is missing; give --out FOLDER")
    if status or fit is not None:
        grid = open_grid(out)
        figure = table.configure(grid.config.version, grid.config.scale, own)
        if figure is None and grid.table is not table:
            raise ConfigError(f"{out} holds a grid of {grid.config.table}, not of {name}")
        work = GridWork(grid, figure)
        if fit is None:
            _print_status(work, grid.select(table), array_of(out, (), ()))
        else:
            run_as_task(work, grid.fit(fit), quiet)
        return
    given = None if source is None else {"name": source[0], "path": source[1].resolve()}
    asked = {"scale": scale, "version": version, "seeds": seeds, "source": given}
    asked |= {"pretrained": pretrained, "settings": values or None}
    config = grid_config(out, table, asked, rows or ())
    figure = table.configure(config.version, config.scale, own)
    grid = start_grid(out, config)
    work, fits = GridWork(grid, figure), grid.select(table, rows or ())
    options = [f"--set={key}={json.dumps(value)}" for key, value in of_figure.items()]
    verb = ["reproduce", name, *options, "--out", str(grid.path.resolve()), "--quiet"]
    array = array_of(out, (sys.executable, "-m", "freegaze", *verb), of_slurm)
    if again is not None:
        fits = unfinished(work, fits, array)
    if emit_jobs is not None:
        _emit(work, fits, emit_jobs, shlex.join(["freegaze", *verb]))
        return
    engine = engine_of(on, workers, array)
    outcomes = _run(work, fits, engine, name, quiet)
    if on == "slurm":
        print_unfinished(work, fits, array)
    if figure is not None:
        _draw(work, table, outcomes)
    else:
        _report(grid)


def _emit(work: GridWork, fits: Sequence[Fit], path: Path, verb: str) -> None:
    from freegaze.files.atomic import write_file

    _simulate(work.grid, quiet=True)
    lines = [f"{verb} --fit {fit.name}\n" for fit in fits if not work.is_done(fit)]
    write_file(path, "".join(lines))
    typer.echo(f"{path}: {len(lines)} commands, one per fit")


def _simulate(grid: Grid, quiet: bool) -> None:
    from freegaze.paper.grid import missing_sessions, simulate_sessions

    if missing_sessions(grid):
        with progress_bar(quiet) as progress:
            simulate_sessions(grid, progress)


def _run(
    work: GridWork, fits: Sequence[Fit], engine: Engine, name: str, quiet: bool
) -> dict[str, Outcome]:
    left = [fit for fit in fits if not work.is_done(fit)]
    if not left:
        return {}
    if not quiet:
        from freegaze.paper.duration import describe_plan

        typer.echo(describe_plan(work, fits, min(engine.n_workers, len(left))), err=True)
    _simulate(work.grid, quiet)
    with grid_progress(name, len(fits), len(fits) - len(left), quiet) as watch:
        outcomes = engine.run(work, left, watch)
    print_taken(sum(outcome == "taken" for outcome in outcomes.values()))
    return outcomes


def _draw(work: GridWork, table: Table, outcomes: dict[str, Outcome]) -> None:
    from freegaze.paper.figure import write_figure

    shown = work.grid.select(table)
    failed = [fit for fit in shown if outcomes.get(fit.name) == "failed"]
    print_failures({fit.name: fit.error for fit in failed})
    if failed:
        raise FreegazeError(
            f"{len(failed)} of {len(shown)} fits failed, so {table.name} was not drawn; run the "
            "command again to try them once more"
        )
    n_left = sum(not work.is_done(fit) for fit in shown)
    if n_left:
        typer.echo(f"{n_left} of {len(shown)} fits are not done, so {table.name} was not drawn")
    else:
        assert work.figure is not None, "only figures are drawn"
        for path in write_figure(work.grid, table, work.figure):
            typer.echo(str(path))


def _print_status(work: GridWork, fits: Sequence[Fit], array: SlurmArray) -> None:
    from freegaze.jobs.states import AGAIN, fit_states
    from freegaze.paper.result import collect, state_frame

    states = fit_states(work, fits, array.tasks())
    print_frame(f"{work.grid.table.title}: fits", state_frame(states))
    _print_scores(collect(work.grid))
    for state in states:
        if state.state in ("running", "queued", *AGAIN):
            typer.echo(f"{state.state}: {state.fit.name}: {state.detail}")


def _print_scores(result: GridResult) -> None:
    if len(result.scores):
        for metric in ("bits_per_spike", "correlation"):
            print_frame(metric, result.wide(metric))


def _report(grid: Grid) -> None:
    from freegaze.paper.grid_page import save_result
    from freegaze.paper.result import collect, difference_frame

    result = collect(grid)
    print_failures(result.failures)
    _print_scores(result)
    if len(result.differences):
        differences = difference_frame(result)
        pooled = differences["session"] == differences["session"].iloc[-1]
        print_frame(
            "Paired differences with 95 % intervals",
            differences.loc[pooled].drop(columns="session"),
        )
    print_files(save_result(result), len(result.failures), len(grid.fits))
