"""False positives and power of the tests of `evaluate` and of contributions on simulated signals.

    python benchmarks/calibration_of_tests.py false-positives --runs 2000
    python benchmarks/calibration_of_tests.py trials --runs 2000
    python benchmarks/calibration_of_tests.py power --runs 1000 --old OLD/src

Signals are Ornstein-Uhlenbeck processes of variance 1 in bins of 0.5 s. Two tests are measured:
`evaluate` (`shift_test` for continuous recordings, `trial_test` for trials) and `contributions`
(`neuron_contributions`, joint test of two groups). `power` compares them with those of an earlier
state of freegaze, whose folder `src` is given with `--old`, at the same measured rate of false
positives: the level of the new test is the quantile of its p without an effect at the share of
false positives of the old test.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter

from freegaze.explanation.contributions.regression import (
    ContributionData,
    neuron_contributions,
    signal_columns,
)
from freegaze.metrics.alignment_tests import shift_test, trial_test

WIDTH_S = 0.5
REACH_SHARE = 0.25
LEVELS = (0.01, 0.05)
TAUS_S = (5.0, 10.0, 20.0, 30.0, 100.0, 300.0)
MINUTES = (10, 20, 40, 60)

OLD_STATE = """
import sys
import numpy as np
from freegaze.interpretation.contributions import ContributionData, neuron_contributions
from freegaze.interpretation.contributions import signal_columns
from freegaze.metrics.metric import ScoreContext
from freegaze.metrics.nulls import time_shift_null
with np.load(sys.argv[1]) as file:
    x, y, width = file["x"], file["y"], float(file["width"])
if sys.argv[2] == "evaluate":
    segments = np.zeros(len(y), dtype=int)
    context = ScoreContext(y.mean(0), segments, width, "fluorescence")
    longest = min(180.0, 0.25 * len(y) * width)
    p = time_shift_null("correlation", x, y, context, max_shift_s=longest).p_conservative
else:
    third = np.arange(len(y)) // 240 % 3
    p = []
    for predictor, response in zip(x.T, y.T):
        data = ContributionData(
            response, np.ones(len(y)), {"speed": signal_columns(predictor)},
            np.empty((len(y), 0)), third < 2, third == 2, "gaussian", width,
        )
        p.append(neuron_contributions(data).groups[1].p)
np.save(sys.argv[3], np.array(p))
"""
"""Computes the p of the earlier state in a process of its own."""


def main() -> None:
    """Measure what is asked for and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("false-positives", "trials", "power"))
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--minutes", type=int, nargs="*", default=MINUTES)
    parser.add_argument("--taus", type=float, nargs="*", default=TAUS_S, help="in seconds")
    parser.add_argument("--tests", nargs="*", default=("evaluate", "contributions"))
    parser.add_argument("--old", type=Path, help="folder src of the earlier state")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    if options.what == "false-positives":
        for test in options.tests:
            print_false_positives(test, options.taus, options.minutes, options.runs, rng)
    elif options.what == "trials":
        print_trials(options.runs, rng)
    else:
        for test in options.tests:
            print_power(test, options.runs, rng, options.old)


def slow(
    rng: np.random.Generator, n_bins: int, n_signals: int, tau: float
) -> Float[np.ndarray, "bin signal"]:
    """Draw Ornstein-Uhlenbeck signals of variance 1, correlated over ``tau`` bins; 0 is white."""
    keep = np.exp(-1 / tau) if tau > 0 else 0.0
    noise = rng.standard_normal((n_bins, n_signals)) * np.sqrt(1 - keep**2)
    noise[0] /= np.sqrt(1 - keep**2)
    return lfilter([1.0], [1.0, -keep], noise, axis=0)


def drifting(
    rng: np.random.Generator, n_trials: int, n_signals: int, tau: float, share: float = 0.5
) -> Float[np.ndarray, "bin signal"]:
    """Draw trials of 10 bins: a drift over ``tau`` trials of a share of the variance, and noise."""
    drift = slow(rng, n_trials, n_signals, tau)[:, None]
    noise = rng.standard_normal((n_trials, 10, n_signals))
    return (np.sqrt(share) * drift + np.sqrt(1 - share) * noise).reshape(-1, n_signals)


def evaluate_p(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the p of `evaluate` of each column, and the least p possible."""
    scored = np.ones(len(y), dtype=bool)
    found = shift_test(x, y, scored, int(REACH_SHARE * len(y)), WIDTH_S)
    return found.p, found.least_p


def contribution_p(
    x: np.ndarray, y: np.ndarray, trials: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Return the p of a behavior signal's contribution of each column, and the least possible."""
    third, found = np.arange(len(y)) // 240 % 3, []
    for predictor, response in zip(x.T, y.T, strict=True):
        data = ContributionData(
            responses=response,
            drive=np.ones(len(y)),
            groups={"speed": signal_columns(predictor)},
            nuisance=np.empty((len(y), 0)),
            is_training=third < 2,
            is_test=third == 2,
            family="gaussian",
            bin_width_s=WIDTH_S,
            trials=trials,
        )
        found.append(neuron_contributions(data).groups[1])
    return np.array([group.p for group in found]), found[0].least_p


TESTS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, float]]] = {
    "evaluate": evaluate_p,
    "contributions": contribution_p,
}


def print_false_positives(
    test: str, taus: Sequence[float], minutes: Sequence[int], runs: int, rng: np.random.Generator
) -> None:
    """Print how often unrelated continuous signals reach the least p and the levels."""
    for duration in minutes:
        for tau in taus:
            n = int(60 * duration / WIDTH_S)
            p = []
            for part in np.array_split(np.arange(runs), max(1, runs // 200)):
                x, y = (slow(rng, n, len(part), tau / WIDTH_S) for _ in range(2))
                some, least = TESTS[test](x, y)
                p.append(some)
            print_shares(f"{test} {duration} min, tau {tau:g} s", np.concatenate(p), least)


def print_shares(name: str, p: np.ndarray, least: float) -> None:
    """Print P(p <= a) for the least p and the levels; * where it is over a + 2 standard errors."""
    shares = []
    for level in sorted({least, *LEVELS}):
        share = (p <= level + 1e-12).mean()
        error = np.sqrt(level * (1 - level) / len(p))
        shares.append(
            f"P(p <= {level:.4f}) = {share:.4f}{'*' if share > level + 2 * error else ''}"
        )
    print(f"{name}: {', '.join(shares)}", flush=True)


def print_trials(runs: int, rng: np.random.Generator) -> None:
    """Print false positives and power of both tests in trials, with drifts over 10 trials."""
    for n_trials in (40, 120):
        trials = np.arange(10 * n_trials).reshape(n_trials, 10)
        for drift in (0.0, 10.0):
            for effect in (0.0, 0.1, 0.2, 0.3):
                x, z = (drifting(rng, n_trials, runs, drift) for _ in range(2))
                y = effect * x + np.sqrt(1 - effect**2) * z
                found = trial_test(x, y, trials)
                name = f"evaluate, {n_trials} trials, drift {drift:g}, effect {effect:g}"
                print_shares(name, found.p, found.least_p)
                if n_trials == 120:  # 40 trials are not tested
                    p, least = contribution_p(x, y, np.repeat(np.arange(n_trials), 10))
                    print_shares(name.replace("evaluate", "contributions"), p, least)


def print_power(test: str, runs: int, rng: np.random.Generator, old: Path | None) -> None:
    """Print the power at equal measured false positives, 20 minutes (contributions 40)."""
    level, minutes = (0.02, 20) if test == "evaluate" else (0.01, 40)
    n = int(60 * minutes / WIDTH_S)
    for noise in ("white", "slow"):
        for tau in (2.0, 10.0, 30.0):
            p: dict[float, tuple[np.ndarray, np.ndarray]] = {}
            for effect in (0.0, 0.1, 0.2, 0.3):
                x = slow(rng, n, runs, tau / WIDTH_S)
                z = slow(rng, n, runs, tau / WIDTH_S if noise == "slow" else 0.0)
                y = effect * x + np.sqrt(1 - effect**2) * z
                new = TESTS[test](x, y)[0]
                p[effect] = (new, new if old is None else old_p(test, x, y, old))
            false = (p[0.0][1] <= level).mean()
            equal = float(np.quantile(p[0.0][0], false)) if false else level
            powers = [
                f"{effect:g}: {(new <= level).mean():.3f} {(new <= equal).mean():.3f} "
                f"{(before <= level).mean():.3f}"
                for effect, (new, before) in p.items()
            ]
            print(
                f"{test}, {noise} noise, tau {tau:g} s, effect: power of the new test at p <= "
                f"{level:g}, at p <= {equal:.3f} (equal false positives), of the old test: "
                f"{'; '.join(powers)}",
                flush=True,
            )


def old_p(test: str, x: np.ndarray, y: np.ndarray, old: Path) -> np.ndarray:
    """Return the p of an earlier state."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "given.npz", Path(folder) / "found.npy"
        np.savez(given, x=x, y=y, width=WIDTH_S)
        subprocess.run(
            [sys.executable, "-c", OLD_STATE, str(given), test, str(found)],
            check=True,
            env={**os.environ, "PYTHONPATH": str(old)},
        )
        return np.load(found)


if __name__ == "__main__":
    main()
