"""Number and duration of the fits of a grid, estimated before they are run."""

from __future__ import annotations

import os
from collections.abc import Sequence

from freegaze.jobs.fits import Fit
from freegaze.paper.grid import Grid, GridWork
from freegaze.reports.wording import count, duration
from freegaze.sources import open_recordings

SECONDS = {
    "default": {
        "cnn": 0.98,
        "autoencoder": 1.01,
        "resnet18": 6.86,
        "efficientnet_b0": 5.89,
        "sensorium": 2.89,
        "cnn_gru": 0.46,
        "sensorium_plus": 3.31,
    },
    "paper": {
        "cnn": 4.33,
        "autoencoder": 10.8,
        "resnet18": 9.49,
        "efficientnet_b0": 14.0,
        "sensorium": 53.5,
        "cnn_gru": 3.91,
        "sensorium_plus": 53.2,
    },
}
"""Processor seconds per pass and 1,000 bins of a session with 60 x 80 frames, by version and model.

Source: one pass of one fit each, two simulated minutes, one thread of a busy server processor.
"""

REFITTED = 2.25
"""Factor of a fit that is repeated with validation windows, where these are a fifth of both."""

PIXELS = 60 * 80


def describe_plan(work: GridWork, fits: Sequence[Fit], n_workers: int) -> str:
    """Return the number of fits, and an estimate of how long those that are left take.

    Args:
        work: The work of each fit.
        fits: The requested fits, done or not.
        n_workers: Number of worker processes.
    """
    grid = work.grid
    left = [fit for fit in fits if fit.state != "done"]
    plan = (
        f"{count(len(fits), 'fit')} of {grid.table.name} ({count(len(grid.rows), 'row')}, "
        f"{count(len(grid.session_ids), 'session')}, {count(grid.config.seeds, 'seed')}): "
        f"{len(fits) - len(left)} done, {len(left)} to run"
    )
    if left:
        seconds, basis = estimate_seconds(grid, left, n_workers)
        plan += f", at most about {duration(seconds)} ({basis})"
    if work.figure is not None:
        plan += "; what the figure computes from each fit is not in this estimate"
    return plan


def estimate_seconds(grid: Grid, fits: Sequence[Fit], n_workers: int) -> tuple[float, str]:
    """Estimate how long fits take if none stops early.

    Fits that are done give the speed of this machine. Without any, the estimate assumes that all
    of its cores are as fast as the reference processor.

    Args:
        grid: The grid.
        fits: Fits to run.
        n_workers: Number of worker processes.

    Returns:
        Seconds, and words about the basis of the estimate.
    """
    sizes = _session_sizes(grid)

    def reference(fit: Fit, n_passes: int) -> float:
        model, version = grid.table.row(fit.row).model, grid.config.version
        factor = REFITTED if grid.run_config(fit).training.is_refitted else 1.0
        return factor * n_passes * SECONDS[version][model] * sizes[fit.session_id]

    most = sum(reference(fit, grid.run_config(fit).training.max_passes) for fit in fits)
    passes = {fit: fit.run.metrics() for fit in grid.fits if fit.state == "done"}
    expected = sum(reference(fit, len(own)) for fit, own in passes.items())
    if not expected:
        n_cores = os.cpu_count() or 1
        return most / n_cores, f"{count(n_cores, 'core')} without a GPU; early stops shorten it"
    measured = sum(fit.run.seconds() for fit in passes)
    basis = f"from the {count(len(passes), 'fit')} that are done; early stops shorten it"
    return most * measured / expected / n_workers, basis


def _session_sizes(grid: Grid) -> dict[str, float]:
    """Return the length of each session in thousands of bins, for frames of 60 x 80 pixels."""
    if grid.config.source is None:
        shapes = {s.session_id: (s.n_bins, *s.frame_size) for s in grid.config.simulations}
    else:
        source = grid.config.source
        assert source.path is not None, "a grid's source has a path"
        recordings = open_recordings(source.name, source.path, **source.options)
        shapes = {r.session_id: (r.n_bins, *r.frame_size) for r in recordings}
    return {name: n / 1000 * h * w / PIXELS for name, (n, h, w) in shapes.items()}
