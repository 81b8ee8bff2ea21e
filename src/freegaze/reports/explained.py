"""The neurons of a run that was explained, and look-ups that its sections share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from jaxtyping import Float

from freegaze.evaluation.scored_session import ScoredSession
from freegaze.explanation.contributions.answers import with_answers
from freegaze.explanation.fields.fields import METHODS
from freegaze.explanation.result import CLASSES, SessionExplanation
from freegaze.explanation.stability import NOT_TESTED
from freegaze.recording.responses import per_second, response_unit
from freegaze.reports.inputs import ReportInputs
from freegaze.reports.sections.traces import rank_neurons


def method_label(method: str) -> str:
    """Return the name of a method as reports print it."""
    return METHODS[method].label if method in METHODS else method


def method_unit(method: str) -> str:
    """Return the unit of a method's fields."""
    return METHODS[method].unit if method in METHODS else ""


UNKNOWN = "not computed"
"""Label of neurons whose contributions were not computed."""

SHOWN_FIRST = ("gabor", "gradient", "ascent", "linear")
"""Methods whose field is shown for a neuron: the first that gave one; others come after. On the
virtual mouse ``gabor`` is closest to the truth (``docs/results.md``: median correlation .90 to .98,
``gradient`` .53 to .75). The true fields of that mouse are Gabor functions, as the method assumes;
the page of a neuron therefore shows all methods beside each other."""


@dataclass(frozen=True)
class ExplainedNeuron:
    """One neuron with its explanation and its score.

    Args:
        explanation: Explanation of the neuron's session.
        index: Position of the neuron in that explanation.
        score_row: Row of the neuron in the table of scores, if it was scored.
        score: Score by which neurons are ranked; NaN if there is none.
        kind: Kind of its responses.
        href: Address of its page inside the report.
    """

    explanation: SessionExplanation
    index: int
    score_row: int | None
    score: float
    kind: str
    href: str

    @property
    def unit_id(self) -> str:
        """The source's name of it."""
        return self.explanation.unit_ids[self.index]

    @property
    def session_id(self) -> str:
        """Its session."""
        return self.explanation.session_id

    @property
    def response_unit(self) -> str:
        """Unit of its responses."""
        return response_unit(self.kind)

    @property
    def per_s(self) -> float:
        """Factor from responses per bin to that unit."""
        return per_second(self.kind, self.explanation.bin_width_s)

    @property
    def label(self) -> str:
        """Class by the contributions of behavior; ``UNKNOWN`` where they were not computed."""
        name = str(self.row("neurons").get("class", UNKNOWN))
        return name if name in (*CLASSES, UNKNOWN) else "none"

    def rows(self, table: str, **having: str) -> list[dict[str, Any]]:
        """Return its rows of a table of the explanation, those that have some values."""
        whole: pd.DataFrame = getattr(self.explanation, table)
        is_own = whole["unit_id"] == self.unit_id
        for column, value in having.items():
            is_own &= whole[column] == value
        rows = whole.loc[is_own].to_dict("records")
        return [{str(name): value for name, value in row.items()} for row in rows]

    def row(self, table: str, **having: str) -> dict[str, Any]:
        """Return the first row that ``rows`` finds, empty if it finds none."""
        return next(iter(self.rows(table, **having)), {})

    def field(self, method: str) -> Float[np.ndarray, "history height width"] | None:
        """Return its field by a method, ``None`` where that gave none."""
        fields = self.explanation.fields.get(method)
        if fields is None:
            return None
        found = np.nan_to_num(fields[self.index].astype(np.float64))
        return found if found.any() else None

    def first_method(self) -> str | None:
        """Return the method whose field is shown for it, ``None`` where there is no field."""
        known = self.explanation.fields
        order = dict.fromkeys((*SHOWN_FIRST, *METHODS, *known))
        return next((m for m in order if self.field(m) is not None), None)


@dataclass(frozen=True)
class Band:
    """Neurons of one class, in the order in which charts show them."""

    label: str
    neurons: Sequence[ExplainedNeuron]


def explained_neurons(inputs: ReportInputs) -> list[ExplainedNeuron]:
    """Return all neurons that were explained, best score first, those without one last."""
    metric, _ = rank_neurons(inputs)
    table = inputs.evaluation.table
    keys = zip(table["session_id"].astype(str), table["unit_id"].astype(str), strict=True)
    rows = {key: row for row, key in enumerate(keys)}
    scores = inputs.column(metric) if metric else np.full(len(table), np.nan)
    kinds = {s.session_id: s.response_kind for s in inputs.evaluation.sessions}
    has_several = len(inputs.explanations) > 1
    found = []
    for explanation in inputs.explanations:
        for index, unit in enumerate(explanation.unit_ids):
            row = rows.get((explanation.session_id, unit))
            href = f"#neuron={quote(unit, safe='')}"
            if has_several:
                href += f"&session={quote(explanation.session_id, safe='')}"
            found.append(
                ExplainedNeuron(
                    explanation,
                    index,
                    row,
                    float("nan") if row is None else float(scores[row]),
                    kinds.get(explanation.session_id, "fluorescence"),
                    href,
                )
            )
    return sorted(found, key=lambda n: (not np.isfinite(n.score), -np.nan_to_num(n.score)))


def bands_of(neurons: Sequence[ExplainedNeuron]) -> list[Band]:
    """Sort neurons into their classes; classes without any are left out."""
    labels = [neuron.label for neuron in neurons]
    bands = [
        Band(name, [n for n, label in zip(neurons, labels, strict=True) if label == name])
        for name in (*CLASSES, UNKNOWN)
    ]
    return [band for band in bands if band.neurons]


def contributions_of(explanations: Iterable[SessionExplanation]) -> pd.DataFrame:
    """Return the contributions of sessions in one table, with ``SESSION/NEURON`` as ``unit_id``.

    Args:
        explanations: Explanations of the sessions.
    """
    parts = [
        with_answers(explanation.contributions).assign(
            unit_id=lambda own, name=explanation.session_id: name + "/" + own["unit_id"].astype(str)
        )
        for explanation in explanations
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def reliability_of(inputs: ReportInputs, neuron: ExplainedNeuron) -> str:
    """Return whether refits found a neuron's field reliable; empty where there are no refits.

    Args:
        inputs: Inputs of the report.
        neuron: The neuron.
    """
    stability = inputs.stabilities.get(neuron.session_id)
    if stability is None:
        return ""
    known = dict(zip(stability.table["unit_id"], stability.table["reliability"], strict=True))
    return str(known.get(neuron.unit_id, NOT_TESTED))


def scored_session(inputs: ReportInputs, session_id: str) -> ScoredSession | None:
    """Return the scored bins of a session, ``None`` where it was not scored."""
    return next((s for s in inputs.evaluation.sessions if s.session_id == session_id), None)
