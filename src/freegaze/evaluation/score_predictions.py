"""Scores of predictions that any program made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from freegaze.dataset.splits import Split, split_recording
from freegaze.errors import DataError
from freegaze.evaluation.evaluate import score_sessions
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.neuron_scores import ExtraScore
from freegaze.evaluation.prediction_files import load_predictions
from freegaze.evaluation.scored_session import ScoredSession, scored_session
from freegaze.fitted.encoder import Prediction
from freegaze.metrics.bootstrap import DRAWS
from freegaze.recording.recording import Recording


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
        recordings: What was predicted; sessions without predictions are left out.
        splits: Roles of the bins by session; by default the recording's own, or the default split.
        draws: Resampled recordings that intervals are made of.
        seed: Fixes the draws.
        condition: Annotation that names the stimulus of each trial.
        extra_score: Computes further scores of each session.

    Returns:
        Table, summary and the scored bins.

    Raises:
        DataError: If the file cannot be read, or does not fit the recordings; nothing is guessed.
    """
    sessions = [recordings] if isinstance(recordings, Recording) else list(recordings)
    given = {r.session_id: (splits or {}).get(r.session_id) for r in sessions}
    roles = {
        r.session_id: given[r.session_id] or split_recording(r, needed=("train", "test"))
        for r in sessions
    }
    predictions = load_predictions(path, sessions, roles)
    scored = [
        _score_external(r, predictions[r.session_id], roles[r.session_id], str(path), condition)
        for r in sessions
        if r.session_id in predictions
    ]
    return score_sessions(scored, draws=draws, seed=seed, extra_score=extra_score)


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
    return scored_session(chosen, prediction, baseline, targets, condition=condition)
