"""Section of the report: receptive fields at their strongest bin, best neurons first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from freegaze.explanation.fields.against import in_words, load_comparison
from freegaze.explanation.stability import RELIABLE
from freegaze.explanation.stability import in_words as stability_in_words
from freegaze.reports.explained import (
    ExplainedNeuron,
    method_label,
    method_unit,
    reliability_of,
)
from freegaze.reports.inputs import ReportInputs, score_label
from freegaze.reports.page import Section
from freegaze.reports.pictures import DIVERGING, css_gradient, diverging_png, symmetric_limit
from freegaze.reports.sections.traces import rank_neurons
from freegaze.reports.wording import count, fixed, number

N_SIGMAS = 2.0
"""An outline encloses this many standard deviations of the Gabor function's envelope."""

POOR_FIT = 0.5
"""Outlines of Gabor functions that explain less of a field's squares are dashed."""

OUTLINE_NOTE = (
    f"ellipses of {N_SIGMAS:.0f} sd; dashed where the fit explains less than "
    f"{100 * POOR_FIT:.0f}\N{NO-BREAK SPACE}%"
)


PALEST = 0.25
"""Opacity of the field of a neuron that the encoder does not predict."""


@dataclass(frozen=True)
class Outline:
    """An ellipse around a field in pixels of its picture, whose corner is (0, 0)."""

    x: float
    y: float
    along: float
    across: float
    turn_deg: float
    is_poor: bool


@dataclass(frozen=True)
class Card:
    """One neuron in the gallery."""

    href: str
    unit_id: str
    description: str
    score: str
    scale: str
    picture: str
    size: tuple[int, int]
    outline: Outline | None
    opacity: float
    mark: str


def build_fields(inputs: ReportInputs, neurons: Sequence[ExplainedNeuron]) -> Section | None:
    """Show every neuron's field; ``None`` where no neuron has one."""
    metric, _ = rank_neurons(inputs)
    best = max((n.score for n in neurons if np.isfinite(n.score)), default=float("nan"))
    cards = [card for n in neurons if (card := _card(inputs, n, metric, best)) is not None]
    if not cards:
        return None
    shown = [n.first_method() for n in neurons]
    words = [
        f"{method_label(m)} ({count(shown.count(m), 'neuron')})"
        for m in dict.fromkeys(m for m in shown if m is not None)
    ]
    lead = (
        f"Receptive fields of {count(len(cards), 'neuron')} in their strongest bin, sorted by "
        f"{score_label(metric) if metric else 'name'}: {'; '.join(words)}. Orange: light there "
        "raises the rate; blue: dark there raises it. Select one to see the page of its neuron."
    )
    return Section(
        "fields",
        "Receptive fields",
        {
            "lead": lead,
            "cards": cards,
            "gradient": css_gradient(DIVERGING),
            "has_outlines": any(card.outline for card in cards),
            "outline_note": OUTLINE_NOTE,
            "score": score_label(metric) if metric else "",
            "unit": _common_unit(shown),
            "is_faded": any(card.opacity < 1 for card in cards),
            "stabilities": [stability_in_words(s) for s in inputs.stabilities.values()],
            "comparisons": _comparisons(inputs),
        },
    )


def _comparisons(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Show fields beside those from another recording of the same neurons, where compared."""
    shown = []
    for explanation in inputs.explanations:
        found = load_comparison(inputs.run.path, explanation.session_id)
        if found is None:
            continue
        rows = found.table[found.table["method"] == "linear"]
        pairs = zip(rows["unit_id"], rows["correlation"], found.fields["linear"], strict=True)
        cards = [
            {
                "unit_id": unit,
                "r": fixed(float(r), 2),
                "pictures": [diverging_png(p, symmetric_limit(p)) for p in both],
                "size": both.shape[1:],
            }
            for unit, r, both in sorted(pairs, key=lambda card: -np.nan_to_num(card[1], nan=-2))
        ]
        shown.append({"lead": in_words(found), "cards": cards})
    return shown


def outline_of(neuron: ExplainedNeuron, method: str) -> Outline | None:
    """Return the outline of a neuron's Gabor function, ``None`` where none was fitted."""
    row = neuron.row("receptive_fields", method=method)
    names = ("center_x_px", "center_y_px", "sigma_along_px", "sigma_across_px", "orientation_deg")
    values = [float(row.get(name, np.nan)) for name in names]
    if not np.isfinite(values).all():
        return None
    x, y, along, across, turn = values
    # a pixel's center has whole coordinates in the table, half ones in a drawing
    return Outline(
        *(round(v, 2) for v in (x + 0.5, y + 0.5, N_SIGMAS * along, N_SIGMAS * across, turn)),
        is_poor=not row.get("explained", 0.0) >= POOR_FIT,
    )


def _card(inputs: ReportInputs, neuron: ExplainedNeuron, metric: str, best: float) -> Card | None:
    method = neuron.first_method()
    field = None if method is None else neuron.field(method)
    if method is None or field is None:
        return None
    picture = field[int((field**2).sum((1, 2)).argmax())]
    limit = symmetric_limit(picture)
    name = score_label(metric) if metric else "score"
    return Card(
        href=neuron.href,
        unit_id=neuron.unit_id,
        description=f"Receptive field of neuron {neuron.unit_id}: {method_label(method)}, "
        f"scale {number(-limit, 2)} to {number(limit, 2)} {method_unit(method)}; {name} "
        f"{fixed(neuron.score, 2)}",
        score=fixed(neuron.score, 2),
        scale=f"±{number(limit, 2)}",
        picture=diverging_png(picture, limit),
        size=(picture.shape[0], picture.shape[1]),
        outline=outline_of(neuron, method),
        opacity=_opacity(neuron.score, best),
        mark=_mark(inputs, neuron),
    )


def _mark(inputs: ReportInputs, neuron: ExplainedNeuron) -> str:
    """Return a mark for a field that refits did not find reliable."""
    reliability = reliability_of(inputs, neuron)
    return "" if reliability == RELIABLE else reliability


def _opacity(score: float, best: float) -> float:
    """Return how strongly a field is drawn: in proportion to the neuron's score, but visible."""
    if not best > 0:
        return PALEST
    return round(float(np.clip(np.nan_to_num(score / best), PALEST, 1)), 2)


def _common_unit(methods: Sequence[str | None]) -> str:
    units = {method_unit(m) for m in methods if m is not None}
    return units.pop() if len(units) == 1 else "units of each field"
