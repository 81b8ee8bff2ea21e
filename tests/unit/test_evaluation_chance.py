"""Correlation by chance: slow signals get it in one recording, true predictions beat it."""

from __future__ import annotations

import numpy as np

from builders import make_recording, make_trial_recording
from freegaze.evaluation.chance import Chance, chance_correlation
from freegaze.fitted.encoder import Prediction
from freegaze.metrics.nulls import N_PERMUTATIONS, N_SHIFTS
from freegaze.recording.recording import Segment


def chance_of(recording, rates, first):
    prediction = Prediction("s", np.arange(recording.n_bins), rates, recording.unit_ids)
    is_scored = np.arange(recording.n_bins) >= first
    return chance_correlation(recording, prediction, is_scored, np.ones(recording.n_neurons))


def test_true_rates_beat_every_shift_and_unrelated_ones_do_not():
    segments = [Segment(0, 8000, "train"), Segment(8000, 12000, "test")]
    recording = make_recording(n_bins=12000, n_neurons=6, segments=segments)
    true = chance_of(recording, recording.reference_rates["oracle"], 4000)
    assert true.method == "time shift"
    np.testing.assert_allclose(true.p, 1 / (1 + N_SHIFTS // 2))
    assert np.abs(true.correlation).max() < 0.05
    unrelated = make_recording(n_bins=12000, n_neurons=6, seed=9).reference_rates["oracle"]
    assert chance_of(recording, unrelated, 4000).p.mean() > 0.2


def test_trials_are_permuted():
    recording = make_trial_recording(n_trials=40, n_bins=20)
    chance = chance_of(recording, recording.reference_rates["oracle"], 600)
    assert (chance.method, chance.n_null) == ("trial permutation", N_PERMUTATIONS)
    np.testing.assert_allclose(chance.p, 1 / (1 + N_PERMUTATIONS))


def test_too_short_a_prediction_says_that_chance_is_unknown():
    recording = make_recording(n_bins=2000)  # 100 s: no shift by 60 s leaves anything
    chance = chance_of(recording, recording.reference_rates["oracle"], 1000)
    assert chance.method == "none"
    assert np.isnan(chance.p).all()


def test_one_trial_says_that_chance_is_unknown():
    recording = make_trial_recording(n_trials=4, n_bins=20)
    assert chance_of(recording, recording.reference_rates["oracle"], 60).method == "none"


def test_chance_survives_plain_values():
    chance = Chance(np.array([0.1, np.nan]), np.array([0.5, np.nan]), "time shift", 120)
    again = Chance.from_dict(chance.to_dict())
    np.testing.assert_array_equal(again.correlation, chance.correlation)
    assert (again.method, again.n_null) == ("time shift", 120)
