"""Trials of a sweep as a table, and as a page with the importance of settings."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import pandas as pd

from freegaze.files.artifact import write_sealed
from freegaze.reports.figures.sweep import draw_importance, draw_parallel
from freegaze.reports.page import Page, Panel, Section, render_page, wide_panel
from freegaze.reports.sections.grid import NumberTable
from freegaze.reports.wording import count, duration, fixed
from freegaze.studies.sweep import Sweep
from freegaze.studies.sweep_space import settings_of

SUMS = "sweep.sha256"
"""Checksums of what is written, in the sweep's folder."""


def trial_frame(sweep: Sweep) -> pd.DataFrame:
    """Return the trials that have ended, the best first.

    Args:
        sweep: The sweep.

    Returns:
        Columns ``trial``, ``state``, ``validation_loss`` (NaN for pruned and failed trials),
        ``passes``, ``seconds``, and one for each setting.
    """
    journal = {trial.number: trial for trial in sweep.journal.study().get_trials(deepcopy=False)}
    lines = []
    for trial in sweep.trials:
        end = trial.end
        if end is None:
            continue
        passes = trial.run.metrics()
        loss = end["validation_loss"]
        drawn = settings_of(sweep.config.space, journal[end["number"]].params)
        lines.append(
            {
                "trial": trial.name,
                "state": end["state"],
                "validation_loss": math.nan if loss is None else loss,
                "passes": len(passes),
                "seconds": sum(float(line["seconds"]) for line in passes),
                **{
                    k: v if isinstance(v, int | float | str) else json.dumps(v)
                    for k, v in drawn.items()
                },
            }
        )
    columns = ["trial", "state", "validation_loss", "passes", "seconds", *sweep.config.space]
    return pd.DataFrame(lines, columns=columns).sort_values(["validation_loss", "trial"])


def importance(sweep: Sweep) -> dict[str, float]:
    """Return the share of each setting in the differences of validation loss, largest first.

    Settings are compared by the distributions of the better trials (PED-ANOVA). With fewer than two
    settings or four finished trials there is none.

    Args:
        sweep: The sweep.

    Source:
        Watanabe, Bansal & Hutter (2023), PED-ANOVA: efficiently quantifying hyperparameter
        importance in arbitrary subspaces, IJCAI.
    """
    import optuna

    study = sweep.journal.study()
    done = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    if len(done) < 4 or len(sweep.config.space) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def save_sweep(sweep: Sweep) -> list[Path]:
    """Write the trials of a sweep into its folder, as CSV and as a page.

    Args:
        sweep: The sweep.

    Returns:
        The files.

    Raises:
        DataError: If they cannot be written.
    """
    frame = trial_frame(sweep)
    page = render_page(_page(sweep, frame))
    contents = {"sweep.csv": frame.to_csv(index=False), "sweep.html": page}
    return write_sealed(sweep.path, contents, SUMS)


def _page(sweep: Sweep, frame: pd.DataFrame) -> Page:
    config = sweep.config
    states = frame["state"].value_counts()
    known = frame.loc[frame["validation_loss"].notna()]
    kinds = ("complete", "pruned", "fail")
    counts = [(str(states[name]), name) for name in kinds if name in states]
    return Page(
        kicker="freegaze sweep",
        title=f"{config.run.model['name']}, {count(len(config.space), 'setting')}",
        summary="Settings are chosen by the loss on validation bins. Test bins are used once, for "
        "the trial with the lowest loss (folder best).",
        facts=[(f"{len(frame)} of {config.trials}", "trials ended"), *counts],
        sections=[
            Section(
                "grid",
                "Trials",
                {
                    "lead": "A line is a trial. Its color is the rank of its validation loss, "
                    "dark for low losses.",
                    "panels": _panels(sweep, known),
                    "tables": [_table(frame)],
                },
            )
        ],
        footer="Written by freegaze sweep.",
    )


def _panels(sweep: Sweep, known: pd.DataFrame) -> list[Panel]:
    if not len(known):
        return []
    settings = {name: known[name].tolist() for name in sweep.config.space}
    losses = known["validation_loss"].tolist()
    best = ", ".join(f"{name} = {values[0]}" for name, values in settings.items())
    panels = [
        wide_panel(
            lambda width: draw_parallel(settings, losses, width),
            "parallel",
            f"Lowest validation loss {losses[0]:.4f} at {best}",
            title="Settings and validation loss",
        )
    ]
    shares = importance(sweep)
    if shares:
        words = ", ".join(f"{name} {value:.2f}" for name, value in shares.items())
        panels.append(
            wide_panel(
                lambda width: draw_importance(shares, width),
                "importance",
                f"Importance: {words}",
                title="Importance of settings",
                caption="Share of each setting in the differences between trials (PED-ANOVA on "
                "the best quarter). Without repeated seeds, noise between fits is part of it.",
            )
        )
    return panels


def _table(frame: pd.DataFrame) -> NumberTable:
    header = ["trial", "state", "validation loss", "passes", "time to fit"]
    names = list(frame.columns[5:])
    rows = [
        [
            line["trial"],
            line["state"],
            fixed(line["validation_loss"], 4),
            str(line["passes"]),
            duration(line["seconds"]),
            *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in (line[n] for n in names)),
        ]
        for line in frame.to_dict("records")
    ]
    return NumberTable("In numbers", [*header, *names], rows, n_names=2)
