"""Ridge regression with a prior on each feature, from sums over the windows of each fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

PENALTIES = tuple(10.0 ** (k / 2) for k in range(-4, 7))
"""Penalties that are tried, relative to the mean eigenvalue of the features' moment matrix."""

LEAST_PRIOR = 1e-3
"""Prior variance, relative to the greatest, below which a feature gets no weight."""


@dataclass(frozen=True)
class FoldSums:
    """Sums over the windows of each fold.

    Args:
        gram: Sum of products of features, (fold, feature, feature).
        cross: Sum of products of features with responses, (fold, feature, neuron).
    """

    gram: Float[Tensor, "fold feature feature"]
    cross: Float[Tensor, "fold feature neuron"]

    def of(self, n_folds: int) -> FoldSums:
        """Return the sums of the first folds."""
        return FoldSums(self.gram[:n_folds], self.cross[:n_folds])

    def without(
        self, fold: int
    ) -> tuple[Float[Tensor, "feature feature"], Float[Tensor, "feature neuron"]]:
        """Return both sums over all folds but one."""
        gram, cross = self._totals
        return gram - self.gram[fold], cross - self.cross[fold]

    def of_features(self, kept: Integer[Tensor, " kept"]) -> FoldSums:
        """Return the sums of some of the features."""
        if len(kept) == self.gram.shape[1]:
            return self
        return FoldSums(self.gram[:, kept[:, None], kept], self.cross[:, kept])

    @cached_property
    def _totals(self) -> tuple[Tensor, Tensor]:
        return self.gram.sum(0), self.cross.sum(0)


def sum_folds(
    features: Float[Tensor, "window feature"],
    responses: Float[Tensor, "window neuron"],
    folds: Integer[Tensor, " window"],
    counts: Float[Tensor, " window"] | None = None,
) -> FoldSums:
    """Sum products of features and responses over the windows of each fold.

    Args:
        features: Features of each window, centered.
        responses: Responses to predict from each window, centered.
        folds: Fold of each window, from 0.
        counts: Number of equal windows that each row stands for, ``responses`` being their sum; 1
            by default.
    """
    grams, crosses = [], []
    for fold in range(int(folds.max()) + 1):
        own = folds == fold
        part, response = features[own], responses[own]
        weighted = part if counts is None else part * counts[own, None]
        grams.append(weighted.T @ part)
        crosses.append(part.T @ response)
    return FoldSums(torch.stack(grams), torch.stack(crosses))


def solve_ridge(
    gram: Float[Tensor, "feature feature"], cross: Float[Tensor, "feature neuron"], penalty: float
) -> Float[Tensor, "feature neuron"]:
    """Return the weights of a ridge regression.

    Args:
        gram: Sum of products of features.
        cross: Sum of products of features with responses.
        penalty: Relative to the mean eigenvalue of ``gram``.
    """
    return torch.cholesky_solve(cross, _factor(gram, penalty))


def solve_under_prior(
    gram: Float[Tensor, "feature feature"],
    cross: Float[Tensor, "feature neuron"],
    prior: Float[Tensor, " feature"],
    penalties: Sequence[float],
) -> Float[Tensor, "penalty feature neuron"]:
    """Return the weights of ridge regressions under a prior on each feature.

    Args:
        gram: Sum of products of features.
        cross: Sum of products of features with responses.
        prior: Prior variance of the weight of each feature.
        penalties: Relative to the mean eigenvalue of the features times their prior sd.
    """
    kept, sd = kept_by(prior)
    scaled, target = _submatrix(gram, kept) * sd * sd[:, None], cross[kept] * sd[:, None]
    weights = cross.new_zeros(len(penalties), *cross.shape)
    for i, penalty in enumerate(penalties):
        weights[i, kept] = sd[:, None] * solve_ridge(scaled, target, penalty)
    return weights


def posterior_covariance(
    gram: Float[Tensor, "feature feature"], prior: Float[Tensor, " feature"], penalty: float
) -> Float[Tensor, "feature feature"]:
    """Return the posterior covariance of the weights, in units of the noise variance.

    The posterior is that of a Gaussian likelihood with the prior that the penalty states.

    Args:
        gram: Sum of products of features.
        prior: Prior variance of the weight of each feature, up to a factor.
        penalty: Strength of the penalty, as one of ``penalties`` in ``solve_under_prior``.
    """
    kept, sd = kept_by(prior)
    scaled = _submatrix(gram, kept) * sd * sd[:, None]
    inverse = torch.cholesky_inverse(_factor(scaled, penalty)) * sd * sd[:, None]
    covariance = torch.zeros_like(gram)
    covariance[kept[:, None], kept] = inverse
    return covariance


def kept_by(
    prior: Float[Tensor, " feature"],
) -> tuple[Integer[Tensor, " kept"], Float[Tensor, " kept"]]:
    """Return the positions of features that can have a weight, and their prior sd."""
    kept = (prior > LEAST_PRIOR * prior.max()).nonzero()[:, 0]
    return kept, prior[kept].sqrt()


def held_out_ridge(
    sums: FoldSums, prior: Float[Tensor, " feature"], penalties: Sequence[float] = PENALTIES
) -> tuple[Float[Tensor, "penalty neuron"], Float[Tensor, "penalty fold feature neuron"]]:
    """Fit ridge regressions without each fold in turn.

    Args:
        sums: Sums of each fold.
        prior: Prior variance of the weight of each feature.
        penalties: Relative penalties.

    Returns:
        Sum of squared errors in the folds held out, for each penalty, less the power of the
        responses; and the weights.
    """
    kept = kept_by(prior)[0]
    part = sums.of_features(kept)
    folds = [
        solve_under_prior(*part.without(fold), prior[kept], penalties)
        for fold in range(len(part.gram))
    ]
    found = torch.stack(folds, 1)
    weights = found.new_zeros(*found.shape[:2], *sums.cross.shape[1:])
    weights[:, :, kept] = found
    return held_out_errors(part, found), weights


def held_out_errors(
    sums: FoldSums, weights: Float[Tensor, "penalty fold feature neuron"]
) -> Float[Tensor, "penalty neuron"]:
    """Return squared errors of weights that were fitted without each fold, less the power.

    Args:
        sums: Sums of each fold.
        weights: Weights fitted without each fold.
    """
    errors = weights.new_zeros(len(weights), weights.shape[-1])
    for fold, (gram, cross) in enumerate(zip(sums.gram, sums.cross, strict=True)):
        for error, found in zip(errors, weights[:, fold], strict=True):
            error += (found * (gram @ found - 2 * cross)).sum(0)
    return errors


def fit_kernels(
    drives: Float[Tensor, "window lag neuron"],
    responses: Float[Tensor, "window neuron"],
    prior: Float[Tensor, "lag neuron"],
    strength: float,
    groups: Float[Tensor, "group lag"],
) -> Float[Tensor, "lag neuron"]:
    """Fit each neuron's kernel over lags to drives by weights that were fitted without them.

    Args:
        drives: Drive of each bin of each window, the last bin first.
        responses: Responses to predict from each window, centered.
        prior: Kernels to shrink towards.
        strength: Weight of the prior relative to the power of the drives of the last bin.
        groups: Lags whose kernel is the same, one row of zeros and ones for each group.

    Returns:
        The kernels, in units of responses per drive.
    """
    grouped = torch.einsum("wln,gl->wgn", drives, groups)
    matrix = torch.einsum("wgn,whn->ngh", grouped, grouped)
    cross = torch.einsum("wgn,wn->gn", grouped, responses)
    start = (groups @ prior) / groups.sum(1, keepdim=True)
    # A neuron without a drive of its own keeps the prior.
    ridge = strength * matrix[:, 0, 0] + 1e-6 * responses.square().sum(0)
    matrix = matrix + ridge[:, None, None] * torch.eye(len(groups)).to(matrix)
    found = torch.linalg.solve(matrix, (cross + ridge * start).T[..., None])[..., 0]
    return (found @ groups).T


def lag_groups(n_lags: int) -> Float[Tensor, "group lag"]:
    """Return groups of lags: the first three one by one, later ones in groups twice as long each.

    Kernels vary fast at short lags only, so that long histories need few parameters.

    Example:
        >>> lag_groups(7).sum(1).tolist()
        [1.0, 1.0, 1.0, 3.0, 1.0]
    """
    starts = torch.tensor([0, 1, 2, *(3 * 2**k for k in range(n_lags.bit_length()))])
    group = (torch.arange(n_lags)[:, None] >= starts).sum(1) - 1
    return nn.functional.one_hot(group).T.float()


def _factor(gram: Tensor, penalty: float) -> Tensor:
    """Return the Cholesky factor of a moment matrix plus a penalty."""
    scale = gram.diagonal().mean().clamp_min(1e-12)
    return torch.linalg.cholesky(gram + penalty * scale * torch.eye(len(gram)).to(gram))


def _submatrix(matrix: Tensor, kept: Tensor) -> Tensor:
    return matrix[kept][:, kept]
