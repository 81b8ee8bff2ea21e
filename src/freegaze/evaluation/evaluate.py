"""Evaluation of an encoder: scores of every neuron with intervals, baselines and chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from freegaze.errors import DataError
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.neuron_scores import score_session
from freegaze.evaluation.population_scores import summarize
from freegaze.evaluation.scored_session import ScoredSession, scored_session
from freegaze.fitted.encoder import FittedEncoder, Prediction
from freegaze.metrics.bootstrap import DRAWS
from freegaze.progress import Progress
from freegaze.recording.recording import Recording


def evaluate(
    encoder: FittedEncoder,
    recordings: Recording | Sequence[Recording],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    role: str = "test",
    predictions: Sequence[Prediction] | None = None,
    condition: str | None = None,
    paper: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Score every neuron on held-out bins.

    Args:
        encoder: A fitted encoder.
        recordings: Sessions it was fitted on.
        draws: Resampled recordings that intervals are made of.
        seed: Fixes the draws.
        role: Bins to score; anything but ``test`` flatters.
        predictions: Predictions made before, one for each recording, of the scored bins at least;
            computed for all bins if left out, as further bins tell what comes by chance.
        condition: Annotation that tells which trials repeat a stimulus; by default those do that
            show the same frames.
        paper: Whether to add the original's own scores (deviations Q29, Q30).
        progress: Called with (description, done, total) after each session's prediction and scores.

    Returns:
        Table, summary and the scored bins.

    Raises:
        DataError: If a session was not fitted, lacks neurons, or has nothing to score.
    """
    sessions = [recordings] if isinstance(recordings, Recording) else list(recordings)
    made = {p.session_id: p for p in predictions or []}
    report = progress or (lambda *_: None)
    scored = []
    for recording in sessions:
        report(f"predicting {recording.session_id}", len(scored), 2 * len(sessions))
        made_before = made.get(recording.session_id)
        scored.append(_score_with(encoder, recording, role, made_before, condition))
    report("scoring", len(sessions), 2 * len(sessions))
    evaluation = score_sessions(scored, draws=draws, seed=seed, paper=paper, role=role)
    report("scoring", 2 * len(sessions), 2 * len(sessions))
    return evaluation


def score_sessions(
    sessions: Sequence[ScoredSession],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    paper: bool = False,
    role: str = "test",
) -> Evaluation:
    """Score predictions that already lie beside what was recorded.

    Args:
        sessions: The scored bins of each session.
        draws: Resampled recordings that intervals are made of.
        seed: Fixes the draws.
        paper: Whether to add the original's own scores.
        role: What the bins are, for the record.

    Returns:
        Table, summary and the scored bins.

    Raises:
        DataError: If there is no session, or one occurs twice.
    """
    ids = [session.session_id for session in sessions]
    if not ids or len(set(ids)) < len(ids):
        raise DataError(f"expected one or more sessions, each once, got {ids}")
    streams = np.random.SeedSequence(seed).spawn(len(ids))  # sessions are resampled independently
    scores = {
        session.session_id: score_session(session, draws, np.random.default_rng(stream), paper)
        for session, stream in zip(sessions, streams, strict=True)
    }
    options: Mapping[str, Any] = {"role": role, "draws": draws, "seed": seed}
    table = pd.concat([s.table() for s in scores.values()], ignore_index=True)
    return Evaluation(table, {**options, **summarize(scores, sessions)}, tuple(sessions))


def _score_with(
    encoder: FittedEncoder,
    recording: Recording,
    role: str,
    prediction: Prediction | None,
    condition: str | None,
) -> ScoredSession:
    recording = encoder.match_neurons(recording)
    return scored_session(
        recording,
        prediction or encoder.predict(recording),
        encoder.mean_response(recording),
        encoder.targets(recording, role),
        history=encoder.data.history,
        lag=encoder.data.lag,
        condition=condition,
    )
