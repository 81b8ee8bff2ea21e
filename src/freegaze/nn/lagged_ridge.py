"""Ridge regression on features of several lags, from sums over the windows of each fold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor

PENALTIES = tuple(10.0 ** (k / 2) for k in range(-4, 7))
"""Penalties that are tried, relative to the mean eigenvalue of the features' moment matrix."""

ROWS_AT_ONCE = 8192
"""Windows whose features are in memory together."""


@dataclass(frozen=True)
class LagMoments:
    """Sums over the windows of a fold.

    Args:
        gram: For each pair of lags (the first not above the second), the sum of products of
            features at both, symmetrized, (pair, feature, feature).
        cross: Sum of products of features at each lag with responses, (lag, feature, neuron).
        power: Sum of squared responses, (neuron,).
        n_windows: Number of windows.
    """

    gram: Float[Tensor, "pair feature feature"]
    cross: Float[Tensor, "lag feature neuron"]
    power: Float[Tensor, " neuron"]
    n_windows: int

    def __add__(self, other: LagMoments) -> LagMoments:
        return LagMoments(
            self.gram + other.gram,
            self.cross + other.cross,
            self.power + other.power,
            self.n_windows + other.n_windows,
        )


def sum_moments(
    features: Float[Tensor, "row feature"],
    rows: Integer[Tensor, "window lag"],
    responses: Float[Tensor, "window neuron"],
) -> LagMoments:
    """Sum products of features and responses over windows.

    Args:
        features: One row per distinct frame, centered.
        rows: Row of each bin of each window, the last bin first.
        responses: Of the windows' target bins, centered.
    """
    n_lags, size = rows.shape[1], features.shape[1]
    pairs = lag_pairs(n_lags)
    gram = features.new_zeros(len(pairs), size, size)
    cross = features.new_zeros(n_lags, size, responses.shape[1])
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        lagged = [features[rows[part, lag]] for lag in range(n_lags)]
        for number, (first, second) in enumerate(pairs):
            gram[number].addmm_(lagged[first].T, lagged[second])
        for lag in range(n_lags):
            cross[lag].addmm_(lagged[lag].T, responses[part])
    power = responses.square().sum(0)
    return LagMoments(0.5 * (gram + gram.mT), cross, power, n_windows=len(rows))


def lag_pairs(n_lags: int) -> list[tuple[int, int]]:
    """Return the pairs of lags, the first not above the second."""
    return [(first, second) for first in range(n_lags) for second in range(first, n_lags)]


def gram_of(moments: LagMoments, kernel: Float[Tensor, " lag"]) -> Float[Tensor, "feature feature"]:
    """Return the moment matrix of features that a kernel over lags has summed."""
    pairs = lag_pairs(len(kernel))
    weights = [kernel[a] * kernel[b] * (2 if a < b else 1) for a, b in pairs]
    return torch.einsum("p,pij->ij", torch.stack(weights), moments.gram)


def held_out_errors(
    folds: list[LagMoments],
    kernels: Float[Tensor, "lag neuron"],
    penalties: tuple[float, ...] = PENALTIES,
    near: Integer[Tensor, " neuron"] | None = None,
) -> tuple[Float[Tensor, "penalty neuron"], Float[Tensor, "penalty fold feature neuron"]]:
    """Fit ridge regressions without each fold in turn.

    Args:
        folds: Sums of each fold.
        kernels: Kernel over lags of each neuron.
        penalties: Relative penalties.
        near: Position of each neuron's penalty in an earlier fit; only this penalty and its two
            neighbors are tried, and the error of all others is infinite.

    Returns:
        Sum of squared errors in the folds held out, for each penalty; and the weights.
    """
    size, n_neurons = folds[0].cross.shape[1:]
    errors = kernels.new_full((len(penalties), n_neurons), torch.inf)
    weights = kernels.new_zeros(len(penalties), len(folds), size, n_neurons)
    for same in neurons_by_kernel(kernels):
        kernel = kernels[:, same[0]]
        grams = [gram_of(held, kernel) for held in folds]
        crosses = [torch.einsum("l,lfn->fn", kernel, held.cross[:, :, same]) for held in folds]
        gram_sum, cross_sum = torch.stack(grams).sum(0), torch.stack(crosses).sum(0)
        for i, penalty in enumerate(penalties):
            asked = torch.ones_like(same, dtype=torch.bool)
            if near is not None:
                asked = (near[same] - i).abs() <= 1
            if not asked.any():
                continue
            own = same[asked]
            errors[i, own] = 0
            for k, (held, gram, cross) in enumerate(zip(folds, grams, crosses, strict=True)):
                found = solve_ridge(gram_sum - gram, (cross_sum - cross)[:, asked], penalty)
                weights[i, k, :, own] = found
                fitted = (found * (gram @ found - 2 * cross[:, asked])).sum(0)
                errors[i, own] += held.power[own] + fitted
    return errors, weights


def solve_ridge(
    gram: Float[Tensor, "feature feature"], cross: Float[Tensor, "feature neuron"], penalty: float
) -> Float[Tensor, "feature neuron"]:
    """Return the weights of a ridge regression.

    Args:
        gram: Sum of products of features.
        cross: Sum of products of features with responses.
        penalty: Relative to the mean eigenvalue of ``gram``.
    """
    scale = gram.diagonal().mean().clamp_min(1e-12)
    shifted = gram + penalty * scale * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.cholesky_solve(cross, torch.linalg.cholesky(shifted))


def fit_kernels(
    folds: list[LagMoments],
    weights: Float[Tensor, "fold feature neuron"],
    prior: Float[Tensor, "lag neuron"],
    strength: float,
) -> Float[Tensor, "lag neuron"]:
    """Fit each neuron's kernel over lags to drives by weights that were fitted without the fold.

    Args:
        folds: Sums of each fold.
        weights: Weights fitted without each fold.
        prior: Kernels to shrink towards.
        strength: Weight of the prior relative to the mean power of the drives.

    Returns:
        The kernels, in units of responses per drive.
    """
    n_lags, n_neurons = prior.shape
    matrix = prior.new_zeros(n_neurons, n_lags, n_lags)
    cross = prior.new_zeros(n_lags, n_neurons)
    for held, found in zip(folds, weights, strict=True):
        for number, (first, second) in enumerate(lag_pairs(n_lags)):
            power = (found * (held.gram[number] @ found)).sum(0)
            matrix[:, first, second] += power
            if first < second:
                matrix[:, second, first] += power
        cross += torch.einsum("lfn,fn->ln", held.cross, found)
    # Power of all folds together: a neuron without a drive of its own keeps the prior.
    ridge = strength * matrix[:, 0, 0] + 1e-6 * _sum(folds).power
    matrix = matrix + ridge[:, None, None] * torch.eye(n_lags, device=prior.device)
    return torch.linalg.solve(matrix, (cross + ridge * prior).T[..., None])[..., 0].T


def neurons_by_kernel(kernels: Float[Tensor, "lag neuron"]) -> list[Tensor]:
    """Return the positions of neurons that share a kernel, for each distinct kernel."""
    labels = torch.unique(kernels, dim=1, return_inverse=True)[1]
    return [(labels == label).nonzero()[:, 0] for label in range(int(labels.max()) + 1)]


def _sum(folds: list[LagMoments]) -> LagMoments:
    total = folds[0]
    for other in folds[1:]:
        total = total + other
    return total
