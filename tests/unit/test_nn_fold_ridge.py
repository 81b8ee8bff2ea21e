"""Ridge regression with held-out folds, against regressions on explicit designs."""

import numpy as np
import torch

from freegaze.nn.fold_ridge import (
    LEAST_PRIOR,
    fit_kernels,
    held_out_ridge,
    lag_groups,
    posterior_covariance,
    solve_ridge,
    solve_under_prior,
    sum_folds,
)

N_FEATURES, N_NEURONS, N_FOLDS = 4, 2, 3
PRIOR = torch.tensor([1.0, 4.0, 0.5, LEAST_PRIOR / 10]).double()
"""The last feature gets no weight."""


def make_data(n: int = 240) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(n, N_FEATURES, generator=generator).double()
    truth = torch.randn(N_FEATURES, N_NEURONS, generator=generator).double()
    noise = torch.randn(n, N_NEURONS, generator=generator).double()
    return features, features @ truth + 0.5 * noise, torch.arange(n) % N_FOLDS


def explicit_ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """Weights under ``PRIOR`` of the features that can have one, by normal equations."""
    sd = PRIOR[:3].sqrt().numpy()
    scaled = x[:, :3] * sd
    ridge = penalty * np.trace(scaled.T @ scaled) / 3
    found = np.linalg.solve(scaled.T @ scaled + ridge * np.eye(3), scaled.T @ y)
    return np.concatenate([sd[:, None] * found, np.zeros((1, N_NEURONS))])


def test_held_out_errors_are_those_of_fits_without_each_fold() -> None:
    features, responses, fold = make_data()
    sums = sum_folds(features, responses, fold)
    errors, weights = held_out_ridge(sums, PRIOR, (0.1, 3.0))
    for i, penalty in enumerate((0.1, 3.0)):
        expected = torch.zeros(N_NEURONS).double()
        for k in range(N_FOLDS):
            x, y = features[fold != k].numpy(), responses[fold != k].numpy()
            found = explicit_ridge(x, y, penalty)
            np.testing.assert_allclose(weights[i, k].numpy(), found, rtol=1e-8)
            own = fold == k
            expected += (responses[own] - features[own] @ torch.from_numpy(found)).square().sum(0)
            expected -= responses[own].square().sum(0)
        torch.testing.assert_close(errors[i], expected)


def test_equal_windows_are_summed_first() -> None:
    features, responses, fold = make_data(60)
    twice = sum_folds(features.repeat(2, 1), responses.repeat(2, 1), fold.repeat(2))
    counts = torch.full((60,), 2.0).double()
    once = sum_folds(features, 2 * responses, fold, counts)
    torch.testing.assert_close(once.gram, twice.gram)
    torch.testing.assert_close(once.cross, twice.cross)


def test_the_posterior_covariance_is_that_of_the_linear_model() -> None:
    features, responses, _ = make_data()
    gram = features.T @ features
    found = posterior_covariance(gram, PRIOR, 2.0)
    sd = PRIOR[:3].sqrt()
    ridge = 2.0 * (gram[:3, :3] * sd * sd[:, None]).diagonal().mean()
    expected = torch.linalg.inv(gram[:3, :3] + ridge * torch.diag(1 / PRIOR[:3]))
    torch.testing.assert_close(found[:3, :3], expected)
    assert (found[3] == 0).all()
    # Its product with the features' products with the responses is the regression.
    weights = solve_under_prior(gram, features.T @ responses, PRIOR, [2.0])[0]
    torch.testing.assert_close(found @ features.T @ responses, weights)


def test_a_flat_prior_changes_nothing() -> None:
    features, responses, _ = make_data()
    gram, cross = features.T @ features, features.T @ responses
    found = solve_under_prior(gram, cross, torch.full((N_FEATURES,), 7.0).double(), [0.3])[0]
    torch.testing.assert_close(found, solve_ridge(gram, cross, 0.3))


def test_kernels_are_recovered_from_drives() -> None:
    generator = torch.Generator().manual_seed(1)
    kernel = torch.tensor([0.7, -0.2, 0.5])
    drives = torch.randn(4000, 3, N_NEURONS, generator=generator)
    noise = torch.randn(4000, N_NEURONS, generator=generator)
    responses = torch.einsum("wln,l->wn", drives, kernel) + 0.5 * noise
    flat = torch.full((3, N_NEURONS), 1 / 3)
    found = fit_kernels(drives, responses, flat, 1e-6, lag_groups(3))
    # Two standard errors of a weight are 2 * 0.5 / sqrt(4000), or 0.016.
    torch.testing.assert_close(found, kernel[:, None].expand(-1, 2), atol=0.03, rtol=0)
    kept = fit_kernels(0 * drives, responses, flat, 0.1, lag_groups(3))  # no drive: the prior
    torch.testing.assert_close(kept, flat)


def test_lags_of_a_group_share_their_weight() -> None:
    groups = lag_groups(9)
    assert groups.sum(1).tolist() == [1, 1, 1, 3, 3]
    assert (groups.sum(0) == 1).all()
    assert lag_groups(1).tolist() == [[1.0]]
    assert lag_groups(2).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    generator = torch.Generator().manual_seed(2)
    drives = torch.randn(500, 9, 1, generator=generator)
    responses = drives[:, 4].clone()
    found = fit_kernels(drives, responses, torch.zeros(9, 1), 1e-6, groups)
    assert found[3] == found[4] == found[5]
