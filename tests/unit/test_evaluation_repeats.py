"""Which bins repeat a stimulus, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from builders import make_recording, make_trial_recording
from freegaze.errors import DataError
from freegaze.evaluation.evaluate import score_sessions
from freegaze.evaluation.repeats import repeat_cells, trial_condition
from freegaze.evaluation.scored_session import scored_session
from freegaze.fitted.encoder import Prediction


def trials(frames, n_bins=3, **changes):
    """Trials of ``n_bins``; trial i starts at frame ``frames[i]``."""
    recording = make_trial_recording(n_trials=len(frames), n_bins=n_bins, n_conditions=1)
    index = (np.array(frames)[:, None] + np.arange(n_bins)).ravel()
    return replace(recording, frame_index=index, **changes)


def test_same_frames_make_the_same_cells():
    recording = trials([0, 5, 0, 7, 5])
    cells = repeat_cells(recording, np.arange(15)).reshape(5, 3)
    assert (cells[0] == cells[2]).all()
    assert (cells[1] == cells[4]).all()
    assert (cells[3] == -1).all()  # shown once
    assert len(set(cells.ravel())) == 3 + 3 + 1


def test_only_scored_bins_count():
    recording = trials([0, 0, 4])
    cells = repeat_cells(recording, np.array([1, 2, 4, 8]))
    assert cells[0] == cells[2] != -1  # second bin of the two trials
    assert list(cells[[1, 3]]) == [-1, -1]


def test_bins_outside_trials_never_repeat():
    recording = make_recording(n_bins=30)
    still = replace(recording, frame_index=np.zeros(30, dtype=int))
    assert (repeat_cells(still, np.arange(30)) == -1).all()


def test_a_condition_may_name_the_stimulus():
    direction = np.repeat([90.0, np.nan, 90.0, np.nan], 3)
    recording = trials([0, 3, 6, 9], annotations={"direction": direction})
    cells = repeat_cells(recording, np.arange(12), "direction").reshape(4, 3)
    assert (cells[0] == cells[2]).all()
    assert (cells[1] == cells[3]).all()
    assert cells.min() >= 0


def test_unknown_or_changing_conditions_are_refused():
    recording = trials([0, 3], annotations={"direction": np.arange(6.0)})
    with pytest.raises(DataError, match="no annotation 'directions' .*nearest: direction"):
        trial_condition(recording, recording.segments[0], "directions")
    with pytest.raises(DataError, match="takes 3 values in the trial"):
        trial_condition(recording, recording.segments[0], "direction")


def test_ceilings_appear_where_trials_repeat_and_the_oracle_reaches_them():
    recording = make_trial_recording(n_trials=160, n_bins=20)
    session = oracle_session(recording)
    table = score_sessions([session], draws=10).table
    np.testing.assert_allclose(table["feve"], 1.0, atol=0.2)
    np.testing.assert_allclose(table["cc_norm"], 1.0, atol=0.1)
    np.testing.assert_allclose(table["noise_ceiling"], table["oracle_correlation"], atol=0.08)


def test_neurons_with_little_signal_have_a_ceiling_but_no_share_of_it():
    recording = make_trial_recording(n_trials=160, n_bins=20)
    responses = recording.responses.copy()
    responses[:, 1] += np.random.default_rng(0).normal(0, 6, len(responses))
    session = oracle_session(replace(recording, responses=responses.astype(np.float32)))
    table = score_sessions([session], draws=10).table
    assert table["feve"].isna().tolist() == [False, True, False, False]
    assert table["cc_norm"].isna().tolist() == [False, True, False, False]


def test_no_ceilings_without_repeats():
    recording = make_trial_recording(n_trials=40)
    recording = replace(recording, frame_index=np.arange(recording.n_bins))
    assert "feve" not in score_sessions([oracle_session(recording)], draws=10).table


def oracle_session(recording):
    targets = recording.bins_of("test")
    rates = recording.reference_rates["oracle"][targets]
    prediction = Prediction("s", targets, rates, recording.unit_ids)
    return scored_session(recording, prediction, recording.responses.mean(0))
