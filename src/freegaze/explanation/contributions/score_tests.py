"""Score tests of columns added to a fitted model, against the same columns shifted in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy.special import gammaincc

from freegaze.errors import ConfigError
from freegaze.explanation.contributions.correlator import Correlator
from freegaze.metrics.alignment_tests import MEMORY_S, longest_shift
from freegaze.metrics.nulls import equal_trials
from freegaze.metrics.whitening import autocovariance, filter_columns, whitening_filter
from freegaze.nn.glm import RIDGE, Family

MAX_SHARE = 0.2
"""Share of the recording, or of the trials, that the longest shift takes from each end."""

SHORTEST_REACH_S = 30.0
"""Longest shift in seconds below which nothing is tested: signals hardly change within it."""

FEWEST_SHIFTS = 19
"""Shifts to each side, at least: fewer leave no p of 0.05."""

N_SHIFTS = 10_000
"""Number of shifts at most, half of them to each side."""


@dataclass(frozen=True, eq=False)
class NullModel:
    """A fitted generalized linear model that columns are tested against.

    Args:
        responses: Observed responses of one neuron.
        mean: Expected responses of the model.
        design: Columns of the model, the constant first.
        family: ``poisson`` with a log link, or ``gaussian`` with an identity link.
        bin_width_s: Width of a bin in seconds.
        trials: Number of the trial of each bin, where the session is one of trials.
        scored: Bins whose responses count; all by default.
    """

    responses: Float[np.ndarray, " time"]
    mean: Float[np.ndarray, " time"]
    design: Float[np.ndarray, "time column"]
    family: Family
    bin_width_s: float
    trials: Integer[np.ndarray, " time"] | None = None
    scored: Bool[np.ndarray, " time"] | None = None


@dataclass(frozen=True)
class ScoreTest:
    """How far the weights of some columns are from zero, and how probable that is by chance.

    Args:
        statistic: Score statistic over bins that all shifts leave.
        p: Bound on the probability of a statistic as high by chance: m / (1 + n / 2) where it is
            the m-th of itself and n shifts. NaN where it is not tested.
        least_p: The least p that the shifts can give; NaN where it is not tested.
        p_tail: The same from a gamma distribution fitted to the shifted statistics, which can be
            smaller, but depends on the assumed tail.
        untested: Reason why it is not tested; empty if it is tested.
    """

    statistic: float
    p: float
    least_p: float
    p_tail: float
    untested: str = ""


def score_test(
    columns: Float[np.ndarray, "time column"],
    model: NullModel,
    n_shifts: int = N_SHIFTS,
    max_share: float = MAX_SHARE,
    *,
    is_one_sided: bool = False,
) -> ScoreTest:
    """Test columns against a model without them, and against the same columns shifted in time.

    Shifts are linear, go from zero evenly to the longest, and recorded bins stay the same. Where
    there are trials, a shift gives each trial the columns of an earlier or later trial, bin by bin.

    Args:
        columns: Columns to test.
        model: The model without them.
        n_shifts: Shifts at most, half of them to each side.
        max_share: Share of the recording that the longest shift takes from each end.
        is_one_sided: Count only responses that rise with a single column.

    Returns:
        The test; ``untested`` gives the reason if nothing was tested.

    Raises:
        ConfigError: If there are fewer than two shifts.

    Source: K. D. Harris (2020), arXiv:2012.06862; score test: C. R. Rao (1948).
    """
    if n_shifts < 2:
        raise ConfigError(f"a null needs at least two shifts, got {n_shifts}")
    rows, shifts = shifts_of(model, n_shifts, max_share)
    untested = _why_untested(model, columns[rows], rows, len(shifts))
    statistics = np.array([np.nan])
    if not untested:
        statistics = shifted_statistics(columns, model, rows, shifts, is_one_sided)
    return ScoreTest(float(statistics[0]), *p_values(statistics), untested)


def shifts_of(
    model: NullModel, n_shifts: int, max_share: float
) -> tuple[Integer[np.ndarray, " bin"], Integer[np.ndarray, " shift"]]:
    """Return the bins to shift over and the shifts among them, alike to both sides.

    There are no shifts where the recording is too short, or has too few trials.

    Args:
        model: The model that columns are tested against.
        n_shifts: Shifts at most, half of them to each side.
        max_share: Share of the recording that the longest shift takes from each end.
    """
    rows, length = np.arange(len(model.responses)), 1
    if model.trials is not None:
        equal = equal_trials(model.trials)
        rows, length = equal.ravel(), equal.shape[1]
    longest = int(max_share * (len(rows) // length))
    if model.scored is not None:
        longest = longest_shift(model.scored[rows], max_share) // length
    if longest < FEWEST_SHIFTS or longest * length * model.bin_width_s < SHORTEST_REACH_S:
        return rows, np.empty(0, dtype=int)
    step = -(-longest // (n_shifts // 2))
    one_side = length * step * np.arange(1, longest // step + 1)
    return rows, np.concatenate([-one_side[::-1], one_side])


def _why_untested(model: NullModel, columns: np.ndarray, rows: np.ndarray, n_shifts: int) -> str:
    """Return why columns are not tested on some bins; empty where they are."""
    if not n_shifts and model.trials is not None:
        return (
            f"too few trials: {len(equal_trials(model.trials))} of one length, at least "
            f"{int(np.ceil(FEWEST_SHIFTS / MAX_SHARE))} are needed to shift by trials"
        )
    if not n_shifts:
        return (
            f"the recording is too short: {len(rows) * model.bin_width_s:.0f} s, at least "
            f"{SHORTEST_REACH_S / MAX_SHARE:.0f} s are needed to shift behavior in time"
        )
    if np.ptp(model.responses[rows]) == 0:
        return "the responses are constant"
    return "the predictors are constant" if (np.ptp(columns, axis=0) <= 1e-12).all() else ""


def shifted_statistics(
    columns: Float[np.ndarray, "time column"],
    model: NullModel,
    rows: Integer[np.ndarray, " bin"],
    shifts: Integer[np.ndarray, " shift"],
    is_one_sided: bool = False,
) -> Float[np.ndarray, " statistic"]:
    """Return the score statistic of columns as they are, then shifted by each of the shifts.

    The residual and all columns are filtered so that the residual keeps no slow correlation.

    Args:
        columns: Columns to test.
        model: The model without them.
        rows: Bins to shift over.
        shifts: Shifts in bins.
        is_one_sided: Give the statistic of a single column the sign of its score.
    """
    n = len(rows)
    mean, residual = model.mean[rows], model.responses[rows] - model.mean[rows]
    memory = min(max(1, round(MEMORY_S / model.bin_width_s)), max(1, n // 20))
    slow = whitening_filter(autocovariance(residual[:, None], memory))
    residual = filter_columns(slow, residual[:, None])[:, 0]
    design, columns = (filter_columns(slow, x[rows]) for x in (model.design, columns))
    design[:, 0] = 1.0  # the constant, which filtering has centered
    reach = int(np.abs(shifts).max()) if len(shifts) else 0
    window = np.zeros(n)
    window[reach : n - reach] = 1.0
    if model.scored is not None:
        window *= model.scored[rows]
    weight = window * (mean if model.family == "poisson" else 1.0)
    residual = window * residual
    if model.family == "gaussian":
        residual = residual / max(float(residual[window > 0].std()), 1e-12)
    correlate = Correlator(n, np.concatenate([[0], shifts]))
    score = np.stack([correlate(c, residual) for c in columns.T], -1)
    cross = correlate.many(columns, design * weight[:, None])
    own = np.empty((len(score), columns.shape[1], columns.shape[1]))
    for i in range(columns.shape[1]):
        for j in range(i, columns.shape[1]):
            own[:, i, j] = own[:, j, i] = correlate(columns[:, i] * columns[:, j], weight)
    gram = (design * weight[:, None]).T @ design
    gram[np.diag_indices(len(gram))] += RIDGE
    # What the other columns could take over counts as theirs: their score is zero only nearly,
    # as the window is not the bins that they were fitted on.
    rest = np.linalg.solve(gram, design.T @ residual)
    score = score - cross @ rest
    information = own - cross @ np.linalg.solve(gram, cross.transpose(0, 2, 1))
    information[:, *np.diag_indices(columns.shape[1])] += RIDGE
    statistics = np.einsum(
        "si,si->s", score, np.linalg.solve(information, score[..., None])[..., 0]
    )
    return np.sign(score[:, 0]) * statistics if is_one_sided else statistics


def p_values(statistics: Float[np.ndarray, " statistic"]) -> tuple[float, float, float]:
    """Return the bound, the least bound possible, and the tail of a gamma distribution.

    Args:
        statistics: The true one, then those of the shifts.
    """
    own, null = statistics[0], statistics[1:]
    if not len(null):
        return float("nan"), float("nan"), float("nan")
    place = 1 + int((null >= own - 1e-9 * abs(own)).sum())
    least = 1 / (1 + len(null) / 2)
    bound = min(1.0, place * least)
    mean, variance = float(null.mean()), float(null.var())
    if mean <= 0 or variance <= 0:  # a constant drive moves nothing: there is no tail to fit
        return bound, least, bound
    return bound, least, float(gammaincc(mean**2 / variance, max(own, 0.0) * mean / variance))
