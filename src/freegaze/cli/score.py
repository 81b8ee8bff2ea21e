"""``freegaze score``: scores of predictions made by any program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import DataPath, Quiet, SourceName
from freegaze.cli.progress import progress_bar
from freegaze.cli.tables import print_frame, write_frame


def command(
    predictions: Annotated[Path, typer.Argument(help="PREDICTIONS.npz: `rates`, and more.")],
    data: DataPath,
    source: SourceName = "auto",
    out: Annotated[Path | None, typer.Option("--out", help="Write the table to this CSV.")] = None,
    quiet: Quiet = False,
) -> None:
    """Score predictions made by any program, on the recording's test bins.

    For example:

        freegaze score predictions.npz data/mouse
    """
    from freegaze.evaluation.evaluation import summary_frame
    from freegaze.evaluation.score_predictions import score_predictions
    from freegaze.sources import open_recordings

    with progress_bar(quiet) as progress:
        recordings = open_recordings(source, data)
        progress("scoring", 0, len(recordings))
        evaluation = score_predictions(predictions, recordings)
        progress("scoring", len(recordings), len(recordings))
    print_frame(f"Scores of {predictions}", summary_frame(evaluation))
    if out is not None:
        write_frame(out, evaluation.table)
        typer.echo(str(out))
