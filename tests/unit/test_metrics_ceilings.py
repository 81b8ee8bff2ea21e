import numpy as np
import pytest

from freegaze.errors import ShapeError
from freegaze.metrics import ceilings
from freegaze.metrics.correlation import single_bin_correlation
from type_checks import unchecked


@pytest.fixture(scope="module")
def simulated():
    """Many bins, so that estimates meet the truth: signal variance 2, noise variance 6 a repeat."""
    rng = np.random.default_rng(0)
    signal = rng.normal(1.0, np.sqrt(2.0), (40_000, 2))
    return signal, signal + rng.normal(0.0, np.sqrt(6.0), (5, *signal.shape))


def test_variances_by_hand():
    repeats = np.array([[[0.0], [2.0]], [[2.0], [8.0]]])  # bins (0, 2) and (2, 8)
    np.testing.assert_allclose(ceilings.noise_variance(repeats), (2 + 18) / 2)
    # variance of sums (2, 10) is 32; of the repeats 2 and 18
    np.testing.assert_allclose(ceilings.signal_variance(repeats), (32 - 20) / 2)
    np.testing.assert_allclose(ceilings.explainable_variance(repeats), 6 / 10)


def test_estimates_meet_the_truth(simulated):
    _, repeats = simulated
    # standard error of a variance of 40,000 values: sqrt(2 / 40,000) = 0.7 % of it
    np.testing.assert_allclose(ceilings.signal_variance(repeats), 2.0, rtol=0.05)
    np.testing.assert_allclose(ceilings.noise_variance(repeats), 6.0, rtol=0.02)
    np.testing.assert_allclose(ceilings.explainable_variance(repeats), 0.25, rtol=0.05)
    np.testing.assert_allclose(ceilings.correlation_ceiling(repeats), 0.5, rtol=0.03)
    np.testing.assert_allclose(ceilings.cc_max(repeats), np.sqrt(2 / (2 + 6 / 5)), rtol=0.03)
    # one repeat against the mean of four: cov 2, variances 8 and 2 + 6 / 4
    expected = 2 / np.sqrt(8 * 3.5)
    np.testing.assert_allclose(ceilings.leave_one_out_correlation(repeats), expected, rtol=0.03)


def test_the_signal_itself_is_a_perfect_model(simulated):
    signal, repeats = simulated
    np.testing.assert_allclose(ceilings.cc_norm(signal, repeats), 1.0, atol=0.02)
    np.testing.assert_allclose(ceilings.cc_norm(3 * signal - 7, repeats), 1.0, atol=0.02)
    np.testing.assert_allclose(ceilings.feve(signal, repeats), 1.0, atol=0.02)


def test_half_a_signal_explains_a_known_fraction(simulated):
    signal, repeats = simulated
    rng = np.random.default_rng(1)
    noisy = signal + rng.normal(0.0, np.sqrt(2.0), signal.shape)
    np.testing.assert_allclose(ceilings.cc_norm(noisy, repeats), np.sqrt(0.5), atol=0.02)
    np.testing.assert_allclose(ceilings.feve(noisy, repeats), 0.0, atol=0.03)  # error = signal
    half = 1 + (signal - 1) / 2
    np.testing.assert_allclose(ceilings.feve(half, repeats), 0.75, atol=0.02)
    mean = np.broadcast_to(signal.mean(0), signal.shape)
    np.testing.assert_allclose(ceilings.feve(mean, repeats), 0.0, atol=0.02)
    assert np.isnan(ceilings.cc_norm(mean, repeats)).all()


def test_cc_abs_is_the_correlation_with_the_mean(simulated):
    signal, repeats = simulated
    expected = single_bin_correlation(signal, repeats.mean(0))
    np.testing.assert_allclose(ceilings.cc_abs(signal, repeats), expected)


def test_a_neuron_without_explainable_variance_has_no_ceiling():
    rng = np.random.default_rng(2)
    opposed = rng.normal(size=(1, 50, 1))
    repeats = np.concatenate([opposed, -opposed])  # signal variance below 0
    repeats = np.concatenate([repeats, np.zeros((2, 50, 1))], axis=2)  # and one never changes
    assert (ceilings.signal_variance(repeats)[0]) < 0
    predicted = rng.normal(size=(50, 2))
    for score in (ceilings.feve, ceilings.cc_norm):
        assert np.isnan(score(predicted, repeats)).all(), score.__name__
    assert np.isnan(ceilings.cc_max(repeats)).all()
    assert np.isnan(ceilings.correlation_ceiling(repeats)).all()


@unchecked()
def test_one_repeat_has_no_ceiling():
    with pytest.raises(ShapeError, match="at least two repeats"):
        ceilings.noise_variance(np.ones((1, 5, 2)))
    with pytest.raises(ShapeError, match="as the repeats have it"):
        ceilings.feve(np.ones((4, 2)), np.ones((2, 5, 2)))
