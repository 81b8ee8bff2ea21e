"""Section of the report: recorded and predicted responses over time."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from freegaze.evaluation.scored_session import ScoredSession
from freegaze.metrics.correlation import boxcar_bins, smooth_boxcar
from freegaze.recording.responses import per_second, response_label
from freegaze.reports.figures.traces import Trace, draw_trace
from freegaze.reports.inputs import ReportInputs, score_label
from freegaze.reports.page import NARROW_PX, Panel, Section, wide_panel
from freegaze.reports.wording import fixed

N_SHOWN = 3
"""Neurons at either end of the order."""

SMOOTHING_S = 0.25
"""Boxcar over drawn traces: a bin of 48 ms holds 0 or 1 spike, which shows no rate."""

WIDE_S, NARROW_S = 60.0, 20.0
"""Seconds shown on screens and phones."""


def build_traces(inputs: ReportInputs) -> Section | None:
    """Draw the traces of the best and worst neurons; ``None`` where no neuron has a score."""
    metric, ranked = rank_neurons(inputs)
    if not len(ranked):
        return None
    n_shown = min(N_SHOWN, max(1, len(ranked) // 2))
    groups = {"Best predicted": ranked[:n_shown], "Worst predicted": ranked[n_shown:][-n_shown:]}
    shown = [
        {
            "title": title,
            "traces": [
                _panel(inputs, int(row), metric, f"{title[0].lower()}{i}")
                for i, row in enumerate(rows)
            ],
        }
        for title, rows in groups.items()
        if len(rows)
    ]
    return Section(
        "traces",
        "Predicted and recorded traces",
        {
            "lead": f"The first {WIDE_S:.0f} s of test bins (on narrow screens {NARROW_S:.0f} s), "
            "the same for all neurons of a session. Where test bins are not contiguous, a gray "
            "line marks the jump; above it is the time in the session. Everything is averaged over "
            f"{SMOOTHING_S * 1000:.0f} ms.",
            "groups": shown,
        },
    )


def rank_neurons(inputs: ReportInputs) -> tuple[str, np.ndarray]:
    """Return the score that neurons are ranked by, and the rows of the table, best first.

    Neurons without a score are left out. The score is the correlation where there is one, because
    it corresponds to the visible similarity of two traces.
    """
    known = [m for m in ("correlation", *inputs.headlines) if inputs.has(m)]
    if not known:
        return "", np.empty(0, dtype=int)
    scores = inputs.column(known[0])
    return known[0], np.argsort(-scores, kind="stable")[: int(np.isfinite(scores).sum())]


def trace_of(session: ScoredSession, neuron: int, duration_s: float) -> Trace:
    """Return a neuron's responses in the first test bins, smoothed for the eye.

    Args:
        session: The scored bins.
        neuron: Column number of the neuron.
        duration_s: Seconds of test bins.
    """
    n_bins = max(2, round(duration_s / session.bin_width_s))
    per_s = per_second(session.response_kind, session.bin_width_s)
    width = boxcar_bins(session.bin_width_s, SMOOTHING_S)

    def shown(values: np.ndarray) -> np.ndarray:
        return per_s * smooth_boxcar(values[:, [neuron]], width, session.run_ids)[:n_bins, 0]

    attainable = session.references.get("attainable")
    return Trace(
        session.targets[:n_bins] * session.bin_width_s,
        session.bin_width_s,
        shown(session.observed),
        shown(session.rates),
        None if attainable is None else shown(attainable),
    )


def _panel(inputs: ReportInputs, row: int, metric: str, key: str) -> Panel:
    session, neuron = inputs.neuron(row)
    trace = trace_of(session, neuron, WIDE_S)
    title = f"Neuron {session.unit_ids[neuron]}"
    if len(inputs.evaluation.sessions) > 1:
        title += f" of {session.session_id}"
    title += f", {score_label(metric)} {fixed(inputs.column(metric)[row], 2)}"

    def draw(width_px: float) -> Figure:
        label = response_label(session.response_kind)
        is_wide = width_px > NARROW_PX
        part = trace if is_wide else trace.first(NARROW_S)
        return draw_trace(part, label, width_px, 200 if is_wide else 205, key == "b0")

    return wide_panel(
        draw,
        f"trace-{key}",
        f"{title}: recorded and predicted {response_label(session.response_kind)}",
        title=title,
    )
