"""``freegaze train``: fit an encoder, or continue a fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from freegaze.cli.arguments import AcceptsChange, Quiet, Settings, SourceName, read_settings
from freegaze.cli.progress import progress_bar
from freegaze.errors import ConfigError


def command(
    path: Annotated[Path | None, typer.Argument(help="File or folder with the recording.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="New folder for the run.")] = None,
    source: SourceName = "auto",
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="Encoder: a name that `freegaze models` lists, or FILE.py:CLASS."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="YAML file.")] = None,
    settings: Settings = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Fits with consecutive seeds that become one encoder, which predicts the mean of "
            "their rates; short for --set training.seeds.",
        ),
    ] = None,
    core_from: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Finished run with a core that may help: one fit starts from it, another from "
            "initial weights, and the one with the lower validation loss is kept. "
            "--set training.core_from=RUN takes the core over without a choice.",
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Continue this run.")
    ] = None,
    accept_changed_model: AcceptsChange = False,
    track: Annotated[
        list[str] | None,
        typer.Option(
            help="Show losses and validation scores of each pass in tensorboard, mlflow or wandb "
            "while the fit runs; may be repeated."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Where to compute: auto (a GPU where there is one), cpu, cuda or mps; short for "
            "--set training.device.",
            show_default="auto",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Fit an encoder to a recording, or continue a fit that was stopped.

    For example:

        freegaze train data/mouse --out runs/first

        freegaze train data/mouse --model glm --out runs/glm --set data.history=4

        freegaze train data/mouse --seeds 3 --out runs/averaged

        freegaze train data/other --core-from runs/first --out runs/other

        freegaze train --resume runs/first

        freegaze train data/mouse --out runs/tracked --track tensorboard

        freegaze train data/mouse --model mine.py:Mine --out runs/mine

        freegaze train --resume runs/mine --model mine.py:Mine

        torchrun --nproc-per-node 2 -m freegaze train data/mouse --out runs/by_two
    """
    from freegaze.runs.blends import blends_in_words
    from freegaze.runs.own_code import configure_run
    from freegaze.runs.recordings import open_run_recordings, open_source
    from freegaze.runs.run_folder import RunFolder
    from freegaze.training.fit import resume as resume_run
    from freegaze.training.fit import train
    from freegaze.training.processes import is_first_process
    from freegaze.training.search import searched
    from freegaze.training.tracking import tracking

    with progress_bar(quiet or not is_first_process()) as progress:
        if resume is not None:
            given: dict[str, Any] = {"PATH": path, "--out": out, "--config": config}
            given |= {"--device": device, "--seeds": seeds, "--core-from": core_from}
            given["--source"] = None if source == "auto" else source
            loss = _loss_to_resume(given, read_settings(settings))
            recordings = open_run_recordings(resume)
            with tracking(track or (), resume, RunFolder(resume).config()) as on_pass:
                run = resume_run(
                    resume,
                    recordings,
                    progress,
                    on_pass,
                    model=model,
                    loss=loss,
                    accept_changed_model=accept_changed_model,
                )
        else:
            if accept_changed_model:
                raise ConfigError("--accept-changed-model goes with --resume; leave it out")
            short = {"device": device, "seeds": seeds}
            chosen = {f"training.{k}": v for k, v in short.items() if v is not None}
            chosen = read_settings(settings) | chosen | data_settings(path, source)
            run_config = configure_run(config, chosen, model)
            if core_from is not None:
                tried = {"training.core_from": [None, str(core_from.resolve())]}
                run_config = run_config.model_copy(update={"search": run_config.search | tried})
            if out is None:
                raise ConfigError("give the run a folder with --out, for example --out runs/first")
            with tracking(track or (), out, run_config) as on_pass:
                run = train(open_source(run_config.source), run_config, out, progress, on_pass)
    if not is_first_process():
        return
    for session, n in run.manifest().get("neurons", {}).items():
        if n["fitted"] < n["recorded"]:
            typer.echo(
                f"{session}: {n['recorded'] - n['fitted']} of {n['recorded']} neurons were left "
                f"out, as their mean rate in training bins is below data.min_rate_hz = "
                f"{run.config().data.min_rate_hz:g}; --set data.min_rate_hz=0 keeps all"
            )
    best, n_seeds = run.kept_pass(), run.config().training.seeds
    passes = f"in pass {best['pass']} of {len(run.metrics())}"
    how = passes if n_seeds == 1 else f"of the mean rate of {n_seeds} fits"
    is_refitted = (run if n_seeds == 1 else run.member(0)).is_refitted
    then = "; then fitted anew with the validation windows" if is_refitted else ""
    for trial, values in searched(run):
        tried = ", ".join(f"{name} = {value}" for name, value in values.items())
        typer.echo(f"tried {tried}: validation loss {trial.kept_pass()['validation_loss']:.4f}")
    typer.echo(f"{run.path}: validation loss {best['validation_loss']:.4f} {how}{then}")
    for sentence in blends_in_words(run):
        typer.echo(sentence)


def _loss_to_resume(given: Mapping[str, Any], settings: dict[str, Any]) -> str | None:
    """Return the loss of the user's own; refuse options that a run which was begun cannot take."""
    loss = settings.pop("training.loss", None)
    unread = [name for name, value in given.items() if value is not None]
    unread += [f"--set {name}" for name in settings]
    if unread:
        raise ConfigError(
            f"--resume continues a run with the settings it was begun with; leave out "
            f"{', '.join(unread)}, or start a new run"
        )
    return loss


def data_settings(path: Path | None, source: str) -> dict[str, Any]:
    """Return the settings of the recording; none where its path is in the configuration.

    Args:
        path: Path or address of the recording.
        source: Format of the recording, or ``auto``.

    Raises:
        ConfigError: If there is a format without a path.
        DataError: If no source reads the recording.
    """
    from freegaze.sources import detect_source
    from freegaze.sources.remote.addresses import as_address

    if path is not None:
        name = detect_source(path) if source == "auto" else source
        return {"source.name": name, "source.path": path if as_address(path) else path.resolve()}
    if source != "auto":
        raise ConfigError("--source names the format of PATH; give the path of a recording")
    return {}
