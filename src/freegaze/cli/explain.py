"""``freegaze explain``: what each neuron of a fitted run cares about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from freegaze.cli.arguments import Quiet, RunPath, Settings
from freegaze.cli.progress import progress_bar
from freegaze.cli.tables import print_frame

if TYPE_CHECKING:
    import pandas as pd

    from freegaze.explanation.result import SessionExplanation


def command(
    run: RunPath,
    settings: Settings = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BLOCK|A=B",
            help="Compare fields with another recording of the same units: another block of the "
            "run's file, or what differs (path=, source=, options); many times.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute, e.g. cpu or cuda.")] = "cpu",
    quiet: Quiet = False,
) -> None:
    """Find receptive fields, saliency, tuning and contributions of a run's neurons.

    Results are kept neuron by neuron: stopped, the same command goes on. `freegaze report` then
    shows them.

    For example:

        freegaze explain runs/cnn_gru

        freegaze explain runs/cnn_gru --set n_windows=1000 --set n_starts=16

        freegaze explain runs/niell --against hfwn
    """
    from freegaze.config import read_config
    from freegaze.explanation.config import ExplainConfig
    from freegaze.explanation.explain import explain
    from freegaze.explanation.fields.against import (
        compare_with,
        in_words,
        pick_other,
        save_comparison,
    )
    from freegaze.explanation.storage import session_folder
    from freegaze.fitted.storage import load_encoder
    from freegaze.runs.run_folder import RunFolder
    from freegaze.workflow import open_against, open_run_recordings

    config = read_config(ExplainConfig, None, settings or ())
    encoder, recordings = load_encoder(run, device), open_run_recordings(run)
    others = open_against(run, against) if against else []
    with RunFolder(run).locked(), progress_bar(quiet) as progress:
        found = [explain(encoder, r, run, config, progress) for r in recordings]
    for explanation in found:
        print_frame(
            f"Neurons of {explanation.session_id} by what adds to them", _summary(explanation)
        )
        typer.echo(str(session_folder(run, explanation.session_id)))
    for explanation in found if against else ():
        comparison = compare_with(explanation, pick_other(explanation.session_id, others))
        with RunFolder(run).locked():
            save_comparison(run, comparison)
        typer.echo(in_words(comparison))


def _summary(explanation: SessionExplanation) -> pd.DataFrame:
    import pandas as pd

    table = explanation.contributions
    grouped = table.groupby("group", sort=False)
    return pd.DataFrame(
        {
            "significant": grouped["is_significant"].sum(),
            "neurons": grouped.size(),
            "median deviance added": grouped["deviance"].median(),
            "median correlation added": grouped["correlation"].median(),
        }
    ).reset_index()
