"""``freegaze sweep``: settings chosen on validation bins among many trials."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freegaze.cli.arguments import Quiet, Settings, SourceName, read_settings
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
from freegaze.cli.progress import grid_progress
from freegaze.cli.tables import print_frame
from freegaze.cli.train import data_settings
from freegaze.errors import ConfigError, FreegazeError

if TYPE_CHECKING:
    from freegaze.studies.sweep_space import SweepConfig


def command(
    path: Annotated[Path | None, typer.Argument(help="File or folder with the recording.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the sweep; an existing one continues.")
    ] = None,
    source: SourceName = "auto",
    model: Annotated[
        str | None,
        typer.Option("--model", help="Encoder: a name that `freegaze models` lists."),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="YAML file of a run.")] = None,
    settings: Settings = None,
    space: Annotated[
        Path | None,
        typer.Option(
            help="YAML file with lines such as `model.smoothness: {low: 0.01, high: 10, log: true}`"
            " and `data.history: [1, 4, 8]`; by default the `search` of --config."
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Number of trials; may be raised later.")
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="tpe (learns from trials so far), random, or grid (all).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampler.")] = 0,
    pruning: Annotated[
        bool, typer.Option("--pruning/--no-pruning", help="End trials early that are behind.")
    ] = True,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Worker processes.")] = 1,
    on: On = "local",
    again: Again = None,
    trial: Annotated[
        str | None, typer.Option("--fit", help="Run one trial, trial-NUMBER, of a sweep.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Try settings, choose those with the lowest validation loss, and score them once on test bins.

    Each trial is a fit. A sweep that was stopped goes on with the same command, or with `--out`
    alone; no trial runs twice. The best trial is the run folder `best` of the sweep.

    For example:

        freegaze sweep data/mouse --space space.yaml --trials 40 --out sweeps/mouse

        freegaze sweep data/mouse --config searched.yaml --sampler grid --out sweeps/grid

        freegaze sweep --out sweeps/mouse --workers 2

        freegaze sweep --out sweeps/mouse --on slurm --set slurm.time=02:00:00
    """
    from freegaze.runs.own_code import configure_run
    from freegaze.studies.sweep import SweepWork, open_sweep, run_sweep, start_sweep
    from freegaze.studies.sweep_page import save_sweep, trial_frame

    check_again(again)
    if out is None:
        raise ConfigError("the folder of the sweep is missing; give --out FOLDER")
    of_slurm, others = split_settings(settings)
    chosen = {"trials": trials, "sampler": sampler, "seed": seed, "pruning": pruning}
    is_new = path is not None or config is not None
    if is_new:
        run = configure_run(config, read_settings(others) | data_settings(path, source), model)
        sweep = start_sweep(out, _sweep_config(run, space, chosen))
    else:
        if others or space is not None or model is not None:
            raise ConfigError("give PATH or --config with settings, or --out alone to continue")
        sweep = open_sweep(out)
    work = SweepWork(sweep)
    if trial is not None:
        run_as_task(work, sweep.trial(trial), quiet)
        return
    verb = (sys.executable, "-m", "freegaze", "sweep", "--out", str(out.resolve()), "--quiet")
    array = array_of(out, verb, of_slurm)
    chosen_trials = unfinished(work, sweep.trials, array) if again else list(sweep.trials)
    n_done = sum(work.is_done(one) for one in chosen_trials)
    with grid_progress("sweep", len(chosen_trials), n_done, quiet) as watch:
        is_over = run_sweep(sweep, engine_of(on, workers, array), chosen_trials, watch)
    print_unfinished(work, sweep.trials, array)
    frame = trial_frame(sweep)
    print_frame("Best trials", frame.head(10))
    for file in save_sweep(sweep):
        typer.echo(str(file))
    failed = [one for one in sweep.trials if one.error]
    for one in failed:
        typer.echo(f"failed: {one.name}: {one.error}", err=True)
    if failed or not is_over:
        raise FreegazeError(
            f"{len(sweep.trials) - len(frame)} of {len(sweep.trials)} trials have not ended, so "
            "the best one was not scored on test bins; run the command again"
        )
    typer.echo(f"best: {sweep.best.path}, {frame['trial'].iloc[0]}, evaluated on test bins")


def _sweep_config(run: Any, space: Path | None, chosen: dict[str, Any]) -> SweepConfig:
    from freegaze.config import build_config
    from freegaze.studies.sweep_space import SweepConfig, grid_of, read_space

    asked = {"run": run.model_dump() | {"search": {}}, "space": run.search}
    if space is not None:
        asked["space"] = read_space(space)
    if not asked["space"]:
        raise ConfigError("nothing is varied; give --space FILE, or --config with a `search`")
    is_grid = chosen["sampler"] == "grid" or (space is None and chosen["sampler"] is None)
    chosen["sampler"] = "grid" if is_grid else chosen["sampler"] or "tpe"
    if is_grid and chosen["trials"] is None:
        trial = build_config(SweepConfig, {**asked, **chosen, "trials": 1}, where="sweep")
        chosen["trials"] = len(grid_of(trial.space))
    if chosen["trials"] is None:
        raise ConfigError("the number of trials is missing; give --trials N")
    return build_config(SweepConfig, {**asked, **chosen}, where="sweep")
