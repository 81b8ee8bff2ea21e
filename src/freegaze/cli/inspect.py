"""``freegaze inspect``: quality and contents of a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import DataPath, Quiet, SourceName, SourceOptions, read_settings
from freegaze.cli.progress import progress_bar
from freegaze.cli.tables import print_frame, print_nested
from freegaze.errors import DataError


def command(
    path: DataPath,
    source: SourceName = "auto",
    option: SourceOptions = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the quality check to this HTML file.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Also print where the recording came from.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Print the quality and the contents of recordings; write the quality check as a page.

    The page is SESSION_quality.html in the working folder, or the file given by --out. For an NWB
    file the series are listed first, with the names by which they are chosen.

    For example:

        freegaze inspect data/mouse

        freegaze inspect data/mouse --verbose

        freegaze inspect data/mouse.npz --source arrays --out quality.html

        freegaze inspect session.nwb --option video=world_camera --option bin_width_s=0.048

        freegaze inspect dandi://DANDISET/sub-A/sub-A_ses-1.nwb --option video=none
    """
    import pandas as pd

    from freegaze.dataset.splits import describe_split
    from freegaze.quality.checks import check_quality
    from freegaze.quality.summary import summarize
    from freegaze.reports import write_quality_page
    from freegaze.sources import SOURCES, detect_source, open_recordings
    from freegaze.sources.remote.addresses import as_address

    if source == "auto":
        source = detect_source(path)
    contents = SOURCES.get(source)().contents(path) if path.exists() or as_address(path) else []
    if contents:
        print_frame(str(path), pd.DataFrame(contents))
    try:
        recordings = open_recordings(source, path, **read_settings(option, "--option"))
    except DataError as error:
        if not contents:
            raise
        typer.echo(f"not opened as a recording: {error}")
        return
    for recording in recordings:
        with progress_bar(quiet) as progress:
            progress(f"checking {recording.session_id}", 0, 1)
            quality = check_quality(recording)
            page = out or Path(f"{recording.session_id}_quality.html")
            written = write_quality_page(recording, quality, page)
        sentences = {c.name: f"{c.status.upper()}: {c.sentence}" for c in quality.checks}
        title = f"Quality of session {recording.session_id}: {quality.status}"
        print_nested(f"{title}, {quality.n_not_checked} of {len(sentences)} not checked", sentences)
        contents = summarize(recording)
        provenance = contents.pop("provenance")
        contents["default split"] = describe_split(recording)
        print_nested(f"Contents of session {recording.session_id}", contents)
        if verbose:
            print_nested(f"Provenance of session {recording.session_id}", provenance)
        typer.echo(f"quality check written to {written}")
