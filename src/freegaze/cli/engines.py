"""Options of the verbs that run many fits, and what these verbs do alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freegaze.errors import ConfigError
from freegaze.registry import require_name

if TYPE_CHECKING:
    from freegaze.jobs.fits import Fit, Work
    from freegaze.jobs.slurm import SlurmArray
    from freegaze.jobs.workers import Engine

SLURM_PREFIX = "slurm."

On = Annotated[
    str,
    typer.Option(
        "--on",
        help="Where fits run: local, in worker processes; or slurm, as tasks of an array job. "
        "--set slurm.NAME=VALUE is a request such as slurm.partition, slurm.time, slurm.gpus.",
    ),
]
Again = Annotated[
    str | None,
    typer.Option(
        "--again",
        metavar="failed",
        help="Run only fits that were begun or submitted before and did not come to their end.",
    ),
]


def check_again(again: str | None) -> None:
    """Check the value of ``--again``.

    Raises:
        ConfigError: If it is none that is known.
    """
    if again not in (None, "failed"):
        raise ConfigError(f"--again takes only failed, got {again!r}")


def split_settings(settings: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Return the settings of SLURM, and all others.

    Args:
        settings: Settings as the user gave them to ``--set``.
    """
    given = list(settings or ())
    of_slurm = [text for text in given if text.startswith(SLURM_PREFIX)]
    return of_slurm, [text for text in given if text not in of_slurm]


def array_of(out: Path, command: Sequence[str], settings: Sequence[str]) -> SlurmArray:
    """Return the array jobs of a grid or sweep.

    Args:
        out: Folder of the grid or sweep.
        command: What a task runs.
        settings: Settings of SLURM.

    Raises:
        ConfigError: If a setting is wrong.
    """
    from freegaze.jobs.slurm import SlurmArray, read_slurm_config

    texts = [text.removeprefix(SLURM_PREFIX) for text in settings]
    return SlurmArray(out / "jobs", command, read_slurm_config(texts))


def engine_of(on: str, workers: int, array: SlurmArray) -> Engine:
    """Return what runs the fits.

    Args:
        on: Name of the engine.
        workers: Worker processes of this machine.
        array: Array jobs.

    Raises:
        ConfigError: If the name is unknown.
    """
    from freegaze.jobs.workers import LocalPool

    engines: dict[str, Engine] = {"local": LocalPool(workers), "slurm": array}
    require_name(on, engines, "--on names no engine", ConfigError)
    return engines[on]


def unfinished(work: Work, fits: Sequence[Any], array: SlurmArray) -> list[Any]:
    """Return the fits (``Fit``) that were begun or submitted and did not come to their end."""
    from freegaze.jobs.states import AGAIN, fit_states

    states = fit_states(work, fits, array.tasks())
    return [fit for fit, state in zip(fits, states, strict=True) if state.state in AGAIN]


def print_unfinished(work: Work, fits: Sequence[Fit], array: SlurmArray) -> None:
    """Print the fits that did not come to their end, but those whose failure is reported."""
    from freegaze.jobs.states import AGAIN, fit_states

    for state in fit_states(work, fits, array.tasks()):
        if state.state in AGAIN and state.state != "failed":
            typer.echo(f"{state.state}: {state.fit.name}: {state.detail}", err=True)


def run_as_task(work: Work, fit: Fit, quiet: bool) -> None:
    """Run one fit in this process, which a scheduler has started, and print its outcome.

    Raises:
        FreegazeError: If it failed.
    """
    from freegaze.cli.progress import progress_bar
    from freegaze.errors import FreegazeError
    from freegaze.jobs.slurm import run_task

    with progress_bar(quiet) as progress:
        outcome = run_task(work, fit, progress)
    if outcome == "failed":
        raise FreegazeError(f"fit {fit.name} failed: {fit.error}")
    words = {None: "stopped; its checkpoint is written", "taken": "another process works on it"}
    typer.echo(f"{fit.name}: {words.get(outcome, outcome)}")
