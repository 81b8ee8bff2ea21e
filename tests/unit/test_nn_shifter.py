"""The shifter starts where it should, stays in range, and can learn a gaze."""

from __future__ import annotations

import pytest
import torch

from freegaze.nn.shifter import ShifterConfig


def test_the_default_starts_without_moving_anything() -> None:
    shifter = ShifterConfig().build((12, 16))
    frames, angles = torch.rand(5, 1, 12, 16), torch.randn(5, 4)
    torch.testing.assert_close(shifter(frames, angles), frames, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "limits"),
    [
        (ShifterConfig(), (40.0, 30.0, 45.0)),
        (ShifterConfig.paper(), (20.0, 15.0, 45.0)),
        (ShifterConfig.paper(1 / 5.5), (80 / 5.5, 60 / 5.5, 45.0)),
        (ShifterConfig.parker2022(), (30.0, 30.0, 45.0)),
    ],
)
def test_the_range_follows_the_frame(config: ShifterConfig, limits: tuple[float, ...]) -> None:
    network = config.build((60, 80)).displacement.eval()
    with torch.no_grad():
        network.layers[-1].weight.zero_()
        network.layers[-1].bias.fill_(1e6)
        reached = network(torch.ones(2, len(config.columns))).abs().amax(0)
    torch.testing.assert_close(reached, torch.tensor(limits))


def test_the_original_range_is_not_a_bound() -> None:
    """Deviation Q12: the learned offset is added outside the tanh."""
    network = ShifterConfig.paper().build((60, 80)).displacement.eval()
    with torch.no_grad():
        network.layers[-1].weight.zero_()
        network.layers[-1].bias.fill_(1e6)
        network.offset.fill_(1.0)
        assert network(torch.ones(1, 4))[0, 0] == pytest.approx(40.0)


def test_the_original_shifter_has_its_number_of_parameters() -> None:
    count = [
        sum(p.numel() for p in ShifterConfig.paper(hidden=h).build((60, 80)).parameters())
        for h in (256, 128)
    ]
    assert count == [68_878, 18_062]


def test_a_clipped_network_speaks_pixels() -> None:
    config = ShifterConfig(hidden=(), bound="clamp", linear=False, speed=1.0)
    network = config.build((60, 80)).displacement
    with torch.no_grad():
        network.layers[-1].weight[:, 0] = torch.tensor([2.0, -3.0, 100.0])
        moved = network(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    torch.testing.assert_close(moved, torch.tensor([[2.0, -3.0, 45.0]]))


def test_a_shifter_learns_a_known_gaze() -> None:
    """Frames are moved by -10 px a unit; the shifter learns to move them back."""
    torch.manual_seed(0)
    shifter = ShifterConfig(columns=("theta",)).build((20, 40))
    grid = torch.arange(40.0).expand(64, 1, 20, 40)
    optimizer = torch.optim.Adam(shifter.parameters(), lr=0.01)
    for _ in range(150):
        angles = torch.randn(64, 1)
        center = 20 - 5 * angles[:, :, None, None]
        blob = torch.exp(-((grid - center) ** 2) / 50)
        target = torch.exp(-((grid - 20) ** 2) / 50)
        loss = (shifter(blob, angles) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    moved = shifter.displacement(torch.tensor([[-1.0], [1.0]]))[:, 0]
    assert (moved[1] - moved[0]).item() == pytest.approx(10.0, abs=0.5)
