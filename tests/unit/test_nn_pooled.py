"""The pooled readout against loops, and its place and width against values worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from freegaze.nn.pooled import NARROWEST, PooledReadout, PooledReadoutConfig


def readout(n_neurons: int = 2, n_channels: int = 1, **options: float) -> PooledReadout:
    torch.manual_seed(0)
    return PooledReadoutConfig(**options).build((n_channels, 4, 7), n_neurons, has_bias=True)


def weights_by_loops(reader: PooledReadout, neuron: int, offset=(0.0, 0.0)) -> torch.Tensor:
    x, y = (reader.position[neuron].detach() + torch.tensor(offset)).tolist()
    sd = math.exp(reader.log_sd[neuron].item())
    middle = ((x + 1) / 2 * 6, (y + 1) / 2 * 3)
    weights = torch.zeros(4, 7)
    for row in range(4):
        for column in range(7):
            squared = (column - middle[0]) ** 2 + (row - middle[1]) ** 2
            weights[row, column] = math.exp(-squared / (2 * sd**2))
    return weights / weights.sum()


def test_it_averages_each_channel_under_the_neurons_gaussian():
    reader = readout(3, 2, position_range=0.8)
    reader.log_sd.data = torch.tensor([-0.5, 0.2, 1.0])
    reader.features.data = torch.randn(2, 3)
    reader.bias.data = torch.tensor([0.0, 10.0, -1.0])
    maps = torch.randn(5, 2, 4, 7)
    offsets = torch.tensor([[0.0, 0.0], [0.3, 0.1], [-0.5, 0.0], [0.0, 1.0], [2.0, 2.0]])
    still, moved = reader(maps), reader(maps, offsets)
    for neuron in range(3):
        for frame in range(5):
            for values, offset in ((still, (0.0, 0.0)), (moved, offsets[frame].tolist())):
                weights = weights_by_loops(reader, neuron, offset)
                seen = (maps[frame] * weights).sum((1, 2)) @ reader.features[:, neuron]
                expected = (seen + reader.bias[neuron]).item()
                assert values[frame, neuron].item() == pytest.approx(expected, abs=1e-5)


def test_positions_follow_a_target_and_widths_shrink_to_it():
    reader = readout(1, position_range=0.0, start_sd=0.8)
    maps = torch.randn(400, 1, 4, 7)
    seen = maps[:, 0, 1, 5]
    reader.features.requires_grad_(False).fill_(1.0)
    optimizer = torch.optim.Adam([reader.position, reader.log_sd], lr=0.03)
    for _ in range(300):
        optimizer.zero_grad()
        (reader(maps)[:, 0] - seen).square().mean().backward()
        optimizer.step()
        reader.constrain()
    across, down = ((reader.position[0].detach() + 1) / 2 * torch.tensor([6.0, 3.0])).tolist()
    assert across == pytest.approx(5, abs=0.2)
    assert down == pytest.approx(1, abs=0.2)
    assert math.exp(reader.log_sd.item()) == pytest.approx(NARROWEST)


def test_the_first_width_is_a_share_of_the_shorter_side_and_limits_hold():
    reader = readout(2, start_sd=0.6, l1=0.5)
    assert torch.exp(reader.log_sd).tolist() == pytest.approx([0.9, 0.9])  # of 1.5 elements
    assert torch.exp(readout(1, start_sd=0.01).log_sd).item() == pytest.approx(NARROWEST)
    reader.position.data = torch.tensor([[3.0, -0.5], [0.0, -2.0]])
    reader.log_sd.data = torch.tensor([-9.0, 9.0])
    reader.constrain()
    assert reader.position.tolist() == [[1.0, -0.5], [0.0, -1.0]]
    assert torch.exp(reader.log_sd).tolist() == pytest.approx([NARROWEST, 7.0])
    reader.features.data = torch.tensor([[-2.0, 3.0]])
    assert reader.penalties()["readout_l1"].item() == pytest.approx(2.5)
    assert not readout(2).penalties()
