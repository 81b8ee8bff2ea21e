"""Do 95 % intervals hold the truth 95 % of the time? Measured where the truth has a closed form.

The simulation is that of ``benchmarks/coverage_of_intervals.py``. Tolerance: with n intervals a
measured coverage has a binomial standard error of sqrt(.95 * .05 / n): 0.9 % for n = 600 and 0.8 %
for n = 800. The quick test allows two of them beyond 93 and 97 %.
"""

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freegaze.evaluation.evaluate import score_sessions

BENCHMARK = runpy.run_path(
    str(Path(__file__).parents[2] / "benchmarks" / "coverage_of_intervals.py")
)
CASES, SCORES = BENCHMARK["CASES"], BENCHMARK["SCORES"]
AT_20_MINUTES = CASES["20 minutes, states of 5 s"]


def test_the_closed_forms_are_the_limit_of_long_recordings():
    case = replace(AT_20_MINUTES, n_segments=300, segment_s=77.0, period_s=80.0)
    session = BENCHMARK["simulate"](case, 6, np.random.default_rng(0))
    table = score_sessions([session], draws=2).table
    for name, truth in BENCHMARK["true_scores"](case).items():
        got = table[name]
        error = got.std(ddof=1) / np.sqrt(len(got))
        assert abs(got.mean() - truth) < 4 * error, name  # t with 5 degrees: p < 0.01


def test_states_keep_their_correlation_over_gaps():
    """Neighboring segments, 30 s from end to start, of a state of 60 s: correlation exp(-1/2)."""
    case = replace(AT_20_MINUTES, n_segments=2, segment_s=0.48, period_s=30.48 - 0.048)
    ends = BENCHMARK["autoregressive"](np.random.default_rng(1), case, 20_000, 60.0)[9:11]
    assert ends.var(1) == pytest.approx(1, abs=0.05)  # five standard errors of sqrt(2 / 20000)
    assert np.corrcoef(ends)[0, 1] == pytest.approx(np.exp(-0.5), abs=0.03)


@pytest.mark.parametrize("name", ["20 minutes, states of 5 s", "20 minutes, states of 20 s"])
def test_intervals_of_neurons_cover(name):
    found = BENCHMARK["coverage_of_neurons"](CASES[name], range(1), 300, n_neurons=500)
    coverage = found.covered.mean()
    assert ((coverage >= 0.91) & (coverage <= 0.99)).all(), coverage
    assert found.missing.mean() <= 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CASES))
def test_intervals_of_neurons_cover_in_many_cases(name):
    found = BENCHMARK["coverage_of_neurons"](CASES[name], range(20, 60), 500)
    coverage = found.covered.mean().round(3)
    print(name, coverage.to_dict())
    # what is measured and not reached is in docs/results.md: states as slow as the blocks
    lowest = 0.85 if "60 s" in name else 0.91
    assert ((coverage >= lowest) & (coverage <= 0.99)).all(), coverage


@pytest.mark.slow
def test_intervals_of_population_means_cover():
    found = BENCHMARK["coverage_of_means"](AT_20_MINUTES, range(600), 500, n_neurons=12)
    coverage = found.covered.mean()
    print(coverage.to_dict())
    # the hardest case there is: ten blocks, and all neurons share all of their slow state, so that
    # the small bias of each does not drown in noise; standard error 1.1 %
    assert ((coverage >= 0.91) & (coverage <= 0.99)).all(), coverage
