"""The paper's numbers where they differ from the default; golden tests show that they are its."""

import numpy as np

from freegaze.metrics.correlation import boxcar_bins, smooth_boxcar
from freegaze.paper import scores


def test_smoothing_mixes_segments_and_pads_with_zeros():
    values = np.concatenate([np.ones((60, 1)), np.zeros((60, 1))])
    theirs = scores.smooth_paper(values)
    np.testing.assert_allclose(theirs[0], 21 / 41)  # 20 of 41 bins are padding
    np.testing.assert_allclose(theirs[60], 20 / 41)  # the next segment sees the end of this one
    ours = smooth_boxcar(values, boxcar_bins(0.048), np.repeat([0, 1], 60))
    np.testing.assert_allclose(ours, values)


def test_r2_is_high_for_mean_rates_alone():
    rng = np.random.default_rng(0)
    rates = np.linspace(0.1, 3.0, 20)
    observed = rng.poisson(rates, (400, 20)).astype(float)
    predicted = np.broadcast_to(rates, observed.shape)
    assert scores.r2_paper(predicted, observed) > 0.8


def test_a_silent_neuron_has_no_correlation():
    observed = np.random.default_rng(1).poisson(1.0, (100, 2)).astype(float)
    got = scores.correlation_smoothed(observed, observed * [1, 0])
    np.testing.assert_array_equal(np.isnan(got), [False, True])


def test_r2_of_bins_in_which_all_neurons_are_equal():
    equal = np.zeros((100, 3))
    assert scores.r2_paper(equal, equal) == 1.0
    assert scores.r2_paper(equal + 1, equal) == 0.0
