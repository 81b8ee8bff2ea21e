"""``freegaze inspect``: contents and quality of a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import DataPath, SourceName, SourceOptions, read_options
from freegaze.cli.tables import print_frame, print_nested
from freegaze.errors import DataError


def command(
    path: DataPath,
    source: SourceName = "auto",
    option: SourceOptions = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the quality check to this HTML file.")
    ] = None,
) -> None:
    """Print what a file and its recordings hold, and write their quality check as one page.

    Of an NWB file the series are listed first, by the names with which to choose among them.

    For example:

        freegaze inspect data/mouse

        freegaze inspect data/mouse.npz --source arrays --out quality.html

        freegaze inspect session.nwb --option video=world_camera --option bin_width_s=0.048
    """
    import pandas as pd

    from freegaze.quality.checks import check_quality
    from freegaze.quality.summary import summarize
    from freegaze.reports import write_quality_page
    from freegaze.sources import SOURCES, detect_source, open_recordings

    if source == "auto":
        source = detect_source(path)
    contents = SOURCES.get(source)().contents(path) if path.exists() else []
    if contents:
        print_frame(str(path), pd.DataFrame(contents))
    try:
        recordings = open_recordings(source, path, **read_options(option))
    except DataError as error:
        if not contents:
            raise
        typer.echo(f"not opened as a recording: {error}")
        return
    for recording in recordings:
        quality = check_quality(recording)
        print_nested(f"Session {recording.session_id}", summarize(recording))
        print_nested(
            "Quality", {c.name: f"{c.status.upper()}: {c.sentence}" for c in quality.checks}
        )
        page = out or Path(f"{recording.session_id}_quality.html")
        typer.echo(f"quality check: {write_quality_page(recording, quality, page)}")
