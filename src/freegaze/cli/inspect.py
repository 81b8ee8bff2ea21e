"""``freegaze inspect``: what a recording holds, and whether it can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import DataPath, SourceName, SourceOptions, read_options
from freegaze.cli.tables import print_nested
from freegaze.recording.quality import check_quality
from freegaze.recording.summary import summarize
from freegaze.report import write_quality_page
from freegaze.sources import open_recordings


def command(
    path: DataPath,
    source: SourceName = "auto",
    option: SourceOptions = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the quality check to this HTML file.")
    ] = None,
) -> None:
    """Print what a recording holds, and write its quality check as one page.

    For example:

        freegaze inspect data/mouse

        freegaze inspect data/mouse.npz --source arrays --out quality.html
    """
    for recording in open_recordings(source, path, **read_options(option)):
        quality = check_quality(recording)
        print_nested(f"Session {recording.session_id}", summarize(recording))
        print_nested(
            "Quality", {c.name: f"{c.status.upper()}: {c.sentence}" for c in quality.checks}
        )
        page = out or Path(f"{recording.session_id}_quality.html")
        typer.echo(f"quality check: {write_quality_page(recording, quality, page)}")
