"""Arguments that several verbs share, so that they are called and explained the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.recording.recording import Recording
from freegaze.sources import detect_source, open_recordings

RunPath = Annotated[Path, typer.Argument(help="Run folder, as written by `freegaze train`.")]
DataPath = Annotated[Path, typer.Argument(help="File or folder with the recording.")]
SourceName = Annotated[
    str, typer.Option("--source", help="Format of the data; `freegaze sources` lists them.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="One setting; may be given many times."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


def source_name(source: str, path: Path) -> str:
    """Return the named source, or for ``auto`` the one that recognizes the data.

    Raises:
        DataError: If no source recognizes them.
    """
    return detect_source(path) if source == "auto" else source


def open_data(source: str, path: Path) -> list[Recording]:
    """Open a recording with its source's default options."""
    return open_recordings(source_name(source, path), path)
