"""Tests of saliency: a plain loop, chance where the encoder is wrong, and signals that matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter
from test_explanation_behavior import raw_fit

from builders import make_recording
from fake_encoder import built_fit
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.contributions import regression, score_tests
from freegaze.explanation.contributions.regression import (
    ContributionData,
    signal_columns,
    signal_test,
)
from freegaze.explanation.saliency.significance import _others, signal_tests
from freegaze.explanation.session import ExplainedSession
from freegaze.metrics.alignment_tests import longest_shift
from freegaze.metrics.whitening import autocovariance, whitening_filter
from freegaze.nn.glm import RIDGE
from freegaze.recording.recording import Recording

WIDTH_S = 0.5


def slow(rng: np.random.Generator, n: int, n_signals: int, memory: float = 20.0) -> np.ndarray:
    """Signals with a memory of some bins, of variance 1."""
    keep = np.exp(-1 / memory)
    noise = np.sqrt(1 - keep**2) * rng.normal(size=(n, n_signals))
    noise[0] /= np.sqrt(1 - keep**2)
    return lfilter([1.0], [1.0, -keep], noise, axis=0)


def make(
    rng: np.random.Generator, n: int = 3000, strength: float = 0.0, family: str = "poisson"
) -> tuple[ContributionData, np.ndarray]:
    """A neuron that sees and follows speed as asked; return speed too."""
    vision, speed, pupil = slow(rng, n, 3).T
    rate = np.exp(0.4 * vision + strength * speed - 0.5)
    noisy = rng.poisson(rate) if family == "poisson" else np.log(rate) + rng.normal(size=n)
    phase = np.arange(n) // 200 % 3
    data = ContributionData(
        responses=noisy.astype(float),
        drive=np.exp(0.4 * vision) if family == "poisson" else vision,
        groups={"pupil": signal_columns(pupil)},
        nuisance=np.empty((n, 0)),
        is_training=phase < 2,
        is_test=phase == 2,
        family=family,
        bin_width_s=WIDTH_S,
    )
    return data, speed


@pytest.mark.parametrize("family", ["poisson", "gaussian"])
def test_one_sided_statistics_over_scored_bins_are_those_of_a_plain_loop(family: str) -> None:
    data, speed = make(np.random.default_rng(0), 900, 0.3, family)
    parts = regression._parts(data)
    fit = regression._Fit(data, parts, list(parts))
    model = replace(fit.null_model(data), scored=data.is_test)
    shifts = np.array([-120, -61, 60, 119])
    found = score_tests.shifted_statistics(speed[:, None], model, np.arange(900), shifts, True)
    rows = np.flatnonzero(data.is_test & (np.arange(900) >= 120) & (np.arange(900) < 780))
    everywhere = data.responses - fit.mean
    slow_part = whitening_filter(autocovariance(everywhere[:, None], 20))[:, 0]

    def fast(columns: np.ndarray) -> np.ndarray:
        return lfilter(slow_part, [1.0], columns - columns.mean(0), axis=0)

    residual, moved, design = fast(everywhere)[rows], fast(speed), fast(fit.design)[rows]
    design[:, 0] = 1.0
    weight = fit.mean[rows] if family == "poisson" else np.ones(len(rows))
    if family == "gaussian":
        residual = residual / residual.std()
    gram = design.T @ (weight[:, None] * design) + RIDGE * np.eye(design.shape[1])
    for shift, statistic in zip([0, *shifts], found, strict=True):
        column = moved[rows + shift]
        cross = column @ (weight[:, None] * design)
        score = column @ residual - cross @ np.linalg.solve(gram, design.T @ residual)
        information = column @ (weight * column) + RIDGE
        information -= cross @ np.linalg.solve(gram, cross)
        assert statistic == pytest.approx(np.sign(score) * score**2 / information, rel=1e-8)


def test_shifts_leave_half_of_the_scored_bins() -> None:
    scored = np.zeros(1000, dtype=bool)
    assert longest_shift(scored, 0.2) == 0
    scored[600:700] = True
    assert longest_shift(scored, 0.2) == 200
    assert longest_shift(scored, 0.5) == 350  # bins 600 to 649 lie so far from the end
    scored[:] = False
    scored[900:] = True
    assert longest_shift(scored, 0.2) == 50  # 50 of the last 100 bins


def test_effects_are_found_in_their_direction_alone() -> None:
    for seed in range(3):
        data, speed = make(np.random.default_rng(seed), strength=0.3)
        assert signal_test(data, 0.3 * speed).p <= 0.01
        assert signal_test(data, -0.3 * speed).p > 0.5
        flat = signal_test(data, np.full(3000, 0.2))
        assert flat.untested == "the prediction does not change with the signal"
        assert np.isnan([flat.p, flat.least_p, flat.statistic]).all()


def test_an_effect_that_fits_training_bins_by_chance_is_no_discovery() -> None:
    """An encoder that repeats the responses of training bins, and nothing else."""
    p = []
    for seed in range(30):
        data, speed = make(np.random.default_rng(seed))
        effect = np.where(data.is_training, data.responses - data.responses.mean(), speed)
        p.append(signal_test(data, effect).p)
    assert np.mean(np.array(p) <= 0.1) <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / 30)


@pytest.mark.parametrize(
    ("n_runs", "minutes", "tau_s"),
    [
        (100, 20, 30.0),
        *(
            pytest.param(2000, minutes, tau_s, marks=pytest.mark.slow)
            for minutes in (10, 20, 60)
            for tau_s in (5.0, 30.0, 300.0)
        ),
    ],
)
def test_unrelated_slow_effects_are_no_discoveries(n_runs: int, minutes: int, tau_s: float) -> None:
    """At most the level, plus two standard errors."""
    n, p = int(60 * minutes / WIDTH_S), []
    phase = np.arange(n) // 80 % 5
    rng = np.random.default_rng(11)
    for _ in range(n_runs):
        response, effect, other = slow(rng, n, 3, tau_s / WIDTH_S).T
        data = ContributionData(
            responses=response,
            drive=np.ones(n),
            groups={"other": signal_columns(other)},
            nuisance=np.empty((n, 0)),
            is_training=phase < 4,
            is_test=phase == 4,
            family="gaussian",
            bin_width_s=WIDTH_S,
        )
        found = signal_test(data, effect)
        p.append(found.p)
    for level in (found.least_p, 0.01, 0.05):
        allowed = level + 2 * np.sqrt(level * (1 - level) / n_runs)
        assert (np.array(p) <= level + 1e-12).mean() <= allowed, level


def moved_by_speed() -> tuple[Recording, np.ndarray, np.ndarray]:
    """Neurons that follow speed as an encoder says, the other way, and not at all; weights."""
    weight, bias = np.array([0.6, -0.6, 0.0]), np.array([0.1, 0.2, -0.3])
    base = make_recording(n_bins=9000, n_neurons=3, roles=("train", "validation", "test") * 3)
    speed = np.roll(base.column("speed").astype(np.float64), 1)[:, None]
    rate = np.log1p(np.exp(speed * weight * [1, -1, 1] + bias))
    responses = np.random.default_rng(0).poisson(rate).astype(np.float32)
    return replace(base, responses=responses), weight, bias


def test_the_table_answers_for_each_neuron_and_signal() -> None:
    recording, weight, bias = moved_by_speed()
    session = ExplainedSession(raw_fit(recording, weight, bias), recording)
    table = signal_tests(session, ExplainConfig(n_shifts=400))
    assert table["answer"].tolist() == ["yes", "no", "not tested"]
    assert table["p"].iloc[0] == table["least_p"].iloc[0] == pytest.approx(1 / 200)
    assert table["p"].iloc[1] > 0.5
    assert table["reason"].tolist() == [
        *("", "", "the prediction does not change with the signal"),
    ]


def test_rates_without_a_signal_are_those_at_its_training_median() -> None:
    recording, weight, bias = moved_by_speed()
    session = ExplainedSession(raw_fit(recording, weight, bias), recording)
    speed = recording.column("speed").astype(np.float64)
    seen = speed[session.targets[None] - session.lag][:, None]
    middle = np.median(speed[session.training_bins])
    for signal, value in ((None, seen), (0, np.full_like(seen, middle))):
        expected = np.log1p(np.exp(value * weight + bias))
        np.testing.assert_allclose(session.rates_without(signal), expected, rtol=1e-5)


def test_copies_of_a_signal_do_not_explain_it_away() -> None:
    rng = np.random.default_rng(0)
    speed, eye = rng.normal(size=(2, 500))
    signals = {"speed": speed, "theta": eye, "wheel": 1 - 2 * speed, "still": np.zeros(500)}
    assert _others("speed", signals) == ["theta", "still"]
    assert _others("theta", signals) == ["speed", "wheel", "still"]


def test_without_behavior_there_is_nothing_to_test() -> None:
    base = make_recording(n_bins=600)
    recording = replace(base, behavior=base.behavior[:, :0], behavior_names=(), behavior_units=())
    session = ExplainedSession(built_fit([recording], "mean_rate"), recording)
    assert list(signal_tests(session, ExplainConfig())) == ["p", "least_p", "answer", "reason"]
