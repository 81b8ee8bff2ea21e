"""Ridge regression with kernels over lags, against regressions on explicit designs."""

import numpy as np
import torch

from freegaze.nn.lagged_ridge import (
    fit_kernels,
    gram_of,
    held_out_errors,
    solve_ridge,
    sum_moments,
)

N_LAGS, N_FEATURES, N_NEURONS = 3, 4, 2


def make_data(n: int = 240) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(n, N_FEATURES, generator=generator).double()
    rows = torch.arange(N_LAGS - 1, n)[:, None] - torch.arange(N_LAGS)
    kernel = torch.tensor([0.7, -0.2, 0.5]).double()
    truth = torch.randn(N_FEATURES, N_NEURONS, generator=generator).double()
    noise = torch.randn(len(rows), N_NEURONS, generator=generator).double()
    responses = lag_sum(features, rows, kernel) @ truth + 0.5 * noise
    return features, rows, responses, kernel


def lag_sum(features: torch.Tensor, rows: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    return sum(kernel[lag] * features[rows[:, lag]] for lag in range(len(kernel)))


def test_moments_are_those_of_summed_features() -> None:
    features, rows, responses, kernel = make_data()
    design = lag_sum(features, rows, kernel)
    moments = sum_moments(features, rows, responses)
    torch.testing.assert_close(gram_of(moments, kernel), design.T @ design)
    cross = torch.einsum("l,lfn->fn", kernel, moments.cross)
    torch.testing.assert_close(cross, design.T @ responses)


def test_held_out_errors_are_those_of_fits_without_each_fold() -> None:
    features, rows, responses, kernel = make_data()
    design = lag_sum(features, rows, kernel)
    fold = torch.arange(len(rows)) % 3
    folds = [sum_moments(features, rows[fold == k], responses[fold == k]) for k in range(3)]
    errors, weights = held_out_errors(folds, kernel[:, None].repeat(1, N_NEURONS), (0.1, 3.0))
    for i, penalty in enumerate((0.1, 3.0)):
        expected = torch.zeros(N_NEURONS).double()
        for k in range(3):
            x, y = design[fold != k].numpy(), responses[fold != k].numpy()
            ridge = penalty * np.trace(x.T @ x) / N_FEATURES
            found = np.linalg.solve(x.T @ x + ridge * np.eye(N_FEATURES), x.T @ y)
            np.testing.assert_allclose(weights[i, k].numpy(), found, rtol=1e-8)
            left = responses[fold == k] - design[fold == k] @ torch.from_numpy(found)
            expected += left.square().sum(0)
        torch.testing.assert_close(errors[i], expected)


def test_kernels_are_recovered_from_drives() -> None:
    features, rows, responses, kernel = make_data(4000)
    moments = sum_moments(features, rows, responses)
    cross = torch.einsum("l,lfn->fn", kernel, moments.cross)
    weights = solve_ridge(gram_of(moments, kernel), cross, 1e-6)
    flat = torch.full((N_LAGS, N_NEURONS), 1 / N_LAGS).double()
    found = fit_kernels([moments], weights[None], flat, 1e-6)
    torch.testing.assert_close(found, kernel[:, None].expand(-1, 2), atol=0.03, rtol=0)
    kept = fit_kernels([moments], 0 * weights[None], flat, 0.1)  # no drive: the prior
    torch.testing.assert_close(kept, flat)


def test_near_an_earlier_penalty_only_its_neighbors_are_tried() -> None:
    features, rows, responses, kernel = make_data()
    fold = torch.arange(len(rows)) % 3
    folds = [sum_moments(features, rows[fold == k], responses[fold == k]) for k in range(3)]
    kernels = kernel[:, None].repeat(1, N_NEURONS)
    penalties = (0.01, 0.1, 1.0, 10.0)
    errors, weights = held_out_errors(folds, kernels, penalties)
    few, own = held_out_errors(folds, kernels, penalties, near=torch.tensor([0, 2]))
    tried = torch.tensor([[1, 0], [1, 1], [0, 1], [0, 1]]).bool()
    assert torch.equal(few.isfinite(), tried)
    torch.testing.assert_close(few[tried], errors[tried])
    torch.testing.assert_close(own[1], weights[1])
