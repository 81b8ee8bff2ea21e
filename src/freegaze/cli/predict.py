"""``freegaze predict``: write a run's predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import RunPath


def command(
    run: RunPath,
    out: Annotated[
        Path, typer.Option("--out", help="File to write (.npz), or a new .nwb with the recording.")
    ],
    role: Annotated[
        str, typer.Option(help="Bins to predict: test, validation, train or all.")
    ] = "test",
    session: Annotated[str | None, typer.Option(help="Predict this session only.")] = None,
) -> None:
    """Predict the responses of every fitted neuron.

    For example:

        freegaze predict runs/first --role all --out predictions.npz

        freegaze predict runs/first --out predictions.nwb
    """
    from freegaze.workflow import predict_run

    typer.echo(str(predict_run(run, out, None if role == "all" else role, session)))
