"""Displacements against the truth: closed forms."""

import numpy as np
import pytest

from freegaze.errors import DataError
from freegaze.evaluation.displacement import compare_displacement

RNG = np.random.default_rng(0)
TRUE = RNG.normal(size=(400, 3)) * [6, 4, 7]
TRACKED = RNG.random(400) > 0.1
ALL = np.ones(400, bool)


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


def test_positions_turned_without_their_angles_are_no_rigid_movement():
    turn = np.radians(25)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    fit = compare_displacement(np.column_stack([TRUE[:, :2] @ rotation.T, TRUE[:, 2]]), TRUE, ALL)
    assert 0 < fit.rotation_deg < 25
    spread = np.hypot(*TRUE[:, :2].std(0))
    residual = np.hypot(np.hypot(*fit.rms[:2]) / spread, fit.rms[2] / TRUE[:, 2].std())
    # Turned by 25 degrees, positions are off by 2 sin(25 / 2) of their spread; one angle for both
    # can take some of it at most.
    assert residual > 0.3
    assert fit.rms[2] == pytest.approx(fit.rotation_deg)


def test_the_common_turn_is_the_least_squares_one():
    rng = np.random.default_rng(4)
    moved = TRUE + rng.normal(size=TRUE.shape) * [2, 2, 5] + [0, 0, 20]
    fit = compare_displacement(moved, TRUE, ALL)
    turns = np.radians(np.linspace(-180, 180, 7201))
    a, b = (p[:, :2] - p[:, :2].mean(0) for p in (TRUE, moved))
    costs = []
    for turn in turns:
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        off = ((a @ rotation.T - b) ** 2).sum() / (a**2).sum(1).mean()
        angle = np.radians(moved[:, 2] - TRUE[:, 2]) - turn
        costs.append(off + (angle**2).sum() / np.radians(TRUE[:, 2]).var())
    assert fit.rotation_deg == pytest.approx(np.degrees(turns[np.argmin(costs)]), abs=0.05)


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
