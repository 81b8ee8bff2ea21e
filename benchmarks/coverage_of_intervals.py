"""Coverage of the 95 % intervals that `evaluate` prints, on simulated neurons of known scores.

    python benchmarks/coverage_of_intervals.py --seeds 200-239
    python benchmarks/coverage_of_intervals.py --seeds 200-239 --shared

A neuron fires Poisson counts at a rate m exp(u - var(u) / 2), where u is a sum of three Gaussian
AR(1) signals: a fast and a slow one, which the prediction follows with a gain of 0.8, and a hidden
one. Log-normal rates make every score a closed form. A case is a recording with test segments or
trials at regular times. A seed is a session of 20 neurons with states of their own, scored by
`freegaze.evaluation.evaluate.score_sessions` in blocks as the automatic rule cuts them. Printed are
the share of intervals that hold the true score, its standard error over sessions, and the share of
neurons without an interval of the correlation. With `--shared` the neurons of a session share the
slow state, and the intervals are those of means over neurons.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.signal import lfilter

from freegaze.evaluation.chance import unknown_chance
from freegaze.evaluation.evaluate import score_sessions
from freegaze.evaluation.repeats import NOT_REPEATED
from freegaze.evaluation.scored_session import ScoredSession
from freegaze.metrics.correlation import boxcar_bins

BIN_WIDTH_S = 0.048
FAST_S, HIDDEN_S = 0.3, 1.0
SEEN_GAIN, HIDDEN_GAIN = 0.35, 0.2  # single-bin correlations of 0.2 to 0.3, as in real data
MODEL_GAIN = 0.8
N_NEURONS = 20
SCORES = ("correlation", "smoothed_correlation", "deviance_explained", "bits_per_spike", "mse")


@dataclass(frozen=True)
class Case:
    """Test segments of equal length at regular times, and how long the slow state lasts.

    Args:
        n_segments: Number of segments, or trials.
        segment_s: Length of each.
        period_s: Time from the start of one to the start of the next.
        slow_s: Correlation time of the slow state.
        rate: Mean count per bin.
        is_trial: Whether the segments are trials.
    """

    n_segments: int
    segment_s: float
    period_s: float
    slow_s: float = 5.0
    rate: float = 6 * BIN_WIDTH_S
    is_trial: bool = False

    @property
    def segment_bins(self) -> int:
        """Bins per segment."""
        return round(self.segment_s / BIN_WIDTH_S)

    @property
    def targets(self) -> np.ndarray:
        """Number of each scored bin in the recording."""
        starts = np.round(np.arange(self.n_segments) * self.period_s / BIN_WIDTH_S).astype(int)
        return (starts[:, None] + np.arange(self.segment_bins)).ravel()


CASES = {
    **{
        f"{minutes} minutes, states of {slow_s} s": Case(10, 1.8 * minutes, 6.0 * minutes, slow_s)
        for minutes in (10, 20, 40)
        for slow_s in (5, 20, 60)
    },
    "20 minutes at 1 Hz": Case(10, 36, 120, 5, rate=1 * BIN_WIDTH_S),
    "20 minutes, 20 % test": Case(10, 24, 120, 5),
    "one segment of 600 s, 5 s": Case(1, 600, 600, 5),
    "one segment of 600 s, 20 s": Case(1, 600, 600, 20),
    "one segment of 600 s, 60 s": Case(1, 600, 600, 60),
    "6 blocks of 30 s, 5 s": Case(3, 60, 300, 5),
    "6 blocks of 30 s, 20 s": Case(3, 60, 300, 20),
    "40 trials of 3 s, 5 s": Case(40, 3, 6, 5, is_trial=True),
    "40 trials of 3 s, 20 s": Case(40, 3, 6, 20, is_trial=True),
    "120 trials of 3 s, 20 s": Case(120, 3, 6, 20, is_trial=True),
    "120 trials of 3 s, 60 s": Case(120, 3, 6, 60, is_trial=True),
}
"""Test shares of 30 %, as simulated sessions have them, unless stated otherwise."""


@dataclass(frozen=True)
class Coverage:
    """What was measured in one case.

    Args:
        covered: Share of the intervals that hold the true score, by score, one per session.
        missing: Share of the neurons without an interval of the correlation, one per session.
    """

    covered: pd.DataFrame
    missing: np.ndarray


def autoregressive(
    rng: np.random.Generator, case: Case, n_columns: int, tau_s: float
) -> Float[np.ndarray, "time column"]:
    """Return stationary Gaussian AR(1) signals of variance 1 in the test bins of one recording."""
    decay, n_bins = np.exp(-BIN_WIDTH_S / tau_s), case.segment_bins
    gaps = np.diff(case.targets, prepend=-1)
    noise = rng.standard_normal((len(gaps), n_columns)) * np.sqrt(1 - decay**2)
    signals, last = np.empty_like(noise), rng.standard_normal(n_columns)
    for start in range(0, len(gaps), n_bins):
        kept = decay ** gaps[start]  # of the state at the end of the segment before
        first = rng.standard_normal(n_columns) * np.sqrt(1 - kept**2)
        noise[start] = kept * last + first
        signals[start : start + n_bins] = lfilter(
            [1.0], [1.0, -decay], noise[start : start + n_bins], axis=0
        )
        last = signals[start + n_bins - 1]
    return signals


def simulate(
    case: Case, n_neurons: int, rng: np.random.Generator, n_shared: int | None = None
) -> ScoredSession:
    """Simulate one session; ``n_shared=1`` gives all neurons one slow state."""
    fast = autoregressive(rng, case, n_neurons, FAST_S)
    slow = autoregressive(rng, case, n_shared or n_neurons, case.slow_s)
    hidden = autoregressive(rng, case, n_neurons, HIDDEN_S)
    seen, variance = SEEN_GAIN * (fast + slow), 2 * SEEN_GAIN**2
    log_rate = seen + HIDDEN_GAIN * hidden - (variance + HIDDEN_GAIN**2) / 2
    n_bins = len(seen)
    return ScoredSession(
        session_id="s",
        unit_ids=tuple(f"unit_{i}" for i in range(n_neurons)),
        targets=case.targets,
        rates=case.rate * np.exp(MODEL_GAIN * seen - MODEL_GAIN**2 * variance / 2),
        observed=rng.poisson(case.rate * np.exp(log_rate)).astype(float),
        baseline=np.full(n_neurons, case.rate),
        segment_ids=np.repeat(np.arange(case.n_segments), case.segment_bins),
        is_trial=np.full(n_bins, case.is_trial),
        is_tracked=np.ones(n_bins, dtype=bool),
        repeat_cells=np.full(n_bins, NOT_REPEATED),
        bin_width_s=BIN_WIDTH_S,
        response_kind="spike_counts",
        chance=unknown_chance(n_neurons, "simulated"),
    )


def true_scores(case: Case) -> dict[str, float]:
    """Return each score in an endless recording cut into such segments."""
    m, seen, hidden = case.rate, 2 * SEEN_GAIN**2, HIDDEN_GAIN**2
    gain = MODEL_GAIN * seen - MODEL_GAIN**2 * seen / 2  # E[rate log(prediction / m)] / m
    lags = np.arange(case.segment_bins) * BIN_WIDTH_S
    acf_seen = SEEN_GAIN**2 * (np.exp(-lags / FAST_S) + np.exp(-lags / case.slow_s))
    acf_rate = acf_seen + hidden * np.exp(-lags / HIDDEN_S)
    cov_x = m**2 * np.expm1(MODEL_GAIN**2 * acf_seen)
    cov_y = m**2 * np.expm1(acf_rate) + m * (lags == 0)
    cov_xy = m**2 * np.expm1(MODEL_GAIN * acf_seen)
    smooth_x, smooth_y, smooth_xy = (_smoothed_variance(c) for c in (cov_x, cov_y, cov_xy))
    log_y = _mean_y_log_y(m, seen + hidden)
    deviance, baseline = log_y - m * np.log(m) - m * gain, log_y - m * np.log(m)
    return {
        "correlation": cov_xy[0] / np.sqrt(cov_x[0] * cov_y[0]),
        "smoothed_correlation": smooth_xy / np.sqrt(smooth_x * smooth_y),
        "deviance_explained": 1 - deviance / baseline,
        "bits_per_spike": gain / np.log(2),
        "mse": cov_x[0] + cov_y[0] - 2 * cov_xy[0],
    }


def _smoothed_variance(covariance: Float[np.ndarray, " lag"]) -> float:
    """Average the variance of the boxcar mean over a segment, with narrow windows at its ends."""
    n_bins, width = len(covariance), boxcar_bins(BIN_WIDTH_S)
    time = np.arange(n_bins)
    widths = np.minimum(time + (width - 1) // 2 + 1, n_bins) - np.maximum(time - width // 2, 0)

    def of_mean(n: int) -> float:
        lag = np.arange(1, n)
        return (n * covariance[0] + 2 * ((n - lag) * covariance[1:n]).sum()) / n**2

    of_width = {n: of_mean(n) for n in np.unique(widths)}
    return float(np.mean([of_width[n] for n in widths]))


def _mean_y_log_y(m: float, variance: float) -> float:
    """Return E[y log y] of log-normal Poisson counts, by quadrature over the rate."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    rates = m * np.exp(np.sqrt(variance) * nodes - variance / 2)
    k = np.arange(1, 200)
    log_factorial = np.cumsum(np.log(k))
    pmf = np.exp(k * np.log(rates[:, None]) - rates[:, None] - log_factorial)
    return float(weights / weights.sum() @ (pmf @ (k * np.log(k))))


def coverage_of_neurons(
    case: Case, seeds: Sequence[int], draws: int, n_neurons: int = N_NEURONS
) -> Coverage:
    """Return how often the intervals of neurons hold the true scores.

    Args:
        case: The recording.
        seeds: One session each.
        draws: Resampled recordings that an interval is made of.
        n_neurons: Neurons per session, each with states of its own.
    """
    truth, covered, missing = true_scores(case), [], []
    for seed in seeds:
        session = simulate(case, n_neurons, np.random.default_rng(seed))
        table = score_sessions([session], draws=draws, seed=seed).table
        row = {}
        for name in SCORES:
            low, high = table[f"{name}_low"], table[f"{name}_high"]
            row[name] = ((low <= truth[name]) & (truth[name] <= high))[low.notna()].mean()
        covered.append(row)
        missing.append(table["correlation_low"].isna().mean())
    return Coverage(pd.DataFrame(covered), np.array(missing))


def coverage_of_means(
    case: Case, seeds: Sequence[int], draws: int, n_neurons: int = N_NEURONS
) -> Coverage:
    """Return how often the interval of the mean over neurons holds it, one slow state for all."""
    truth, covered, missing = true_scores(case), [], []
    for seed in seeds:
        session = simulate(case, n_neurons, np.random.default_rng(seed), n_shared=1)
        scores = score_sessions([session], draws=draws, seed=seed).summary["pooled"]["scores"]
        row = {}
        for name in SCORES:
            low, high = scores[name]["mean_low"], scores[name]["mean_high"]
            row[name] = float(low <= truth[name] <= high) if np.isfinite(low) else np.nan
        covered.append(row)
        missing.append(float(np.isnan(scores["correlation"]["mean_low"])))
    return Coverage(pd.DataFrame(covered), np.array(missing))


def main() -> None:
    """Measure every case, and print one line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="200-239", help="first and last seed")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--shared", action="store_true", help="means over neurons instead")
    options = parser.parse_args()
    first, last = map(int, options.seeds.split("-"))
    print("case".ljust(28), *(name[:12].rjust(14) for name in SCORES), "  without interval")
    for name in options.cases:
        measure = coverage_of_means if options.shared else coverage_of_neurons
        found = measure(CASES[name], range(first, last + 1), options.draws)
        mean, error = 100 * found.covered.mean(), 100 * found.covered.sem()
        texts = [f"{mean[score]:.1f} +- {error[score]:.1f}".rjust(14) for score in SCORES]
        print(name.ljust(28), *texts, f"  {100 * found.missing.mean():.1f} %", flush=True)


if __name__ == "__main__":
    main()
