"""``freegaze predict``: write a run's predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import AcceptsChange, Device, OwnModel, Quiet, RunPath
from freegaze.cli.progress import progress_bar


def command(
    run: RunPath,
    out: Annotated[
        Path, typer.Option("--out", help="File to write (.npz), or a new .nwb with the recording.")
    ],
    role: Annotated[
        str, typer.Option(help="Bins to predict: test, validation, train or all.")
    ] = "test",
    session: Annotated[str | None, typer.Option(help="Predict this session only.")] = None,
    model: OwnModel = None,
    accept_changed_model: AcceptsChange = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Predict the responses of every fitted neuron.

    For example:

        freegaze predict runs/first --role all --out predictions.npz

        freegaze predict runs/first --out predictions.nwb
    """
    from freegaze.fitted.storage import load_encoder
    from freegaze.workflow import predict

    encoder = load_encoder(run, device, model, accept_changed_model)
    bins = None if role == "all" else role
    with progress_bar(quiet) as progress:
        predict(encoder, role=bins, session=session, out=out, progress=progress)
    typer.echo(str(out))
