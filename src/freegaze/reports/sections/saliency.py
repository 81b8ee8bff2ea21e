"""Section of the report: saliency of behavior signals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from freegaze.explanation.contributions.groups import NO, UNTESTED, YES
from freegaze.reports.explained import ExplainedNeuron, bands_of
from freegaze.reports.figures.contributions import link_neurons
from freegaze.reports.figures.saliency import draw_saliency
from freegaze.reports.page import Section, wide_panel
from freegaze.reports.pictures import SEQUENTIAL, css_gradient, symmetric_limit
from freegaze.reports.wording import count, listing, number

LEAST_SHARE = 1e-3
"""Signals whose sensitivity via gaze is below this share of the strongest have no row in the map of
it."""


def build_saliency(neurons: Sequence[ExplainedNeuron]) -> Section | None:
    """Draw the heat map; ``None`` where there are no signals."""
    bands = bands_of(neurons)
    ordered = [neuron for band in bands for neuron in band.neurons]
    signals = list(
        dict.fromkeys(
            str(name)
            for e in {id(n.explanation): n.explanation for n in neurons}.values()
            for name in e.saliency["signal"]
        )
    )
    if not signals:
        return None
    partial = _matrix(ordered, signals, "absolute")
    via_gaze = _matrix(ordered, signals, "via_gaze")
    answers = _answers(ordered, signals)
    limit = max(symmetric_limit(partial), symmetric_limit(via_gaze))
    reach = np.nan_to_num(via_gaze).max(1)
    moving = np.flatnonzero(reach > LEAST_SHARE * limit)
    sizes = [(band.label, len(band.neurons)) for band in bands]
    hrefs = [neuron.href for neuron in ordered]
    unit = ordered[0].response_unit

    def draw(width_px: float) -> Figure:
        via = [signals[i] for i in moving], via_gaze[moving]
        figure = draw_saliency(signals, partial, *via, sizes, limit, width_px, answers == NO)
        return link_neurons(figure, sizes, hrefs)

    strongest = np.argsort(-np.nan_to_num(np.nanmean(_known(partial), 1)))[:3]
    return Section(
        "saliency",
        "Sensitivity to behavior",
        {
            "lead": "How much the predicted rate changes when a signal moves by one sd of its "
            "training bins, on average over test bins and without regard to sign. Above, the "
            "retinal image is held still, so that a purely visual neuron has no sensitivity to the "
            "eye. Below is the additional change because the shifter moves the image. "
            "Select a neuron to see its page.",
            "chart": wide_panel(
                draw,
                "saliency",
                f"Heat map of {count(len(ordered), 'neuron')} and {count(len(signals), 'signal')}; "
                f"on average strongest for {listing([signals[i] for i in strongest])}.",
            ),
            "tests": _in_words(answers),
            "gradient": css_gradient(SEQUENTIAL),
            "limit": number(limit, 2),
            "unit": f"{unit} per training sd",
        },
    )


def _matrix(
    neurons: Sequence[ExplainedNeuron], signals: Sequence[str], column: str
) -> Float[np.ndarray, "signal neuron"]:
    columns = []
    for neuron in neurons:
        known = {row["signal"]: row[column] for row in neuron.rows("saliency")}
        columns.append([neuron.per_s * float(known.get(name, np.nan)) for name in signals])
    return np.array(columns, dtype=np.float64).T


def _answers(neurons: Sequence[ExplainedNeuron], signals: Sequence[str]) -> np.ndarray:
    """Return the answer of the test of each signal and neuron; "not tested" if it has none."""
    columns = []
    for neuron in neurons:
        known = {row["signal"]: row.get("answer", UNTESTED) for row in neuron.rows("saliency")}
        columns.append([known.get(name, UNTESTED) for name in signals])
    return np.array(columns, dtype=object).T


def _in_words(answers: np.ndarray) -> str:
    yes, no, untested = (int((answers == answer).sum()) for answer in (YES, NO, UNTESTED))
    if not yes + no:
        return "No sensitivity was tested against chance."
    words = (
        f"Test bins follow the signal as the encoder uses it, more than by chance, for {yes} of "
        f"{yes + no} tested pairs of neuron and signal; the others are faded."
    )
    return words + (f" {count(untested, 'pair')} could not be tested." if untested else "")


def _known(values: np.ndarray) -> np.ndarray:
    """Take rows without any value for zero, so that their mean is defined."""
    return np.where(np.isfinite(values).any(1, keepdims=True), values, 0.0)
