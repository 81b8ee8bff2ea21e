"""Shares of groups of behavior, against rates made again without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import xlogy

from freegaze.simulation import BIN_S, SimulationConfig, Truth, simulate
from freegaze.simulation.group_shares import GROUPS, group_shares, true_saliency
from freegaze.simulation.population import Population, make_population
from freegaze.simulation.rates import SIGNAL_SCALE, Drives, expected_counts

N = 40
SIZE = (12, 16)
GAINS, POSITIONS = ("speed", "pupil"), ("eye", "head")


@pytest.fixture(scope="module")
def animal() -> tuple[Population, Truth]:
    """Neurons before a gray wall: what they see never changes, so that all is behavior.

    Rates are then (1 - share) * gain + share * position, up to a factor, and nothing that behavior
    shares with the picture is in the way of a closed form.
    """
    _, truth = simulate(SimulationConfig(minutes=0.5, n_neurons=N, seed=3, frame_size=SIZE))
    population = make_population(N, SIZE, np.random.default_rng(0))
    counts = again(population, truth)
    return population, replace(
        truth,
        modulation=population.modulation,
        behavior_coefficients=population.behavior_coefficients,
        position_share=population.position_share,
        mean_rate_hz=population.mean_rate_hz,
        attainable=counts,
    )


def again(population: Population, truth: Truth, without: tuple[str, ...] = ()) -> np.ndarray:
    """Expected counts without some signals, of the same mean rate."""
    n_steps = len(truth.path["true_speed"])
    flat = np.ones((n_steps, N), dtype=np.float32)
    signals = [s for group in GROUPS.values() for s in group]
    coefficients = {
        s: value * (s not in without) for s, value in population.behavior_coefficients.items()
    }
    return expected_counts(
        replace(population, behavior_coefficients=coefficients),
        Drives(flat, flat, flat),
        {s: truth.path[f"true_{s}"] for s in signals},
    )[0]


def deviance(rate: np.ndarray, other: np.ndarray) -> np.ndarray:
    return 2 * (xlogy(rate, rate / other) - rate + other).sum(0)


@pytest.mark.parametrize("group", list(GROUPS))
def test_shares_are_those_of_rates_made_again_without_the_group(animal, group: str) -> None:
    population, truth = animal
    bins = np.arange(len(truth.attainable))
    found = group_shares(truth, bins)[group]
    full, without = truth.attainable, again(population, truth, GROUPS[group])
    whole = deviance(full, np.broadcast_to(full.mean(0), full.shape))
    kinds = ["multiplicative"] if group in GAINS else ["additive", "mixed", "behavior_only"]
    chosen = np.isin(population.modulation, kinds)
    assert chosen.sum() >= 5
    expected = deviance(full, without)[chosen] / whole[chosen]
    # float64 throughout: sums over 625 bins of terms that cancel to about 1e-3 of their size
    np.testing.assert_allclose(found[chosen], expected, rtol=1e-6, atol=1e-9)
    assert (found[chosen] > 0).all()


def test_who_does_not_depend_on_a_group_has_no_share_of_it(animal) -> None:
    population, truth = animal
    shares = group_shares(truth, np.arange(100, 300))
    assert list(shares) == ["eye", "head", "speed", "pupil"]
    for group, signals in GROUPS.items():
        none = np.all([population.behavior_coefficients[s] == 0 for s in signals], axis=0)
        assert none.any()
        assert (shares[group][none] == 0).all()
        assert np.isfinite(shares[group]).all()
    untuned = population.modulation == "untuned"
    assert all((shares[group][untuned] == 0).all() for group in GROUPS)


def test_a_neuron_of_one_group_owes_it_everything(animal) -> None:
    """Without the group its rate is its mean: the share is 1, whatever the coefficient."""
    population, truth = animal
    for group, signals in GROUPS.items():
        alone = {
            s: np.where(s == signals[0], 0.4, 0.0) * np.ones(N)
            for s in population.behavior_coefficients
        }
        share = np.full(N, 0.0 if group in GAINS else 1.0)
        lonely = replace(population, behavior_coefficients=alone, position_share=share)
        told = replace(
            truth,
            behavior_coefficients=alone,
            position_share=share,
            attainable=again(lonely, truth),
        )
        bins = np.arange(len(truth.attainable))
        found = group_shares(told, bins)
        np.testing.assert_allclose(found[group], 1.0, rtol=1e-6)
        others = [g for g in GROUPS if g != group]
        assert all((found[g] == 0).all() for g in others)


def test_nothing_attainable_is_no_number(animal) -> None:
    population, truth = animal
    flat = replace(truth, attainable=np.broadcast_to(truth.attainable[:1], truth.attainable.shape))
    share = group_shares(flat, np.arange(100))["speed"]
    depends = population.behavior_coefficients["speed"] != 0
    assert np.isnan(share[depends]).all()
    assert (share[~depends] == 0).all()


def test_shares_of_a_session_as_it_comes_are_shares() -> None:
    """Of the very truth that a simulation gives, whose attainable rates are a regression."""
    recording, truth = simulate(
        SimulationConfig(minutes=1.0, n_neurons=30, seed=4, frame_size=SIZE, track="affine")
    )
    bins = np.concatenate([s.bins() for s in recording.segments if s.role == "test"])
    shares = np.array(list(group_shares(truth, bins).values()))
    real = np.array(
        [np.any([truth.behavior_coefficients[s] != 0 for s in g], axis=0) for g in GROUPS.values()]
    )
    assert (shares[~real] == 0).all()
    assert (shares[real] >= 0).all()
    assert np.median(shares[real]) > 0.02


def test_saliency_of_a_gain_is_a_hyperbolic_sine(animal) -> None:
    """rate = c exp(k x / scale): a step of h to either side in halves gives 2 sinh(k h / 2)."""
    population, truth = animal
    bins, step = np.arange(50, 500), 1.5
    found = true_saliency(truth, bins, "pupil_radius", step)
    chosen = population.modulation == "multiplicative"
    scale = population.behavior_coefficients["pupil_radius"] / SIGNAL_SCALE["pupil_radius"]
    expected = 2 * truth.attainable[bins].mean(0) * np.sinh(scale * step / 2)
    np.testing.assert_allclose(found[chosen], expected[chosen], rtol=1e-6)
    none = population.behavior_coefficients["pupil_radius"] == 0
    np.testing.assert_allclose(found[none], 0, atol=1e-12)


def test_saliency_of_position_is_the_difference_of_rates(animal) -> None:
    population, truth = animal
    bins, step = np.arange(50, 500), 4.0
    found = true_saliency(truth, bins, "theta", step)
    chosen = population.modulation == "behavior_only"
    assert chosen.any()
    sides = []
    for sign in (-1, 1):
        path = dict(truth.path)
        path["true_theta"] = path["true_theta"] + sign * step / 2
        # The rate's scale is learned from the truth: a neuron that is moved fires more.
        flat = np.ones((len(path["true_theta"]), N), dtype=np.float32)
        drives = Drives(flat, flat, flat)
        signals = [s for group in GROUPS.values() for s in group]
        constants = expected_counts(
            population, drives, {s: truth.path[f"true_{s}"] for s in signals}
        )[1]
        moved = {s: path[f"true_{s}"] for s in signals}
        sides.append(expected_counts(population, drives, moved, None, constants)[0][bins].mean(0))
    np.testing.assert_allclose(found[chosen], (sides[1] - sides[0])[chosen], rtol=1e-6, atol=1e-12)
    assert (truth.mean_rate_hz[chosen] * BIN_S > np.abs(found[chosen])).all()
