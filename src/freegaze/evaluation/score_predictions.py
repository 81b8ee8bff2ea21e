"""Scores of predictions that any program made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from freegaze.dataset.splits import Split, split_recording
from freegaze.errors import DataError
from freegaze.evaluation.chance import unknown_chance
from freegaze.evaluation.condition_mean import condition_means
from freegaze.evaluation.evaluate import add_condition_means, score_sessions
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.neuron_scores import ExtraScore
from freegaze.evaluation.prediction_files import PredictedSession, load_predictions
from freegaze.evaluation.scored_session import ScoredSession, scored_session
from freegaze.fitted.encoder import Prediction
from freegaze.metrics.bootstrap import DRAWS
from freegaze.recording.recording import Recording, as_list

WITHOUT_RECORDING = "the recording was not given; score the file with it"
"""Reason why chance is not tested beside other evaluations."""


def score_predictions(
    path: Path | str,
    recordings: Recording | Sequence[Recording],
    *,
    splits: Mapping[str, Split] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    condition: str | None = None,
    extra_score: ExtraScore | None = None,
) -> Evaluation:
    """Score predictions that any program made, on the recordings' test bins.

    Rows for other bins serve only to estimate the correlation by chance. Baseline rates are means
    over training bins. As the inputs of the predictions are unknown, a bin counts as tracked when
    its own behavior was tracked.

    Args:
        path: The ``.npz``, see ``freegaze.evaluation.prediction_files``.
        recordings: Predicted recordings; sessions without predictions are left out.
        splits: Roles of the bins by session. Without it, the roles of the recording's segments are
            used if it has some, else those of the default split.
        draws: Resampled recordings that intervals are made of.
        seed: Fixes the draws.
        condition: Annotation that names the stimulus of each trial.
        extra_score: Computes further scores of each session.

    Returns:
        Table, summary and the scored bins.

    Raises:
        DataError: If the file cannot be read, or does not fit the recordings; nothing is guessed.
    """
    sessions = as_list(recordings)
    given = splits or {}
    roles = {
        r.session_id: given.get(r.session_id) or split_recording(r, needed=("train", "test"))
        for r in sessions
    }
    predictions = load_predictions(
        path,
        [
            PredictedSession(
                session_id=r.session_id,
                unit_ids=r.unit_ids,
                response_kind=str(r.response_kind),
                test_bins=roles[r.session_id].bins("test"),
                n_bins=r.n_bins,
            )
            for r in sessions
        ],
    )
    scored = [
        _score_external(r, predictions[r.session_id], roles[r.session_id], str(path), condition)
        for r in sessions
        if r.session_id in predictions
    ]
    return score_sessions(scored, draws=draws, seed=seed, extra_score=extra_score)


def score_beside(
    path: Path | str, evaluations: Sequence[Evaluation], *, draws: int = DRAWS, seed: int = 0
) -> Evaluation:
    """Score predictions on bins that other models were scored on, without their recordings.

    Responses, baseline rates and tracking are those of the first evaluation with the session.
    Chance is not computed.

    Args:
        path: The ``.npz``, see ``freegaze.evaluation.prediction_files``; without ``targets``, its
            rows are the scored bins.
        evaluations: Evaluations of other models on the same recordings.
        draws: Resampled recordings that intervals are made of.
        seed: Fixes the draws.

    Returns:
        Table, summary and the scored bins of the predicted sessions.

    Raises:
        DataError: If the file cannot be read, or does not fit the evaluations.
        ShapeError: If rows or columns do not agree with the scored bins and neurons.
    """
    known: dict[str, ScoredSession] = {}
    for evaluation in evaluations:
        known = {session.session_id: session for session in evaluation.sessions} | known
    expected = [
        PredictedSession(s.session_id, s.unit_ids, s.response_kind, s.targets, n_bins=None)
        for s in known.values()
    ]
    found = load_predictions(path, expected)
    scored = [_replace_rates(known[name], prediction) for name, prediction in found.items()]
    return score_sessions(scored, draws=draws, seed=seed)


def _replace_rates(session: ScoredSession, prediction: Prediction) -> ScoredSession:
    place = {unit: i for i, unit in enumerate(session.unit_ids)}
    bins = np.isin(session.targets, prediction.targets)
    neurons = np.array([place[unit] for unit in prediction.unit_ids])
    rates = prediction.rates[np.isin(prediction.targets, session.targets)]
    shared = session.select(bins, neurons)
    chance = unknown_chance(len(neurons), WITHOUT_RECORDING)
    return replace(shared, rates=rates, chance=chance, trials=None)


def _score_external(
    recording: Recording, prediction: Prediction, split: Split, where: str, condition: str | None
) -> ScoredSession:
    place = {unit: i for i, unit in enumerate(recording.unit_ids)}
    chosen = recording.select_neurons([place[unit] for unit in prediction.unit_ids])
    training = chosen.responses[split.bins("train")]
    if not len(training):
        raise DataError(f"{where}: session {recording.session_id!r} has no training bins")
    baseline = training.mean(0, dtype=np.float64)
    targets = prediction.targets[split.is_role("test")[prediction.targets]]
    session = scored_session(
        chosen, prediction, baseline, targets, condition=condition, split=split
    )
    if condition is None:
        return session
    means = condition_means(chosen, split, condition, targets)
    return add_condition_means(session, chosen, means, condition)
