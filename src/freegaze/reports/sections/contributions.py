"""Section of the report: unique contributions of vision and behavior groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from freegaze.explanation.contributions.answers import (
    behavior_answers,
    count_answers,
    explain_answers,
)
from freegaze.explanation.contributions.groups import UNTESTED, YES
from freegaze.explanation.contributions.regression import BEHAVIOR, VISION
from freegaze.explanation.result import CLASSES
from freegaze.recording.columns import GROUP_COLORS
from freegaze.reports.explained import ExplainedNeuron, bands_of, contributions_of
from freegaze.reports.figures.contributions import (
    GroupBars,
    draw_class_counts,
    draw_contributions,
    link_neurons,
)
from freegaze.reports.page import Section, panel, wide_panel
from freegaze.reports.wording import count, number

FIRST = (VISION, BEHAVIOR, *GROUP_COLORS)
"""Groups in the order in which they are drawn; others follow."""


def build_contributions(neurons: Sequence[ExplainedNeuron]) -> Section | None:
    """Draw what each group adds; ``None`` where that was not computed."""
    bands = bands_of(neurons)
    ordered = [neuron for band in bands for neuron in band.neurons]
    table = contributions_of({n.session_id: n.explanation for n in neurons}.values())
    names = [name for name in FIRST if name in set(table["group"])]
    names += [str(name) for name in table["group"].unique() if name not in FIRST]
    groups = [g for name in names if np.isfinite((g := _bars(name, ordered)).added_percent).any()]
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
            "lead": _lead(table),
            "chart": wide_panel(
                draw,
                "contributions",
                "What each group adds to the deviance explained of each of "
                f"{count(len(neurons), 'neuron')}; significant for "
                + ", ".join(f"{g.name}: {int(g.is_significant.sum())}" for g in groups),
                title="By group and neuron",
                caption="Share of the deviance of test bins that a model with the group explains "
                "more than one without; behavior is all its groups together. Filled bars with a "
                "dot above: significant; empty bars: not; dotted outlines: not tested. A group is "
                "tested only where behavior together adds something; false discoveries are "
                "controlled over neurons, and within neurons on average. A significant bar below "
                "zero does not generalize to the test bins. Vision has a scale of its own. Select "
                "a neuron to see its page.",
            ),
            "counts": panel(
                draw_class_counts(counts, 340),
                "classes",
                f"Neurons by class: {told}.",
                title="Classes",
                caption="The group of behavior that adds something significant; mixed where "
                "several do, none where behavior adds nothing, undecided where behavior adds "
                "something and no group can be named.",
            ),
            "facts": _facts(neurons, table, names),
            "notes": explain_answers(table),
        },
    )


def _bars(name: str, neurons: Sequence[ExplainedNeuron]) -> GroupBars:
    rows = [neuron.row("contributions", group=name) for neuron in neurons]
    return GroupBars(
        name,
        np.array([100 * float(row.get("deviance", np.nan)) for row in rows], dtype=np.float64),
        np.array([bool(row.get("is_significant", False)) for row in rows], dtype=bool),
        np.array([np.isfinite(float(row.get("p", np.nan))) for row in rows], dtype=bool),
    )


def _facts(
    neurons: Sequence[ExplainedNeuron], table: pd.DataFrame, names: Sequence[str]
) -> list[tuple[str, str]]:
    """Return how many neurons each group adds to, in words for a list."""
    counts = count_answers(table).set_index("group").loc[list(names)]
    facts = [(str(row.Index), _counted(row)) for row in counts.itertuples()]
    bits = np.array(
        [neuron.row("neurons").get("multiplicative_bits", np.nan) for neuron in neurons], float
    )
    known = np.isfinite(bits) & np.array([neuron.label in _MODULATED for neuron in neurons])
    if known.any():
        facts.append(
            (
                "multiplies vision rather than adding",
                f"{int((bits[known] > 0).sum())} of {int(known.sum())} modulated neurons",
            )
        )
    return facts


def _counted(row: Any) -> str:
    if not row.tested:
        return UNTESTED
    rest = f", {row.not_tested} {UNTESTED}" if row.not_tested else ""
    least = f"; least p {number(row.least_p, 2)}" if np.isfinite(row.least_p) else ""
    return f"{row.yes} of {row.tested}{rest}{least}"


_MODULATED = tuple(name for name in CLASSES if name not in ("none", UNTESTED))


def _lead(table: pd.DataFrame) -> str:
    answers = behavior_answers(table)
    n_tested = len(answers) - answers.count(UNTESTED)
    if n_tested:
        n_untested = len(answers) - n_tested
        first = (
            f"Behavior adds to {answers.count(YES)} of "
            f"{count(n_tested, 'tested neuron')} what vision does not explain"
        ) + (f"; {n_untested} were not tested. " if n_untested else ". ")
    else:
        first = "Whether behavior adds what vision does not explain was not tested. "
    return first + (
        "Each group is taken away from a model of the neuron, refitted without it, and "
        "scored on test bins; chance is the same group from another time of the session."
    )
