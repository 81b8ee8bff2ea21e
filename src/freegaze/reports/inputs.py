"""Inputs of a report, and look-ups that several sections share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float

from freegaze.evaluation.compare import Comparison
from freegaze.evaluation.displacement import DisplacementFit
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.scored_session import ScoredSession
from freegaze.explanation.result import SessionExplanation
from freegaze.explanation.stability import Stability
from freegaze.fitted.encoder import FittedEncoder
from freegaze.metrics.metric import METRICS
from freegaze.recording.recording import Recording
from freegaze.reports.figures.scores import Scores
from freegaze.runs.run_folder import RunFolder

HEADLINES = ("bits_per_spike", "correlation")
"""Scores that are drawn; the table has all."""


@dataclass(frozen=True)
class ReportInputs:
    """Everything that the sections of a report read.

    Args:
        run: The run folder.
        recordings: The sessions that the run was fitted on.
        encoder: Fitted encoder of the run.
        evaluation: Scores of the encoder.
        baselines: Scores of other models on the same sessions, by name.
        truth_displacement: The shifter against the eye's true movement, by session.
        explanations: Explanations of its sessions, if the run was explained.
        comparisons: Paired differences between the run and each baseline, or the reason why there
            are none; a baseline without an entry was not compared.
        stabilities: Stability of the explanations over refits, by session, where it was computed.
    """

    run: RunFolder
    recordings: Sequence[Recording]
    encoder: FittedEncoder
    evaluation: Evaluation
    baselines: Mapping[str, Evaluation] = field(default_factory=dict)
    truth_displacement: Mapping[str, DisplacementFit] = field(default_factory=dict)
    explanations: Sequence[SessionExplanation] = ()
    comparisons: Mapping[str, Comparison | str] = field(default_factory=dict)
    stabilities: Mapping[str, Stability] = field(default_factory=dict)

    @property
    def headlines(self) -> list[str]:
        """Scores to draw: those of the headline scores that these responses have."""
        return [name for name in HEADLINES if name in self.evaluation.table.columns]

    def has(self, column: str) -> bool:
        """Return whether the table of scores has a column."""
        return column in self.evaluation.table.columns

    def column(self, name: str) -> Float[np.ndarray, " neuron"]:
        """Return a column of numbers of the table of scores."""
        return self.evaluation.table[name].to_numpy(np.float64)

    def neuron(self, row: int) -> tuple[ScoredSession, int]:
        """Return the scored session that a row of the table belongs to, and its column there."""
        ids = (str(self.evaluation.table[key].to_numpy()[row]) for key in ("session_id", "unit_id"))
        session = self.evaluation.session(next(ids))
        return session, session.unit_ids.index(next(ids))

    def baseline_column(self, baseline: str, name: str) -> Float[np.ndarray, " neuron"]:
        """Return another model's column for this run's neurons, NaN where it has none."""
        return matching_column(self.evaluation.table, self.baselines[baseline].table, name)


def matching_column(
    table: pd.DataFrame, other: pd.DataFrame, name: str
) -> Float[np.ndarray, " neuron"]:
    """Return a column of another table of scores for the neurons of a table, NaN where it has none.

    Args:
        table: Scores of some neurons.
        other: Scores of another model.
        name: The column.
    """
    if name not in other.columns:
        return np.full(len(table), np.nan)
    known = dict(zip(_keys(other), other[name], strict=True))
    return np.array([known.get(key, np.nan) for key in _keys(table)], float)


def scores_of(inputs: ReportInputs, metric: str, baseline: str | None = None) -> Scores:
    """Return every neuron's score with its interval, of the run or of a baseline."""
    names = [f"{metric}{end}" for end in ("", "_low", "_high")]
    if baseline is None:
        return Scores(*(inputs.column(name) for name in names))
    return Scores(*(inputs.baseline_column(baseline, name) for name in names))


def _keys(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table["session_id"], table["unit_id"], strict=True))


def score_label(metric: str) -> str:
    """Return a score's name with its unit, for an axis."""
    known = METRICS.get(metric)
    unit = known.unit if known.unit and known.unit not in ("bits/spike",) else ""
    return f"{known.label} ({unit})" if unit else known.label
