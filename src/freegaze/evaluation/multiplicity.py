"""Evaluations and comparisons with p values corrected for the number of neurons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from freegaze.errors import ConfigError
from freegaze.evaluation.compare import ALL_SESSIONS, Comparison
from freegaze.evaluation.evaluation import Evaluation
from freegaze.metrics.false_discovery import adjust_p
from freegaze.metrics.metric import METRICS

CORRECTIONS = ("neurons",)
"""Sets of tests over which p values can be corrected."""

RATE = 0.05
"""False discovery rate at which neurons are counted."""

P, Q = "correlation_p", "correlation_q"


def correct_evaluation(evaluation: Evaluation, across: str = "neurons") -> Evaluation:
    """Add ``correlation_q``: ``correlation_p`` adjusted over the neurons of each session.

    Args:
        evaluation: The scores.
        across: Over what to correct; ``neurons``.

    Returns:
        The evaluation with the column, and for each session in the summary ``above_chance``: the
        number of neurons with a q of at most ``RATE``, and of neurons that were tested.

    Raises:
        ConfigError: If there is no such correction.
    """
    _require_correction(across)
    table = evaluation.table.copy()
    of_session = table.groupby("session_id", sort=False)[P]
    q = of_session.transform(lambda p: adjust_p(p.to_numpy(np.float64))).to_numpy(np.float64)
    table = table.drop(columns=Q, errors="ignore")
    table.insert(list(table.columns).index(P) + 1, Q, q)
    parts = {
        name: {**part, "above_chance": _count(q[(table["session_id"] == name).to_numpy(bool)])}
        for name, part in evaluation.summary["sessions"].items()
    }
    return replace(evaluation, table=table, summary={**evaluation.summary, "sessions": parts})


def correct_comparison(comparison: Comparison, across: str = "neurons") -> Comparison:
    """Add to each neuron's p its value adjusted over the neurons of the session, and count.

    Args:
        comparison: Differences between models.
        across: Over what to correct; ``neurons``.

    Returns:
        The comparison with ``q`` in ``neurons`` and, in ``table``, ``n_second_better`` and
        ``n_first_better`` (neurons whose q is at most ``RATE``, by the sign of the difference) and
        ``n_tested``.

    Raises:
        ConfigError: If there is no such correction.
    """
    _require_correction(across)
    tests = ["first", "second", "session_id", "metric"]
    neurons, table = comparison.neurons.copy(), comparison.table.copy()
    if not len(neurons):
        return comparison
    p = neurons.groupby(tests, sort=False)["p"]
    neurons["q"] = p.transform(lambda values: adjust_p(values.to_numpy(np.float64)))
    counts = [_better_and_worse(neurons, row) for row in table.to_dict("records")]
    for place, name in enumerate(("n_second_better", "n_first_better", "n_tested")):
        table[name] = [count[place] for count in counts]
    return Comparison(table, neurons)


def chance_in_words(evaluation: Evaluation) -> str:
    """Return how many neurons are above chance, one sentence per session.

    Args:
        evaluation: Scores as ``correct_evaluation`` returns them.
    """
    sentences = []
    for name, part in evaluation.summary["sessions"].items():
        found = part["above_chance"]
        sentences.append(
            f"{name}: correlation above chance in {found['n']} of {found['n_tested']} tested "
            f"neurons at a false discovery rate of {RATE:.0%} over neurons"
            + (f"; {n} not tested" if (n := part["n_neurons"] - found["n_tested"]) else "")
            + "."
        )
    return "\n".join(sentences)


def _require_correction(across: str) -> None:
    if across not in CORRECTIONS:
        raise ConfigError(f"p values are corrected across {', '.join(CORRECTIONS)}, not {across!r}")


def _count(q: Float[np.ndarray, " neuron"]) -> dict[str, int]:
    return {"n": int((q <= RATE).sum()), "n_tested": int(np.isfinite(q).sum())}


def _better_and_worse(neurons: pd.DataFrame, row: Mapping[str, Any]) -> tuple[int, int, int]:
    """Count the neurons behind one row of the table of differences."""
    keys = ["first", "second", "metric"]
    if row["session_id"] != ALL_SESSIONS:
        keys.append("session_id")
    is_mine = np.logical_and.reduce([(neurons[key] == row[key]).to_numpy(bool) for key in keys])
    q, difference = (neurons[name].to_numpy(np.float64)[is_mine] for name in ("q", "difference"))
    if not METRICS.get(row["metric"]).higher_is_better:
        difference = -difference
    is_better, is_worse = ((q <= RATE) & (sign * difference > 0) for sign in (1, -1))
    return int(is_better.sum()), int(is_worse.sum()), int(np.isfinite(q).sum())
