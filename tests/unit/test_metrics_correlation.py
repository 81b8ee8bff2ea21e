import numpy as np
import pytest

from freegaze.errors import ConfigError, ShapeError
from freegaze.metrics.correlation import (
    boxcar_bins,
    pearson,
    single_bin_correlation,
    smooth_boxcar,
    smoothed_correlation,
)
from freegaze.metrics.metric import ScoreContext
from type_checks import unchecked


def test_equals_numpy_and_is_nan_for_constants():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 50, 4))
    x[:, 1], y[:, 2] = 0.1, 3.7
    got = single_bin_correlation(x, y)
    np.testing.assert_allclose(got[[0, 3]], [np.corrcoef(x[:, i], y[:, i])[0, 1] for i in (0, 3)])
    assert np.isnan(got[[1, 2]]).all()


def test_a_large_mean_costs_no_digits():
    x = np.array([[1.0], [2.0], [4.0]])
    expected = np.corrcoef([1, 2, 4], [1, 3, 3])[0, 1]
    got = single_bin_correlation(x + 1e8, np.array([[1.0], [3.0], [3.0]]) - 1e8)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_sums_that_hold_only_rounding_error_have_no_correlation():
    constant = 0.1 * np.ones(7)
    sums = [7, constant.sum(), 3.0, (constant**2).sum(), 5.0, 0.3]
    assert np.isnan(pearson(list(np.array(sums)[:, None]))).all()


def test_the_boxcar_is_two_seconds_to_the_nearest_bin():
    assert boxcar_bins(0.048) == 42  # 41.67; the paper cut it off to 41
    assert boxcar_bins(0.0625) == 32
    assert boxcar_bins(5.0) == 1


def smooth_plainly(values, width, segment_ids):
    out = np.empty(values.shape)
    for t in range(len(values)):
        window = [
            u
            for u in range(t - width // 2, t + (width - 1) // 2 + 1)
            if 0 <= u < len(values) and segment_ids[u] == segment_ids[t]
        ]
        out[t] = np.mean(values[window], axis=0)
    return out


@pytest.mark.parametrize("width", [1, 2, 3, 4, 7, 50])
def test_smoothing_equals_a_plain_loop(width):
    values = np.random.default_rng(1).normal(size=(30, 3))
    ids = np.repeat([0, 1, 2], [12, 1, 17])
    got = smooth_boxcar(values, width, ids)
    np.testing.assert_allclose(got, smooth_plainly(values, width, ids), atol=1e-12)


def test_an_even_window_reaches_one_bin_further_back():
    impulse = np.zeros((9, 1))
    impulse[4] = 4.0
    got = smooth_boxcar(impulse, 4, np.zeros(9, int)).ravel()
    np.testing.assert_allclose(got, [0, 0, 0, 1, 1, 1, 1, 0, 0])
    np.testing.assert_allclose(got, np.convolve(impulse.ravel(), np.ones(4) / 4, "same"))


def test_smoothed_correlation_pools_all_bins_of_all_segments():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 40, 2))
    ids = np.repeat([0, 1], 20)
    got = smoothed_correlation(x, y, ScoreContext(np.ones(2), ids, 0.5))
    smooth = [smooth_plainly(v, 4, ids) for v in (x, y)]
    expected = [np.corrcoef(smooth[0][:, i], smooth[1][:, i])[0, 1] for i in range(2)]
    np.testing.assert_allclose(got, expected)


@unchecked()
def test_what_cannot_be_smoothed_is_refused():
    with pytest.raises(ConfigError, match="at least 1 bin"):
        smooth_boxcar(np.ones((3, 1)), 0, np.zeros(3, int))
    with pytest.raises(ShapeError, match="one label for each of 3 bins"):
        smooth_boxcar(np.ones((3, 1)), 1, np.zeros(2, int))
