"""Gain, offset and link of a drive, fitted by maximum likelihood."""

import torch

from freegaze.nn.gained_response import GainedResponse


def make_truth(is_signed: bool, n: int = 6000) -> tuple[GainedResponse, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    truth = GainedResponse(2, 1, is_signed)
    with torch.no_grad():
        truth.start_from(torch.tensor([1.0, 2.0]))
        truth.gain.copy_(torch.tensor([[0.4, 0.0]]))
        truth.offset.copy_(torch.tensor([[0.0, 0.5]]))
    return truth, 0.6 * torch.randn(n, 2), torch.randn(n, 1)


def test_parameters_are_recovered_from_counts() -> None:
    # Scale and softness trade off: with 6,000 windows of 1 to 2 counts the scale's sd over seeds is
    # about 0.25; with ten times as many it is below 0.1 for the first and 0.2 for the second.
    truth, visual, behavior = make_truth(is_signed=False, n=60_000)
    with torch.no_grad():
        responses = torch.poisson(truth(2 * visual, behavior))
    found = GainedResponse(2, 1, is_signed=False)
    scale = found.fit(visual, behavior, responses)
    torch.testing.assert_close(scale, torch.full((2,), 2.0), atol=0.2, rtol=0)
    torch.testing.assert_close(found.gain, truth.gain, atol=0.1, rtol=0)
    torch.testing.assert_close(found.offset, truth.offset, atol=0.15, rtol=0)


def test_parameters_are_recovered_from_fluorescence() -> None:
    truth, visual, behavior = make_truth(is_signed=True)
    with torch.no_grad():
        responses = truth(visual, behavior) + 0.2 * torch.randn(6000, 2)
    found = GainedResponse(2, 1, is_signed=True)
    scale = found.fit(visual, behavior, responses)
    torch.testing.assert_close(scale, torch.ones(2), atol=0.03, rtol=0)
    torch.testing.assert_close(found.gain, truth.gain, atol=0.03, rtol=0)
    torch.testing.assert_close(found.offset, truth.offset, atol=0.03, rtol=0)


def test_a_drive_that_opposes_the_response_gets_no_weight() -> None:
    torch.manual_seed(1)
    visual = torch.randn(2000, 1)
    responses = torch.poisson(torch.exp(-0.5 * visual))
    scale = GainedResponse(1, 0, is_signed=False).fit(visual, torch.empty(2000, 0), responses)
    assert float(scale) == 0
