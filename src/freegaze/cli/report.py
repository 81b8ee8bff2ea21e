"""``freegaze report``: one self-contained HTML page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import RunPath
from freegaze.evaluation.fitted import load_encoder
from freegaze.evaluation.scores import load_evaluation
from freegaze.report import write_report
from freegaze.workflow import open_run_recordings


def command(
    run: RunPath,
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="Evaluated run to show beside it.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="HTML file to write.")] = None,
) -> None:
    """Write the report of an evaluated run: what was fitted, how well, and what it shows.

    Examples:
        freegaze report runs/cnn_gru --against runs/glm
    """
    yardsticks = {other.name: load_evaluation(other) for other in against or []}
    page = write_report(
        run, open_run_recordings(run), load_encoder(run), load_evaluation(run), yardsticks, out
    )
    typer.echo(str(page))
