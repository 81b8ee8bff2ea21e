"""Section of the report: unique contributions of vision and behavior groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from freegaze.explanation.result import CLASSES
from freegaze.recording.columns import GROUP_COLORS
from freegaze.reports.explained import ExplainedNeuron, bands_of
from freegaze.reports.figures.contributions import (
    GroupBars,
    draw_class_counts,
    draw_contributions,
    link_neurons,
)
from freegaze.reports.page import Section, panel, wide_panel
from freegaze.reports.wording import count

GROUPS = ("vision", *GROUP_COLORS)


def build_contributions(neurons: Sequence[ExplainedNeuron]) -> Section | None:
    """Draw what each group adds; ``None`` where that was not computed."""
    bands = bands_of(neurons)
    ordered = [neuron for band in bands for neuron in band.neurons]
    groups = [g for name in GROUPS if np.isfinite((g := _bars(name, ordered)).added_percent).any()]
    if not groups:
        return None
    sizes = [(band.label, len(band.neurons)) for band in bands]
    labels = dict(sizes)
    hrefs = [neuron.href for neuron in ordered]
    counts = [(name, labels.get(name, 0)) for name in CLASSES]
    told = ", ".join(f"{n} {name}" for name, n in counts)

    def draw(width_px: float) -> Figure:
        return link_neurons(draw_contributions(groups, sizes, width_px), sizes, hrefs)

    return Section(
        "contributions",
        "What behavior adds",
        {
            "lead": _lead(neurons),
            "chart": wide_panel(
                draw,
                "contributions",
                "What each group adds to the deviance explained of each of "
                f"{count(len(neurons), 'neuron')}; significant for "
                + ", ".join(f"{g.name}: {int(g.is_significant.sum())}" for g in groups),
                title="By group and neuron",
                caption="Share of the deviance of test bins that a model with the group explains "
                "more than one without. Filled bars with a dot above: significant "
                "(corrected for the number of neurons and groups); empty bars: not. Vision has a "
                "scale of its own. Press a neuron to see all that is known of it.",
            ),
            "counts": panel(
                draw_class_counts(counts, 340),
                "classes",
                f"Neurons by class: {told}.",
                title="Classes",
                caption="The group of behavior that adds something significant; mixed where "
                "several do, none where none does.",
            ),
            "facts": _facts(neurons, groups),
        },
    )


def _bars(name: str, neurons: Sequence[ExplainedNeuron]) -> GroupBars:
    added, is_sure = [], []
    for neuron in neurons:
        row = neuron.row("contributions", group=name)
        added.append(100 * float(row.get("deviance", np.nan)))
        is_sure.append(bool(row.get("is_significant", False)))
    return GroupBars(name, np.array(added, dtype=np.float64), np.array(is_sure, dtype=bool))


def _facts(
    neurons: Sequence[ExplainedNeuron], groups: Sequence[GroupBars]
) -> list[tuple[str, str]]:
    """Return how many neurons each group adds to, in words for a list."""
    facts = [
        (group.name, f"{int(group.is_significant.sum())} of {len(neurons)}") for group in groups
    ]
    bits = np.array(
        [neuron.row("neurons").get("multiplicative_bits", np.nan) for neuron in neurons], float
    )
    follow = np.array([neuron.label != "none" for neuron in neurons])
    known = np.isfinite(bits) & follow
    if known.any():
        facts.append(
            (
                "multiplies vision rather than adding",
                f"{int((bits[known] > 0).sum())} of {int(known.sum())} modulated neurons",
            )
        )
    return facts


def _lead(neurons: Sequence[ExplainedNeuron]) -> str:
    n_modulated = sum(neuron.label != "none" for neuron in neurons)
    return (
        f"Behavior adds to {n_modulated} of {count(len(neurons), 'neuron')} what vision does not "
        "explain. Each group is taken away from a model of the neuron, refitted without it, and "
        "scored on test bins; chance is the same group from another time of the session."
    )
