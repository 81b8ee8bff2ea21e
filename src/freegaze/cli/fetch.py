"""``freegaze fetch``: published data, downloaded, verified and unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import Quiet, Settings
from freegaze.cli.progress import progress_bar


def command(
    dataset: Annotated[str, typer.Argument(help="xu2023: data and weights of Xu et al. (2023).")],
    out: Annotated[Path, typer.Option("--out", help="Folder to put it in; gone on with.")],
    config: Annotated[
        Path | None, typer.Option(help="YAML with other addresses, or the files themselves.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only files of this name or pattern (*.zip).")
    ] = None,
    settings: Settings = None,
    quiet: Quiet = False,
) -> None:
    """Download a published data set; files that exist already are verified and kept.

    The same command continues a download that was interrupted.

    For example:

        freegaze fetch xu2023 --out data/published

        freegaze fetch xu2023 --out data/published --only 'table_*.zip'
    """
    from freegaze.config import build_config, read_config
    from freegaze.sources.fetching.datasets import FetchConfig, fetch, find_dataset

    published = find_dataset(dataset)
    asked = read_config(FetchConfig, config, settings or ())
    changed = asked.model_dump(mode="json", exclude_defaults=True)
    if only:
        changed["only"] = only
    wanted = build_config(
        FetchConfig, {**published.model_dump(mode="json"), **changed}, where="fetch"
    )
    with progress_bar(quiet) as progress:
        for fetched in fetch(wanted, out, progress):
            place = f" -> {fetched.folder}" if fetched.folder else ""
            typer.echo(f"{fetched.what}: {fetched.path}{place}")
    for root in _sessions_in(out):
        typer.echo(f"recordings: freegaze inspect {root} --source xu2023")


def _sessions_in(out: Path) -> list[Path]:
    """Return folders of recordings in the layout of Xu et al. (2023)."""
    return sorted({path.parent.parent for path in out.glob("**/train_nsp_seg_0.npy")})
