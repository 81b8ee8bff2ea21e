"""``freegaze report``: one self-contained HTML page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import AcceptsChange, Device, OwnModel, Quiet, RunPath
from freegaze.cli.progress import progress_bar


def command(
    run: RunPath,
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="Evaluated run to show beside it.")
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline",
            help="First fit and evaluate the encoder local_energy on the same bins, in the folder "
            "RUN/baseline. This report and all later ones show it.",
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="HTML file to write.")] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Also draw an overview into this PNG.")
    ] = None,
    model: OwnModel = None,
    accept_changed_model: AcceptsChange = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Write the report of an evaluated run: the fit, its scores and its explanations.

    For example:

        freegaze report runs/cnn_gru --baseline --against runs/glm
    """
    from freegaze.fitted.storage import load_encoder
    from freegaze.workflow import report

    encoder = load_encoder(run, device, model, accept_changed_model)
    with progress_bar(quiet) as progress:
        page = report(
            encoder,
            against=against or (),
            baseline=baseline,
            out=out,
            picture=picture,
            progress=progress,
        )
    for file in (picture, page):
        if file is not None:
            typer.echo(str(file))
