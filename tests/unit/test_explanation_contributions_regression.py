"""Contributions: plain loops for the fast statistics, chance where there is nothing, power."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.signal import lfilter
from scipy.stats import kstest

from freegaze.errors import ConfigError, DataError, ShapeError
from freegaze.explanation.contributions import regression as module
from freegaze.explanation.contributions import score_tests
from freegaze.explanation.contributions.regression import (
    ContributionData,
    neuron_contributions,
    signal_columns,
)
from freegaze.metrics.whitening import autocovariance, whitening_filter
from freegaze.nn.glm import RIDGE, explained, newton
from type_checks import unchecked

WIDTH_S = 0.5


def slow(rng: np.random.Generator, n: int, memory: float = 20.0) -> np.ndarray:
    """A signal with a memory of some bins, mean 0, sd 1."""
    share = np.exp(-1 / memory)
    out = rng.normal(size=n)
    for t in range(1, n):
        out[t] = share * out[t - 1] + np.sqrt(1 - share**2) * out[t]
    return out


def make(
    seed: int = 0,
    n: int = 3000,
    *,
    speed: float = 0.0,
    family: str = "poisson",
    product: bool = True,
    vision: float = 0.5,
) -> ContributionData:
    """A neuron that sees, moved by speed as much as asked, and a pupil that does nothing."""
    rng = np.random.default_rng(seed)
    drive = np.exp(vision * slow(rng, n, 3.0) - 0.7)
    signals = {"speed": slow(rng, n), "pupil": slow(rng, n)}
    gain = speed * signals["speed"]
    rate = drive * np.exp(gain) if product else np.maximum(drive + gain, 0.01)
    noisy = rng.poisson(rate) if family == "poisson" else np.log(rate) + rng.normal(size=n)
    phase = np.arange(n) // 200 % 3
    return ContributionData(
        responses=noisy.astype(float),
        drive=drive if family == "poisson" else np.log(drive),
        groups={name: signal_columns(signal) for name, signal in signals.items()},
        nuisance=rng.normal(size=(n, 1)),
        is_training=phase < 2,
        is_test=phase == 2,
        family=family,
        bin_width_s=WIDTH_S,
    )


@pytest.mark.parametrize("family", ["poisson", "gaussian"])
@pytest.mark.parametrize("group", ["vision", "speed"])
def test_shifted_statistics_are_those_of_a_plain_loop(family: str, group: str) -> None:
    """Shift the columns, project what the others explain out of them, and take the score."""
    data = make(n=900, speed=0.3, family=family)
    parts = module._parts(data)
    others = [k for k in parts if k not in (group, "scene" if group == "vision" else "")]
    without = module._Fit(data, parts, others)
    shifts = np.array([-120, -61, 60, 119])
    model = without.null_model(data)
    found = score_tests.shifted_statistics(parts[group], model, np.arange(900), shifts)
    rows = np.arange(120, 900 - 120)
    everywhere = data.responses - without.mean
    slow_part = whitening_filter(autocovariance(everywhere[:, None], 20))[:, 0]  # 10 s of 0.5 s

    def fast(columns: np.ndarray) -> np.ndarray:
        return lfilter(slow_part, [1.0], columns - columns.mean(0), axis=0)

    residual, moved, design = fast(everywhere)[rows], fast(parts[group]), fast(without.design)
    design[:, 0] = 1.0
    weight = without.mean[rows] if family == "poisson" else np.ones(len(rows))
    if family == "gaussian":
        residual = residual / residual.std()
    design = design[rows]
    gram = design.T @ (weight[:, None] * design) + RIDGE * np.eye(design.shape[1])
    for shift, statistic in zip([0, *shifts], found, strict=True):
        columns = moved[rows + shift]
        cross = columns.T @ (weight[:, None] * design)
        score = columns.T @ residual - cross @ np.linalg.solve(gram, design.T @ residual)
        information = columns.T @ (weight[:, None] * columns) + RIDGE * np.eye(columns.shape[1])
        information -= cross @ np.linalg.solve(gram, cross.T)
        expected = score @ np.linalg.solve(information, score)
        assert statistic == pytest.approx(expected, rel=1e-8)


def test_the_poisson_fit_maximizes_its_penalized_likelihood() -> None:
    data = make(n=600, speed=0.4)
    parts = module._parts(data)
    design = np.concatenate([np.ones((600, 1)), parts["vision"], parts["speed"]], 1)
    found = newton(design, data.responses, "exp")
    penalty = np.r_[1e-6, np.full(design.shape[1] - 1, RIDGE)]

    def loss(weights: np.ndarray) -> float:
        eta = design @ weights
        return float((np.exp(eta) - data.responses * eta).sum() + 0.5 * penalty @ weights**2)

    best = minimize(loss, np.zeros(design.shape[1]), method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(found, best.x, atol=1e-4)


def test_the_gaussian_fit_is_ridge_regression() -> None:
    data = make(n=600, speed=0.4, family="gaussian")
    parts = module._parts(data)
    design = np.concatenate([np.ones((600, 1)), parts["vision"], parts["speed"]], 1)
    y = data.responses
    penalty = np.diag(np.r_[1e-6, np.full(design.shape[1] - 1, RIDGE)]) * y.var()
    expected = np.linalg.solve(design.T @ design + penalty, design.T @ y)
    np.testing.assert_allclose(newton(design, y, "identity"), expected, rtol=1e-8)


@pytest.mark.parametrize("family", ["poisson", "gaussian"])
def test_scores_are_those_of_models_with_and_without(family: str) -> None:
    data = make(speed=0.4, family=family)
    found = neuron_contributions(data, n_shifts=20)
    assert [g.group for g in found.groups] == ["vision", "speed", "pupil"]
    by_name = {g.group: g for g in found.groups}
    assert by_name["speed"].deviance > 0.02
    assert by_name["vision"].deviance > 0.02
    assert abs(by_name["pupil"].deviance) < 0.01
    assert by_name["speed"].correlation > 0.02
    assert by_name["speed"].only_deviance > 0.02
    assert found.deviance > max(g.only_deviance for g in found.groups)
    # What is added to what the group leaves is the whole.
    silent = replace(data, groups={"pupil": data.groups["pupil"]})
    smaller = neuron_contributions(silent, n_shifts=20)
    assert found.deviance - by_name["speed"].deviance == pytest.approx(smaller.deviance, abs=1e-9)
    assert np.isnan(found.multiplicative) == (family == "gaussian")


def test_the_deviance_is_that_of_its_definition() -> None:
    y, mean = np.array([0.0, 1.0, 3.0]), np.array([0.5, 1.0, 2.0])

    def loss(rate: np.ndarray) -> float:
        return float(
            sum(2 * (a * np.log(a / b) - a + b if a else b) for a, b in zip(y, rate, strict=True))
        )

    expected = 1 - loss(mean) / loss(np.full(3, 1.5))
    assert explained(mean, y, 1.5, "poisson") == pytest.approx(expected)
    squares = 1 - ((y - mean) ** 2).sum() / ((y - 1.5) ** 2).sum()
    assert explained(mean, y, 1.5, "gaussian") == pytest.approx(squares)


def test_p_is_uniform_by_chance_and_small_where_something_is() -> None:
    """60 neurons x 2 groups that do nothing. Of p values that are uniform, a Kolmogorov-Smirnov
    distance of more than 1.63 / sqrt(120) = 0.15 has a probability of 1 %. The bound is
    conservative by about two, so that it is half of a uniform one that must not be exceeded."""
    tails, bounds = [], []
    for seed in range(60):
        found = neuron_contributions(make(seed, 2400), n_shifts=100)
        tails += [g.p_tail for g in found.groups[1:]]
        bounds += [g.p for g in found.groups[1:]]
    assert kstest(tails, "uniform").statistic < 0.15
    for level in (0.05, 0.1, 0.2):  # at most the level, plus two sd of a binomial share
        allowed = level + 2 * np.sqrt(level * (1 - level) / 120)
        assert np.mean(np.array(bounds) <= level) <= allowed
        assert np.mean(np.array(tails) <= level) <= allowed + 0.02
    moved = [neuron_contributions(make(s, 2400, speed=0.3), n_shifts=100) for s in range(5)]
    assert all(m.groups[1].p <= 2 / 51 for m in moved)
    assert all(m.groups[1].p_tail < 1e-3 for m in moved)
    assert all(m.groups[0].p_tail < 1e-3 for m in moved)


def test_p_counts_the_place_among_half_of_the_shifts() -> None:
    # 5, 6, 7 and 8 are as high
    bound, least, tail = score_tests.p_values(np.array([5.0, *np.arange(1.0, 9.0)]))
    assert bound == pytest.approx(5 / (1 + 4))
    assert least == pytest.approx(1 / 5)
    assert score_tests.p_values(np.array([9.0, *np.arange(1.0, 9.0)]))[0] == pytest.approx(1 / 5)
    assert 0 < tail < 1
    assert np.isnan(score_tests.p_values(np.array([5.0]))).all()


def test_shifts_are_linear_alike_to_both_sides_and_start_at_zero() -> None:
    rows, shifts = shifts_of(make(n=10_000), 10_000, 0.2)
    assert (rows == np.arange(10_000)).all()
    assert (shifts == [s for s in range(-2000, 2001) if s]).all()
    coarse = shifts_of(make(n=10_000), 200, 0.2)[1]
    assert (coarse == [s for s in range(-2000, 2001, 20) if s]).all()
    assert len(shifts_of(make(n=500), 200, 0.1)[1]) == 0  # a tenth is less than 30 s
    short = neuron_contributions(make(n=500), n_shifts=200, max_share=0.1)
    assert all(np.isnan([g.p, g.least_p, g.p_tail]).all() for g in short.groups)
    assert all(np.isfinite(g.deviance) for g in short.groups)
    assert all(g.untested.startswith("the recording is too short: 250 s") for g in short.groups)


def shifts_of(
    data: ContributionData, n_shifts: int, max_share: float
) -> tuple[np.ndarray, np.ndarray]:
    model = module._Fit(data, module._parts(data), ["vision"]).null_model(data)
    return score_tests.shifts_of(model, n_shifts, max_share)


def in_trials(
    behavior: np.ndarray, rate: np.ndarray, *, trials: bool = True, seed: int = 0
) -> ContributionData:
    """A neuron that sees nothing, with spikes of a rate (trial, bin); trials of 20 s."""
    n_trials, length = rate.shape
    phase = np.repeat(np.arange(n_trials) % 3, length)
    return ContributionData(
        responses=np.random.default_rng(seed).poisson(rate.ravel()).astype(float),
        drive=np.ones(rate.size),
        groups={"speed": signal_columns(behavior.ravel())},
        nuisance=np.empty((rate.size, 0)),
        is_training=phase < 2,
        is_test=phase == 2,
        family="poisson",
        bin_width_s=20 / length,
        trials=np.repeat(np.arange(n_trials), length) if trials else None,
    )


def only_p(data: ContributionData) -> float:
    return neuron_contributions(data).groups[1].p


def test_what_all_trials_share_is_chance() -> None:
    """Behavior that is the same in all trials is the same after any shift: p is 1, by definition.
    The same bins taken for one long stretch are a false discovery."""
    course = np.random.default_rng(0).normal(size=100)
    behavior = np.tile(course, (100, 1))
    rate = np.exp(0.5 * behavior)
    assert only_p(in_trials(behavior, rate)) == 1.0
    assert only_p(in_trials(behavior, rate, trials=False)) < 0.05


def chance(seed: int, memory: float) -> ContributionData:
    """Behavior and rate that share a course within trials; each drifts over trials by itself."""
    rng, course = np.random.default_rng(seed), np.sin(2 * np.pi * np.arange(10) / 10)
    drift, other = (slow(rng, 100, memory)[:, None] for _ in range(2))
    behavior = course + drift + rng.normal(size=(100, 10))
    return in_trials(behavior, np.exp(course + 0.3 * other), seed=seed)


def test_places_among_shifts_by_trials_are_uniform() -> None:
    """Where trials can be exchanged, each of the statistics is as likely the largest. Of 100 places
    a Kolmogorov-Smirnov distance over 1.63 / sqrt(100) = 0.16 has a probability of 1 %."""
    places = []
    for seed in range(100):
        data = chance(seed, memory=0.1)
        parts = module._parts(data)
        model = module._Fit(data, parts, ["vision", "scene"]).null_model(data)
        shifts = score_tests.shifts_of(model, 1000, 0.2)
        found = score_tests.shifted_statistics(parts["speed"], model, *shifts)
        assert len(found) == 1 + 2 * 20  # 20 trials are a fifth
        place = 1 + (found[1:] >= found[0]).sum()
        places.append((place - np.random.default_rng(seed).uniform()) / len(found))
    assert kstest(places, "uniform").statistic < 0.16


def test_drifts_over_trials_are_no_discoveries() -> None:
    """At most the level, plus two sd of a binomial share."""
    bounds = np.array([only_p(chance(seed, memory=10.0)) for seed in range(100)])
    for level in (0.05, 0.1, 0.2):
        assert (bounds <= level).mean() <= level + 2 * np.sqrt(level * (1 - level) / 100)


def test_what_follows_behavior_from_trial_to_trial_is_found() -> None:
    rng = np.random.default_rng(0)
    behavior = slow(rng, 100, 2.0)[:, None] + 0.5 * rng.normal(size=(100, 10))
    assert only_p(in_trials(behavior, np.exp(0.3 * behavior))) == 1 / 21


def test_shifts_over_trials_are_whole_trials() -> None:
    behavior = np.zeros((100, 10))
    data = in_trials(behavior, behavior + 1)
    rows, shifts = shifts_of(data, 1000, 0.2)
    assert (rows == np.arange(1000)).all()
    assert (shifts == [10 * s for s in range(-20, 21) if s]).all()
    few = in_trials(behavior[:94], behavior[:94] + 1)  # 18 shifts to a side
    assert len(shifts_of(few, 1000, 0.2)[1]) == 0
    assert np.isnan(only_p(few))
    reason = neuron_contributions(few).groups[1].untested
    assert reason == "too few trials: 94 of one length, at least 95 are needed to shift by trials"


@pytest.mark.parametrize("product", [True, False])
def test_products_are_told_from_sums(product: bool) -> None:
    signs = [
        neuron_contributions(
            make(seed, 6000, speed=0.35, product=product, vision=1.0), n_shifts=2
        ).multiplicative
        for seed in range(3)
    ]
    assert all((s > 0) == product for s in signs), signs


def test_signal_columns_are_standardized_and_clipped() -> None:
    rng = np.random.default_rng(0)
    signal = np.append(rng.normal(size=1000), [50.0, -50.0])
    columns = signal_columns(signal)
    np.testing.assert_allclose(columns.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(columns.std(0), 1)
    assert columns[-2, 0] == pytest.approx(-columns[-1, 0], abs=0.2)
    assert columns[-2, 1] == columns[-1, 1]
    assert (signal_columns(np.ones(5)) == 0).all()


def test_a_silent_neuron_is_nan_and_does_no_harm() -> None:
    data = make(n=900)
    silent = neuron_contributions(replace(data, responses=np.zeros(900)), n_shifts=4)
    assert np.isnan(silent.deviance)
    assert all(np.isnan(g.deviance) for g in silent.groups)
    assert all(np.isnan(g.p) for g in silent.groups)
    assert {g.untested for g in silent.groups} == {"the responses are constant"}


@unchecked()
def test_what_does_not_fit_is_named() -> None:
    data = make(n=900)
    with pytest.raises(ConfigError, match="two shifts"):
        neuron_contributions(data, n_shifts=1)
    with pytest.raises(ShapeError, match="drive has 5 bins, responses have 900"):
        replace(data, drive=np.ones(5))
    with pytest.raises(ShapeError, match="trials has 5 bins, responses have 900"):
        replace(data, trials=np.arange(5))
    for taken in ("vision", "behavior"):
        with pytest.raises(ConfigError, match=f"'{taken}' is no group"):
            replace(data, groups={taken: np.ones((900, 1))})
    for role in ("is_training", "is_test"):
        with pytest.raises(DataError, match="training and test bins"):
            replace(data, **{role: np.zeros(900, dtype=bool)})


def test_all_behavior_is_tested_with_the_columns_of_all_groups() -> None:
    """One group of all columns is the same test, and one group is its own joint test."""
    data = make(n=3000, speed=0.3)
    found = neuron_contributions(data, n_shifts=100)
    pooled = replace(data, groups={"all": np.hstack(list(data.groups.values()))})
    whole = neuron_contributions(pooled, n_shifts=100)
    assert found.behavior is not None
    assert whole.behavior is not None
    for name in ("deviance", "correlation", "only_deviance", "statistic", "p", "least_p", "p_tail"):
        expected = getattr(whole.groups[1], name)
        assert getattr(found.behavior, name) == pytest.approx(expected, rel=1e-9), name
        assert getattr(whole.behavior, name) == expected, name
    assert found.behavior.group == whole.behavior.group == "behavior"
    assert neuron_contributions(replace(data, groups={}), n_shifts=100).behavior is None


def test_constant_predictors_are_not_tested() -> None:
    data = make(n=900)
    still = replace(data, groups={**data.groups, "speed": np.zeros((900, 2))})
    vision, speed, pupil = neuron_contributions(still, n_shifts=20).groups
    assert speed.untested == "the predictors are constant"
    assert np.isnan([speed.p, speed.least_p]).all()
    assert not vision.untested
    assert np.isfinite(pupil.p)


@pytest.mark.parametrize(
    ("n_runs", "minutes", "tau_s"),
    [
        (100, 20, 30.0),
        *(
            pytest.param(2000, minutes, tau_s, marks=pytest.mark.slow)
            for minutes in (10, 20, 40, 60)
            for tau_s in (5.0, 30.0, 300.0)
        ),
    ],
)
def test_unrelated_slow_behavior_is_no_discovery(n_runs: int, minutes: int, tau_s: float) -> None:
    """At most the level, plus two standard errors; two groups and both together.

    The bound without shifts below 60 s gave .01 to .05 at .0021 over 40 minutes.
    """
    n, p = int(60 * minutes / WIDTH_S), []
    phase = np.arange(n) // 240 % 3
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        response, speed, pupil = (slow(rng, n, tau_s / WIDTH_S) for _ in range(3))
        data = ContributionData(
            responses=response,
            drive=np.ones(n),
            groups={"speed": signal_columns(speed), "pupil": signal_columns(pupil)},
            nuisance=np.empty((n, 0)),
            is_training=phase < 2,
            is_test=phase == 2,
            family="gaussian",
            bin_width_s=WIDTH_S,
        )
        found = neuron_contributions(data)
        assert found.behavior is not None
        p.append([found.behavior.p, found.groups[1].p])
    least = found.behavior.least_p
    for test in np.array(p).T:
        for level in (least, 0.01, 0.05):
            allowed = level + 2 * np.sqrt(level * (1 - level) / n_runs)
            assert (test <= level + 1e-12).mean() <= allowed, level
