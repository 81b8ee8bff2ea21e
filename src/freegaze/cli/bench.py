"""``freegaze bench``: many encoders on all recordings of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.cli.arguments import Quiet, Settings, SourceName, SourceOptions, read_settings
from freegaze.cli.fits import print_failures, print_files, print_taken
from freegaze.cli.progress import grid_progress
from freegaze.cli.tables import print_frame


def command(
    path: Annotated[Path, typer.Argument(help="Folder of recordings, or the file of one.")],
    models: Annotated[
        str,
        typer.Option(
            "--models",
            help="Encoders, separated by commas: names that `freegaze models` lists, "
            "FILE.py:CLASS, or YAML files with settings of a run. Differences are from the first.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the bench; an existing one continues.")
    ],
    source: SourceName = "auto",
    options: SourceOptions = None,
    settings: Settings = None,
    seeds: Annotated[int, typer.Option(min=1, help="Fits of each encoder and recording.")] = 1,
    condition: Annotated[
        str | None,
        typer.Option(help="Annotation that names the stimulus of each trial, for ceilings."),
    ] = None,
    clusters: Annotated[
        str | None,
        typer.Option(
            help="Annotation whose values are resampled in the place of blocks of time, such as "
            "the stimulus where stimuli come in random order."
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Draws of the intervals.")] = 1000,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Worker processes.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Fit encoders to all recordings of a folder, and compare them on the same test bins.

    Fits that are done are kept, a stopped bench continues, and a fit that fails does not end the
    others. Encoders, recordings and seeds may be added later. A recording without the angles that
    the shifter reads is fitted without a shifter, and one of single frames with windows of one bin.
    `--set model.X=VALUE` applies to the encoders that have the option X. Where the YAML file of an
    encoder has a `search`, its options are chosen on validation bins.

    For example:

        freegaze bench data/mice --models cnn_gru,glm,mean_rate --out benches/mice

        freegaze bench data/mice --models mine.yaml,cnn_gru --seeds 3 --workers 2 --out benches/mine
    """
    from freegaze.studies.bench import run_bench
    from freegaze.studies.bench_page import save_result
    from freegaze.studies.config import BenchConfig, find_recordings, read_encoders
    from freegaze.studies.folder import start_bench

    config = BenchConfig(
        encoders=read_encoders([name.strip() for name in models.split(",") if name.strip()]),
        recordings=find_recordings(path, source, read_settings(options, "--option")),
        settings=read_settings(settings),
        seeds=seeds,
        condition=condition,
        clusters=clusters,
        draws=draws,
    )
    bench = start_bench(out, config)
    n_done = sum(fit.state == "done" for fit in bench.fits)
    with grid_progress("bench", len(bench.fits), n_done, quiet) as watch:
        result = run_bench(bench, workers, watch)
    print_taken(result.n_missing)
    print_failures(result.failures)
    if len(result.table):
        print_frame("Scores on test bins, and differences in correlation", result.headline)
    print_files(save_result(result), len(result.failures), len(bench.fits))
