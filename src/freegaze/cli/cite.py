"""``freegaze cite``: list of works to cite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path | None, typer.Argument(help="A run; its data are cited too.")] = None,
    bibtex: Annotated[bool, typer.Option("--bibtex", help="Print BibTeX entries.")] = False,
) -> None:
    """Print what to cite: freegaze, the method, and the data of a run.

    For example:

        freegaze cite runs/first

        freegaze cite --bibtex
    """
    from freegaze.runs.citations import citations

    for work in citations(run):
        typer.echo(work.bibtex() if bibtex else work.text())
        typer.echo("")
