"""Paired differences: hand-worked values, coverage of intervals, p values without a difference."""

import numpy as np
import pytest
from scipy.stats import binom

from freegaze.errors import ConfigError, ShapeError
from freegaze.metrics.blocks import cut_blocks, trial_blocks
from freegaze.metrics.comparison import PairedRecording, compare_models
from freegaze.metrics.metric import METRICS, ScoreContext
from type_checks import unchecked

BIN_WIDTH_S = 2.0  # blocks of 20 s are then 10 bins: simulations stay small


def make_context(n_bins, n_neurons, n_segments=10, rate=1.0):
    ids = np.arange(n_bins) * n_segments // n_bins
    return ScoreContext(np.full(n_neurons, rate), ids, BIN_WIDTH_S)


def make_pair(rng, noise_a=(0.5, 0.5), noise_b=(1.0,), n_bins=200, n_neurons=4):
    observed = rng.poisson(2.0, (n_bins, n_neurons)).astype(float)

    def predict(noises):
        noise = [scale * rng.standard_normal(observed.shape) for scale in noises]
        return np.clip(observed + noise, 0.01, None)

    context = make_context(n_bins, n_neurons)
    return PairedRecording(predict(noise_a), predict(noise_b), observed, context)


def test_the_estimate_is_the_mean_over_seeds_neurons_and_recordings():
    rng = np.random.default_rng(0)
    recordings = [make_pair(rng), make_pair(rng, n_neurons=6)]
    result = compare_models("mse", recordings, draws=200)
    expected = []
    for recording, part in zip(recordings, result.recordings, strict=True):
        a = np.mean([((p - recording.observed) ** 2).mean(0) for p in recording.predicted_a], 0)
        b = np.mean([((p - recording.observed) ** 2).mean(0) for p in recording.predicted_b], 0)
        np.testing.assert_allclose(part.neurons.value, a - b)
        np.testing.assert_allclose(part.mean.value, (a - b).mean())
        assert part.n_seeds == (2, 1)
        assert part.n_blocks == 10
        assert (part.neuron_p >= 1 / 201).all()  # 200 draws cannot show less
        assert (part.neurons.low < part.neurons.value).all()
        assert (part.neurons.value < part.neurons.high).all()
        expected.append((a - b).mean())
    np.testing.assert_allclose(result.mean.value, np.mean(expected))
    assert result.mean.low < result.mean.value < result.mean.high < 0  # the first has less noise
    assert 1 / 201 <= result.p_value < 0.01
    assert result.p_sign_flip < 0.02


def test_swapping_the_models_turns_the_sign():
    pair = make_pair(np.random.default_rng(1), noise_b=(1.0, 1.0))
    swapped = PairedRecording(pair.predicted_b, pair.predicted_a, pair.observed, pair.context)
    one, other = (compare_models("mse", [p], draws=400, seed=3) for p in (pair, swapped))
    np.testing.assert_allclose(one.mean.value, -other.mean.value)
    np.testing.assert_allclose(one.recordings[0].neurons.low, -other.recordings[0].neurons.high)
    np.testing.assert_allclose(one.recordings[0].neuron_p, other.recordings[0].neuron_p)


@pytest.mark.parametrize("name", ["correlation", "bits_per_spike", "mse"])
def test_equal_models_differ_by_nothing(name):
    rng = np.random.default_rng(2)
    pair = make_pair(rng)
    same = PairedRecording(pair.predicted_a, pair.predicted_a, pair.observed, pair.context)
    result = compare_models(name, [same], draws=100)
    np.testing.assert_allclose(result.recordings[0].neurons.value, 0, atol=1e-12)
    assert (result.recordings[0].neuron_p > 0.05).all()
    assert result.p_sign_flip > 0.05


def test_a_constant_neuron_is_left_out():
    pair = make_pair(np.random.default_rng(3))
    observed = pair.observed.copy()
    observed[:, 1] = 0.0
    result = compare_models(
        "mse", [PairedRecording(pair.predicted_a, pair.predicted_b, observed, pair.context)], 100
    )
    part = result.recordings[0]
    np.testing.assert_array_equal(np.isnan(part.neurons.value), [False, True, False, False])
    assert np.isnan(part.neuron_p[1])
    np.testing.assert_allclose(part.mean.value, np.nanmean(part.neurons.value))
    assert np.isfinite([part.mean.low, part.mean.high]).all()


def test_too_few_blocks_have_no_interval():
    pair = make_pair(np.random.default_rng(4), n_bins=40)
    context = ScoreContext(pair.context.baseline_rate, np.zeros(40, int), BIN_WIDTH_S)
    few = PairedRecording(pair.predicted_a, pair.predicted_b, pair.observed, context)
    result = compare_models("mse", [few], draws=100)
    assert cut_blocks(context.segment_ids, BIN_WIDTH_S).n_blocks == 4
    assert np.isfinite(result.mean.value)
    assert np.isnan([result.mean.low, result.mean.high, result.p_value]).all()
    assert result.p_sign_flip >= 0.05  # 2 of 16 signs at least


@unchecked()
def test_what_cannot_be_compared_is_refused():
    pair = make_pair(np.random.default_rng(5))
    with pytest.raises(ConfigError, match="at least one recording"):
        compare_models("mse", [])
    with pytest.raises(ShapeError, match="same bins and neurons"):
        PairedRecording(pair.predicted_a[:, 1:], pair.predicted_b, pair.observed, pair.context)
    with pytest.raises(ShapeError, match="predicted_b must be"):
        PairedRecording(pair.predicted_a, pair.predicted_b[0], pair.observed, pair.context)


def slow_noise(rng, n_segments, n_bins, n_columns, decay=0.5):
    """Return AR(1) noise of variance 1 that starts anew in each segment."""
    noise = rng.standard_normal((n_segments, n_bins, n_columns))
    for t in range(1, n_bins):
        noise[:, t] = decay * noise[:, t - 1] + np.sqrt(1 - decay**2) * noise[:, t]
    return noise.reshape(n_segments * n_bins, n_columns)


def test_p_values_of_neurons_are_uniform_without_a_difference():
    """400 independent columns are 400 data sets; two models with like but independent errors.

    The number of p <= 0.05 and p <= 0.2 is binomial if p is uniform; the limits are its 0.1 and
    99.9 % quantiles, so that each passes with probability 0.998 (and the seed is fixed).
    """
    rng, n = np.random.default_rng(6), 400
    signal = slow_noise(rng, 12, 40, n)
    observed = signal + slow_noise(rng, 12, 40, n)
    a, b = (signal + slow_noise(rng, 12, 40, n) for _ in range(2))
    ids = np.repeat(np.arange(12), 40)
    context = ScoreContext(np.zeros(n), ids, BIN_WIDTH_S, "fluorescence")
    pair = PairedRecording(a[None], b[None], observed, context, trial_blocks(ids))
    part = compare_models("correlation", [pair], draws=500).recordings[0]
    for level in (0.05, 0.2):
        low, high = binom.ppf([0.001, 0.999], n, level)
        assert low <= (part.neuron_p <= level).sum() <= high, level
    covered = ((part.neurons.low <= 0) & (part.neurons.high >= 0)).mean()
    assert 0.92 <= covered <= 0.98


def simulate_comparison(rng, n_seeds, gain_a, gain_b, n_neurons=12, n_segments=10, n_bins=18):
    """Simulate log-normal Poisson neurons and two models that follow them with different gains.

    Neurons differ in how strongly they are driven, and seeds in the gain that they found. The bits
    per spike of gain g are (g - g**2 / 2) * v / ln 2 for a log-rate of variance v.
    """
    drive = rng.uniform(0.05, 0.4, n_neurons)
    shared = slow_noise(rng, n_segments, n_bins, 1)
    log_rate = np.sqrt(drive / 2) * (shared + slow_noise(rng, n_segments, n_bins, n_neurons))
    observed = rng.poisson(2 * np.exp(log_rate - drive / 2)).astype(float)

    def predict(gain):
        gains = gain + SEED_SPREAD * rng.standard_normal((n_seeds, 1, 1))
        return 2 * np.exp(gains * log_rate - gains**2 * drive / 2)

    context = make_context(n_segments * n_bins, n_neurons, n_segments, rate=2.0)
    return PairedRecording(predict(gain_a), predict(gain_b), observed, context)


SEED_SPREAD = 0.1
MEAN_DRIVE = 0.225


def expected_bits(gain):
    return (gain - (gain**2 + SEED_SPREAD**2) / 2) * MEAN_DRIVE / np.log(2)


def test_four_recordings_know_twice_as_much_as_one():
    pair = simulate_comparison(np.random.default_rng(10), 8, 0.9, 0.5)
    one, four = (compare_models("bits_per_spike", [pair] * n, draws=1000).mean for n in (1, 4))
    np.testing.assert_allclose(four.value, one.value)
    ratio = (four.high - four.low) / (one.high - one.low)
    assert 0.4 < ratio < 0.55  # 1 / 2, and a little less for the better known variances


def measure_comparison(n_datasets, draws, n_seeds, n_recordings=1, gains=(0.9, 0.5)):
    rng = np.random.default_rng(7)
    truth = expected_bits(gains[0]) - expected_bits(gains[1])
    covered, rejected = 0, 0
    for seed in range(n_datasets):
        recordings = [simulate_comparison(rng, n_seeds, *gains) for _ in range(n_recordings)]
        result = compare_models("bits_per_spike", recordings, draws, seed)
        covered += result.mean.low <= truth <= result.mean.high
        rejected += result.p_value <= 0.05
        excludes_0 = not result.mean.low <= 0 <= result.mean.high
        assert excludes_0 == (result.p_value <= 0.05) or abs(result.p_value - 0.05) < 0.02
    return covered / n_datasets, rejected / n_datasets


def test_the_true_difference_has_its_closed_form():
    pair = simulate_comparison(np.random.default_rng(8), 20, 0.9, 0.5, n_neurons=400, n_bins=200)
    result = compare_models("bits_per_spike", [pair], draws=2)
    truth = expected_bits(0.9) - expected_bits(0.5)
    assert abs(result.mean.value / truth - 1) < 0.1  # spread of 20 seeds: 3 % of the difference


def test_intervals_of_differences_cover():
    """Over time blocks, neurons and seeds: nominal 95 % on 200 data sets, standard error 1.5 %."""
    covered, _ = measure_comparison(200, draws=200, n_seeds=3)
    assert 0.92 <= covered <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize(("n_seeds", "n_recordings"), [(1, 1), (2, 1), (5, 1), (2, 3)])
def test_intervals_of_differences_cover_in_many_cases(n_seeds, n_recordings):
    covered, _ = measure_comparison(500, 500, n_seeds, n_recordings)
    _, false_alarms = measure_comparison(
        500, 500, n_seeds, n_recordings, gains=(0.9, 1.1)
    )  # equal truth
    print(n_seeds, n_recordings, covered, false_alarms)
    if n_seeds == 1:
        assert covered < 0.8  # one seed hides how seeds differ: documented, not repaired
    else:
        # two seeds give a variance with one degree of freedom a model, here unequal ones
        assert (0.90 if n_seeds == 2 else 0.92) <= covered <= 0.98
        assert false_alarms <= 0.08


def test_all_metrics_can_be_compared():
    pair = make_pair(np.random.default_rng(9))
    for name in METRICS:
        if "spike_counts" in METRICS.get(name).response_kinds:
            result = compare_models(name, [pair], draws=60)
            favors_first = result.mean.value > 0
            assert favors_first == METRICS.get(name).higher_is_better, name
