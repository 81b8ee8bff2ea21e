"""Shares of the distance from the mean response, on drives of known quality."""

import pytest
import torch

from freegaze.models.parts.energy_shrinkage import DOUBT, SHARES, certain_gain, choose_shares
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
    assert shares[1] == 0
    response.share.copy_(shares)
    rate = response(visual, torch.zeros(4000, 0))
    torch.testing.assert_close(rate[:, 1], response.mean[1].expand(4000))


def test_a_gain_counts_less_its_standard_errors() -> None:
    gains = torch.tensor([[[0.0], [0.0]], [[1.0], [3.0]]])  # (share, fold, neuron)
    torch.testing.assert_close(certain_gain(gains), torch.tensor([[0.0], [2.0 - DOUBT]]))


def test_half_of_a_prediction_that_is_twice_too_far_is_used() -> None:
    generator = torch.Generator().manual_seed(1)
    drive = torch.randn(8000, 1, generator=generator)
    responses = 1 + drive + 0.1 * torch.randn(8000, 1, generator=generator)
    response = GainedResponse(1, 0, True)
    response.start_from(responses.mean(0))
    folds = torch.arange(8000) % 4
    shares = choose_shares(response, 2 * drive, torch.zeros(8000, 0), responses, folds)
    assert shares.tolist() == [0.5]
    assert 0.5 in SHARES
