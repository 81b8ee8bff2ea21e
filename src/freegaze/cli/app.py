"""The application: its verbs and its handling of errors."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any

import typer

from freegaze import __version__
from freegaze.allocator import keep_freed_memory
from freegaze.cli import (
    bench,
    cite,
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
    sweep,
    train,
    verify,
    view,
    watch,
)
from freegaze.errors import DataWarning, FreegazeError

app = typer.Typer(
    name="freegaze",
    help="Fit and explain encoding models of visual cortex in freely moving animals.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

VERBS = (
    *(simulate, inspect, train, evaluate, explain, compare, predict, score, report, reproduce),
    bench,
    sweep,
    watch,
    view,
    fetch,
    convert,
    verify,
    schema,
    doctor,
    cite,
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


_show_warning = warnings.showwarning


def _print_warning(message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Print a warning about data as one line; others keep the line of code that raised them."""
    if issubclass(category, DataWarning):
        typer.echo(f"freegaze: warning: {' '.join(str(message).split())}", err=True)
    else:
        _show_warning(message, category, *where)


def run() -> None:
    """Run a command; print a user's mistake as one line and leave with status 2."""
    keep_freed_memory()  # of a process that ends with its command
    warnings.showwarning = _print_warning
    try:
        app()
    except FreegazeError as error:
        message = " ".join(str(error).split())
        typer.echo(f"freegaze: {message}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("freegaze: stopped; `freegaze train --resume RUN` continues a fit", err=True)
        sys.exit(130)
