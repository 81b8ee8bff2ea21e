"""``freegaze predict``: write a run's predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import RunPath
from freegaze.evaluation import load_encoder, save_predictions
from freegaze.workflow import open_run_recordings


def command(
    run: RunPath,
    out: Annotated[Path, typer.Option("--out", help="File to write (.npz).")],
    role: Annotated[
        str, typer.Option(help="Bins to predict: test, validation, train or all.")
    ] = "test",
) -> None:
    """Predict the responses of every fitted neuron.

    For example:

        freegaze predict runs/first --role all --out predictions.npz
    """
    encoder = load_encoder(run)
    recordings = open_run_recordings(run)
    chosen = None if role == "all" else role
    save_predictions(out, [encoder.predict(r, chosen) for r in recordings])
    typer.echo(str(out))
