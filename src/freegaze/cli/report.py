"""``freegaze report``: one self-contained HTML page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import RunPath


def command(
    run: RunPath,
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="Evaluated run to show beside it.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="HTML file to write.")] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Also draw an overview into this PNG.")
    ] = None,
) -> None:
    """Write the report of an evaluated run: what was fitted, how well, and what it shows.

    For example:

        freegaze report runs/cnn_gru --against runs/glm
    """
    from freegaze.evaluation.storage import load_evaluation
    from freegaze.explanation.storage import is_explained, load_explanations
    from freegaze.fitted.storage import load_encoder
    from freegaze.reports import write_readme_figure, write_report
    from freegaze.workflow import displacement_against_truth, open_run_recordings

    baselines = {other.name: load_evaluation(other) for other in against or []}
    recordings, encoder = open_run_recordings(run), load_encoder(run)
    truth = displacement_against_truth(encoder, recordings)
    evaluation = load_evaluation(run)
    if picture is not None:
        typer.echo(
            write_readme_figure(run, recordings, encoder, evaluation, picture, baselines, truth)
        )
    explanations = load_explanations(run) if is_explained(run) else ()
    page = write_report(run, recordings, encoder, evaluation, baselines, out, truth, explanations)
    typer.echo(str(page))
