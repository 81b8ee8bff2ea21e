"""Tuning curves and averages around gaze shifts."""

from __future__ import annotations

import numpy as np
import pytest

from freegaze.errors import ConfigError, ShapeError
from freegaze.explanation.tuning.curves import (
    BLOCK_S,
    REFRACTORY_S,
    aligned_average,
    gaze_shifts,
    tuning_curve,
)
from type_checks import unchecked


def test_levels_hold_alike_numbers_and_their_means() -> None:
    rng = np.random.default_rng(0)
    signal = rng.permutation(np.arange(1000.0))
    observed, predicted = rng.normal(size=(1000, 2)), rng.normal(size=(1000, 2))
    curve = tuning_curve(signal, observed, predicted, 0.05, 5)
    assert curve.n_bins.tolist() == [200] * 5
    for k in range(5):
        own = (signal >= 200 * k) & (signal < 200 * (k + 1))
        assert curve.level[k] == pytest.approx(signal[own].mean())
        np.testing.assert_allclose(curve.observed[k], observed[own].mean(0))
        np.testing.assert_allclose(curve.predicted[k], predicted[own].mean(0))


def test_lost_bins_do_not_count_and_equal_levels_are_one() -> None:
    signal = np.array([0.0] * 70 + [np.nan] * 10 + list(np.linspace(1, 2, 20)))
    response = np.where(np.isnan(signal), 99.0, np.nan_to_num(signal))[:, None]
    curve = tuning_curve(signal, response, response, 0.05, 10)
    assert curve.n_bins.sum() == 90
    assert curve.n_bins[0] >= 70
    assert (np.diff(curve.level) > 0).all()
    np.testing.assert_allclose(curve.observed[:, 0], curve.level)
    constant = tuning_curve(np.ones(50), response[:50], response[:50], 0.05)
    assert (constant.n_bins.tolist(), constant.level.tolist()) == ([50], [1.0])
    nothing = tuning_curve(np.full(50, np.nan), response[:50], response[:50], 0.05)
    assert (len(nothing.level), nothing.observed.shape) == (0, (0, 1))


def test_standard_errors_are_those_of_a_block_bootstrap() -> None:
    """200 blocks, 2,000 draws: the bootstrap's own error is 1 / sqrt(4000) = 1.6 %, that of the
    linearized ratio about one over the number of blocks a level; 10 % is far outside both."""
    rng = np.random.default_rng(1)
    width, n_blocks = 0.5, 200
    n = int(n_blocks * BLOCK_S / width)
    block = np.repeat(np.arange(n_blocks), n // n_blocks)
    signal = rng.normal(size=n_blocks)[block] + 0.7 * rng.normal(size=n)
    observed = (0.3 * signal + 0.5 * rng.normal(size=n_blocks)[block] + rng.normal(size=n))[:, None]
    curve = tuning_curve(signal, observed, observed, width, 4)
    level = np.searchsorted(np.quantile(signal, [0.25, 0.5, 0.75]), signal, side="right")
    sums = np.zeros((n_blocks, 4, 2))
    np.add.at(sums, (block, level), np.stack([observed[:, 0], np.ones(n)], -1))
    draws = sums[rng.integers(0, n_blocks, (2000, n_blocks))].sum(1)
    expected = (draws[..., 0] / draws[..., 1]).std(0)
    np.testing.assert_allclose(curve.observed_se[:, 0], expected, rtol=0.1)
    independent = observed.std() / np.sqrt(curve.n_bins)
    assert (curve.observed_se[:, 0] > 1.3 * independent).all()  # blocks matter here


def eye_that_jumps(at: dict[int, float], n: int = 200) -> np.ndarray:
    eye = np.zeros(n)
    for place, size in at.items():
        eye[place:] += size
    return eye


@pytest.mark.parametrize("sign", [-1, 1])
def test_jumps_are_found_where_they_are_fastest(sign: int) -> None:
    width = 0.05  # 250 deg/s are 12.5 deg a bin
    eye = sign * eye_that_jumps({50: 15.0, 51: 20.0, 100: 12.0, 150: 13.0})
    assert gaze_shifts(eye, np.zeros(200), width).tolist() == [51, 150]


def test_eye_and_head_add_with_their_signs() -> None:
    width = 0.05
    eye, head = eye_that_jumps({60: 15.0, 120: 8.0}), np.zeros(200)
    head[60], head[120] = -15.0 / width, 8.0 / width
    assert gaze_shifts(eye, head, width).tolist() == [120]  # at 60 the eye only makes up for it
    assert gaze_shifts(eye, -head, width).tolist() == [60]


def test_a_shift_is_not_counted_twice() -> None:
    width = 0.05
    reach = round(REFRACTORY_S / width)
    eye = eye_that_jumps({50: 20.0, 50 + reach: 15.0, 100: 20.0, 101 + reach: 15.0})
    assert gaze_shifts(eye, np.zeros(200), width).tolist() == [50, 100, 101 + reach]
    twice_alike = eye_that_jumps({50: 20.0, 52: 20.0})
    assert gaze_shifts(twice_alike, np.zeros(200), width).tolist() == [50]


def test_no_shift_is_seen_where_tracking_is_lost() -> None:
    eye = eye_that_jumps({50: 20.0, 100: 20.0})
    eye[45:60] = np.nan
    assert gaze_shifts(eye, np.zeros(200), 0.05).tolist() == [100]


def test_averages_are_around_events_that_have_room() -> None:
    values = np.arange(40.0)[:, None] * [1.0, -1.0]
    found = aligned_average(values, np.array([1, 10, 20, 38]), 2)
    np.testing.assert_allclose(found[:, 0], [13, 14, 15, 16, 17])
    np.testing.assert_allclose(found[:, 1], -found[:, 0])
    edge = aligned_average(values, np.array([2, 37]), 2)
    np.testing.assert_allclose(edge[:, 0], [17.5, 18.5, 19.5, 20.5, 21.5])
    assert np.isnan(aligned_average(values, np.array([1, 38]), 2)).all()


@unchecked()
def test_what_does_not_fit_is_named() -> None:
    values = np.zeros((10, 2))
    with pytest.raises(ShapeError, match="got 9, 10 and 10"):
        tuning_curve(np.zeros(9), values, values, 0.05)
    with pytest.raises(ConfigError, match="at least one level, got 0"):
        tuning_curve(np.zeros(10), values, values, 0.05, 0)
