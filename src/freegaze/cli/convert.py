"""``freegaze convert``: a recording in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import DataPath, Quiet, SourceOptions, read_settings
from freegaze.cli.progress import progress_bar


def command(
    source: Annotated[
        str, typer.Argument(help="Format of the data, or auto; `freegaze sources` lists them.")
    ],
    path: DataPath,
    to: Annotated[str, typer.Option("--to", help="`freegaze targets` lists them.")],
    out: Annotated[Path, typer.Option("--out", help="Folder; a session gets its own place in it.")],
    option: SourceOptions = None,
    bin_ms: Annotated[
        float | None, typer.Option(help="Width of a bin, for sources that bin raw files.")
    ] = None,
    resize: Annotated[
        tuple[int, int] | None, typer.Option(metavar="H W", help="Size of frames in pixels.")
    ] = None,
    segments: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of segments to cut into, each with training bins, then test bins."
        ),
    ] = None,
    test: Annotated[float, typer.Option(help="Share of test bins in each segment.")] = 0.3,
    quiet: Quiet = False,
) -> None:
    """Write recordings in another format, and list the fields that this format cannot store.

    No existing file is replaced. Every change is recorded in the provenance. The same command
    continues a conversion that was stopped. For example:

        freegaze convert niell2022 ModelData_all.h5 --to store --out data/niell

        freegaze convert auto data/mouse --to xu2023 --out data/xu --segments 10 --test 0.3

        freegaze convert nwb session.nwb --to store --out data/mouse --bin-ms 48 --resize 60 80
    """
    from freegaze.config import build_config
    from freegaze.sources.targets import ConversionConfig, convert

    config = build_config(
        ConversionConfig,
        {"bin_ms": bin_ms, "resize": resize, "segments": segments, "test": test},
        where="options of convert",
    )
    options = read_settings(option, "--option")
    with progress_bar(quiet) as progress:
        written = convert(source, path, to, out, options, config, progress)
    for session in written:
        known = " (was there already, the same)" if session.was_there else ""
        typer.echo(f"{session.session_id}: {session.path}{known}")
        for loss in session.losses:
            typer.echo(f"  not held by {to}: {loss}")
