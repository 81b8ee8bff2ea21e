"""``freegaze verify``: comparison of files with their checksums."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.errors import DataError


def command(
    path: Annotated[Path, typer.Argument(help="A store, a run, fetched data, or a folder above.")],
) -> None:
    """Compare every file with its checksum; leave with status 2 if one has changed.

    For example:

        freegaze verify data/mouse

        freegaze verify runs/cnn_gru
    """
    from freegaze.recording.verification import verify_files

    checks = []
    for check in verify_files(path):
        checks.append(check)
        detail = f" ({check.detail})" if check.detail else ""
        typer.echo(f"{check.verdict}: {check.path}{detail}")
    damaged = [check for check in checks if check.is_damaged]
    if damaged:
        raise DataError(
            f"{len(damaged)} of {len(checks)} files in {path} are damaged, first "
            f"{damaged[0].path} ({damaged[0].verdict}); restore them from a copy"
        )
    n_covered = sum(check.verdict == "ok" for check in checks)
    typer.echo(f"{path}: {n_covered} files as written, {len(checks) - n_covered} without checksum")
