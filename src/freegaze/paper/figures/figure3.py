"""Figure 3: each neuron's correlation from vision alone, and from vision and behavior."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from freegaze.errors import DataError
from freegaze.evaluation.compare import ALL_SESSIONS, compare
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.shared_sessions import SharedSession, share_sessions
from freegaze.jobs.fits import Fit
from freegaze.metrics.metric import METRICS
from freegaze.paper.figure import AbstractFigure, PaperFigure, register_figure
from freegaze.paper.presets import MULTIMODAL, VISION_ONLY, Version
from freegaze.paper.result import join_sessions
from freegaze.paper.scores import PAPER_WIDTH_BINS, correlation_smoothed
from freegaze.reports.style import (
    BASELINE_COLORS,
    COLUMN_PX,
    FAINT,
    MODEL,
    MUTED,
    PRINT_PX,
    PRINT_SMALL_PX,
    color_of,
    count_ticks,
    finish_axes,
    marker_of,
    new_figure,
    print_style,
)
from freegaze.reports.wording import LEVEL, count, fixed, interval, shorten
from freegaze.studies.fitting import load_evaluations

if TYPE_CHECKING:
    from freegaze.paper.grid import Grid

COLUMNS = 4
"""Panels in a band."""

BAND_PX = 255
FEWEST_BINS, MOST_BINS = 8, 16
VISION, MULTI = "vision alone", "vision and behavior"
_MEANS = ["vision", "multimodal", "difference"]
_INTERVAL = ["difference_low", "difference_high", "p"]


@dataclass(frozen=True)
class Correlations:
    """Vision alone against vision and behavior.

    Args:
        version: Version of the figure. ``default`` compares correlations of single bins, ``paper``
            those after the original's smoothing (Q29).
        neurons: One row per neuron: ``session_id``, ``unit_id``, ``vision``, ``multimodal`` (means
            over seeds, on shared bins), ``difference``.
        tests: One row per session and, where there are several, ``all``: ``session_id``,
            ``n_neurons``, ``vision``, ``multimodal`` (means over neurons; over sessions for
            ``all``), ``difference`` with ``difference_low``, ``difference_high`` and ``p`` from
            paired resampling of blocks of time, neurons and seeds (NaN in ``paper``, whose
            smoothing runs over the ends of blocks), ``p_wilcoxon`` (neurons taken as independent,
            which they are not).
    """

    version: Version
    neurons: pd.DataFrame
    tests: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Tables by the end of the file's name."""
        return {"": self.neurons, "_tests": self.tests}

    @property
    def caption(self) -> str:
        """Text below the figure."""
        score, test = (
            "Pearson correlations of single bins",
            (f"Intervals ({LEVEL}) and p: paired resampling of blocks of time, neurons and seeds"),
        )
        if self.version == "paper":
            score = f"Pearson correlations after the original's boxcar of {PAPER_WIDTH_BINS} bins"
            test = (
                "p: Wilcoxon's signed-rank test over neurons, as in the original, which treats "
                "neurons as independent"
            )
        return (
            f"Prediction of each neuron from vision alone ({VISION_ONLY.label} with shifter) and "
            f"from vision and behavior ({MULTIMODAL.label}), on the same held-out bins. {score}; "
            "above the diagonal behavior helps; Δr is the mean gain. Below: number of neurons by "
            f"correlation; triangles: means. {test}."
        )

    def draw(self) -> Mapping[str, Figure]:
        """Draw scatters of the two correlations, and histograms of both."""
        return {"": _draw(self)}


class Figure3(AbstractFigure):
    """Figure 3 in both versions."""

    def gather(self, grid: Grid, fits: Mapping[str, Sequence[Fit]]) -> Correlations:
        """Compare the sessions in which both rows were fitted with every seed.

        Source: Xu et al. (2023), Figure 3 (deviation Q41).
        """
        found = [_complete(own, grid.config.seeds) for own in fits.values()]
        sessions = [s for s in grid.session_ids if all(s in own for own in found)]
        if not sessions:
            raise DataError(f"{grid.path}: no session has both rows of Figure 3 yet")
        vision, multimodal = (join_sessions([own[s] for s in sessions]) for own in found)
        models = {"vision": vision, "multimodal": multimodal}
        return compare_neurons(models, grid.config.version, grid.scale.draws)


register_figure(
    PaperFigure(
        name="figure3",
        title="What behavior adds to the prediction of each neuron",
        rows=(VISION_ONLY, MULTIMODAL),
        pairs=((VISION_ONLY.name, MULTIMODAL.name),),
        default=Figure3,
        paper=Figure3,
        has_all_seeds=True,
    )
)


def compare_neurons(
    models: Mapping[str, Sequence[Evaluation]], version: Version, draws: int
) -> Correlations:
    """Compare two models neuron by neuron.

    Args:
        models: Evaluations of ``vision`` and of ``multimodal``, one per seed.
        version: ``paper`` for the original's correlation and test, else ``default``.
        draws: Bootstrap draws, for ``default``.

    Returns:
        The figure's data.

    Raises:
        DataError: If the two share nothing, or hold too few bins for the original's smoothing.
    """
    tables = []
    for session_id, shared in share_sessions(models).items():
        scores = {name: _scores(shared, name, version) for name in models}
        units = {"session_id": session_id, "unit_id": shared.session.unit_ids}
        tables.append(pd.DataFrame({**units, **scores}))
    neurons = pd.concat(tables, ignore_index=True)
    neurons["difference"] = neurons["multimodal"] - neurons["vision"]
    tests = _test_sessions(neurons)
    if version == "default":
        table = compare(models, metrics=["correlation"], draws=draws).table
        tests = tests.merge(table[["session_id", *_INTERVAL]], on="session_id", how="left")
    else:
        tests[_INTERVAL] = np.nan
    columns = ["session_id", "n_neurons", *_MEANS, *_INTERVAL, "p_wilcoxon"]
    return Correlations(version, neurons, tests.loc[:, columns])


def wilcoxon(differences: Float[np.ndarray, " neuron"]) -> float:
    """Return p of Wilcoxon's signed-rank test, NaN without any difference to rank."""
    known = differences[np.isfinite(differences) & (differences != 0)]
    return float(np.asarray(stats.wilcoxon(known))[1]) if len(known) else float("nan")


def _complete(fits: Sequence[Fit], n_seeds: int) -> dict[str, list[Evaluation]]:
    """Load evaluations by session, of sessions of which every seed is done."""
    found = load_evaluations(fits)
    return {session: seeds for (_, session), seeds in found.items() if len(seeds) == n_seeds}


def _scores(shared: SharedSession, model: str, version: Version) -> Float[np.ndarray, " neuron"]:
    session, rates = shared.session, shared.rates[model]
    if version == "default":
        metric = METRICS.get("correlation")
        return np.mean([metric(r, session.observed, session.context) for r in rates], axis=0)
    return np.mean([correlation_smoothed(r, session.observed) for r in rates], axis=0)


def _test_sessions(neurons: pd.DataFrame) -> pd.DataFrame:
    """Return means and Wilcoxon's p of each session, and of all where there are several."""
    known = neurons.dropna()
    names = list(neurons["session_id"].unique())
    groups = {name: known.loc[known["session_id"] == name] for name in names}
    if len(groups) > 1:
        groups[ALL_SESSIONS] = known
    tests = pd.DataFrame(
        {
            "session_id": name,
            "n_neurons": len(own),
            **own[_MEANS].mean(),
            "p_wilcoxon": wilcoxon(own["difference"].to_numpy(float)),
        }
        for name, own in groups.items()
    )
    if len(groups) > 1:
        tests.loc[len(tests) - 1, _MEANS] = tests[_MEANS].iloc[:-1].mean()
    return tests


@print_style
def _draw(data: Correlations) -> Figure:
    n_panels = len(data.tests)
    n_columns = min(COLUMNS, n_panels)
    n_bands = -(-n_panels // n_columns)
    if n_columns == 1:  # side by side, as one below the other would be too narrow for words
        figure, axes = new_figure(1.25 * COLUMN_PX, 0.65 * BAND_PX, 1, 2)
    else:
        figure, axes = new_figure(
            PRINT_PX * n_columns / COLUMNS,
            BAND_PX * n_bands,
            2 * n_bands,
            n_columns,
            height_ratios=[5, 3] * n_bands,
        )
    values = data.neurons[["vision", "multimodal"]].to_numpy(float)
    known = values[np.isfinite(values)]
    low, high = float(np.min(known, initial=0.0)), float(np.max(known, initial=0.1))
    limits = (low - 0.04 * (high - low), high + 0.04 * (high - low))
    for ax in axes:
        ax.set_visible(False)
    for i, test in enumerate(data.tests.to_dict("records")):
        place = i // n_columns * 2 * n_columns + i % n_columns
        own = data.neurons
        if test["session_id"] != ALL_SESSIONS:
            own = own.loc[own["session_id"] == test["session_id"]]
        is_first = i % n_columns == 0
        _scatter(axes[place], data, test, own, limits, is_first)
        _histograms(axes[place + n_columns], own, limits, is_first)
    axes[n_columns].legend(
        loc="upper left", borderaxespad=0, handlelength=1.2, handletextpad=0.5, labelspacing=0.2
    )
    return figure


def _scatter(
    ax: Axes,
    data: Correlations,
    test: Mapping[Hashable, Any],
    neurons: pd.DataFrame,
    limits: tuple[float, float],
    is_first: bool,
) -> None:
    ax.set_visible(True)
    ax.plot(limits, limits, color=FAINT, linewidth=0.8, zorder=1)
    for number, session_id in enumerate(data.neurons["session_id"].unique()):
        own = neurons[neurons["session_id"] == session_id]
        ax.plot(
            own["vision"],
            own["multimodal"],
            linestyle="none",
            marker=marker_of(number),
            color=color_of(number),
            markersize=3.6,
            markeredgewidth=0.3,
            markeredgecolor="white",
            alpha=0.85,
        )
    note = ax.text(0, 1.03, _note(test, data.version), transform=ax.transAxes)
    note.set(fontsize=PRINT_SMALL_PX, linespacing=1.3, color=MUTED)
    ax.set(xlim=limits, ylim=limits)
    ax.set_box_aspect(1)
    y_label = f"r, {MULTI}" if is_first else ""
    finish_axes(ax, f"r, {VISION}", y_label, grid="both", n_x=4, n_y=4)
    name = str(test["session_id"])
    title = "all sessions" if name == ALL_SESSIONS else shorten(name, 22)
    ax.set_title(title, fontweight="bold", pad=25)


def _note(test: Mapping[Hashable, Any], version: Version) -> str:
    value, low, high = (float(test[name]) for name in ("difference", *_INTERVAL[:2]))
    p = float(test["p_wilcoxon" if version == "paper" else "p"])
    sign = "+" if value > 0 else ""
    reach = f" ({interval(low, high)})" if np.isfinite(low) else ""
    chance = f", p = {p:.2g}" if np.isfinite(p) else ""
    return f"Δr {sign}{fixed(value)}{reach}\n{count(test['n_neurons'], 'neuron')}{chance}"


def _histograms(
    ax: Axes, neurons: pd.DataFrame, limits: tuple[float, float], is_first: bool
) -> None:
    ax.set_visible(True)
    n_bins = int(np.clip(2 * np.sqrt(len(neurons)), FEWEST_BINS, MOST_BINS))
    edges = np.linspace(*limits, n_bins + 1)
    for column, name, color, style in (
        ("vision", VISION, BASELINE_COLORS[0], "--"),
        ("multimodal", MULTI, MODEL, "-"),
    ):
        known = neurons[column].dropna().to_numpy(float)
        heights, _ = np.histogram(known, edges)
        ax.stairs(heights, edges, fill=True, color=color, alpha=0.15)
        ax.stairs(heights, edges, color=color, linestyle=style, linewidth=1.2, label=name)
        if len(known):
            ax.plot(
                known.mean(),
                0,
                marker="^",
                color=color,
                # filled or not, so that the two differ in gray
                markerfacecolor="white" if style == "--" else color,
                markersize=4,
                clip_on=False,
                zorder=3,
            )
    ax.set_xlim(limits)
    highest = max(1.0, ax.dataLim.y1)
    ax.set_ylim(0, 1.45 * highest if is_first else 1.1 * highest)  # room for the legend
    finish_axes(ax, "correlation r", "neurons" if is_first else "", n_x=4, n_y=4)
    count_ticks(ax, 4, "y")
