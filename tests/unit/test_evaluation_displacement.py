"""Displacements against the truth: closed forms."""

import numpy as np
import pytest

from freegaze.errors import DataError
from freegaze.evaluation.displacement import compare_displacement

RNG = np.random.default_rng(0)
TRUE = RNG.normal(size=(400, 3)) * [6, 4, 7]
TRACKED = RNG.random(400) > 0.1


def test_one_rigid_movement_is_taken_out():
    turn = np.radians(30)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = np.column_stack([TRUE[:, :2] @ rotation.T + [5, -3], TRUE[:, 2] + 30])
    moved[~TRACKED] = 99  # what was not tracked does not count
    fit = compare_displacement(moved, TRUE, TRACKED)
    assert fit.rotation_deg == pytest.approx(30)
    assert fit.slope == pytest.approx((1, 1, 1))
    assert fit.rms == pytest.approx((0, 0, 0), abs=1e-9)
    np.testing.assert_allclose(fit.aligned[TRACKED], moved[TRACKED])


def test_a_shifter_that_moves_half_as_far_has_slope_one_half():
    fit = compare_displacement(TRUE * [0.5, 0.5, 1], TRUE, TRACKED)
    assert fit.slope == pytest.approx((0.5, 0.5, 1))
    expected = 0.5 * TRUE[TRACKED, 0].std()
    assert fit.rms[0] == pytest.approx(expected)


def test_a_shifter_that_does_nothing_has_slope_zero():
    fit = compare_displacement(np.zeros_like(TRUE), TRUE, TRACKED)
    assert fit.slope == pytest.approx((0, 0, 0), abs=1e-12)


def test_too_few_bins():
    with pytest.raises(DataError, match="3 tracked bins"):
        compare_displacement(TRUE, TRUE, np.zeros(400, bool))
