"""Figure 5: neurons by the behavior that modulates them, and their saliency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import PositiveInt

from freegaze.config import build_config
from freegaze.evaluation.compare import ALL_SESSIONS
from freegaze.evaluation.storage import load_scores
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.result import CLASSES, SessionExplanation, load_explanation, settings_of
from freegaze.files.pieces import load_piece, require_piece, save_piece
from freegaze.jobs.fits import Fit
from freegaze.paper.classes import GOOD, THRESHOLD, count_modulated, modulation
from freegaze.paper.figure import (
    AbstractFigure,
    ExplainedFigure,
    PaperFigure,
    done_fits,
    register_figure,
)
from freegaze.paper.gaze_shifts import draw_gaze_shifts
from freegaze.paper.presets import MULTIMODAL
from freegaze.paper.saliency import paper_saliency
from freegaze.progress import Progress
from freegaze.reports.style import (
    INK,
    MODEL,
    MUTED,
    PRINT_PX,
    PRINT_TEXT_PX,
    count_ticks,
    finish_axes,
    label_axes,
    marker_of,
    new_figure,
    print_style,
    quiet_grid,
)

if TYPE_CHECKING:
    from freegaze.paper.grid import Grid

COLUMNS = 4
"""Histograms in a row."""

ROW_PX, BARS_PX = 82, 150
N_BINS = 20
LIGHT = "#9ecae1"


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Classes of neurons, saliency of every signal, and responses around gaze shifts.

    Args:
        counts: One row per session (and ``all``, where there are several) and bar. ``default``:
            ``session_id``, ``class``, ``n``, ``n_neurons``, ``share``. ``paper``: ``session_id``
            and the columns of ``freegaze.paper.classes.count_modulated``.
        saliency: One row per neuron and signal: ``session_id``, ``unit_id``, ``signal``, ``value``
            (what histograms show: ``default`` the mean size of the derivative, counts per bin for
            one training sd; ``paper`` z over the session's neurons) and ``signed`` (mean
            derivative).
        neurons: One row per neuron: ``session_id``, ``unit_id`` and its class, or for each variable
            whether it modulates.
        caption: Text below the figure.
        unit: Unit of the saliency.
        threshold: Saliency, of either sign, from which the original calls a neuron modulated.
        gaze_shifts: One row per neuron, direction and time, as in ``SessionExplanation``, with
            ``session_id``; empty in the ``paper`` version, which has no such figure.
    """

    counts: pd.DataFrame
    saliency: pd.DataFrame
    neurons: pd.DataFrame
    caption: str
    unit: str
    threshold: float | None = None
    gaze_shifts: pd.DataFrame | None = None

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Tables by the end of the file's name."""
        tables = {"": self.counts, "_saliency": self.saliency, "_neurons": self.neurons}
        if self.gaze_shifts is not None and len(self.gaze_shifts):
            tables["_gaze_shifts"] = self.gaze_shifts
        return tables

    def draw(self) -> Mapping[str, Figure]:
        """Draw bars and histograms, and the gaze shifts of each session."""
        shifts = self.tables.get("_gaze_shifts", pd.DataFrame({"session_id": []}))
        drawn = {
            f"_gaze_shifts_{name}": draw_gaze_shifts(own, str(name))
            for name, own in shifts.groupby("session_id", sort=False)
        }
        return {"": draw_classes(self), **drawn}


class ContributionClasses(ExplainedFigure):
    """Neurons by the behavior that adds to their prediction, from explanations of the fits."""

    def gather(self, grid: Grid, fits: Mapping[str, Sequence[Fit]]) -> ClassCounts:
        """Gather the classes of every session that is done."""
        done = [(fit.run.path, fit.session_id) for fit in done_fits(grid, fits)]
        rates = {
            build_config(ExplainConfig, settings_of(*one) or {}).false_discovery_rate
            for one in done
        }
        return self.classes([load_explanation(*one) for one in done], sorted(rates))

    def classes(
        self, explanations: Sequence[SessionExplanation], rates: Sequence[float]
    ) -> ClassCounts:
        """Return the figure's data.

        Args:
            explanations: One per session.
            rates: False discovery rates of the explanations.
        """
        neurons = _stack(explanations, "neurons").loc[:, ["session_id", "unit_id", "class"]]
        saliency = _stack(explanations, "saliency").rename(columns={"absolute": "value"})
        counts = [_count(own, name) for name, own in neurons.groupby("session_id", sort=False)]
        if len(counts) > 1:
            counts.append(_count(neurons, ALL_SESSIONS))
        percent = " or ".join(f"{100 * rate:g} %" for rate in rates)
        return ClassCounts(
            counts=pd.concat(counts, ignore_index=True),
            saliency=saliency.loc[:, ["session_id", "unit_id", "signal", "value", "signed"]],
            neurons=neurons,
            caption=(
                "Share of neurons to whose prediction on held-out bins one group of behavior adds "
                f"significantly (mixed: several; none: behavior adds nothing; undecided: behavior "
                f"adds, but no group can be named; false discovery rate {percent}), and "
                "mean size of the derivative of the rate by each signal, the retinal frame held "
                "fixed. Responses around gaze shifts: each neuron scaled by its own mean, sorted "
                "by the time at which its predicted response to leftward shifts is largest."
            ),
            unit="counts/bin per sd",
            gaze_shifts=_stack(explanations, "gaze_shifts"),
        )


class SaliencyClasses(AbstractFigure):
    """The original's rule of which behavior modulates which neurons.

    Args:
        windows: Test windows that saliency is averaged over; all if null.
    """

    windows: PositiveInt | None = None
    smaller: ClassVar = {"tiny": {"windows": 256}, "small": {"windows": 2000}}

    def saliency_file(self, run: Path) -> Path:
        """Return where the original's saliency is kept: its values, and names of both axes."""
        return run / "paper_saliency" / f"{self.windows or 'all'}-windows.npz"

    def is_done(self, fit: Fit) -> bool:
        """Return whether the saliency is kept."""
        return load_piece(self.saliency_file(fit.run.path)) is not None

    def compute(self, grid: Grid, fit: Fit, progress: Progress | None = None) -> None:
        """Compute the saliency of all neurons."""
        encoder = grid.encoder(fit)
        (recording,) = grid.recordings(fit)
        kept = {
            "saliency": paper_saliency(encoder, recording, self.windows, progress=progress),
            "unit_ids": np.array(encoder.sessions[fit.session_id].unit_ids),
            "features": np.array(encoder.behavior_names),
        }
        save_piece(self.saliency_file(fit.run.path), kept)

    def gather(self, grid: Grid, fits: Mapping[str, Sequence[Fit]]) -> ClassCounts:
        """Apply the rule to every session that is done.

        Source: Xu et al. (2023), Figure 5 (deviations Q38 to Q40).
        """
        parts = [self._session(fit) for fit in done_fits(grid, fits)]
        counts, saliency, neurons = (
            pd.concat(part, ignore_index=True) for part in zip(*parts, strict=True)
        )
        if len(parts) > 1:
            counts = pd.concat([counts, _all_modulated(counts)], ignore_index=True)
        used = "all test windows" if self.windows is None else f"{self.windows} test windows"
        caption = (
            "Share of neurons that the original's rule calls strongly modulated: saliency "
            f"(signed mean derivative over {used}, dropout on, products as inputs of their "
            "own, raw units, the path through the shifter included) of the variable or of its "
            f"derivative is {THRESHOLD:g} sd or more from the mean over the session's neurons. "
            f"Good neurons: the original's correlation is {GOOD:g} or more. Lines: the share "
            "that the rule finds in Gaussian noise. Below: saliency over neurons in sd."
        )
        return ClassCounts(counts, saliency, neurons, caption, "sd", THRESHOLD)

    def _session(self, fit: Fit) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Return counts, saliency and modulation of one session."""
        kept = require_piece(self.saliency_file(fit.run.path))
        values, units = kept["saliency"], kept["unit_ids"].tolist()
        names = kept["features"].tolist()
        scores = load_scores(fit.run.path).astype({"unit_id": str})
        correlation = (
            scores.set_index("unit_id")["paper_correlation"].reindex(units).to_numpy(float)
        )
        found = modulation(values, tuple(names))
        own = {"session_id": fit.session_id}
        counts = count_modulated(found, correlation)
        counts.insert(0, "session_id", fit.session_id)
        neurons = pd.DataFrame({**own, "unit_id": units, "paper_correlation": correlation})
        neurons[list(found.variables)] = found.is_modulated
        signed = values[:, [names.index(name) for name in found.names]]
        saliency = pd.DataFrame(
            {
                **own,
                "unit_id": np.repeat(units, len(found.names)),
                "signal": np.tile(found.names, len(units)),
                "value": found.z.ravel(),
                "signed": signed.ravel(),
            }
        )
        return counts, saliency, neurons


register_figure(
    PaperFigure(
        name="figure5",
        title="Which behavior modulates which neurons",
        rows=(MULTIMODAL,),
        default=ContributionClasses,
        paper=SaliencyClasses,
    )
)


def _stack(explanations: Sequence[SessionExplanation], table: str) -> pd.DataFrame:
    parts = {own.session_id: getattr(own, table) for own in explanations}
    return pd.concat(parts, names=["session_id"]).reset_index(level=0).reset_index(drop=True)


def _count(neurons: pd.DataFrame, session_id: object) -> pd.DataFrame:
    counts = neurons["class"].value_counts().reindex(list(CLASSES), fill_value=0)
    shown = {"session_id": session_id, "class": counts.index, "n": counts.to_numpy()}
    return pd.DataFrame({**shown, "n_neurons": len(neurons)}).assign(
        share=lambda table: table["n"] / table["n_neurons"]
    )


def _all_modulated(counts: pd.DataFrame) -> pd.DataFrame:
    """Add up the neurons of all sessions."""
    numbers = [name for name in counts.columns if name.startswith("n_")]
    kept = dict.fromkeys(numbers, "sum") | {"expected_share": "first"}
    total = counts.groupby("variable", sort=False, as_index=False).agg(kept)
    total["session_id"] = ALL_SESSIONS
    total["share"] = total["n_modulated"] / total["n_neurons"]
    total["share_good"] = total["n_modulated_good"] / total["n_good"]
    total["share_good_of_all"] = total["n_modulated_good"] / total["n_neurons"]
    return total.loc[:, list(counts.columns)]


@print_style
def draw_classes(data: ClassCounts) -> Figure:
    """Draw shares of neurons as bars, and a histogram of saliency for each signal.

    Args:
        data: Classes and saliency.

    Returns:
        A figure of a page's width.
    """
    signals = list(data.saliency.groupby("signal", sort=False)["value"])
    n_rows = -(-len(signals) // COLUMNS)
    figure, axes = new_figure(
        PRINT_PX,
        BARS_PX + ROW_PX * n_rows + 15,
        1 + n_rows,
        COLUMNS,
        height_ratios=[BARS_PX, *[ROW_PX] * n_rows],
    )
    grid = axes[0].get_gridspec()
    assert grid is not None, "axes were made in a grid"
    for ax in axes[:COLUMNS]:
        ax.remove()
    _bars(figure.add_subplot(grid[0, :], facecolor="none"), data.counts)
    edges = _edges(data.saliency["value"].dropna().to_numpy(float), data.threshold is not None)
    panels = axes[COLUMNS:]
    for i, (name, own) in enumerate(signals):
        _histogram(panels[i], str(name), own.to_numpy(float), edges, data.threshold)
        panels[i].set_ylabel("neurons" if i % COLUMNS == 0 else "")
    figure.supxlabel(f"saliency ({data.unit})", fontsize=PRINT_TEXT_PX)
    for ax in panels[len(signals) :]:
        ax.set_visible(False)
    return figure


def _bars(ax: Axes, counts: pd.DataFrame) -> None:
    kind = "variable" if "variable" in counts else "class"
    sessions = [name for name in counts["session_id"].unique() if name != ALL_SESSIONS]
    shares = counts.pivot(index=kind, columns="session_id", values="share")
    shares = 100 * shares.reindex(counts[kind].unique())
    whole = counts.loc[counts["session_id"] == counts["session_id"].iloc[-1]]
    labels = {"share": "all neurons", "share_good": "good neurons"}
    bars = {label: whole[name] for name, label in labels.items() if name in whole}
    width, places = 0.8 / len(bars), np.arange(len(whole))
    for k, (label, own) in enumerate(bars.items()):
        ax.bar(
            places - 0.4 + (k + 0.5) * width,
            100 * own,
            0.9 * width,
            color=LIGHT if k else MODEL,
            hatch="////" if k else None,
            edgecolor="white",
            label=label,
        )
    for i, session in enumerate(sessions if len(sessions) > 1 else []):
        spread = (i - (len(sessions) - 1) / 2) * min(0.12, 0.6 * width / len(sessions))
        ax.plot(
            places - 0.4 + width / 2 + spread,
            shares[session],
            marker_of(i),
            color="white",
            markeredgecolor=INK,
            markeredgewidth=0.7,
            markersize=3.8,
            clip_on=False,  # many lie at zero
            zorder=3,
            label=session,
        )
    if "expected_share" in whole:
        expected = 100 * whole["expected_share"]
        ends = places - 0.42, places + 0.42
        ax.hlines(expected, *ends, color=INK, linestyle=":", label="in noise")
    ax.set_xticks(places, [str(name).replace("_", " ") for name in whole[kind]])
    ax.tick_params(axis="x", length=0, labelcolor=INK)
    ax.set_ylim(0, None)
    quiet_grid(ax)
    label_axes(ax, "", "neurons (%)")
    if len(ax.get_legend_handles_labels()[0]) > 1:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=6, borderaxespad=0.2)


def _edges(values: np.ndarray, is_signed: bool) -> np.ndarray:
    """Bins that hold 99 % of the values; those beyond are counted in the last ones."""
    reach = (float(np.quantile(np.abs(values), 0.99)) if len(values) else 0.0) or 1.0
    return np.linspace(-reach if is_signed else 0.0, reach, N_BINS + 1)


def _histogram(
    ax: Axes, name: str, values: np.ndarray, edges: np.ndarray, threshold: float | None
) -> None:
    known = np.clip(values[np.isfinite(values)], edges[0], edges[-1])
    heights, _ = np.histogram(known, edges)
    ax.stairs(heights, edges, fill=True, color=MODEL, alpha=0.85)
    for value in () if threshold is None else (-threshold, threshold):
        ax.axvline(value, color=MUTED, linestyle=":", linewidth=0.9)
    ax.set_title(name, pad=2)
    ax.set_ylim(0, max(1.0, 1.1 * heights.max()))
    finish_axes(ax, n_x=3, n_y=3)
    count_ticks(ax, 3, "y")
