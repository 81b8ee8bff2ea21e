"""Shares of the distance from the mean response, on drives of known quality."""

import pytest
import torch

from freegaze.models.parts.energy_shrinkage import (
    FEW_NEURONS,
    LEAST_SHARE,
    SHARES,
    choose_shares,
    shrink,
)
from freegaze.nn.gained_response import GainedResponse


@pytest.mark.parametrize("is_signed", [False, True])
def test_a_drive_that_misleads_in_some_folds_is_not_used(is_signed: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    drive = torch.randn(4000, generator=generator)
    folds = torch.arange(4000) // 800
    sign = torch.where(folds < 3, 1.0, -1.0)  # the second neuron is driven so in three folds of 5
    rates = torch.stack([4 + drive, 4 + sign * drive], 1).clamp_min(0)
    noise = torch.randn(rates.shape, generator=generator)
    responses = rates + noise if is_signed else torch.poisson(rates, generator=generator)
    response = GainedResponse(2, 0, is_signed)
    response.start_from(responses.mean(0))
    visual = torch.stack([drive, drive], 1)
    shares = choose_shares(response, visual, torch.zeros(4000, 0), responses, folds)
    assert shares[0] >= 0.75
    assert shares.detach().tolist()[1] == pytest.approx(LEAST_SHARE)
    response.share.copy_(shares)
    rate = response(visual, torch.zeros(4000, 0)).detach()
    assert 0 < rate[:, 1].std() < 0.2 * rate[:, 0].std()


def test_a_share_is_shrunk_by_the_doubt_about_its_gain() -> None:
    gains = torch.tensor([[[0.0], [0.0]], [[1.0], [3.0]]])  # (share, group, neuron)
    # The gain of the second share is 2 with a standard error of 1, for one neuron.
    expected = max(LEAST_SHARE, 1 - (1 + FEW_NEURONS) / 4)
    torch.testing.assert_close(shrink(gains, torch.tensor([0.0, 0.8])), torch.tensor([expected]))
    many = gains.repeat(1, 1, 1000)
    found = shrink(many, torch.tensor([0.0, 0.8]))
    torch.testing.assert_close(found, torch.full((1000,), 0.6), atol=0.01, rtol=0)


@pytest.mark.parametrize("is_signed", [False, True])
def test_neurons_of_noise_stay_near_their_mean_rate(is_signed: bool) -> None:
    # New windows of 400 neurons that no drive explains. The expected loss of a share s of a drive
    # with variance v in units of the noise is s^2 v / 2 per window; the mean over neurons is far
    # below that of the unshrunk drive.
    generator = torch.Generator().manual_seed(2)
    n_windows, n_neurons = 2000, 400
    response = GainedResponse(n_neurons, 0, is_signed)
    visual = 0.3 * torch.randn(2, n_windows, n_neurons, generator=generator)
    mean = torch.full((2, n_windows, n_neurons), 3.0)
    noise = torch.randn(mean.shape, generator=generator)
    responses = mean + noise if is_signed else torch.poisson(mean, generator=generator)
    response.start_from(responses[0].mean(0))
    nothing, groups = torch.zeros(n_windows, 0), torch.arange(n_windows) // 100
    shares = choose_shares(response, visual[0], nothing, responses[0], groups)
    assert (shares == LEAST_SHARE).float().mean() > 0.8
    losses = {}
    for name, share in (("shrunk", shares), ("mean", 0 * shares), ("full", 0 * shares + 1)):
        response.share.copy_(share)
        losses[name] = response.losses(response(visual[1], nothing), responses[1]).mean().item()
    lost = (losses["shrunk"] - losses["mean"]) / (losses["full"] - losses["mean"])
    assert lost < 0.02


def test_half_of_a_prediction_that_is_twice_too_far_is_used() -> None:
    generator = torch.Generator().manual_seed(1)
    drive = torch.randn(8000, 1, generator=generator)
    responses = 1 + drive + 0.1 * torch.randn(8000, 1, generator=generator)
    response = GainedResponse(1, 0, True)
    response.start_from(responses.mean(0))
    folds = torch.arange(8000) % 4
    shares = choose_shares(response, 2 * drive, torch.zeros(8000, 0), responses, folds)
    assert shares.tolist() == pytest.approx([0.5], abs=0.01)
    assert 0.5 in SHARES
