"""Correlation by chance: slow signals get it in one recording, true predictions beat it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from builders import make_recording, make_trial_recording
from freegaze.evaluation.chance import Chance, chance_correlation
from freegaze.fitted.encoder import Prediction
from freegaze.metrics.alignment_tests import N_PERMUTATIONS
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
    # shifts by a quarter of 12,000 bins leave bins 4,000 to 9,000 of the scored ones
    assert true.least_p == 1 / 3001
    assert (true.p <= 2 * true.least_p).all()
    assert true.n_bins == 5000
    assert np.abs(true.correlation).max() < 0.05
    unrelated = make_recording(n_bins=12000, n_neurons=6, seed=9).reference_rates["oracle"]
    assert chance_of(recording, unrelated, 4000).p.mean() > 0.2


def test_trials_are_permuted():
    recording = make_trial_recording(n_trials=40, n_bins=20)
    chance = chance_of(recording, recording.reference_rates["oracle"], 400)
    assert chance.method == "trial permutation"
    assert chance.least_p == 1 / (1 + N_PERMUTATIONS)
    np.testing.assert_array_equal(chance.columns()["correlation_p_least"], chance.least_p)
    assert chance.sentence() == "trial permutation, p at least 0.0005"


def test_too_short_a_prediction_says_that_chance_is_unknown():
    recording = make_recording(n_bins=2000)  # 100 s: shifts of a quarter are 25 s
    chance = chance_of(recording, recording.reference_rates["oracle"], 1000)
    assert chance.method == "none"
    assert "at least 30 s are needed" in chance.reason
    assert chance.sentence() == f"not tested ({chance.reason})"
    assert np.isnan(chance.p).all()


def test_one_short_trial_among_many_does_not_cut_the_others():
    """One trial of 2 bins among 40 of 50: the test is of 1,950 of 1,952 bins."""
    lengths = [2] + [50] * 39
    edges = np.concatenate([[0], np.cumsum(lengths)])
    segments = [Segment(a, b, "test", trial=True) for a, b in pairwise(edges.tolist())]
    recording = make_recording(n_bins=int(edges[-1]), segments=segments)
    assert chance_of(recording, recording.reference_rates["oracle"], 0).n_bins == 1950


def test_one_trial_says_that_chance_is_unknown():
    recording = make_trial_recording(n_trials=4, n_bins=20)
    assert chance_of(recording, recording.reference_rates["oracle"], 60).reason.startswith(
        "1 scored trials"
    )


def test_chance_survives_plain_values():
    chance = Chance(np.array([0.1, np.nan]), np.array([0.5, np.nan]), "time shift", 120)
    again = Chance.from_dict(chance.to_dict())
    np.testing.assert_array_equal(again.correlation, chance.correlation)
    assert (again.method, again.n_null) == ("time shift", 120)
