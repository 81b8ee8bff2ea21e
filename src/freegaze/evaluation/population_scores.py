"""Means and medians of scores over neurons, of each session and of all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from freegaze.evaluation.evaluation import POOLED
from freegaze.evaluation.neuron_scores import NeuronScores
from freegaze.evaluation.scored_session import ScoredSession
from freegaze.metrics.intervals import mean_interval, median_interval
from freegaze.metrics.pooling import pool_draws
from freegaze.metrics.sampled_scores import LEVEL, NO_INTERVAL

NOT_SCORES = (
    *("session_id", "unit_id", "rate_hz", "n_bins", "n_bins_tracked"),
    *("stimuli_seen", "correlation_p_least", "no_interval"),
    *("trial_to_trial_p", "trial_to_trial_p_least", "follows_trials"),
)


def summarize(
    scores: Mapping[str, NeuronScores], sessions: Sequence[ScoredSession]
) -> dict[str, Any]:
    """Summarize all scores.

    Args:
        scores: Scores of each session.
        sessions: The scored bins, in the same order.

    Returns:
        Plain values: ``level``, ``sessions`` by id and ``pooled``, each with ``n_neurons``,
        ``n_bins``, ``n_blocks``, ``scores`` by name, and a session's ``chance`` (how it was found),
        ``stimuli_seen`` (see ``SeenStimuli``) and further scores under their name. An entry of
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
    names = [n for s in scores for n in s.columns if not n.endswith(("_low", "_high"))]
    part: dict[str, Any] = {
        "n_neurons": sum(len(s.unit_ids) for s in sessions),
        "n_bins": sum(len(s.targets) for s in sessions),
        "n_blocks": sum(s.blocks.n_blocks for s in sessions),
        "scores": {n: _entry(n, scores) for n in dict.fromkeys(names) if n not in NOT_SCORES},
    }
    if len(sessions) == 1:
        part["stimuli_seen"] = sessions[0].seen.to_dict()
        part["chance"] = sessions[0].chance.about()
    if len(scores) == 1 and scores[0].extra:
        part[scores[0].extra.name] = dict(scores[0].extra.summary)
    return part


def _entry(name: str, scores: Sequence[NeuronScores]) -> dict[str, float | int]:
    having = [s for s in scores if name in s.columns]
    values = np.concatenate([s.columns[name] for s in having])
    known = values[np.isfinite(values)]
    draws = [s.draws[name] for s in having if name in s.draws]
    mean = median = NO_INTERVAL
    if draws:
        pooled = pool_draws(draws)
        mean, median = mean_interval(pooled), median_interval(pooled)
    elif known.size:
        mean = replace(NO_INTERVAL, value=np.asarray(known.mean()))
        median = replace(NO_INTERVAL, value=np.asarray(np.median(known)))
    return {
        "mean": float(mean.value),
        "mean_low": float(mean.low),
        "mean_high": float(mean.high),
        "median": float(median.value),
        "median_low": float(median.low),
        "median_high": float(median.high),
        "n_neurons": len(known),
        "n_undefined": len(values) - len(known),
    }
