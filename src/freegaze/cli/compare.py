"""``freegaze compare``: paired differences between runs and prediction files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import CorrectAcross, Quiet
from freegaze.cli.progress import progress_bar
from freegaze.cli.tables import print_frame, write_frame


def command(
    runs: Annotated[list[Path], typer.Argument(help="Evaluated runs, and PREDICTIONS.npz.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write the table to this CSV.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Draw it into this page.")] = None,
    folds: Annotated[
        bool, typer.Option("--folds", help="Compare the cross-validated scores of the runs.")
    ] = False,
    correct_across: CorrectAcross = None,
    quiet: Quiet = False,
) -> None:
    """Compare runs, and predictions made by any program, on the same test bins and neurons.

    For example:

        freegaze compare runs/glm runs/cnn_gru --out differences.csv

        freegaze compare runs/glm mine.npz

        freegaze compare runs/glm runs/cnn_gru --folds

        freegaze compare runs/glm runs/cnn_gru --correct-across neurons
    """
    from freegaze.evaluation.compare import compare
    from freegaze.evaluation.multiplicity import correct_comparison
    from freegaze.reports import write_comparison_page

    with progress_bar(quiet) as progress:
        comparison = compare(runs, is_cross_validated=folds, progress=progress)
    if correct_across is not None:
        comparison = correct_comparison(comparison, correct_across)
    print_frame("Paired differences with 95 % intervals", comparison.headline)
    if out is not None:
        write_frame(out, comparison.table)
        typer.echo(str(out))
    if html is not None:
        typer.echo(str(write_comparison_page(comparison, html)))
