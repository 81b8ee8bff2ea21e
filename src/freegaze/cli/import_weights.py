"""``freegaze import-weights``: make a run of weights that the original published."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import SourceName


def command(
    file: Annotated[Path, typer.Argument(help="A `.pth` file, or an archive that holds it.")],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            help="One of cnn, autoencoder, resnet18, efficientnet_b0, cnn_gru, sensorium, "
            "sensorium_plus.",
        ),
    ],
    session: Annotated[str, typer.Option("--session", help="The mouse, e.g. 070921_J553RT.")],
    out: Annotated[Path, typer.Option("--out", help="New folder for the run.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="The session's recording, to evaluate on.")
    ] = None,
    source: SourceName = "auto",
    member: Annotated[str | None, typer.Option("--member", help="File in the archive.")] = None,
    behavior: Annotated[
        str | None, typer.Option("--behavior", help="Behavior set of the row, e.g. all_prod.")
    ] = None,
    history: Annotated[int, typer.Option("--history", min=1, help="Bins of a window.")] = 1,
    shifter: Annotated[
        bool, typer.Option("--shifter/--no-shifter", help="Whether the row has a shifter.")
    ] = True,
) -> None:
    """Make a run of a weight file of Xu et al. (2023), to evaluate, explain and report.

    For example:

        freegaze import-weights table_1.zip --member cnn.pth --model cnn --session 070921_J553RT
        --data data/xu2023 --out runs/published
    """
    from freegaze.paper.published import import_published, load_published
    from freegaze.runs.config import SourceConfig
    from freegaze.runs.recordings import open_source
    from freegaze.sources import detect_source

    encoder = load_published(
        file,
        model=model,
        behavior=behavior,
        history=history,
        session_id=session,
        member=member,
        is_shifted=shifter,
    )
    chosen, recordings = SourceConfig(), []
    if data is not None:
        name = detect_source(data) if source == "auto" else source
        options = {"units": "paper", "sessions": [session]} if name == "xu2023" else {}
        chosen = SourceConfig(name=name, path=data.resolve(), options=options)
        recordings = open_source(chosen)
    run = import_published(encoder, out, chosen, recordings)
    typer.echo(f"{run.path}: {model} with {len(encoder.sessions[session].unit_ids)} neurons")
    if data is not None:
        typer.echo(f"next: freegaze evaluate {run.path} --paper")
