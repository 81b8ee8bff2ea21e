"""``freegaze explain``: receptive fields, saliency, contributions and tuning of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from freegaze.cli.arguments import (
    AcceptsChange,
    Device,
    OwnModel,
    Quiet,
    RunPath,
    Settings,
    read_settings,
)
from freegaze.cli.progress import progress_bar
from freegaze.cli.tables import print_frame

if TYPE_CHECKING:
    import pandas as pd

    from freegaze.explanation.result import SessionExplanation


def command(
    run: RunPath,
    settings: Settings = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="PART,...",
            help="Compute these parts and keep all others as they are: fields, or one method such "
            "as fields.gradient; saliency; contributions; tuning; and, only where named, probes or "
            "one of them such as probes.gratings (stimuli shown to the encoder).",
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BLOCK|A=B",
            help="Compare fields with another recording of the same units: another block of the "
            "run's file, or what differs (path=, source=, options); many times.",
        ),
    ] = None,
    refits: Annotated[
        int | None,
        typer.Option(
            "--refits",
            metavar="K",
            min=2,
            help="Fit the configuration K times more, to halves of the recording, and keep how far "
            "fields, classes and saliency agree for each neuron.",
        ),
    ] = None,
    model: OwnModel = None,
    accept_changed_model: AcceptsChange = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Compute receptive fields, saliency, contributions and tuning of a run's neurons.

    Results are kept neuron by neuron: if the command is stopped, the same command continues.
    `freegaze report` shows them.

    For example:

        freegaze explain runs/cnn_gru

        freegaze explain runs/cnn_gru --set n_windows=1000 --set n_starts=16

        freegaze explain runs/cnn_gru --only fields.gradient,tuning

        freegaze explain runs/cnn_gru --only probes

        freegaze explain runs/niell --against hfwn

        freegaze explain runs/cnn_gru --refits 4
    """
    from freegaze.explanation.contributions.answers import explain_answers
    from freegaze.explanation.fields.against import in_words, load_comparison
    from freegaze.explanation.result import session_folder
    from freegaze.explanation.stability import in_words as stability_in_words
    from freegaze.explanation.stability import load_stability
    from freegaze.fitted.storage import load_encoder
    from freegaze.workflow import explain

    encoder = load_encoder(run, device, model, accept_changed_model)
    with progress_bar(quiet) as progress:
        found = explain(
            encoder,
            settings=read_settings(settings),
            only=None if only is None else only.replace(",", " ").split(),
            against=against or (),
            refits=refits,
            progress=progress,
        )
    for explanation in found:
        if len(explanation.contributions):
            title = f"Unique contributions in {explanation.session_id}"
            print_frame(title, _summary(explanation))
            for sentence in explain_answers(explanation.contributions):
                typer.echo(sentence)
        typer.echo(str(session_folder(run, explanation.session_id)))
        comparison = load_comparison(run, explanation.session_id) if against else None
        if comparison is not None:
            typer.echo(in_words(comparison))
        stability = load_stability(run, explanation.session_id) if refits else None
        if stability is not None:
            typer.echo(stability_in_words(stability))


def _summary(explanation: SessionExplanation) -> pd.DataFrame:
    from freegaze.explanation.contributions.answers import count_answers

    found = count_answers(explanation.contributions)
    names = {
        "not_tested": "not tested",
        "least_p": "least p",
        "deviance": "median deviance added",
        "correlation": "median correlation added",
    }
    return found.drop(columns="tested").rename(columns=names)
