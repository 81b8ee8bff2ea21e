"""Noise ceilings with unequal repeats: against plain loops, equal repeats, and a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from freegaze.errors import ShapeError
from freegaze.metrics.ceilings import correlation_ceiling, feve
from freegaze.metrics.repeated_trials import (
    trial_cc_norm,
    trial_ceiling,
    trial_feve,
    trial_variance,
)


def equal_repeats(n_repeats=5, n_times=40, n_neurons=3, seed=0):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_times, n_neurons))
    repeats = signal + rng.normal(size=(n_repeats, n_times, n_neurons))
    cells = np.tile(np.arange(n_times), n_repeats)
    return signal, repeats, repeats.reshape(-1, n_neurons), cells


def test_equal_repeats_give_the_usual_feve():
    signal, repeats, flat, cells = equal_repeats()
    predicted = 0.7 * signal
    expected = feve(predicted, repeats)
    np.testing.assert_allclose(trial_feve(np.tile(predicted, (5, 1)), flat, cells), expected)


def test_equal_repeats_give_nearly_the_usual_ceiling():
    _, repeats, flat, cells = equal_repeats(n_times=400)
    # the usual one subtracts each repeat's own mean, which hides 1/400 of the variance here
    np.testing.assert_allclose(trial_ceiling(flat, cells), correlation_ceiling(repeats), atol=5e-3)


def test_parts_of_the_variance_match_a_plain_loop():
    rng = np.random.default_rng(1)
    cells = np.array([4, 4, 4, 9, 9, 2])
    observed = rng.normal(size=(6, 1))
    squares = 0.0
    for cell in (4, 9, 2):
        members = observed[cells == cell, 0]
        squares += ((members - members.mean()) ** 2).sum()
    variance = trial_variance(observed, cells)
    assert variance.noise[0] == pytest.approx(squares / (6 - 3))
    assert variance.total[0] == pytest.approx(np.var(observed, ddof=1))
    assert variance.explainable[0] == pytest.approx(variance.total[0] - variance.noise[0])


def test_unequal_repeats_find_the_signal_on_average():
    rng = np.random.default_rng(2)
    counts = rng.integers(2, 9, 400)
    cells = np.repeat(np.arange(400), counts)
    found, shares, lost = [], [], []
    for _ in range(100):
        signal = rng.normal(0, 0.6, (400, 1))
        observed = signal[cells] + rng.normal(0, 1.0, (len(cells), 1))
        found.append(trial_cc_norm(signal[cells], observed, cells)[0])
        shares.append(trial_ceiling(observed, cells)[0])
        lost.append(trial_feve(signal[cells], observed, cells)[0])
    # one estimate has an sd of 0.03 (cc_norm), 0.02 (ceiling), 0.05 (FEVE), their mean a tenth of
    # that: four of those, and 0.005 for the bias of a ratio, which falls with the number of cells
    assert np.mean(found) == pytest.approx(1.0, abs=0.017)
    assert np.mean(shares) == pytest.approx(np.sqrt(0.36 / 1.36), abs=0.013)
    assert np.mean(lost) == pytest.approx(1.0, abs=0.025)


def test_what_a_model_knows_of_single_trials_is_averaged_away():
    signal, _, flat, cells = equal_repeats()
    noisy = np.tile(signal, (5, 1)) + np.random.default_rng(3).normal(size=flat.shape)
    mean = noisy.reshape(5, 40, 3).mean(0)
    expected = trial_feve(np.tile(mean, (5, 1)), flat, cells)
    np.testing.assert_allclose(trial_feve(noisy, flat, cells), expected)


def test_pure_noise_with_negative_explainable_variance_is_missing():
    cells = np.array([0, 0, 1, 1])
    observed = np.array([[1.0], [-1.0], [1.0], [-1.0]])  # the cells' means are equal
    assert np.isnan(trial_ceiling(observed, cells)).all()
    assert np.isnan(trial_feve(observed, observed, cells)).all()
    assert np.isnan(trial_cc_norm(observed, observed, cells)).all()


def test_a_ceiling_needs_repeats():
    with pytest.raises(ShapeError, match="at least two cells"):
        trial_variance(np.ones((3, 1)), np.array([0, 1, 2]))
    with pytest.raises(ShapeError, match="at least two cells"):
        trial_variance(np.ones((3, 1)), np.array([0, 0, 0]))
