"""Result of an evaluation: a table of one row per neuron, its summary, and the scored bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from freegaze.evaluation.scored_session import ScoredSession
from freegaze.fitted.encoder import Prediction

POOLED = "pooled"
"""Name of the part of a summary that takes the neurons of all sessions together."""

SHOWN = (
    *("bits_per_spike", "correlation", "smoothed_correlation", "mse"),
    *("attainable_correlation", "correlation_fraction"),
)
"""Scores that the text of an evaluation shows."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of one encoder, or of anyone's predictions, on held-out bins.

    Args:
        table: One row per neuron: ``session_id``, ``unit_id``, ``rate_hz`` (mean over training
            bins, NaN for fluorescence), ``n_bins``, and the scores;
            ``freegaze.evaluation.neuron_scores`` names them all.
        summary: Plain values: options, and for each session and for all together the mean and
            median of each score over neurons with intervals, and how many neurons have none.
        sessions: The scored bins of each session.
    """

    table: pd.DataFrame
    summary: Mapping[str, Any]
    sessions: tuple[ScoredSession, ...]

    def __repr__(self) -> str:
        role, draws = (self.summary.get(name, "unknown") for name in ("role", "draws"))
        frame = summary_frame(self)
        frame = frame.loc[frame["score"].isin(SHOWN).to_numpy(bool)]
        sessions = ", ".join(session.session_id for session in self.sessions)
        return (
            f"Evaluation of {len(self.table)} neurons, {role} bins of {sessions}\n"
            f"95 % intervals from {draws} draws; all scores are in `table` and `summary`\n"
            f"{frame.to_string(index=False, float_format='{:.3g}'.format)}\n"
            f"{self.seen_text()}\n{self.chance_text()}"
            + (f"\n{text}" if (text := self.trials_text()) else "")
        )

    def seen_text(self) -> str:
        """Return in words how many of the scored bins show what training bins show."""
        texts = {session.session_id: session.seen.sentence() for session in self.sessions}
        return f"test stimuli also seen in training: {_once_or_each(texts)}"

    def chance_text(self) -> str:
        """Return in words how the correlation was tested against chance, or why it was not."""
        texts = {session.session_id: session.chance.sentence() for session in self.sessions}
        return f"correlation against chance: {_once_or_each(texts)}"

    def trials_text(self) -> str:
        """Return in words what is locked to the condition; empty where no condition is given."""
        texts = {s.session_id: self._trials_of(s) for s in self.sessions if s.trials is not None}
        return _once_or_each(texts) if texts else ""

    def _trials_of(self, session: ScoredSession) -> str:
        assert session.trials is not None
        names = ["condition_mean_correlation", "condition_mean_without_noise_correlation"]
        text = f"predictions follow changes from trial to trial: {session.trials.sentence()}"
        if names[0] not in self.table:
            return text
        is_own = self.table["session_id"] == session.session_id
        own = self.table.loc[is_own, [*names, "correlation"]].dropna()
        if not len(own):
            return text
        mean, perfect, found = own.mean()
        return (
            f"correlation of the condition mean {mean:.3f}, without the noise of few trials "
            f"{perfect:.3f} (what a perfect stimulus-locked prediction reaches), of the "
            f"predictions {found:.3f} (means over {len(own)} neurons with enough signal); {text}"
        )

    @property
    def predictions(self) -> list[Prediction]:
        """Predictions of each session."""
        return [session.prediction for session in self.sessions]

    @property
    def observed(self) -> list[np.ndarray]:
        """Recorded responses of each session in the predicted bins, (window, neuron)."""
        return [session.observed for session in self.sessions]

    def to_xarray(self) -> Any:
        """Return the scores as a ``Dataset`` of neurons; see ``evaluation.xarray_objects``."""
        from freegaze.evaluation.xarray_objects import scores_to_xarray

        return scores_to_xarray(self)

    def session(self, session_id: str) -> ScoredSession:
        """Return the scored bins of one session.

        Raises:
            KeyError: If it was not scored.
        """
        return {session.session_id: session for session in self.sessions}[session_id]


def summary_frame(evaluation: Evaluation) -> pd.DataFrame:
    """Return the summary as a narrow table for printing: one row per session and score.

    Args:
        evaluation: Any evaluation.

    Returns:
        Columns ``session`` (where there are several), ``score``, ``mean``, ``interval`` (of the
        mean; text), ``median``, ``neurons`` (with the score, of all; text).
    """
    parts = dict(evaluation.summary["sessions"])
    if len(parts) > 1:
        parts[POOLED] = evaluation.summary[POOLED]
    frame = pd.DataFrame(
        [
            {"session": session, **_summary_row(name, entry)}
            for session, part in parts.items()
            for name, entry in part["scores"].items()
        ]
    )
    return frame if len(parts) > 1 else frame.drop(columns="session")


def _once_or_each(texts: Mapping[str, str]) -> str:
    """Write a text that all sessions share once, and others with the name of the session."""
    common = set(texts.values())
    if len(common) == 1:
        return common.pop()
    return "; ".join(f"{name}: {text}" for name, text in texts.items())


def interval_text(low: float, high: float) -> str:
    """Write an interval as text, empty if one of its ends is NaN.

    Example:
        >>> interval_text(0.1234, 2.0)
        '0.123 to 2'
    """
    return "" if np.isnan(low) or np.isnan(high) else f"{low:.3g} to {high:.3g}"


def _summary_row(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "score": name,
        "mean": entry["mean"],
        "interval": interval_text(entry["mean_low"], entry["mean_high"]),
        "median": entry["median"],
        "neurons": f"{entry['n_neurons']} of {entry['n_neurons'] + entry['n_undefined']}",
    }
