"""``freegaze explain``: receptive fields, saliency, contributions and tuning of a run."""

from __future__ import annotations

import sys
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
from freegaze.cli.engines import (
    On,
    array_of,
    engine_of,
    print_unfinished,
    run_as_task,
    split_settings,
)
from freegaze.cli.fits import print_failures
from freegaze.cli.progress import grid_progress, progress_bar
from freegaze.cli.tables import print_frame
from freegaze.errors import FreegazeError

if TYPE_CHECKING:
    import pandas as pd

    from freegaze.explanation.result import SessionExplanation
    from freegaze.explanation.shares import ExplanationWork
    from freegaze.jobs.slurm import SlurmArray


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
    workers: Annotated[
        int, typer.Option("--workers", "--jobs", min=1, help="Worker processes.")
    ] = 1,
    on: On = "local",
    parts: Annotated[
        int | None,
        typer.Option(
            "--parts",
            metavar="N",
            min=1,
            help="Number of parts for workers or tasks; by default one per session. With more "
            "parts than sessions, parts share the neurons of a session.",
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            "--part",
            "--fit",
            metavar="I/N",
            help="Compute part I of N and put nothing together; when all parts are done, the "
            "command without it does.",
        ),
    ] = None,
    model: OwnModel = None,
    accept_changed_model: AcceptsChange = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Compute receptive fields, saliency, contributions and tuning of a run's neurons.

    Results are kept neuron by neuron: if the command is stopped, the same command continues.
    `freegaze report` shows them. With `--workers`, `--parts` or `--on slurm`, sessions and neurons
    are explained side by side, with the same result.

    For example:

        freegaze explain runs/cnn_gru

        freegaze explain runs/cnn_gru --set n_windows=1000 --set n_starts=16

        freegaze explain runs/cnn_gru --only fields.gradient,tuning

        freegaze explain runs/cnn_gru --only probes

        freegaze explain runs/niell --against hfwn

        freegaze explain runs/cnn_gru --refits 4

        freegaze explain runs/cnn_gru --workers 2 --parts 8

        freegaze explain runs/ten_mice --on slurm --set slurm.time=04:00:00

        freegaze explain runs/ten_mice --part 1/10
    """
    from freegaze.config import read_config
    from freegaze.explanation.config import ExplainConfig
    from freegaze.explanation.contributions.answers import explain_answers
    from freegaze.explanation.fields.against import in_words, load_comparison
    from freegaze.explanation.result import session_folder
    from freegaze.explanation.shares import ExplanationWork, remove_parts
    from freegaze.explanation.stability import in_words as stability_in_words
    from freegaze.explanation.stability import load_stability
    from freegaze.fitted.storage import load_encoder
    from freegaze.workflow import explain

    of_slurm, others = split_settings(settings)
    names = None if only is None else tuple(only.replace(",", " ").split())
    chosen = read_config(ExplainConfig, None, read_settings(others))
    encoder = load_encoder(run, device, model, accept_changed_model)
    work = ExplanationWork(run.resolve(), chosen, names, device, model, accept_changed_model)
    if part is not None:
        run_as_task(work, work.part(part), quiet)
        return
    is_in_parts = on != "local" or workers > 1 or parts is not None
    if is_in_parts:
        options = [f"--set={text}" for text in others]
        options += [] if only is None else [f"--only={only}"]
        options += [] if model is None else [f"--model={model}"]
        options += ["--accept-changed-model"] if accept_changed_model else []
        verb = ["explain", str(work.run), *options, f"--device={device}", "--quiet"]
        array = array_of(work.folder, (sys.executable, "-m", "freegaze", *verb), of_slurm)
        _run_parts(work, on, workers, parts, array, quiet)
    with progress_bar(quiet) as progress:
        found = explain(
            encoder,
            config=chosen,
            only=names,
            against=against or (),
            refits=refits,
            progress=progress,
        )
    if is_in_parts:
        remove_parts(work.run)
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


def _run_parts(
    work: ExplanationWork,
    on: str,
    workers: int,
    n_parts: int | None,
    array: SlurmArray,
    quiet: bool,
) -> None:
    """Compute all parts that are not done.

    Raises:
        FreegazeError: If a part is not done in the end.
    """
    parts, engine = work.parts(n_parts), engine_of(on, workers, array)
    n_done = sum(work.is_done(one) for one in parts)
    with grid_progress("explain", len(parts), n_done, quiet) as watch:
        engine.run(work, parts, watch)
    if on == "slurm":
        print_unfinished(work, parts, array)
    left = [one for one in parts if not work.is_done(one)]
    print_failures({one.name: one.error for one in left if one.error})
    if left:
        raise FreegazeError(
            f"{len(left)} of {len(parts)} parts are not done; run the command again, which keeps "
            "what they have computed"
        )


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
