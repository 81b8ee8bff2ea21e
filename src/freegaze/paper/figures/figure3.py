"""Figure 3 as data: each neuron's correlation from vision alone, and from vision and behavior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from freegaze.errors import DataError
from freegaze.evaluation.compare import ALL_SESSIONS, compare
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.shared_sessions import SharedSession, share_sessions
from freegaze.evaluation.storage import load_evaluation
from freegaze.metrics.metric import METRICS
from freegaze.metrics.paper import PAPER_WIDTH_BINS, correlation_smoothed
from freegaze.paper.figures.figure import correlation_name, figure_cells
from freegaze.paper.grid import Cell, Grid
from freegaze.paper.presets import Version
from freegaze.paper.result import join_sessions

VISION, MULTIMODAL = "cnn_shifter_on", "all_prod"


@dataclass(frozen=True)
class Figure3:
    """Vision alone against vision and behavior.

    Args:
        metric: ``correlation`` of single bins, or ``paper_correlation`` after the original's
            smoothing (Q29).
        version: Of the grid.
        neurons: One row a neuron: ``session_id``, ``unit_id``, ``vision``, ``multimodal`` (means
            over seeds, on shared bins), ``difference``.
        tests: One row a session and, where there are several, ``all``: ``session_id``,
            ``n_neurons``, ``vision``, ``multimodal`` (means over neurons; over sessions for
            ``all``), ``difference`` with ``difference_low``, ``difference_high`` and ``p`` from
            paired resampling of blocks of time, neurons and seeds (NaN for ``paper_correlation``,
            whose smoothing runs over the ends of blocks), ``p_wilcoxon`` (neurons taken as
            independent, which they are not).
    """

    metric: str
    version: Version
    neurons: pd.DataFrame
    tests: pd.DataFrame

    @property
    def session_ids(self) -> list[str]:
        """Sessions in order."""
        return list(dict.fromkeys(self.neurons["session_id"]))

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """What is written beside the figure, by the end of the file's name."""
        return {"": self.neurons, "_tests": self.tests}

    @property
    def caption(self) -> str:
        """What is shown."""
        score, test = {
            "paper": (
                "Pearson correlations after the original's 2 s boxcar",
                "p: Wilcoxon's signed-rank test over neurons, as the original, which takes neurons "
                "for independent",
            ),
            "default": (
                "Pearson correlations of single bins",
                "Intervals (95 %) and p: paired resampling of blocks of time, neurons and seeds",
            ),
        }[self.version]
        return (
            "Prediction of each neuron from vision alone (CNN with shifter) and from vision and "
            f"behavior (CNN-GRU, all_prod), on the same held-out bins. {score}; above the "
            f"diagonal behavior helps; Δr is the mean gain. Below: how many neurons reach which "
            f"correlation; triangles: means. {test}."
        )


def figure3(grid: Grid, draws: int | None = None) -> Figure3:
    """Gather Figure 3 from the cells of a grid that are done.

    Args:
        grid: The grid.
        draws: Bootstrap draws; the scale's by default.

    Returns:
        The figure's data, of the sessions in which both rows were run with every seed.

    Raises:
        ConfigError: If the grid lacks a row.
        DataError: If no session is complete.

    Source: Xu et al. (2023), Figure 3 (deviation Q41).
    """
    cells = figure_cells(grid, "figure3")
    models = {row: _complete(grid, own) for row, own in cells.items()}
    sessions = [s for s in grid.session_ids if all(s in found for found in models.values())]
    if not sessions:
        raise DataError(f"{grid.path}: no session has both rows of Figure 3 yet")
    joined = {row: join_sessions([found[s] for s in sessions]) for row, found in models.items()}
    return compare_neurons(joined, grid.config.version, draws or grid.scale.draws)


def compare_neurons(
    models: Mapping[str, Sequence[Evaluation]], version: Version, draws: int
) -> Figure3:
    """Compare two models neuron by neuron.

    Args:
        models: Evaluations of vision only and of the multimodal model, one a seed, by any name.
        version: ``paper`` for the original's correlation and test, else ``default``.
        draws: Bootstrap draws, for ``default``.

    Returns:
        The figure's data.

    Raises:
        DataError: If the two share nothing, or hold too few bins for the original's smoothing.
    """
    vision, multimodal = models
    tables = []
    for session_id, shared in share_sessions(models).items():
        first, second = (_scores(shared, name, version) for name in (vision, multimodal))
        tables.append(
            pd.DataFrame(
                {
                    "session_id": session_id,
                    "unit_id": shared.session.unit_ids,
                    "vision": first,
                    "multimodal": second,
                    "difference": second - first,
                }
            )
        )
    neurons = pd.concat(tables, ignore_index=True)
    return Figure3(
        correlation_name(version), version, neurons, _tests(neurons, models, version, draws)
    )


def wilcoxon(differences: Float[np.ndarray, " neuron"]) -> float:
    """Return p of Wilcoxon's signed-rank test, NaN where there is nothing to rank."""
    known = differences[np.isfinite(differences) & (differences != 0)]
    return float(np.asarray(stats.wilcoxon(known))[1]) if len(known) else float("nan")


def _complete(grid: Grid, cells: Sequence[Cell]) -> dict[str, list[Evaluation]]:
    """Load evaluations by session, of sessions of which every seed is done."""
    found: dict[str, list[Evaluation]] = {}
    for cell in cells:
        if cell.state == "done":
            found.setdefault(cell.session_id, []).append(load_evaluation(cell.run.path))
    return {name: seeds for name, seeds in found.items() if len(seeds) == grid.config.seeds}


def _scores(shared: SharedSession, model: str, version: Version) -> Float[np.ndarray, " neuron"]:
    session, rates = shared.session, shared.rates[model]
    if version == "default":
        metric = METRICS.get("correlation")
        return np.mean([metric(r, session.observed, session.context) for r in rates], axis=0)
    if len(session.targets) < PAPER_WIDTH_BINS:
        raise DataError(
            f"session {session.session_id!r}: the original smooths over {PAPER_WIDTH_BINS} bins, "
            f"only {len(session.targets)} are scored; use longer sessions"
        )
    return np.mean([correlation_smoothed(r, session.observed) for r in rates], axis=0)


def _tests(
    neurons: pd.DataFrame,
    models: Mapping[str, Sequence[Evaluation]],
    version: Version,
    draws: int,
) -> pd.DataFrame:
    names = list(dict.fromkeys(neurons["session_id"]))
    known = neurons.dropna()
    rows = {name: _test(known.loc[known["session_id"] == name]) for name in names}
    if len(names) > 1:
        means = {key: float(np.mean([row[key] for row in rows.values()])) for key in _MEANS}
        rows[ALL_SESSIONS] = {**_test(known), **means}
    columns = ["difference_low", "difference_high", "p"]
    tests = pd.DataFrame([{"session_id": name, **row} for name, row in rows.items()])
    if version == "default":
        found = compare(models, metrics=["correlation"], draws=draws).table
        tests = tests.merge(found.loc[:, ["session_id", *columns]], on="session_id", how="left")
    else:
        tests = tests.assign(**dict.fromkeys(columns, np.nan))
    return tests.loc[:, ["session_id", "n_neurons", *_MEANS, *columns, "p_wilcoxon"]]


_MEANS = ("vision", "multimodal", "difference")


def _test(neurons: pd.DataFrame) -> dict[str, float]:
    return {
        "n_neurons": len(neurons),
        **{name: float(neurons[name].to_numpy(float).mean()) for name in _MEANS},
        "p_wilcoxon": wilcoxon(neurons["difference"].to_numpy()),
    }
