"""Results of many fits on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import typer

from freegaze.errors import FreegazeError


def print_taken(n_taken: int) -> None:
    """Print how many fits another process works on, if there are any."""
    if n_taken:
        typer.echo(f"{n_taken} fits are being run by another process; run this again afterwards")


def print_failures(failures: Mapping[str, str], *, is_error: bool = True) -> None:
    """Print the name of each failed fit and the reason.

    Args:
        failures: Reason by name.
        is_error: Whether to print to standard error.
    """
    for name, why in failures.items():
        typer.echo(f"failed: {name}: {why}", err=is_error)


def print_files(files: Iterable[Path], n_failed: int, n_fits: int) -> None:
    """Print the files that hold the results, and refuse success where fits failed.

    Args:
        files: The files.
        n_failed: Fits that failed.
        n_fits: Fits in all.

    Raises:
        FreegazeError: If fits failed.
    """
    for file in files:
        typer.echo(str(file))
    if n_failed:
        raise FreegazeError(
            f"{n_failed} of {n_fits} fits failed; the table is of the others. Run the command "
            "again to try the failed ones once more"
        )
