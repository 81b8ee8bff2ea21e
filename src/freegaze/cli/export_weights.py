"""``freegaze export-weights``: write a run's weights for the original's notebooks."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import AcceptsChange, OwnModel, RunPath


class Layout(StrEnum):
    """Layout of the names and shapes of the weights."""

    XU2023 = "xu2023"


def command(
    run: RunPath,
    out: Annotated[Path, typer.Option("--out", help="The `.pth` file to write.")],
    layout: Annotated[
        Layout, typer.Option("--layout", help="Whose names and shapes.")
    ] = Layout.XU2023,
    session: Annotated[
        str | None, typer.Option("--session", help="Whose head, where there are several.")
    ] = None,
    model: OwnModel = None,
    accept_changed_model: AcceptsChange = False,
) -> None:
    """Write a run's weights as the original's classes load them.

    The run's encoder must be in its `paper` configuration, on 60 x 80 frames.

    For example:

        freegaze export-weights runs/cnn --layout xu2023 --out cnn.pth
    """
    from freegaze.fitted.storage import load_encoder
    from freegaze.paper.published import export_published, save_published

    encoder = load_encoder(run, model=model, accept_changed_model=accept_changed_model)
    weights = export_published(encoder, session)
    save_published(out, weights)
    typer.echo(f"{out}: {len(weights)} weights in the layout {layout.value}")
