"""What a recording refuses, and how neurons are chosen."""

from dataclasses import replace

import numpy as np
import pytest

from builders import make_recording
from freegaze.errors import DataError, ShapeError
from freegaze.recording.recording import ResponseKind, Segment, keep_active_neurons
from type_checks import unchecked


def changed(**what):
    return replace(make_recording(n_bins=30), **what)


def column(value, at=3):
    behavior = make_recording(n_bins=30).behavior.copy()
    behavior[at, 1] = value
    return behavior


def responses(value):
    made = make_recording(n_bins=30).responses.copy()
    made[4, 2] = value
    return made


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ({"bin_width_s": 0.0}, DataError, "bin_width_s"),
        ({"behavior": np.zeros((29, 3), np.float32)}, ShapeError, "behavior must be"),
        ({"behavior_units": ("deg",)}, ShapeError, "3 behavior names but 1 units"),
        ({"behavior_names": ("a", "a", "b")}, DataError, "'a' more than once"),
        ({"unit_ids": ("a", "b", "c", "c")}, DataError, "'c' more than once"),
        ({"behavior": column(np.inf)}, DataError, "infinite at bin 3"),
        ({"behavior": column(np.nan, slice(None))}, DataError, "'theta' is NaN throughout"),
        ({"responses": responses(-1)}, DataError, "bin 4 of neuron 2 is -1"),
        ({"responses": responses(0.5)}, DataError, "is it `inferred_spikes`"),
        ({"responses": responses(np.nan)}, DataError, "must be finite"),
        ({"frame_index": np.arange(1, 31)}, DataError, "points to frame 30"),
        ({"segments": (Segment(0, 29),)}, DataError, "cover 29 bins of 30"),
        ({"segments": (Segment(0, 20), Segment(19, 30))}, DataError, "start at 20"),
        ({"annotations": {"x": np.zeros(3)}}, ShapeError, "annotation 'x' has 3 rows"),
        (
            {"frames": np.zeros((30, 6, 8), np.float32)},
            ShapeError,
            "of uint8, got",
        ),
        ({"responses": np.zeros((30, 0), np.float32), "unit_ids": ()}, ShapeError, "30, 0"),
    ],
)
@unchecked()
def test_impossible_recordings_are_refused(what, error, message):
    with pytest.raises(error, match=message):
        changed(**what)


def test_kinds_allow_what_they_mean():
    signed = responses(-0.5)
    assert changed(responses=signed, response_kind=ResponseKind.FLUORESCENCE).n_neurons == 4
    with pytest.raises(DataError, match="cannot be negative"):
        changed(responses=signed, response_kind=ResponseKind.INFERRED_SPIKES)
    assert (
        changed(responses=responses(0.5), response_kind=ResponseKind.INFERRED_SPIKES).n_neurons == 4
    )


def test_active_neurons_are_chosen_by_training_bins_alone():
    counts = np.zeros((30, 4), np.float32)
    counts[:10, 0] = 1  # fires in training only: 20 Hz
    counts[20:, 1] = 1  # fires in the test only
    recording = changed(responses=counts)
    assert keep_active_neurons(recording, 3.0).unit_ids == ("unit_0",)
    assert keep_active_neurons(recording, 3.0, np.arange(20, 30)).unit_ids == ("unit_1",)
    with pytest.raises(DataError, match=r"no neuron fires at 21 Hz .*highest: 20\.00 Hz"):
        keep_active_neurons(recording, 21.0)


def test_selecting_neurons_keeps_everything_about_them():
    recording = make_recording(n_bins=30)
    chosen = recording.select_neurons([2, 0])
    assert chosen.unit_ids == ("unit_2", "unit_0")
    np.testing.assert_array_equal(chosen.responses, recording.responses[:, [2, 0]])
    np.testing.assert_array_equal(
        chosen.reference_rates["oracle"], recording.reference_rates["oracle"][:, [2, 0]]
    )


def test_look_ups():
    recording = make_recording(n_bins=30)
    assert recording.frame_size == (6, 8)
    assert recording.duration_s == pytest.approx(1.5)
    assert recording.bins_of("test").tolist() == list(range(20, 30))
    assert recording.segment_index().tolist() == [0] * 10 + [1] * 10 + [2] * 10
    np.testing.assert_array_equal(recording.video(np.array([3])), recording.frames[[3]])
    with pytest.raises(DataError, match="nearest: theta"):
        recording.column("thet")
    with pytest.raises(DataError, match="none of its 4 neurons is left"):
        recording.select_neurons(np.zeros(4, dtype=bool))


def test_a_wrong_response_far_into_a_long_session_is_named(monkeypatch):
    monkeypatch.setattr("freegaze.recording.recording.PIECE_BYTES", 8 * 4 * 16)  # 16 bins
    wrong = make_recording().responses.copy()
    wrong[321, 2] = 0.5
    with pytest.raises(DataError, match=r"must be whole, but bin 321 of neuron 2 is 0\.5"):
        replace(make_recording(), responses=wrong)


def test_selecting_all_neurons_copies_nothing():
    recording = make_recording()
    assert recording.select_neurons(np.ones(4, bool)) is recording
    assert recording.select_neurons([1, 0, 2, 3]).unit_ids[:2] == ("unit_1", "unit_0")
    assert recording.select_neurons([0, 2]).responses.flags.c_contiguous


def test_mean_responses_are_those_of_all_bins_at_once(monkeypatch):
    recording = make_recording(kind=ResponseKind.FLUORESCENCE)
    bins = recording.bins_of("train")
    monkeypatch.setattr("freegaze.recording.recording.PIECE_BYTES", 8 * 4 * 17)  # 17 bins
    expected = recording.responses[bins].mean(0, dtype=np.float64)
    np.testing.assert_array_equal(recording.mean_response(bins), expected)
    np.testing.assert_allclose(recording.rates_hz("train"), expected / 0.05, rtol=1e-15)
