"""What an evaluation holds: one row of scores a neuron, their summary, and what was scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from freegaze.evaluation.fitted import Prediction
from freegaze.evaluation.scored import ScoredSession

POOLED = "pooled"
"""Name of the part of a summary that takes the neurons of all sessions together."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of one encoder, or of anyone's predictions, on held-out bins.

    Args:
        table: One row a neuron: ``session_id``, ``unit_id``, ``rate_hz`` (mean over training bins;
            NaN for fluorescence), ``n_bins``, and the scores; ``freegaze.evaluation.table``
            names them all.
        summary: Plain values: options, and for each session and for all together the mean and
            median of each score over neurons with intervals, and how many neurons have none.
        sessions: The scored bins of each session.
    """

    table: pd.DataFrame
    summary: Mapping[str, Any]
    sessions: tuple[ScoredSession, ...]

    @property
    def predictions(self) -> list[Prediction]:
        """Predictions of each session."""
        return [session.prediction for session in self.sessions]

    @property
    def observed(self) -> list[np.ndarray]:
        """Recorded responses of each session in the predicted bins, (window, neuron)."""
        return [session.observed for session in self.sessions]

    def session(self, session_id: str) -> ScoredSession:
        """Return the scored bins of one session.

        Raises:
            KeyError: If it was not scored.
        """
        return {session.session_id: session for session in self.sessions}[session_id]


def summary_frame(evaluation: Evaluation) -> pd.DataFrame:
    """Return the summary as a table: one row a session and score, for printing.

    Args:
        evaluation: Any evaluation.

    Returns:
        Columns ``session``, ``score``, ``mean``, ``mean_low``, ``mean_high``, ``median``,
        ``median_low``, ``median_high``, ``n_neurons``, ``n_undefined``.
    """
    parts = evaluation.summary["sessions"]
    if len(parts) > 1:
        parts = {**parts, POOLED: evaluation.summary[POOLED]}
    rows = [
        {"session": session, "score": name, **values}
        for session, part in parts.items()
        for name, values in part["scores"].items()
    ]
    return pd.DataFrame(rows)
