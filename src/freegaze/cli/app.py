"""The application: its verbs and its handling of errors."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from freegaze import __version__
from freegaze.allocator import keep_freed_memory
from freegaze.cli import (
    compare,
    convert,
    doctor,
    evaluate,
    explain,
    export_weights,
    fetch,
    import_weights,
    inspect,
    listing,
    predict,
    report,
    reproduce,
    schema,
    score,
    simulate,
    train,
    verify,
)
from freegaze.errors import FreegazeError

app = typer.Typer(
    name="freegaze",
    help="Fit and explain encoding models of visual cortex in freely moving animals.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

VERBS = (
    *(simulate, inspect, train, evaluate, explain, compare, predict, score, report, reproduce),
    fetch,
    convert,
    verify,
    schema,
    doctor,
    import_weights,
    export_weights,
)
for verb in VERBS:
    app.command(verb.__name__.rpartition(".")[2].replace("_", "-"))(verb.command)
for names in (listing.models, listing.sources, listing.targets, listing.metrics):
    app.command(names.__name__)(names)


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"freegaze {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Fit and explain encoding models of visual cortex in freely moving animals."""


def run() -> None:
    """Run a command; print a user's mistake as one line and leave with status 2."""
    keep_freed_memory()  # of a process that ends with its command
    try:
        app()
    except FreegazeError as error:
        message = " ".join(str(error).split())
        typer.echo(f"freegaze: {message}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("freegaze: stopped; `freegaze train --resume RUN` continues a fit", err=True)
        sys.exit(130)
