"""Tests of whether predictions follow responses bin by bin, which slow signals do not fool.

Both signals are filtered so that the response keeps no slow correlation. Shifted predictions then
differ from the true alignment after few bins, and drifts that both have do not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer, Real
from scipy.fft import next_fast_len
from scipy.linalg import qr

from freegaze.errors import DataError
from freegaze.metrics.checks import as_pair
from freegaze.metrics.whitening import autocovariance, filter_columns, whitening_filter

MEMORY_S = 10.0
"""Memory in seconds of the filter; slower parts of a response are taken out with its mean."""

N_PERMUTATIONS = 1999
"""Number of permutations of trials; the least possible p is 1 / 2000."""

FEWEST_TRIALS = 12
"""Trials below which no permutation test is made: the drift cannot be separated from the rest."""

TRIAL_ORDER = 5
"""Most trials that the filter over trials looks back."""

KEPT_SHARE = 0.5
"""Share of the scored bins that the longest shift must leave."""

LEAST_LEFT = 1e-9
"""Share of the variance of a prediction that condition means must leave: less is rounding."""

NEURONS_AT_ONCE = 32
"""Neurons tested together; bounds memory."""


@dataclass(frozen=True, eq=False)
class AlignmentTest:
    """Probabilities that a prediction follows responses this well by chance.

    Args:
        p: Probability (p-value) of each neuron; NaN where the prediction or the response is
            constant.
        least_p: The least p that the test can give.
    """

    p: Float[np.ndarray, " neuron"]
    least_p: float


def longest_shift(is_scored: Bool[np.ndarray, " time"], most_share: float) -> int:
    """Return the longest shift in bins that leaves enough scored bins and time.

    Args:
        is_scored: Bins that count.
        most_share: Share of all bins that the longest shift may take from each end.

    Returns:
        A shift that leaves `KEPT_SHARE` of the scored bins; 0 where nothing is scored.

    Example:
        >>> longest_shift(np.ones(100, dtype=bool), 0.2)
        20
    """
    n_bins, scored = len(is_scored), np.flatnonzero(is_scored)
    room = np.sort(np.minimum(scored, n_bins - 1 - scored))  # from each bin to the nearer end
    if not len(room):
        return 0
    leaves_enough = int(room[min(len(room) - 1, int((1 - KEPT_SHARE) * len(room)))])
    return min(leaves_enough, int(most_share * n_bins))


def shift_test(
    predicted: Real[np.ndarray, "time neuron"],
    observed: Real[np.ndarray, "time neuron"],
    scored: Bool[np.ndarray, " time"],
    reach: int,
    bin_width_s: float,
) -> AlignmentTest:
    """Compare the filtered correlation with those of all shifts of up to ``reach`` bins.

    The filter is that of the observed responses, applied to both. p is m / (1 + reach), where the
    true correlation is the m-th largest of all: a bound for any response, if the prediction is
    stationary.

    Args:
        predicted: Predicted responses, in order of time.
        observed: Recorded responses.
        scored: Bins that count, of those that lie ``reach`` bins from both ends.
        reach: Longest shift in bins, to each side.
        bin_width_s: Width of a bin in seconds.

    Returns:
        p of each neuron.

    Raises:
        DataError: If no scored bin lies far enough from the ends.
        ShapeError: If shapes disagree.

    Source: K. D. Harris (2020), arXiv:2012.06862.
    """
    predicted, observed = as_pair(predicted, observed)
    n_bins = len(observed)
    window = scored & (np.arange(n_bins) >= reach) & (np.arange(n_bins) < n_bins - reach)
    if not window.any():
        raise DataError(f"no scored bin lies {reach} bins from both ends; lower `reach`")
    order = min(max(1, round(MEMORY_S / bin_width_s)), max(1, n_bins // 20))
    p = np.full(observed.shape[1], np.nan)
    for start in range(0, len(p), NEURONS_AT_ONCE):
        some = slice(start, start + NEURONS_AT_ONCE)
        weights = whitening_filter(autocovariance(observed[:, some], order))
        moved, still = (filter_columns(weights, s[:, some]) for s in (predicted, observed))
        r = shifted_correlations(moved, still, window, reach)
        is_defined = (np.ptp(observed[window][:, some], 0) > 0) & np.isfinite(r).all(0)
        rank = (np.nan_to_num(r) >= np.nan_to_num(r[reach])).sum(0)
        p[some] = np.where(is_defined, np.minimum(1.0, rank / (1 + reach)), np.nan)
    return AlignmentTest(p, 1 / (1 + reach))


def shifted_correlations(
    moved: Float[np.ndarray, "time neuron"],
    still: Float[np.ndarray, "time neuron"],
    window: Bool[np.ndarray, " time"],
    reach: int,
) -> Float[np.ndarray, "shift neuron"]:
    """Correlate ``moved[t + shift]`` with ``still[t]`` over a window, by shift.

    Args:
        moved: Signals that are shifted.
        still: Signals that stay.
        window: Bins t, at least ``reach`` from both ends.
        reach: Longest shift in bins.

    Returns:
        Pearson's r; NaN where a signal is constant over a window.
    """
    moved = moved - moved.mean(0)  # keeps the running sums below small
    size = next_fast_len(2 * len(moved), real=True)
    place, n = np.arange(-reach, reach + 1), window.sum()
    inside = window[:, None].astype(np.float64)
    fixed = (still - still[window].mean(0)) * inside

    def sums(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
        spectrum = np.fft.rfft(columns, size, axis=0) * np.conj(np.fft.rfft(weights, size, axis=0))
        return np.fft.irfft(spectrum, size, axis=0)[place]

    variance = sums(moved**2, inside) - sums(moved, inside) ** 2 / n
    scale = variance * (fixed**2).sum(0)
    smallest = 1e-10 * n * (moved**2).mean(0) * (fixed**2).sum(0)
    is_defined = (scale > smallest) & (scale > 0)
    return np.where(
        is_defined, sums(moved, fixed) / np.sqrt(np.where(is_defined, scale, 1.0)), np.nan
    )


def trial_test(
    predicted: Real[np.ndarray, "time neuron"],
    observed: Real[np.ndarray, "time neuron"],
    trials: Integer[np.ndarray, "trial bin"],
    seed: int = 0,
) -> AlignmentTest:
    """Compare the covariance over trials with those of permuted trials, drifts taken out.

    What all trials have in common, a linear trend over trials, and what neighboring trials predict
    of a response are taken out of both, of the mean of each trial and of the course around it. The
    rest is permuted.

    Args:
        predicted: Predicted responses.
        observed: Recorded responses.
        trials: Bins of each trial, in order of time.
        seed: Seed of the permutations.

    Returns:
        p of each neuron; NaN for fewer than `FEWEST_TRIALS` trials.

    Raises:
        ShapeError: If shapes disagree.

    Source: permutation of residuals in the space that a trend leaves: M.-H. Huh and M. Jhun (2001),
    Commun. Stat. Theory Methods 30:2023-2032.
    """
    predicted, observed = as_pair(predicted, observed)
    p = np.full(observed.shape[1], np.nan)
    if len(trials) < FEWEST_TRIALS:
        return AlignmentTest(p, np.nan)
    rng, least_p = np.random.default_rng(seed), 1 / (1 + N_PERMUTATIONS)
    n_left = len(trials) - _order(len(trials)) - 2
    orders = np.argsort(rng.random((N_PERMUTATIONS, n_left)), axis=1)
    for start in range(0, len(p), NEURONS_AT_ONCE):
        some = slice(start, start + NEURONS_AT_ONCE)
        moved, still = _without_drift(predicted[trials][..., some], observed[trials][..., some])
        products = np.einsum("ibn,jbn->ijn", moved, still)
        true = np.einsum("iin->n", products)
        rank = np.ones(len(true))
        for order in orders:
            rank += products[np.arange(n_left), order].sum(0) >= true - 1e-9 * np.abs(true)
        is_defined = [(np.abs(x).max((0, 1)) > 1e-9) for x in (moved, still)]
        p[some] = np.where(is_defined[0] & is_defined[1], rank * least_p, np.nan)
    return AlignmentTest(p, least_p)


def residual_trial_test(
    predicted: Real[np.ndarray, "time neuron"],
    observed: Real[np.ndarray, "time neuron"],
    trials: Integer[np.ndarray, "trial bin"],
    conditions: Integer[np.ndarray, " trial"],
    seed: int = 0,
) -> AlignmentTest:
    """Compare the covariance over trials with those of permuted trials, condition means taken out.

    The mean of each condition at each time in the trial, a linear trend over trials, and what
    neighboring trials predict of a response are taken out of both. Predictions that depend on the
    condition and the time alone have nothing left. The rest is permuted in the space that the means
    and the trend leave, so that conditions with few trials are no problem.

    Args:
        predicted: Predicted responses.
        observed: Recorded responses.
        trials: Bins of each trial, in order of time.
        conditions: Number of the condition of each trial.
        seed: Seed of the permutations.

    Returns:
        p of each neuron; NaN where fewer than `FEWEST_TRIALS` independent trials remain, or the
        prediction has nothing left.

    Raises:
        ShapeError: If shapes disagree.

    Source: as `trial_test`.
    """
    predicted, observed = as_pair(predicted, observed)
    p, n, order = np.full(observed.shape[1], np.nan), len(trials), _order(len(trials))
    is_of = conditions[:, None] == np.unique(conditions)
    nuisance = np.column_stack([is_of, np.linspace(-1.0, 1.0, n)]).astype(np.float64)
    n_left = n - order - nuisance.shape[1]
    if n_left < FEWEST_TRIALS:
        return AlignmentTest(p, np.nan)
    orders = np.argsort(np.random.default_rng(seed).random((N_PERMUTATIONS, n_left)), axis=1)
    least_p = 1 / (1 + N_PERMUTATIONS)
    around = _complement(nuisance)
    for neuron in range(len(p)):
        both = [x[trials, neuron] for x in (predicted, observed)]
        if _share_left(around, both[0]) < LEAST_LEFT or _share_left(around, both[1]) < LEAST_LEFT:
            continue
        products = np.zeros((n_left, n_left))
        means = [x.mean(1, keepdims=True) for x in both]
        for moved, still in (means, [x - mean for x, mean in zip(both, means, strict=True)]):
            left = _filter_left(moved, still, nuisance, around, order)
            products += left[0] @ left[1].T
        true = np.trace(products)
        permuted = products[np.arange(n_left), orders].sum(1)
        p[neuron] = (1 + (permuted >= true - 1e-9 * abs(true)).sum()) * least_p
    return AlignmentTest(p, least_p)


def _complement(columns: Float[np.ndarray, "trial column"]) -> Float[np.ndarray, "trial component"]:
    """Return an orthonormal basis of what columns leave."""
    return np.asarray(qr(columns)[0])[:, columns.shape[1] :]


def _share_left(basis: np.ndarray, values: Float[np.ndarray, "trial bin"]) -> float:
    """Return the share of the variance in the space of a basis."""
    total = ((values - values.mean()) ** 2).sum()
    return float(((basis.T @ values) ** 2).sum() / total) if total > 0 else 0.0


def _filter_left(
    moved: Float[np.ndarray, "trial bin"],
    still: Float[np.ndarray, "trial bin"],
    nuisance: Float[np.ndarray, "trial column"],
    around: Float[np.ndarray, "trial component"],
    order: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Filter both by the autoregression of ``still`` over trials, and the nuisance with them."""
    n, rest = len(still), around @ (around.T @ still)
    lags = np.array([(rest[: n - lag] * rest[lag:]).sum() for lag in range(order + 1)])
    weights = whitening_filter(lags[:, None])[:, 0]

    def filtered(x: np.ndarray) -> np.ndarray:
        return np.sum([weights[k] * x[order - k : n - k] for k in range(order + 1)], axis=0)

    basis = _complement(filtered(nuisance))
    return basis.T @ filtered(moved), basis.T @ filtered(still)


def _order(n_trials: int) -> int:
    return min(TRIAL_ORDER, max(1, n_trials // 10))


def _without_drift(
    moved: Float[np.ndarray, "trial bin neuron"], still: Float[np.ndarray, "trial bin neuron"]
) -> tuple[np.ndarray, np.ndarray]:
    """Filter both by the autoregression of ``still`` over trials, then remove the trend."""
    means = [x.mean(1, keepdims=True) for x in (moved, still)]
    level = _filter_trials(*means)
    course = _filter_trials(moved - means[0], still - means[1])
    basis = _trendless(len(level[0]))
    first, second = (np.tensordot(basis.T, a + b, 1) for a, b in zip(level, course, strict=True))
    return first, second


def _filter_trials(moved: np.ndarray, still: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n, order = len(still), _order(len(still))
    basis = _trendless(n)
    rest = np.tensordot(basis @ basis.T, still, 1)
    lags = [(rest[: n - lag] * rest[lag:]).sum((0, 1)) for lag in range(order + 1)]
    weights = whitening_filter(np.stack(lags))
    first, second = (
        sum(weights[lag] * x[order - lag : n - lag] for lag in range(order + 1))
        for x in (moved, still)
    )
    return np.asarray(first), np.asarray(second)


def _trendless(n: int) -> Float[np.ndarray, "trial component"]:
    """Return an orthonormal basis of what a constant and a line over trials leave."""
    trend = np.stack([np.ones(n), np.linspace(-1.0, 1.0, n)], axis=1)
    return np.linalg.qr(np.concatenate([trend, np.eye(n)], axis=1))[0][:, 2:]
