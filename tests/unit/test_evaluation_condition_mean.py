"""Means over training trials, by plain loops and on real calcium responses to gratings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from builders import make_recording, make_trial_recording
from fake_encoder import fake_fit
from freegaze.dataset.splits import split_recording
from freegaze.errors import DataError
from freegaze.evaluation.compare import compare
from freegaze.evaluation.condition_mean import condition_mean
from freegaze.evaluation.evaluate import evaluate, score_sessions
from freegaze.evaluation.scored_session import scored_session
from freegaze.sources import open_recordings

REAL = Path(__file__).parents[3] / "shared" / "data" / "park2023_mouse_v1" / "mrcuts28.npz"


def by_loop(recording, trial, condition):
    """Mean over training trials of one trial's condition, time by time."""
    name = "stimulus_direction_deg"
    own = recording.annotations[name][trial.start]
    same = [
        s
        for s in recording.segments
        if s.role == "train" and (not condition or recording.annotations[name][s.start] == own)
    ]
    return np.mean([recording.responses[s.start : s.stop] for s in same], axis=0)


@pytest.mark.parametrize("condition", ["stimulus_direction_deg", None])
def test_means_match_a_plain_loop(condition):
    recording = make_trial_recording()
    prediction = condition_mean(recording, split_recording(recording), condition)
    test = [s for s in recording.segments if s.role == "test"]
    np.testing.assert_array_equal(prediction.targets, np.concatenate([s.bins() for s in test]))
    expected = np.concatenate([by_loop(recording, s, condition) for s in test])
    np.testing.assert_allclose(prediction.rates, expected, rtol=1e-5)


def test_targets_of_an_encoder_may_be_predicted():
    recording = make_trial_recording()
    split = split_recording(recording)
    whole = condition_mean(recording, split)
    some = condition_mean(recording, split, targets=whole.targets[5:50:3])
    np.testing.assert_array_equal(some.rates, whole.rates[5:50:3])


def test_test_responses_are_never_looked_at():
    recording = make_trial_recording()
    split = split_recording(recording)
    responses = recording.responses.copy()
    responses[~split.is_role("train")] = 1e6
    changed = replace(recording, responses=responses)
    np.testing.assert_array_equal(
        condition_mean(recording, split).rates, condition_mean(changed, split).rates
    )


def test_conditions_never_trained_on_are_refused():
    recording = make_trial_recording(n_conditions=3)
    direction = recording.annotations["stimulus_direction_deg"].copy()
    direction[-20:] = 315.0
    recording = replace(recording, annotations={"stimulus_direction_deg": direction})
    with pytest.raises(DataError, match=r"stimulus_direction_deg = 315.0 has bin 0"):
        condition_mean(recording, split_recording(recording))


def test_recordings_without_trials_and_bins_outside_them_are_refused():
    recording = make_recording()
    with pytest.raises(DataError, match="no trials"):
        condition_mean(recording, split_recording(recording), None)
    trials = make_trial_recording()
    segments = (*trials.segments[:-1], replace(trials.segments[-1], trial=False))
    mixed = trials.with_segments(segments)
    with pytest.raises(DataError, match="bin 460 is in no trial"):
        condition_mean(mixed, split_recording(mixed), targets=np.array([450, 460]))


def test_an_evaluation_by_condition_scores_the_condition_mean_beside_the_encoder():
    recording = make_trial_recording()
    encoder = fake_fit([recording])
    evaluation = evaluate(encoder, recording, draws=10, condition="stimulus_direction_deg")
    table, (session,) = evaluation.table, evaluation.sessions
    expected = condition_mean(recording, encoder.split(recording), targets=session.targets).rates
    r = [np.corrcoef(expected[:, i], session.observed[:, i])[0, 1] for i in range(4)]
    np.testing.assert_allclose(table["condition_mean_correlation"], r, rtol=1e-5)
    assert "condition_mean_correlation" not in evaluate(encoder, recording, draws=10).table
    direction = recording.annotations["stimulus_direction_deg"].copy()
    direction[-20:] = 315.0  # never trained on
    recording = replace(recording, annotations={"stimulus_direction_deg": direction})
    table = evaluate(encoder, recording, draws=10, condition="stimulus_direction_deg").table
    assert "condition_mean_correlation" not in table
    with pytest.raises(DataError, match="no annotation 'direction'"):
        evaluate(encoder, recording, draws=10, condition="direction")


@pytest.mark.skipif(not REAL.exists(), reason=f"real data not found: {REAL}")
def test_direction_explains_real_visual_cortex_better_than_time_alone():
    recording = open_recordings("arrays", REAL)[0]
    split = split_recording(recording)
    means = {}
    for condition in ("stimulus_direction_deg", None):
        prediction = condition_mean(recording, split, condition)
        baseline = recording.responses[split.bins("train")].mean(0)
        session = scored_session(recording, prediction, baseline)
        means[condition] = score_sessions([session], draws=50)
        assert session.blocks.n_blocks == 38  # whole trials
    by_direction, by_time = (m.table for m in means.values())
    assert by_direction["correlation"].mean() == pytest.approx(0.30, abs=0.03)
    assert by_time["correlation"].mean() < by_direction["correlation"].mean()
    assert by_direction["correlation_p"].median() < 0.05
    assert by_direction["noise_ceiling"].notna().sum() > 40
    found = compare({"time": [means[None]], "direction": [means["stimulus_direction_deg"]]}).table
    row = found[found["metric"] == "correlation"].iloc[0]
    assert (row["n_bins"], row["n_blocks"]) == (38 * 49, 38)
