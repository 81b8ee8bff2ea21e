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

from freegaze.errors import ConfigError, DataError, ShapeError
from freegaze.explanation.contributions.score_tests import (
    MAX_SHARE,
    N_SHIFTS,
    NullModel,
    ScoreTest,
    score_test,
)
from freegaze.nn.glm import (
    Family,
    Link,
    explained,
    likelihood,
    mean_and_slope,
    newton,
)
from freegaze.standard_scores import standardize

VISION, SCENE, BEHAVIOR = "vision", "scene", "behavior"

NEGLIGIBLE = 1e-5
"""Effect of a signal, as a share of the largest prediction, that is rounding of float32."""


@dataclass(frozen=True, eq=False)
class Contribution:
    """Contribution of one group to one neuron.

    Args:
        group: Name of the group.
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
        untested: Reason why it is not tested; empty if it is tested.
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
    """Contributions of all groups to one neuron.

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
        drive: Visual drive of the neuron: the encoder's prediction with behavior at its median.
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
    parts = _parts(data)
    full = _Fit(data, parts, list(parts))

    def contribution(name: str, taken: Sequence[str], tested: Sequence[str]) -> Contribution:
        without = _Fit(data, parts, [part for part in parts if part not in taken])
        only = _Fit(data, parts, tested)
        columns = np.concatenate([parts[part] for part in tested], axis=1)
        found = score_test(columns, without.null_model(data), n_shifts, max_share)
        return Contribution(
            name,
            full.deviance - without.deviance,
            full.correlation - without.correlation,
            only.deviance,
            only.correlation,
            found.statistic,
            found.p,
            found.least_p,
            found.p_tail,
            found.untested,
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


def signal_test(
    data: ContributionData, effect: Float[np.ndarray, " time"], *, n_shifts: int = N_SHIFTS
) -> ScoreTest:
    """Test whether responses of test bins rise with what an encoder changes with one signal.

    The effect was fitted to training bins, so that only test bins can show whether it is real. The
    model without it has all groups, the drive (the prediction without the signal) and the scene.

    Args:
        data: The neuron's arrays; groups are the other signals.
        effect: Change of the prediction with the signal, in log rates for counts.
        n_shifts: Shifts at most, half of them to each side.

    Returns:
        The test, to one side.

    Raises:
        ConfigError: If there are fewer than two shifts.
    """
    if np.ptp(effect) <= NEGLIGIBLE * np.abs(data.drive).max():
        nan = float("nan")
        return ScoreTest(nan, nan, nan, nan, "the prediction does not change with the signal")
    parts = _parts(data)
    model = replace(_Fit(data, parts, list(parts)).null_model(data), scored=data.is_test)
    column = standardize(effect[:, None].astype(np.float64), data.is_training)
    return score_test(column, model, n_shifts, is_one_sided=True)


def signal_columns(signal: Float[np.ndarray, " time"]) -> Float[np.ndarray, "time 2"]:
    """Return a standardized signal and its square, standardized and clipped at three sd.

    Args:
        signal: Standardized; its tails would decide a weight by few bins.
    """
    clipped = np.clip(np.asarray(signal, dtype=np.float64), -3.0, 3.0)
    return standardize(np.column_stack([clipped, clipped**2]))


def _parts(data: ContributionData) -> dict[str, np.ndarray]:
    """Return the columns of vision, the scene and each group, standardized over training bins."""
    drive = np.asarray(data.drive, dtype=np.float64)
    if data.family == "poisson":
        drive = np.log(np.maximum(drive, 1e-3 * max(float(drive.mean()), 1e-6)))
    drive = standardize(drive[:, None], data.is_training)
    parts = {VISION: np.column_stack([drive, drive**2]), SCENE: data.nuisance, **data.groups}
    return {k: standardize(v.astype(np.float64), data.is_training) for k, v in parts.items()}


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

    def null_model(self, data: ContributionData) -> NullModel:
        """Return what a score test needs of the model."""
        return NullModel(
            data.responses, self.mean, self.design, data.family, data.bin_width_s, data.trials
        )


def _correlate(a: np.ndarray, b: np.ndarray) -> float:
    if a.std() <= 1e-12 or b.std() <= 1e-12:
        return 0.0  # a constant prediction explains nothing
    return float(np.corrcoef(a, b)[0, 1])


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
