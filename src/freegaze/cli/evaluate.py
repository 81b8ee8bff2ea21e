"""``freegaze evaluate``: score a run's encoder on its test bins."""

from __future__ import annotations

from typing import Annotated

import typer

from freegaze.cli.arguments import RunPath
from freegaze.cli.tables import print_frame


def command(
    run: RunPath,
    draws: Annotated[int, typer.Option(help="Bootstrap draws for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Fixes the draws.")] = 0,
    paper: Annotated[bool, typer.Option("--paper", help="Add the original's own scores.")] = False,
) -> None:
    """Score every neuron on held-out bins, with intervals and null baselines.

    Writes `evaluation/scores.csv`, `scores.parquet`, `summary.json` and `predictions.npz` into the
    run folder.

    For example:

        freegaze evaluate runs/first
    """
    from freegaze.evaluation.evaluate import evaluate
    from freegaze.evaluation.evaluation import summary_frame
    from freegaze.evaluation.storage import save_evaluation
    from freegaze.fitted.storage import load_encoder
    from freegaze.workflow import open_run_recordings

    encoder = load_encoder(run)
    recordings = open_run_recordings(run)
    evaluation = evaluate(encoder, recordings, draws=draws, seed=seed, paper=paper)
    folder = save_evaluation(run, evaluation)
    print_frame(f"Scores of {run}", summary_frame(evaluation))
    typer.echo(f"one row a neuron: {folder / 'scores.csv'}")
