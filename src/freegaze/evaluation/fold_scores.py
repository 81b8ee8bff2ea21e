"""Scores of cross-validation: the test bins of all folds, each predicted by the fit without it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import pandas as pd
from jaxtyping import Float

from freegaze.dataset.stimuli import SeenStimuli, find_seen_stimuli
from freegaze.errors import DataError
from freegaze.evaluation.condition_mean import ConditionMeans, condition_means, join_means
from freegaze.evaluation.evaluate import add_condition_means, score_sessions
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.neuron_scores import ExtraScore
from freegaze.evaluation.scored_session import ScoredSession, scored_session
from freegaze.fitted.encoder import FittedEncoder, Prediction
from freegaze.metrics.bootstrap import DRAWS
from freegaze.recording.recording import Recording


@dataclass(frozen=True)
class FoldPrediction:
    """Predictions of one fold's test bins in one session.

    Args:
        prediction: Predicted responses in the test bins of the fold.
        baseline: Mean response per bin of each neuron over the training bins of the fold.
        seen: Shares of the test bins whose stimulus the training bins of the fold show too.
        condition_mean: Mean training response to each test bin's condition; ``None`` where no
            condition is given.
        history: Input bins of a window.
        lag: Target bin minus last input bin.
    """

    prediction: Prediction
    baseline: Float[np.ndarray, " neuron"]
    seen: SeenStimuli
    condition_mean: ConditionMeans | None
    history: int
    lag: int


def predict_fold(
    encoder: FittedEncoder, recording: Recording, condition: str | None = None
) -> FoldPrediction:
    """Predict the test bins of a fold with the encoder that was fitted without them.

    Args:
        encoder: The encoder of the fold.
        recording: A session that it was fitted on.
        condition: Annotation that names the stimulus of each trial.

    Raises:
        DataError: If the session was not fitted, or lacks fitted neurons.
    """
    recording = encoder.match_neurons(recording)
    prediction = encoder.predict(recording, "test")
    split, mean = encoder.split(recording), None
    if condition is not None:
        mean = condition_means(recording, split, condition, prediction.targets)
    return FoldPrediction(
        prediction,
        encoder.mean_response(recording),
        find_seen_stimuli(recording, split.bins("train"), prediction.targets, condition),
        mean,
        encoder.data.history,
        encoder.data.lag,
    )


def score_folds(
    recordings: Sequence[Recording],
    folds: Iterable[Sequence[FoldPrediction]],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    condition: str | None = None,
    extra_score: ExtraScore | None = None,
) -> Evaluation:
    """Score the test bins of all folds together.

    Scores are over all bins at once, and not means of the scores of folds. The neurons are those
    that were fitted in every fold. The baseline of a neuron is the mean over folds of its mean
    training response.

    Args:
        recordings: The sessions.
        folds: For each fold one prediction per session, in the order of the sessions.
        draws: Resampled recordings that intervals are made of.
        seed: Fixes the draws.
        condition: Annotation that names the stimulus of each trial.
        extra_score: Computes further scores of each session.

    Returns:
        Table, summary and the scored bins; ``summary["folds"]`` has the number of folds ``n`` and,
        by session, ``n_left_out``, the number of neurons that some fold did not fit.

    Raises:
        DataError: If a bin is tested twice, or no neuron was fitted in every fold.
    """
    by_session = list(zip(*folds, strict=True))
    sessions = [
        _merge(recording, predictions, condition)
        for recording, predictions in zip(recordings, by_session, strict=True)
    ]
    found = score_sessions(sessions, draws=draws, seed=seed, extra_score=extra_score)
    n_left_out = {
        session.session_id: len(set().union(*(p.prediction.unit_ids for p in predictions)))
        - len(session.unit_ids)
        for session, predictions in zip(sessions, by_session, strict=True)
    }
    about = {"n": len(by_session[0]), "n_left_out": n_left_out}
    return replace(found, summary={**found.summary, "folds": about})


def _merge(
    recording: Recording, folds: Sequence[FoldPrediction], condition: str | None
) -> ScoredSession:
    where = f"session {recording.session_id!r}"
    targets = np.concatenate([fold.prediction.targets for fold in folds])
    order = np.argsort(targets, kind="stable")
    targets = targets[order]
    if (twice := np.flatnonzero(np.diff(targets) == 0)).size:
        raise DataError(
            f"{where}: bin {targets[twice[0]]} is tested in two folds; remove the folder of the "
            "folds and evaluate again"
        )
    everywhere = reduce(set.intersection, (set(f.prediction.unit_ids) for f in folds))
    units = [unit for unit in recording.unit_ids if unit in everywhere]
    if not units:
        raise DataError(
            f"{where}: no neuron was fitted in every fold; choose fewer folds, or lower "
            "`data.min_rate_hz`"
        )
    places = [[f.prediction.unit_ids.index(unit) for unit in units] for f in folds]
    rates = [f.prediction.rates[:, place] for f, place in zip(folds, places, strict=True)]
    baselines = [f.baseline[place] for f, place in zip(folds, places, strict=True)]
    chosen = recording.select_neurons([recording.unit_ids.index(unit) for unit in units])
    session = scored_session(
        chosen,
        Prediction(
            recording.session_id, targets, np.concatenate(rates)[order], tuple(chosen.unit_ids)
        ),
        np.stack(baselines).mean(0, dtype=np.float64),
        history=folds[0].history,
        lag=folds[0].lag,
        condition=condition,
    )
    session = replace(session, seen=_mean_seen(folds))
    means = [
        f.condition_mean.select(neurons=np.array(place))
        for f, place in zip(folds, places, strict=True)
        if f.condition_mean is not None
    ]
    if condition is None or len(means) < len(folds):
        return session
    return add_condition_means(session, chosen, join_means(means).select(order), condition)


def _mean_seen(folds: Sequence[FoldPrediction]) -> SeenStimuli:
    """Average the shares of seen stimuli over the test bins of all folds."""
    weights = [len(fold.prediction.targets) for fold in folds]
    shares = pd.DataFrame([fold.seen.to_dict() for fold in folds])
    means = {str(name): np.average(column, weights=weights) for name, column in shares.items()}
    return SeenStimuli(**{name: float(mean) for name, mean in means.items()})
