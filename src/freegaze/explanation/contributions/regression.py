"""Unique contributions of groups of predictors to responses, with their significance.

Vision is frozen: each neuron's visual drive comes from a fitted encoder. A small generalized linear
model of this drive and of behavior is fitted, with and without each group. Chance is what a group
adds that comes from another time of the same session: slow signals correlate with slow responses by
chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy.stats import gamma

from freegaze.errors import ConfigError, DataError, ShapeError
from freegaze.explanation.contributions.correlator import Correlator
from freegaze.metrics.alignment_tests import MEMORY_S
from freegaze.metrics.nulls import equal_trials
from freegaze.metrics.whitening import autocovariance, filter_columns, whitening_filter
from freegaze.nn.glm import (
    RIDGE,
    Family,
    Link,
    explained,
    likelihood,
    mean_and_slope,
    newton,
)

VISION, SCENE, BEHAVIOR = "vision", "scene", "behavior"

MAX_SHARE = 0.2
"""Share of the recording, or of the trials, that the longest shift takes from each end."""

SHORTEST_REACH_S = 30.0
"""Longest shift in seconds below which nothing is tested: signals hardly change within it."""

FEWEST_SHIFTS = 19
"""Shifts to each side, at least: fewer leave no p of 0.05."""

N_SHIFTS = 10_000
"""Number of shifts at most, half of them to each side."""


@dataclass(frozen=True, eq=False)
class Contribution:
    """What one group adds to one neuron.

    Args:
        group: Its name.
        deviance: Share of the null deviance of test bins that the full model explains more than
            the one without the group.
        correlation: Single-bin correlation over test bins that it adds in the same way.
        only_deviance: Share of the deviance that a model of this group alone explains.
        only_correlation: Correlation of a model of this group alone.
        statistic: How far the group's weights are from zero (score test), over bins that all shifts
            leave.
        p: Bound on the probability of a statistic as high by chance: m / (1 + n / 2) where it is
            the m-th of itself and n shifts. NaN where it is not tested.
        least_p: The least p that the shifts can give; NaN where it is not tested.
        p_tail: The same from a gamma distribution fitted to the shifted statistics, which can be
            smaller, but depends on the assumed tail.
        untested: Why it is not tested; empty where it is.
    """

    group: str
    deviance: float
    correlation: float
    only_deviance: float
    only_correlation: float
    statistic: float
    p: float
    least_p: float
    p_tail: float
    untested: str = ""


@dataclass(frozen=True, eq=False)
class NeuronContributions:
    """What all groups add to one neuron.

    Args:
        groups: One entry per group, vision first.
        behavior: All groups of behavior together; ``None`` without behavior.
        deviance: Share of the null deviance of test bins that the full model explains.
        correlation: Single-bin correlation of the full model over test bins.
        multiplicative: Log likelihood in bits per bin by which a model in which behavior multiplies
            vision beats one in which it adds, over test bins; NaN without behavior.
    """

    groups: tuple[Contribution, ...]
    behavior: Contribution | None
    deviance: float
    correlation: float
    multiplicative: float


@dataclass(frozen=True, eq=False)
class ContributionData:
    """One session's arrays, bins that have a prediction only, in order of time.

    Args:
        responses: Observed responses of one neuron.
        drive: Its visual drive: the encoder's prediction with behavior at its median.
        groups: Columns of each group of behavior signals, by name.
        nuisance: Columns of the scene that every model has which has vision, so that behavior which
            follows the scene (the pupil follows brightness) is not taken for more.
        is_training: Bins to fit on.
        is_test: Bins to score on.
        family: ``poisson`` for counts, with a log link; ``gaussian`` with an identity link.
        bin_width_s: Width of a bin in seconds.
        trials: Number of the trial of each bin, where the session is one of trials.
    """

    responses: Float[np.ndarray, " time"]
    drive: Float[np.ndarray, " time"]
    groups: Mapping[str, Float[np.ndarray, "time column"]]
    nuisance: Float[np.ndarray, "time scene"]
    is_training: Bool[np.ndarray, " time"]
    is_test: Bool[np.ndarray, " time"]
    family: Family
    bin_width_s: float
    trials: Integer[np.ndarray, " time"] | None = None

    def __post_init__(self) -> None:
        n = len(self.responses)
        for name, array in {
            "drive": self.drive,
            "nuisance": self.nuisance,
            "is_training": self.is_training,
            "is_test": self.is_test,
            **({} if self.trials is None else {"trials": self.trials}),
            **self.groups,
        }.items():
            if len(array) != n:
                raise ShapeError(f"{name} has {len(array)} bins, responses have {n}")
        if taken := {VISION, SCENE, BEHAVIOR} & set(self.groups):
            raise ConfigError(f"{taken.pop()!r} is no group of behavior; name it otherwise")
        if not self.is_training.any() or not self.is_test.any():
            raise DataError("contributions need training and test bins")


def neuron_contributions(
    data: ContributionData,
    *,
    n_shifts: int = N_SHIFTS,
    max_share: float = MAX_SHARE,
) -> NeuronContributions:
    """Compute what vision, all behavior and each of its groups add to one neuron's responses.

    Every model is a generalized linear one with log drive and its square, the scene's columns, and
    the groups' columns. A group's statistic is that of a score test against the model without it,
    over training and test bins, filtered so that the residual keeps no slow correlation; it is
    computed for all shifts of the group at once, by Fourier transform. Shifts are linear, go from
    zero evenly to the longest, and recorded bins stay the same.

    Where there are trials, a shift gives each trial the behavior of an earlier or later trial, bin
    by bin. What all trials have in common (a stimulus at its start) thus stays
    aligned and counts as chance, and so does a drift over the session, which permuting trials at
    random would take away. Trials are cut to one length for it, see `equal_trials`.

    Args:
        data: The neuron's arrays.
        n_shifts: Shifts at most, half of them to each side.
        max_share: Share of the recording that the longest shift takes from each end.

    Returns:
        Contributions of all groups.

    Raises:
        ConfigError: If there are fewer than two shifts.

    Source: K. D. Harris (2020), arXiv:2012.06862; score test: C. R. Rao (1948).
    """
    if n_shifts < 2:
        raise ConfigError(f"a null needs at least two shifts, got {n_shifts}")
    parts = _parts(data)
    full = _Fit(data, parts, list(parts))
    rows, shifts = _shifts(data, n_shifts, max_share)

    def contribution(name: str, taken: Sequence[str], tested: Sequence[str]) -> Contribution:
        without = _Fit(data, parts, [part for part in parts if part not in taken])
        only = _Fit(data, parts, tested)
        columns = np.concatenate([parts[part] for part in tested], axis=1)
        untested = _why_untested(data, columns[rows], rows, len(shifts))
        statistics = np.array([np.nan])
        if not untested:
            statistics = _shifted_statistics(data, columns, without, rows, shifts)
        return Contribution(
            name,
            full.deviance - without.deviance,
            full.correlation - without.correlation,
            only.deviance,
            only.correlation,
            float(statistics[0]),
            *_p_values(statistics),
            untested,
        )

    groups = [contribution(VISION, (VISION, SCENE), [VISION])]
    groups += [contribution(group, (group,), [group]) for group in data.groups]
    if len(data.groups) == 1:  # all behavior is this group
        behavior = replace(groups[1], group=BEHAVIOR)
    else:
        names = list(data.groups)
        behavior = contribution(BEHAVIOR, names, names) if names else None
    return NeuronContributions(
        tuple(groups), behavior, full.deviance, full.correlation, _multiplicative(data, parts)
    )


def signal_columns(signal: Float[np.ndarray, " time"]) -> Float[np.ndarray, "time 2"]:
    """Return a standardized signal and its square, standardized and clipped at three sd.

    Args:
        signal: Standardized; its tails would decide a weight by few bins.
    """
    clipped = np.clip(np.asarray(signal, dtype=np.float64), -3.0, 3.0)
    columns = np.column_stack([clipped, clipped**2])
    sd = columns.std(0)
    return (columns - columns.mean(0)) / np.where(sd > 0, sd, 1.0)


def _parts(data: ContributionData) -> dict[str, np.ndarray]:
    """Return the columns of vision, the scene and each group, standardized over training bins."""
    drive = np.asarray(data.drive, dtype=np.float64)
    if data.family == "poisson":
        drive = np.log(np.maximum(drive, 1e-3 * max(float(drive.mean()), 1e-6)))
    drive = _standardized(drive[:, None], data.is_training)
    vision = _standardized(np.column_stack([drive, drive**2]), data.is_training)
    parts = {VISION: vision, SCENE: _standardized(data.nuisance, data.is_training)}
    return parts | {k: _standardized(v, data.is_training) for k, v in data.groups.items()}


def _standardized(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    columns = np.asarray(columns, dtype=np.float64)
    sd = columns[rows].std(0)
    return (columns - columns[rows].mean(0)) / np.where(sd > 0, sd, 1.0)


class _Fit:
    """A generalized linear model of some parts, fitted on training bins, scored on test bins."""

    def __init__(
        self, data: ContributionData, parts: Mapping[str, np.ndarray], names: Sequence[str]
    ) -> None:
        ones = np.ones((len(data.responses), 1))
        self.design = np.concatenate([ones, *(parts[name] for name in names)], axis=1)
        link: Link = "exp" if data.family == "poisson" else "identity"
        y, rows = data.responses.astype(np.float64), data.is_training
        weights = newton(self.design[rows], y[rows], link)
        self.mean = mean_and_slope(self.design @ weights, link)[0]
        test = data.is_test
        self.deviance = explained(self.mean[test], y[test], float(y[rows].mean()), data.family)
        self.correlation = _correlate(self.mean[test], y[test])


def _correlate(a: np.ndarray, b: np.ndarray) -> float:
    if a.std() <= 1e-12 or b.std() <= 1e-12:
        return 0.0  # a constant prediction explains nothing
    return float(np.corrcoef(a, b)[0, 1])


def _shifts(
    data: ContributionData, n_shifts: int, max_share: float
) -> tuple[Integer[np.ndarray, " bin"], Integer[np.ndarray, " shift"]]:
    """Return the bins to shift over and the shifts among them, alike to both sides.

    There are no shifts where the recording is too short, or has too few trials.
    """
    rows, length = np.arange(len(data.responses)), 1
    if data.trials is not None:
        equal = equal_trials(data.trials)
        rows, length = equal.ravel(), equal.shape[1]
    longest = int(max_share * (len(rows) // length))
    if longest < FEWEST_SHIFTS or longest * length * data.bin_width_s < SHORTEST_REACH_S:
        return rows, np.empty(0, dtype=int)
    step = -(-longest // (n_shifts // 2))
    one_side = length * step * np.arange(1, longest // step + 1)
    return rows, np.concatenate([-one_side[::-1], one_side])


def _why_untested(
    data: ContributionData, columns: np.ndarray, rows: np.ndarray, n_shifts: int
) -> str:
    """Return why a group is not tested on some bins; empty where it is."""
    if not n_shifts and data.trials is not None:
        return (
            f"too few trials: {len(equal_trials(data.trials))} of one length, at least "
            f"{int(np.ceil(FEWEST_SHIFTS / MAX_SHARE))} are needed to shift by trials"
        )
    if not n_shifts:
        return (
            f"the recording is too short: {len(rows) * data.bin_width_s:.0f} s, at least "
            f"{SHORTEST_REACH_S / MAX_SHARE:.0f} s are needed to shift behavior in time"
        )
    if np.ptp(data.responses[rows]) == 0:
        return "the responses are constant"
    return "the predictors are constant" if (np.ptp(columns, axis=0) <= 1e-12).all() else ""


def _shifted_statistics(
    data: ContributionData,
    columns: Float[np.ndarray, "time column"],
    without: _Fit,
    rows: Integer[np.ndarray, " bin"],
    shifts: Integer[np.ndarray, " shift"],
) -> Float[np.ndarray, " statistic"]:
    """Return the score statistic of columns as they are, then shifted by each of the shifts."""
    n = len(rows)
    mean, residual = without.mean[rows], data.responses[rows] - without.mean[rows]
    memory = min(max(1, round(MEMORY_S / data.bin_width_s)), max(1, n // 20))
    slow = whitening_filter(autocovariance(residual[:, None], memory))
    residual = filter_columns(slow, residual[:, None])[:, 0]
    design, columns = (filter_columns(slow, x[rows]) for x in (without.design, columns))
    design[:, 0] = 1.0  # the constant, which filtering has centered
    reach = int(np.abs(shifts).max()) if len(shifts) else 0
    window = np.zeros(n)
    window[reach : n - reach] = 1.0
    weight = window * (mean if data.family == "poisson" else 1.0)
    residual = window * residual
    if data.family == "gaussian":
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
    return np.einsum("si,si->s", score, np.linalg.solve(information, score[..., None])[..., 0])


def _p_values(statistics: np.ndarray) -> tuple[float, float, float]:
    """Return the bound, the least bound possible, and the tail of a gamma distribution."""
    own, null = statistics[0], statistics[1:]
    if not len(null):
        return float("nan"), float("nan"), float("nan")
    place = 1 + int((null >= own * (1 - 1e-9)).sum())
    least = 1 / (1 + len(null) / 2)
    bound = min(1.0, place * least)
    mean, variance = float(null.mean()), float(null.var())
    if mean <= 0 or variance <= 0:  # a constant drive moves nothing: there is no tail to fit
        return bound, least, bound
    return bound, least, float(gamma.sf(own, mean**2 / variance, scale=variance / mean))


def _multiplicative(data: ContributionData, parts: Mapping[str, np.ndarray]) -> float:
    """Compare a product of vision and behavior with a sum, in bits per test bin."""
    if data.family != "poisson" or not data.groups:
        return float("nan")
    y, rows, test = data.responses.astype(np.float64), data.is_training, data.is_test
    product = _Fit(data, parts, [VISION, *data.groups]).mean[test]
    vision = _Fit(data, parts, [VISION]).mean
    columns = [np.ones_like(vision), vision / vision[rows].mean() - 1]
    design = np.column_stack([*columns, *(parts[name] for name in data.groups)])
    added = mean_and_slope(design @ newton(design[rows], y[rows], "floor"), "floor")[0][test]
    gain = likelihood(product, y[test]) - likelihood(added, y[test])
    return float(gain / test.sum() / np.log(2))
