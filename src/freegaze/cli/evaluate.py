"""``freegaze evaluate``: score a run's encoder on its test bins."""

from __future__ import annotations

from typing import Annotated

import typer

from freegaze.cli.arguments import (
    AcceptsChange,
    CorrectAcross,
    Device,
    OwnModel,
    Quiet,
    RunPath,
)
from freegaze.cli.progress import progress_bar
from freegaze.cli.tables import print_frame


def command(
    run: RunPath,
    draws: Annotated[int, typer.Option(help="Number of bootstrap draws for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Fixes the draws.")] = 0,
    paper: Annotated[bool, typer.Option("--paper", help="Add the scores of Xu et al.")] = False,
    condition: Annotated[
        str | None,
        typer.Option(
            "--condition",
            metavar="ANNOTATION",
            help="Names the stimulus of each trial: adds noise ceilings and the condition mean.",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds",
            metavar="K",
            min=2,
            help="Cross-validate: fit the configuration K times more, each bin tested once.",
        ),
    ] = None,
    controls: Annotated[
        str | None,
        typer.Option(
            "--controls",
            metavar="NAME,...",
            help="Add scores of predictions that also read recorded responses: history (the "
            "neuron's own past), coupling (the sum of the other neurons).",
        ),
    ] = None,
    correct_across: CorrectAcross = None,
    model: OwnModel = None,
    accept_changed_model: AcceptsChange = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Score every neuron on held-out bins, with intervals and null baselines.

    Writes `evaluation/scores.csv`, `scores.parquet`, `summary.json` and `predictions.npz` into the
    run folder, and predictions of all bins into `timeline/`, which `freegaze view RUN` shows. With
    `--folds`, the fits and the scores are in its folder `folds`.

    For example:

        freegaze evaluate runs/first

        freegaze evaluate runs/park --condition stimulus_direction_deg

        freegaze evaluate runs/first --folds 5

        freegaze evaluate runs/first --correct-across neurons

        freegaze evaluate runs/first --controls history,coupling
    """
    from freegaze.evaluation.evaluation import summary_frame
    from freegaze.evaluation.multiplicity import chance_in_words
    from freegaze.evaluation.storage import CROSS_VALIDATION_FOLDER, FOLDER
    from freegaze.fitted.storage import load_encoder
    from freegaze.workflow import evaluate

    encoder = load_encoder(run, device, model, accept_changed_model)
    with progress_bar(quiet) as progress:
        evaluation = evaluate(
            encoder,
            draws=draws,
            seed=seed,
            condition=condition,
            controls=() if controls is None else controls.replace(",", " ").split(),
            paper=paper,
            folds=folds,
            correct_across=correct_across,
            progress=progress,
        )
    title = f"Scores of {run}" if folds is None else f"Scores of {run}, {folds} folds"
    print_frame(title, summary_frame(evaluation))
    typer.echo(evaluation.seen_text())
    typer.echo(evaluation.chance_text())
    if text := evaluation.trials_text():
        typer.echo(text)
    if correct_across is not None:
        typer.echo(chance_in_words(evaluation))
    place = run if folds is None else run / CROSS_VALIDATION_FOLDER
    typer.echo(f"one row per neuron: {place / FOLDER / 'scores.csv'}")
