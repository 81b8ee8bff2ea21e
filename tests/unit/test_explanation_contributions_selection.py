"""Selection among many tests: neurons first, then groups within them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control, norm

from freegaze.explanation.contributions.selection import discoveries, select_in_two_steps


def test_discoveries_are_those_of_benjamini_and_hochberg() -> None:
    rng = np.random.default_rng(0)
    for rate in (0.01, 0.05, 0.2):
        p = np.concatenate([rng.uniform(size=60), rng.beta(0.1, 5, size=40)]).reshape(20, 5)
        expected = false_discovery_control(p, axis=None, method="bh").reshape(p.shape) <= rate
        assert (discoveries(p, rate) == expected).all()
        assert expected.any()
        with_gaps = np.concatenate([p, np.full((20, 1), np.nan)], 1)
        assert (discoveries(with_gaps, rate)[:, :5] == expected).all()
        assert not discoveries(with_gaps, rate)[:, 5].any()
    assert not discoveries(np.full((2, 2), np.nan)).any()
    assert not discoveries(np.ones((2, 2))).any()


def test_groups_are_selected_within_neurons_at_the_share_of_selected_neurons() -> None:
    """Hand-worked: 2 of 4 tested neurons at .05, so that groups are selected at .025."""
    any_p = np.array([0.001, 0.02, 0.2, 0.9, np.nan])
    p = np.array([[0.012, 0.025], [0.013, 0.5], [0.001, 0.001], [0.5, 0.5], [0.001, 0.001]])
    neurons, groups = select_in_two_steps(any_p, p, 0.05)
    assert neurons.tolist() == [True, True, False, False, False]
    # The first neuron: .012 <= .025 / 2 and .025 <= .025; the second: .013 > .025 / 2.
    assert groups.tolist() == [[True, True], *[[False, False]] * 4]
    for nothing in (np.full(5, np.nan), np.ones(5)):
        neurons, groups = select_in_two_steps(nothing, p)
        assert not neurons.any()
        assert not groups.any()


def tables(
    rng: np.random.Generator, share: float, dependence: float, effect: float, n: int = 60
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joint and single p of neurons with four groups whose statistics correlate, and the truth."""
    is_real = np.zeros((n, 4), dtype=bool)
    true = rng.random(n) < share
    is_real[true] = rng.random((int(true.sum()), 4)) < 0.5
    shared = rng.normal(size=(n, 1))
    z = np.sqrt(dependence) * shared + np.sqrt(1 - dependence) * rng.normal(size=(n, 4))
    covariance = dependence + (1 - dependence) * np.eye(4)
    z = z + effect * is_real
    # The joint statistic is the sum, which is normal of known variance.
    any_p = norm.sf(z.sum(1) / np.sqrt(covariance.sum()))
    return any_p, norm.sf(z), is_real


def mean_rates(
    n_tables: int, share: float, dependence: float, rate: float = 0.05, effect: float = 3.0
) -> tuple[np.ndarray, np.ndarray]:
    """False discovery proportions of neurons, and those within neurons averaged over selected."""
    rng = np.random.default_rng(17)
    over, within = np.zeros(n_tables), np.zeros(n_tables)
    for i in range(n_tables):
        any_p, p, is_real = tables(rng, share, dependence, effect)
        neurons, groups = select_in_two_steps(any_p, p, rate)
        if not neurons.any():
            continue
        over[i] = (~is_real.any(1))[neurons].mean()
        n_found = groups[neurons].sum(1)
        within[i] = ((groups & ~is_real)[neurons].sum(1) / np.maximum(n_found, 1)).mean()
    return over, within


@pytest.mark.parametrize(
    "n_tables", [200, pytest.param(2000, marks=pytest.mark.slow)], ids=["quick", "full"]
)
@pytest.mark.parametrize("dependence", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_false_discovery_rates_hold_in_both_steps(
    n_tables: int, share: float, dependence: float
) -> None:
    """At most the rate, plus two standard errors of the mean over tables."""
    for proportions in mean_rates(n_tables, share, dependence):
        error = proportions.std() / np.sqrt(n_tables)
        assert proportions.mean() <= 0.05 + 2 * max(error, np.sqrt(0.05 * 0.95 / n_tables))
