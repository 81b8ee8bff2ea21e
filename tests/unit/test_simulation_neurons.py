"""Population and rates: shares, kernels, and the pipeline from pictures to expected counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from freegaze.simulation.population import (
    KIND_SHARES,
    LATENCY_S,
    MODULATION_SHARES,
    VISUAL,
    largest_remainder,
    make_population,
)
from freegaze.simulation.processes import BIN_S, STEP_S
from freegaze.simulation.rates import Drives, FilterBank, expected_counts, filter_in_time

SIZE = (12, 16)


def population(n: int = 100, **options):
    return make_population(n, SIZE, np.random.default_rng(0), **options)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6), st.integers(0, 200))
def test_largest_remainder_adds_up_and_is_off_by_less_than_one(weights, total):
    shares = {str(i): w for i, w in enumerate(weights)}
    counts = largest_remainder(shares, total)
    assert sum(counts.values()) == total
    for name, share in shares.items():
        assert abs(counts[name] - total * share / sum(weights)) < 1


def test_shares_are_those_of_the_standard_session():
    p = population(100)
    for shares, assigned in ((KIND_SHARES, p.kind), (MODULATION_SHARES, p.modulation)):
        assert {k: int((assigned == k).sum()) for k in shares} == shares
    assert MODULATION_SHARES == {
        "multiplicative": 30,
        "additive": 15,
        "mixed": 15,
        "visual_only": 25,
        "behavior_only": 10,
        "untuned": 5,
    }
    assert KIND_SHARES == {"simple": 60, "complex": 40}


def test_each_kind_has_just_the_parts_it_should():
    p = population(200)
    visual = np.isin(p.modulation, VISUAL)
    assert (p.receptive_field.any(axis=(1, 2, 3)) == visual).all()
    assert (p.receptive_field[:, 1].any(axis=(1, 2)) == (visual & (p.kind == "complex"))).all()
    gain = p.behavior_coefficients["speed"] != 0
    assert (gain == np.isin(p.modulation, ["multiplicative", "mixed"])).all()
    position = p.behavior_coefficients["pitch"] != 0
    assert (position == np.isin(p.modulation, ["additive", "mixed", "behavior_only"])).all()
    assert (p.position_share[p.modulation == "behavior_only"] == 1).all()
    assert (p.position_share[np.isin(p.modulation, ["visual_only", "untuned"])] == 0).all()


def test_mean_rates_are_log_normal_and_some_fall_below_3_hz():
    rates = population(108).mean_rate_hz
    assert rates.min() >= 0.5
    assert rates.max() <= 20
    assert 0.55 < (rates >= 3).mean() < 0.75
    assert np.log(rates).std() == pytest.approx(0.85, abs=0.1)


def test_spatial_frequencies_and_sizes_are_those_of_mouse_v1():
    p = make_population(60, (60, 80), np.random.default_rng(1))
    for field in p.receptive_field[(p.kind == "complex") & p.receptive_field.any(axis=(1, 2, 3))]:
        power = (np.abs(np.fft.fft2(field, (256, 256))) ** 2).sum(axis=0)
        frequency = np.hypot(np.fft.fftfreq(256, 1.5)[:, None], np.fft.fftfreq(256, 1.5))
        peak = frequency.ravel()[np.argmax(power)]
        assert 0.005 < peak < 0.09


def test_kernels_peak_at_the_latency_and_lie_in_the_past_of_the_bin():
    """Models see bins before the one they predict: most of the kernel must lie there."""
    p = population(100)
    assert (p.latency_s >= LATENCY_S[0]).all()
    assert (p.latency_s <= LATENCY_S[1]).all()
    peak = (np.argmax(p.temporal_kernel, axis=1) + 0.5) * STEP_S
    np.testing.assert_allclose(peak, p.latency_s, atol=STEP_S)
    assert (p.temporal_kernel.min(axis=1) < 0).all(), "biphasic"
    weight = np.abs(p.temporal_kernel)
    # Step j of a bin sees its own bin through lags 0..j.
    inside = np.mean([weight[:, : j + 1].sum(axis=1) for j in range(3)], axis=0)
    assert (inside / weight.sum(axis=1)).max() < 0.2
    six_bins = weight[:, :18].sum(axis=1) / weight.sum(axis=1)
    assert six_bins.min() > 0.9


def test_filter_in_time_is_a_causal_convolution():
    rng = np.random.default_rng(2)
    signal, kernel = rng.standard_normal((40, 3)), rng.standard_normal((3, 7))
    expected = np.stack(
        [
            np.convolve(np.concatenate([np.full(6, s[0]), s]), k)[6:46]
            for s, k in zip(signal.T, kernel, strict=True)
        ],
        axis=1,
    )
    np.testing.assert_allclose(filter_in_time(signal, kernel), expected, atol=1e-5)


def test_a_kernel_shows_a_flash_at_each_lag():
    kernel = np.array([[0.0, 0.5, 1.0, -0.25]])
    flash = np.zeros((8, 1))
    flash[3] = 1
    np.testing.assert_allclose(
        filter_in_time(flash, kernel)[:, 0], [0, 0, 0, 0, 0.5, 1.0, -0.25, 0]
    )


def test_filter_bank_is_the_dot_product_and_the_local_contrast():
    p = population(40)
    pictures = torch.rand(5, *SIZE) - 0.4
    drives = FilterBank(p).see(pictures)
    expected = np.einsum("thw,nphw->tnp", pictures.numpy(), p.receptive_field)
    np.testing.assert_allclose(drives.cosine, expected[..., 0], atol=1e-5)
    np.testing.assert_allclose(drives.sine, expected[..., 1], atol=1e-5)
    for t in range(5):
        for n in np.flatnonzero(p.pool_strength):
            mean = (pictures[t].numpy() * p.pool[n]).sum()
            variance = ((pictures[t].numpy() - mean) ** 2 * p.pool[n]).sum()
            assert drives.contrast[t, n] == pytest.approx(np.sqrt(variance), abs=1e-4)
    assert not drives.contrast[:, p.pool_strength == 0].any()


def random_input(p, n_bins: int = 400, seed: int = 3):
    rng = np.random.default_rng(seed)
    n_steps, n = 3 * n_bins, len(p.kind)
    has_field = p.receptive_field.any(axis=(2, 3))
    drives = Drives(
        rng.standard_normal((n_steps, n)) * has_field[:, 0],
        rng.standard_normal((n_steps, n)) * has_field[:, 1],
        rng.random((n_steps, n)) * (p.pool_strength > 0),
    )
    behavior = {
        "speed": 8 * rng.random(n_steps),
        "pupil_radius": rng.normal(21, 3, n_steps),
        "pitch": rng.normal(-18, 20, n_steps),
        "roll": rng.normal(5, 12, n_steps),
        "theta": rng.normal(9, 12, n_steps),
        "phi": rng.normal(7, 10, n_steps),
    }
    return drives, behavior


def test_expected_counts_have_the_mean_rate_asked_for():
    p = population(60)
    counts, _ = expected_counts(p, *random_input(p))
    np.testing.assert_allclose(counts.mean(axis=0), p.mean_rate_hz * BIN_S, rtol=1e-5)
    assert (counts > 0).all()


def test_only_the_right_cells_know_of_behavior_or_vision():
    p = population(100)
    drives, behavior = random_input(p)
    counts, constants = expected_counts(p, drives, behavior)
    other_drives, other_behavior = random_input(p, seed=9)
    by_behavior, _ = expected_counts(p, drives, other_behavior, None, constants)
    by_vision, _ = expected_counts(p, other_drives, behavior, None, constants)
    changed = ~np.isclose(counts, by_behavior).all(axis=0)
    assert (changed == ~np.isin(p.modulation, ["visual_only", "untuned"])).all()
    seen = ~np.isclose(counts, by_vision).all(axis=0)
    assert (seen == np.isin(p.modulation, VISUAL)).all()
    flat = counts[:, p.modulation == "untuned"]
    np.testing.assert_allclose(flat, np.broadcast_to(flat[:1], flat.shape), rtol=1e-6)


def test_gain_multiplies_and_position_adds():
    """With the drive held still, gain scales the visual part, position leaves it alone."""
    p = population(100)
    drives, behavior = random_input(p)
    _, constants = expected_counts(p, drives, behavior)
    still = {name: np.full(len(v), v.mean()) for name, v in behavior.items()}
    fast = still | {"speed": still["speed"] + 30.0}
    slow_counts, _ = expected_counts(p, drives, still, None, constants)
    fast_counts, _ = expected_counts(p, drives, fast, None, constants)
    for n in np.flatnonzero(p.modulation == "multiplicative"):
        ratio = fast_counts[5:, n] / slow_counts[5:, n]
        scaled = np.tanh(fast["speed"][0] / 8) - np.tanh(still["speed"][0] / 8)
        expected = np.exp(p.behavior_coefficients["speed"][n] * scaled)
        np.testing.assert_allclose(ratio, expected, rtol=1e-4)
    tilted = still | {"pitch": still["pitch"] + 20.0}
    tilted_counts, _ = expected_counts(p, drives, tilted, None, constants)
    for n in np.flatnonzero(p.modulation == "additive"):
        difference = tilted_counts[5:, n] - slow_counts[5:, n]
        np.testing.assert_allclose(difference, difference[0], rtol=1e-3, atol=1e-6)
        assert abs(difference[0]) > 0


def test_complex_cells_do_not_know_the_phase():
    p = population(60)
    drives, behavior = random_input(p)
    # The same energy at every step, whichever phase it is in.
    kernel = np.zeros_like(p.temporal_kernel)
    kernel[:, 4] = 1.0
    p = replace(p, temporal_kernel=kernel)
    swapped = Drives(-drives.sine, drives.cosine * (p.kind == "complex"), drives.contrast)
    counts, constants = expected_counts(p, drives, behavior)
    turned, _ = expected_counts(p, swapped, behavior, None, constants)
    pure = (p.kind == "complex") & np.isin(p.modulation, VISUAL)
    np.testing.assert_allclose(turned[:, pure], counts[:, pure], rtol=1e-4)


def test_contrast_divides():
    p = population(100)
    drives, behavior = random_input(p)
    _, constants = expected_counts(p, drives, behavior)
    more = Drives(drives.cosine, drives.sine, 5 * drives.contrast)
    before, _ = expected_counts(p, drives, behavior, None, constants)
    after, _ = expected_counts(p, more, behavior, None, constants)
    pooled = p.pool_strength > 0
    assert (after.std(axis=0) < before.std(axis=0))[pooled].all()
    np.testing.assert_allclose(after[:, ~pooled], before[:, ~pooled])


def test_nuisance_multiplies():
    p = population(20)
    drives, behavior = random_input(p)
    plain, constants = expected_counts(p, drives, behavior)
    nuisance = np.full((len(drives.cosine), 20), np.log(2.0))
    doubled, _ = expected_counts(p, drives, behavior, nuisance, constants)
    np.testing.assert_allclose(doubled, 2 * plain, rtol=1e-5)
