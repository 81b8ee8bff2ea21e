"""Section of the report: one neuron, chosen from a list, with all its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from freegaze.explanation.explain import PARTS, missing_parts
from freegaze.explanation.result import CLASSES
from freegaze.explanation.tuning.curves import BLOCK_S, SHIFT_DEG_S
from freegaze.reports.explained import (
    UNKNOWN,
    ExplainedNeuron,
    reliability_of,
    scored_session,
)
from freegaze.reports.inputs import ReportInputs, score_label
from freegaze.reports.neuron_data import neuron_values, session_values
from freegaze.reports.page import Section
from freegaze.reports.pictures import DIVERGING, css_gradient
from freegaze.reports.sections.fields import OUTLINE_NOTE
from freegaze.reports.sections.score_table import Cell, Column, score_columns, score_order
from freegaze.reports.sections.traces import SMOOTHING_S, rank_neurons
from freegaze.reports.style import GROUP_COLORS
from freegaze.reports.wording import NO_VALUE, fixed, listing

STYLES = ("explanation.css",)
SCRIPTS = ("charts.js", "panels.js", "neuron.js")
"""Files that a page with this section needs in addition, in this order."""


def build_neuron(inputs: ReportInputs, neurons: Sequence[ExplainedNeuron]) -> Section | None:
    """List the neurons with the values that the page draws; ``None`` where there are none."""
    if not neurons:
        return None
    sessions = {e.session_id: scored_session(inputs, e.session_id) for e in inputs.explanations}
    scores = _scores(inputs)
    labels = [neuron.label for neuron in neurons]
    return Section(
        "neuron",
        "One neuron",
        {
            "lead": "Choose a neuron by click, or with the arrow keys in the list. Select a "
            "heading to sort by it. The address of the page names the neuron.",
            "missing": _missing(inputs),
            "columns": _columns(inputs, neurons, labels),
            "hrefs": [neuron.href for neuron in neurons],
            "labels": labels,
            "classes": [(c, labels.count(c)) for c in (*CLASSES, UNKNOWN) if c in labels],
            "shared": {
                "sessions": {
                    e.session_id: session_values(e, sessions[e.session_id])
                    for e in inputs.explanations
                },
                "colors": GROUP_COLORS,
                "gradient": css_gradient(DIVERGING),
                "smoothing": round(1000 * SMOOTHING_S),
                "shiftSpeed": round(SHIFT_DEG_S),
                "blockSeconds": round(BLOCK_S),
                "outlineNote": OUTLINE_NOTE,
            },
            "neurons": [
                neuron_values(neuron, scores.get(neuron.score_row, []), sessions[neuron.session_id])
                for neuron in neurons
            ],
        },
    )


def _missing(inputs: ReportInputs) -> str:
    """Return which parts of the explanation were not computed, and how to add them."""
    known = [set(missing_parts(explanation)) for explanation in inputs.explanations]
    parts = [part for part in PARTS if part in set().union(*known)]
    if not parts:
        return ""
    return (
        f"Not computed: {listing(parts, most=len(parts))}. To add them, run freegaze explain "
        f"{inputs.run.path.name} --only {','.join(parts)}"
    )


def _columns(
    inputs: ReportInputs, neurons: Sequence[ExplainedNeuron], labels: Sequence[str]
) -> list[Column]:
    columns = [_words("neuron", [n.unit_id for n in neurons])]
    if len(inputs.explanations) > 1:
        columns.append(_words("session", [n.session_id for n in neurons], is_extra=True))
    columns.append(_words("class", labels))
    if inputs.stabilities:
        columns.append(_words("field", [reliability_of(inputs, n) or NO_VALUE for n in neurons]))
    ranked, _ = rank_neurons(inputs)
    for name in dict.fromkeys([ranked, *inputs.headlines] if ranked else []):
        order = "descending" if name == ranked else ""
        columns.append(_numbers(inputs, neurons, name, score_label(name), 2, order))
    if np.isfinite(inputs.column("rate_hz")).any():
        rates = _numbers(inputs, neurons, "rate_hz", "rate (Hz)", 1)
        columns.append(replace(rates, is_extra=True))
    return columns


def _words(label: str, words: Sequence[str], is_extra: bool = False) -> Column:
    return Column(label, [Cell(w, w) for w in words], is_number=False, is_extra=is_extra)


def _numbers(
    inputs: ReportInputs,
    neurons: Sequence[ExplainedNeuron],
    name: str,
    label: str,
    decimals: int,
    order: str = "",
) -> Column:
    column = inputs.column(name)
    values = [float("nan") if n.score_row is None else float(column[n.score_row]) for n in neurons]
    cells = [Cell(fixed(v, decimals), repr(v) if np.isfinite(v) else "") for v in values]
    return Column(label, cells, sorted=order)


def _scores(inputs: ReportInputs) -> dict[int | None, list[tuple[str, str, str]]]:
    """Return every score of each row of the table as words: name, value, interval."""
    columns = [column for column in score_columns(inputs) if column.is_number]
    return {
        int(row): [(c.label, c.cells[place].text, c.cells[place].interval) for c in columns]
        for place, row in enumerate(score_order(inputs))
    }
