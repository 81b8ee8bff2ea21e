"""Arguments that several verbs share, so that they are called and explained the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

RunPath = Annotated[Path, typer.Argument(help="Run folder, as written by `freegaze train`.")]
DataPath = Annotated[Path, typer.Argument(help="File or folder with the recording.")]
SourceName = Annotated[
    str, typer.Option("--source", help="Format of the data; `freegaze sources` lists them.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="One setting; may be given many times."),
]
SourceOptions = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="A=B", help="One option of the source; many times."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress bar.")]
Device = Annotated[
    str, typer.Option(help="Where to compute: auto (a GPU where there is one), cpu, cuda, cuda:1.")
]

OwnModel = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="FILE.py:CLASS", help="The run's encoder, if it is in a file of yours."
    ),
]
AcceptsChange = Annotated[
    bool,
    typer.Option("--accept-changed-model", help="Go on though the source of --model has changed."),
]

CorrectAcross = Annotated[
    str | None,
    typer.Option(
        "--correct-across",
        metavar="neurons",
        help="Correct p values for the number of neurons of a session (false discovery rate).",
    ),
]


def read_settings(given: list[str] | None, flag: str = "--set") -> dict[str, Any]:
    """Read settings, ``a.b=value`` each, the value in YAML, by name.

    Args:
        given: Settings as the user gave them.
        flag: Command-line flag that the settings were given with.

    Raises:
        ConfigError: If one is not of that form.
    """
    from freegaze.config import read_setting

    return dict(read_setting(text, flag) for text in given or ())
