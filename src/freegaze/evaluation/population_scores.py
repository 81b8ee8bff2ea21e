"""Means and medians of scores over neurons, of each session and of all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from freegaze.evaluation.evaluation import POOLED
from freegaze.evaluation.neuron_scores import NeuronScores
from freegaze.evaluation.scored_session import ScoredSession
from freegaze.metrics.bootstrap import BlockDraws
from freegaze.metrics.intervals import LEVEL, Interval, mean_interval, median_interval
from freegaze.metrics.pooling import pool_draws

NOT_SCORES = ("session_id", "unit_id", "rate_hz", "n_bins", "n_bins_tracked")


def summarize(
    scores: Mapping[str, NeuronScores], sessions: Sequence[ScoredSession]
) -> dict[str, Any]:
    """Summarize all scores.

    Args:
        scores: Scores of each session.
        sessions: The scored bins, in the same order.

    Returns:
        Plain values: ``level``, ``sessions`` by id and ``pooled``, each with ``n_neurons``,
        ``n_bins``, ``n_blocks``, ``scores`` by name, and a session's ``chance`` (how it was found)
        and further scores under their name. An entry of
        ``scores`` has ``mean`` and ``median`` over the neurons that have the score, their intervals
        ``_low`` and ``_high`` (over other minutes of these neurons: blocks of time are
        resampled, shared by all neurons; NaN for scores without interval), ``n_neurons`` and
        ``n_undefined``. The pooled mean is over all neurons of all sessions.
    """
    parts = {
        session.session_id: _part([scores[session.session_id]], [session]) for session in sessions
    }
    return {"level": LEVEL, "sessions": parts, POOLED: _part(list(scores.values()), sessions)}


def _part(scores: Sequence[NeuronScores], sessions: Sequence[ScoredSession]) -> dict[str, Any]:
    names = [n for s in scores for n in s.columns if not _is_aside(n)]
    part: dict[str, Any] = {
        "n_neurons": sum(len(s.unit_ids) for s in sessions),
        "n_bins": sum(len(s.targets) for s in sessions),
        "n_blocks": sum(s.blocks.n_blocks for s in sessions),
        "scores": {name: _entry(name, scores) for name in dict.fromkeys(names)},
    }
    if len(sessions) == 1:
        part["chance"] = {"method": sessions[0].chance.method, "n_null": sessions[0].chance.n_null}
    if len(scores) == 1 and scores[0].extra:
        part[scores[0].extra.name] = dict(scores[0].extra.summary)
    return part


def _entry(name: str, scores: Sequence[NeuronScores]) -> dict[str, float | int]:
    having = [s for s in scores if name in s.columns]
    values = np.concatenate([s.columns[name] for s in having])
    known = values[np.isfinite(values)]
    draws = [s.draws[name] for s in having if name in s.draws]
    mean, median = _intervals(known, pool_draws(draws) if draws else None)
    return {
        **_plain("mean", mean),
        **_plain("median", median),
        "n_neurons": len(known),
        "n_undefined": len(values) - len(known),
    }


def _intervals(known: np.ndarray, draws: BlockDraws | None) -> tuple[Interval, Interval]:
    if draws is not None:
        return mean_interval(draws), median_interval(draws)
    none = np.array(np.nan)
    if not known.size:
        return Interval(none, none, none), Interval(none, none, none)
    mean, median = (np.asarray(average(known)) for average in (np.mean, np.median))
    return Interval(mean, none, none), Interval(median, none, none)


def _plain(name: str, interval: Interval) -> dict[str, float]:
    return {
        name: float(interval.value),
        f"{name}_low": float(interval.low),
        f"{name}_high": float(interval.high),
    }


def _is_aside(column: str) -> bool:
    return column in NOT_SCORES or column.endswith(("_low", "_high"))
