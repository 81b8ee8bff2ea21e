"""Scores of a fitted encoder, or of given predictions, on held-out bins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from freegaze.dataset.splits import Split
from freegaze.errors import DataError
from freegaze.evaluation.condition_mean import ConditionMeans, condition_means
from freegaze.evaluation.controls import control_rates
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.neuron_scores import ExtraScore, score_neurons
from freegaze.evaluation.population_scores import summarize
from freegaze.evaluation.repeats import condition_numbers
from freegaze.evaluation.scored_session import ScoredSession, scored_session
from freegaze.evaluation.trial_to_trial import trial_to_trial
from freegaze.fitted.encoder import FittedEncoder, Prediction
from freegaze.metrics.bootstrap import DRAWS
from freegaze.progress import Progress
from freegaze.recording.recording import Recording, as_list

Keep = Callable[[Recording, Prediction, Split], object]
"""Receives a session, its predictions and the roles of its bins."""

CONDITION_MEAN = "condition_mean"
"""Name of the reference that is the mean training response to each condition."""


def evaluate(
    encoder: FittedEncoder,
    recordings: Recording | Sequence[Recording],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    role: str = "test",
    predictions: Sequence[Prediction] | None = None,
    condition: str | None = None,
    controls: Sequence[str] = (),
    extra_score: ExtraScore | None = None,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> Evaluation:
    """Score every neuron on held-out bins.

    Args:
        encoder: A fitted encoder.
        recordings: Sessions it was fitted on.
        draws: Resampled recordings that intervals are made of.
        seed: Fixes the draws.
        role: Role of the bins to score; only scores of ``test`` bins are not too high.
        predictions: Predictions made before, one for each recording, of the scored bins at least;
            computed for all bins if left out, as further bins serve to estimate chance.
        condition: Annotation that names the stimulus of each trial; by default, trials with equal
            frames repeat a stimulus. With it, the table has the scores of the mean training
            response to each condition (`CONDITION_MEAN`), if all scored conditions were trained on,
            and says whether predictions follow what changes from trial to trial.
        controls: Predictions that also read recorded responses, see
            ``freegaze.evaluation.controls``; each adds columns of its own.
        extra_score: Computes further scores of each session, such as
            ``freegaze.paper.scores.paper_scores``.
        progress: Called with (description, done, total) after each session's prediction and scores.
        keep: Called with each session, its predictions and the roles of its bins.

    Returns:
        Table, summary and the scored bins.

    Raises:
        DataError: If a session was not fitted, lacks neurons, or has nothing to score.
    """
    sessions = as_list(recordings)
    made = {p.session_id: p for p in predictions or []}
    report = progress or (lambda *_: None)
    scored = []
    for recording in sessions:
        report(f"predicting {recording.session_id}", len(scored), 2 * len(sessions))
        made_before = made.get(recording.session_id)
        scored.append(_score_with(encoder, recording, role, made_before, condition, controls, keep))
    report("scoring", len(sessions), 2 * len(sessions))
    found = score_sessions(scored, draws=draws, seed=seed, extra_score=extra_score, role=role)
    report("scoring", 2 * len(sessions), 2 * len(sessions))
    return found


def score_sessions(
    sessions: Sequence[ScoredSession],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    extra_score: ExtraScore | None = None,
    role: str = "test",
) -> Evaluation:
    """Score predictions that already lie beside what was recorded.

    Args:
        sessions: The scored bins of each session.
        draws: Resampled recordings that intervals are made of.
        seed: Fixes the draws.
        extra_score: Computes further scores of each session.
        role: Role of the bins, for the record.

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
        session.session_id: score_neurons(
            session, draws, np.random.default_rng(stream), extra_score
        )
        for session, stream in zip(sessions, streams, strict=True)
    }
    table = pd.concat([s.table() for s in scores.values()], ignore_index=True)
    summary = {"role": role, "draws": draws, "seed": seed, **summarize(scores, sessions)}
    return Evaluation(table, summary, tuple(sessions))


def _score_with(
    encoder: FittedEncoder,
    recording: Recording,
    role: str,
    prediction: Prediction | None,
    condition: str | None,
    controls: Sequence[str],
    keep: Keep | None,
) -> ScoredSession:
    recording = encoder.match_neurons(recording)
    prediction, split = prediction or encoder.predict(recording), encoder.split(recording)
    if keep is not None:
        keep(recording, prediction, split)
    session = scored_session(
        recording,
        prediction,
        encoder.mean_response(recording),
        encoder.targets(recording, role),
        history=encoder.data.history,
        lag=encoder.data.lag,
        condition=condition,
        split=split,
    )
    references = dict(session.references)
    if controls:
        training = split.bins("train")
        references |= control_rates(recording, prediction, training, session.targets, controls)
    session = replace(session, references=references)
    if condition is None:
        return session
    means = condition_means(recording, split, condition, session.targets)
    return add_condition_means(session, recording, means, condition)


def add_condition_means(
    session: ScoredSession, recording: Recording, means: ConditionMeans, condition: str
) -> ScoredSession:
    """Add what is locked to the condition, and what changes from trial to trial.

    Args:
        session: The scored bins.
        recording: Recording of the session.
        means: Mean training responses to the condition of each scored bin; a reference
            (`CONDITION_MEAN`) if all conditions were trained on.
        condition: Annotation that names the condition of each trial.

    Returns:
        The scored bins with both.

    Raises:
        DataError: If there is no such annotation, or it changes within a trial.
    """
    conditions = condition_numbers(recording, session.targets, condition)
    trials = trial_to_trial(
        session.rates,
        session.observed,
        means,
        session.repeat_cells,
        session.segment_ids,
        conditions,
    )
    known = {CONDITION_MEAN: means.rates} if means.is_complete else {}
    return replace(session, trials=trials, references={**session.references, **known})
