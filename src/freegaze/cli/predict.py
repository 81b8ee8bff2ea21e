"""``freegaze predict``: write a run's predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import Device, Quiet, RunPath
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
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Predict the responses of every fitted neuron.

    For example:

        freegaze predict runs/first --role all --out predictions.npz

        freegaze predict runs/first --out predictions.nwb
    """
    from freegaze.workflow import predict

    bins = None if role == "all" else role
    with progress_bar(quiet) as progress:
        predict(run, role=bins, session=session, out=out, device=device, progress=progress)
    typer.echo(str(out))
