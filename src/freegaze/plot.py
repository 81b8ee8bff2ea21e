"""Figures of results for notebooks: each function draws into axes and returns them.

They draw as the report does. Axes may be given; otherwise a new figure is made with pyplot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from freegaze.errors import ConfigError
from freegaze.evaluation.evaluation import Evaluation
from freegaze.explanation.result import SessionExplanation
from freegaze.fitted.encoder import FittedEncoder
from freegaze.recording.recording import Recording
from freegaze.recording.responses import response_label
from freegaze.registry import require_name
from freegaze.reports.explained import method_unit
from freegaze.reports.figures.contributions import GroupBars, plot_group_bars
from freegaze.reports.figures.displacement import plot_displacement
from freegaze.reports.figures.scores import Scores, plot_score_pairs, plot_score_strip
from freegaze.reports.figures.traces import plot_trace
from freegaze.reports.inputs import matching_column, score_label
from freegaze.reports.pictures import DIVERGING, symmetric_limit
from freegaze.reports.sections.displacement import (
    COMPONENTS,
    component_labels,
    displacement_of,
)
from freegaze.reports.sections.traces import trace_of
from freegaze.reports.style import (
    MODEL,
    PX_PER_INCH,
    RC,
    RECORDED,
    color_of,
    finish_axes,
    label_axes,
    marker_of,
)

DPI = 100


def scores(
    evaluation: Evaluation,
    metric: str = "correlation",
    *,
    against: Evaluation | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw every neuron's score with its 95 % interval, alone or against another model.

    Args:
        evaluation: Scores of an encoder.
        metric: Name of the score; ``freegaze metrics`` lists them.
        against: Scores of another model. Its scores of the same neurons are on the horizontal
            axis, and above the diagonal the first model is better.
        ax: Axes to draw into.

    Returns:
        The axes.

    Raises:
        ConfigError: If an evaluation does not have the score.

    Example:
        >>> evaluation = freegaze.evaluate(encoder, recordings, draws=20)
        >>> freegaze.plot.scores(evaluation).get_ylabel()
        'correlation'
    """
    own = _scores(evaluation, evaluation, metric)
    if against is not None:
        other = _scores(evaluation, against, metric)
        with _axes(ax, 340, 330) as ax:
            plot_score_pairs(ax, own, other, color_of(0), marker_of(1))
            label_axes(ax, f"{score_label(metric)}, other model", score_label(metric))
        return ax
    table = evaluation.table
    best = f"attainable_{metric}"
    attainable = table[best].to_numpy(np.float64) if best in table.columns else None
    with _axes(ax, 640, 300) as ax:
        plot_score_strip(ax, own, {}, attainable, "encoder", score_label(metric))
        ax.legend(loc="upper right")
    return ax


def traces(
    evaluation: Evaluation,
    unit_id: str,
    *,
    session: str | None = None,
    duration_s: float = 60.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw a neuron's recorded and predicted responses in the first test bins.

    Both are averaged over 250 ms. A gray line marks where test bins are not contiguous.

    Args:
        evaluation: Scores of an encoder.
        unit_id: The neuron.
        session: Session of the neuron, if there are several.
        duration_s: Seconds of test bins to draw.
        ax: Axes to draw into.

    Returns:
        The axes.

    Raises:
        ConfigError: If the neuron or the session was not scored.

    Example:
        >>> evaluation = freegaze.evaluate(encoder, recordings, draws=20)
        >>> freegaze.plot.traces(evaluation, "unit_000").get_ylabel()
        'firing rate (spikes/s)'
    """
    ids = [scored.session_id for scored in evaluation.sessions]
    if session is not None:
        _require(session, ids, "session")
    scored = evaluation.session(session or ids[0])
    _require(unit_id, list(scored.unit_ids), "neuron")
    trace = trace_of(scored, scored.unit_ids.index(unit_id), duration_s)
    with _axes(ax, 760, 220) as ax:
        plot_trace(ax, trace, response_label(scored.response_kind), 760)
        ax.legend(loc="upper right", ncols=3)
    return ax


def shifter(
    encoder: FittedEncoder, recording: Recording, component: str = "x", *, ax: Axes | None = None
) -> Axes:
    """Draw how far the shifter moves frames against the angle of eye or head that it follows.

    Args:
        encoder: A fitted encoder with a shifter.
        recording: A session that it was fitted on.
        component: ``x``, ``y`` or ``rotation``.
        ax: Axes to draw into.

    Returns:
        The axes: test bins with good tracking, displacement in pixels or degrees.

    Raises:
        ConfigError: If the encoder has no shifter, or no such component.

    Example:
        >>> freegaze.plot.shifter(encoder, recording).get_xlabel()
        'eye horizontal, θ (deg)'
    """
    names = [name for name, _ in COMPONENTS]
    _require(component, names, "component")
    shown = displacement_of(encoder, recording)
    if shown is None:
        raise ConfigError(f"the encoder {encoder.model_name} has no shifter to draw")
    index = names.index(component)
    with _axes(ax, 340, 280) as ax:
        plot_displacement(ax, shown.angle(index), shown.fitted[:, index], None)
        label_axes(ax, *component_labels(recording, index))
    return ax


def fields(
    explanation: SessionExplanation,
    method: str = "gradient",
    *,
    neurons: Sequence[str] | None = None,
    n_columns: int = 6,
) -> np.ndarray:
    """Draw receptive fields at their strongest bin, each on its own color scale.

    Blue is below zero and orange above. The title has the neuron and the end of its scale.

    Args:
        explanation: Explanation of one session.
        method: Method of the fields; see ``freegaze.explanation.fields.fields.METHODS``.
        neurons: ``unit_id`` of the neurons to draw; all by default.
        n_columns: Fields side by side.

    Returns:
        The axes, (row, column), of a new figure.

    Raises:
        ConfigError: If the method was not computed, or a neuron is unknown.

    Example:
        >>> (explanation,) = freegaze.explain(encoder, recordings, only=["fields.gradient"])
        >>> freegaze.plot.fields(explanation, neurons=["unit_000", "unit_001"]).shape
        (1, 2)
    """
    _require(method, list(explanation.fields), "method")
    units = list(explanation.unit_ids if neurons is None else neurons)
    for unit in units:
        _require(unit, list(explanation.unit_ids), "neuron")
    n_columns = max(1, min(n_columns, len(units)))
    n_rows = max(1, -(-len(units) // n_columns))
    size = (1.5 * n_columns, 1.3 * n_rows + 0.4)
    figure = pyplot.figure(figsize=size, dpi=DPI, layout="constrained")
    colors = LinearSegmentedColormap.from_list("diverging", DIVERGING)
    with mpl.rc_context(RC):
        axes = figure.subplots(n_rows, n_columns, squeeze=False)
        for ax in axes.flat[len(units) :]:
            ax.set_axis_off()
        for unit, ax in zip(units, axes.flat, strict=False):
            picture = explanation.picture(method, explanation.unit_ids.index(unit))
            limit = symmetric_limit(picture)
            ax.imshow(picture, cmap=colors, vmin=-limit or -1, vmax=limit or 1)
            ax.set_title(f"{unit}  ±{limit:.2g}", fontsize=8)
            ax.set_xticks([])
            ax.set_yticks([])
        figure.suptitle(f"{method}, scale in {method_unit(method) or 'its own unit'}", fontsize=9)
    return axes


def contributions(
    explanation: SessionExplanation, group: str = "behavior", *, ax: Axes | None = None
) -> Axes:
    """Draw what a group of behavior columns adds to each neuron.

    Args:
        explanation: Explanation of one session, with contributions.
        group: Name of the group of behavior; ``behavior`` is all groups of behavior together.
        ax: Axes to draw into.

    Returns:
        The axes: neurons in order of what the group adds. Filled bars with a dot above are
        significant, empty bars are not, dotted outlines were not tested.

    Raises:
        ConfigError: If contributions of the group were not computed.

    Example:
        >>> (explanation,) = freegaze.explain(encoder, recordings, only=["contributions"])
        >>> freegaze.plot.contributions(explanation, "speed").get_title(loc="left")
        'speed'
    """
    table = explanation.contributions
    _require(group, sorted(set(table["group"])), "group")
    rows = table.loc[table["group"].eq(group).to_numpy(bool)]
    rows = rows.sort_values("deviance", ascending=False)
    bars = GroupBars(
        group,
        100 * rows["deviance"].to_numpy(np.float64),
        rows["is_significant"].to_numpy(bool),
        np.isfinite(rows["p"].to_numpy(np.float64)),
    )
    with _axes(ax, 640, 220) as ax:
        plot_group_bars(ax, bars, np.arange(1.0, len(rows) + 1), 640)
        ax.set_xticks([])
        label_axes(ax, "neurons, largest contribution first", "added deviance\nexplained (%)")
    return ax


def tuning(
    explanation: SessionExplanation, unit_id: str, signal: str, *, ax: Axes | None = None
) -> Axes:
    """Draw a neuron's mean response at levels of a behavior signal.

    Args:
        explanation: Explanation of one session, with tuning.
        unit_id: The neuron.
        signal: The recorded column.
        ax: Axes to draw into.

    Returns:
        The axes: observed responses with standard errors over blocks of 20 s, and predicted ones.

    Raises:
        ConfigError: If the neuron has no tuning to the signal.

    Example:
        >>> (explanation,) = freegaze.explain(encoder, recordings, only=["tuning"])
        >>> freegaze.plot.tuning(explanation, "unit_000", "speed").get_xlabel()
        'speed (cm/s)'
    """
    table = explanation.tuning
    _require(unit_id, list(explanation.unit_ids), "neuron")
    _require(signal, sorted(set(table["signal"])), "signal")
    rows = table.loc[(table["unit_id"].eq(unit_id) & table["signal"].eq(signal)).to_numpy(bool)]
    level = rows["level"].to_numpy(np.float64)
    errors: dict[str, Any] = {"fmt": "o", "color": RECORDED, "markersize": 4, "capsize": 2}
    observed, error = (rows[name].to_numpy(np.float64) for name in ("observed", "observed_se"))
    with _axes(ax, 340, 280) as ax:
        ax.errorbar(level, observed, error, label="recorded", **errors)
        ax.plot(level, rows["predicted"], color=MODEL, label="predicted")
        finish_axes(ax, f"{signal} ({rows['unit'].iloc[0]})", "response per bin")
        ax.legend()
    return ax


def _scores(evaluation: Evaluation, of: Evaluation, metric: str) -> Scores:
    """Return the scores of one evaluation for the neurons of another."""
    _require(metric, list(of.table.columns), "score")
    names = (metric, f"{metric}_low", f"{metric}_high")
    return Scores(*(matching_column(evaluation.table, of.table, name) for name in names))


def _require(name: str, known: Sequence[str], what: str) -> None:
    require_name(name, known, f"there is no {what}", ConfigError)


@contextmanager
def _axes(ax: Axes | None, width_px: float, height_px: float) -> Iterator[Axes]:
    """Give axes in the style of the report: those given, or those of a new figure.

    The figure is made before the style applies, because the start of pyplot in a notebook changes
    settings that must last.
    """
    size = (width_px / PX_PER_INCH, height_px / PX_PER_INCH)
    if ax is not None:
        with mpl.rc_context(RC):
            yield ax
        return
    figure = pyplot.figure(figsize=size, dpi=DPI, layout="constrained")
    with mpl.rc_context(RC):
        yield figure.subplots()
