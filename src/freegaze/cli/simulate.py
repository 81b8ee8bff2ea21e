"""``freegaze simulate``: a recording of the virtual mouse, whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from freegaze.cli.arguments import Quiet
from freegaze.cli.progress import progress_bar


def command(
    out: Annotated[Path, typer.Option("--out", help="New folder for the recording.")],
    minutes: Annotated[float, typer.Option(help="Length in minutes.")] = 10.0,
    neurons: Annotated[int, typer.Option(help="Number of neurons.")] = 60,
    seed: Annotated[int, typer.Option(help="Fixes the whole simulation.")] = 0,
    track: Annotated[str, typer.Option(help="affine, standard, hard or null.")] = "standard",
    layout: Annotated[str, typer.Option(help="store, or xu2023: the original's files.")] = "store",
    redraws: Annotated[int, typer.Option(help="Further spike draws of the same rates.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Simulate a freely moving mouse, with video, behavior, spikes and the truth behind them.

    For example:

        freegaze simulate --minutes 10 --neurons 60 --seed 1 --track standard --out data/mouse
    """
    from freegaze.simulation import SimulationConfig, simulate
    from freegaze.simulation.tracks import TrackName
    from freegaze.sources.simulation import Layout, check_target, write_simulation

    config = SimulationConfig(
        minutes=minutes,
        n_neurons=neurons,
        seed=seed,
        track=cast(TrackName, track),  # checked there, with the nearest names in the message
        redraws=redraws,
    )
    check_target(config.session_id, out, layout)
    with progress_bar(quiet) as progress:
        recording, truth = simulate(config, progress)
    write_simulation(recording, truth, out, layout=cast(Layout, layout))
    typer.echo(
        f"{out}: {recording.duration_s / 60:.1f} min, {recording.n_neurons} neurons, "
        f"{recording.n_bins} bins of {recording.bin_width_s * 1000:.0f} ms"
    )
