"""``freegaze simulate``: a recording of the virtual mouse with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import Quiet
from freegaze.cli.progress import progress_bar


def command(
    out: Annotated[Path, typer.Option("--out", help="New folder for the recording.")],
    minutes: Annotated[float, typer.Option(help="Length in minutes.")] = 10.0,
    neurons: Annotated[int, typer.Option(help="Number of neurons.")] = 60,
    seed: Annotated[int, typer.Option(help="Fixes the whole simulation.")] = 0,
    track: Annotated[str, typer.Option(help="affine, standard, hard or null.")] = "standard",
    mouse: Annotated[
        str,
        typer.Option(
            help="VM-1, or VM-2: neurons and instruments that no encoder describes exactly."
        ),
    ] = "VM-1",
    violations: Annotated[
        str,
        typer.Option(
            help="Of VM-2: all, none, or names with commas, such as history,eye_drift: each is "
            "something that encoders assume and VM-2 does not keep."
        ),
    ] = "all",
    layout: Annotated[str, typer.Option(help="store, or xu2023: the original's files.")] = "store",
    redraws: Annotated[int, typer.Option(help="Further spike draws of the same rates.")] = 0,
    stimulus: Annotated[
        str,
        typer.Option(
            help="world: a freely moving mouse; white_noise: the same neurons, head-fixed before "
            "a screen of white noise."
        ),
    ] = "world",
    card: Annotated[
        bool,
        typer.Option("--card", help="Also write realism_card.md: statistics beside real ones."),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Simulate a freely moving mouse: video, behavior, spikes, and the true rates and fields.

    For example:

        freegaze simulate --minutes 10 --neurons 60 --seed 1 --track standard --out data/mouse

        freegaze simulate --seed 1 --card --out data/mouse

        freegaze simulate --mouse VM-2 --seed 1 --violations history,lens --out data/mouse_2

        freegaze simulate --seed 1 --stimulus white_noise --out data/noise
    """
    from freegaze.sources.simulation import simulate

    chosen = [name.strip() for name in violations.split(",") if name.strip() != "none"]
    with progress_bar(quiet) as progress:
        recording = simulate(
            out,
            minutes=minutes,
            n_neurons=neurons,
            seed=seed,
            track=track,
            mouse=mouse,
            violations=None if violations == "all" else chosen,
            redraws=redraws,
            layout=layout,
            stimulus=stimulus,
            card=card,
            progress=progress,
        )
    typer.echo(
        f"{out}: {recording.duration_s / 60:.1f} min, {recording.n_neurons} neurons, "
        f"{recording.n_bins} bins of {recording.bin_width_s * 1000:.0f} ms"
    )
    if card:
        typer.echo(f"realism card: {out / recording.session_id / 'realism_card.md'}")
