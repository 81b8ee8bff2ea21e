"""The Gaussian readout, its shifter, and the Sensorium core, against values worked by hand."""

from __future__ import annotations

import pytest
import torch

from freegaze.dataset.dims import EncoderDims
from freegaze.errors import ConfigError
from freegaze.models.cnn import CNN, CNNConfig
from freegaze.nn.gaussian import GaussianReadoutConfig
from freegaze.nn.penalties import curvature
from freegaze.nn.readouts import FactorizedReadoutConfig
from freegaze.nn.separable import SeparableCoreConfig
from freegaze.nn.shifter import ReadoutShifterConfig


def readout(n_neurons=2, n_channels=1, **options):
    torch.manual_seed(0)
    config = GaussianReadoutConfig(**options)
    return config.build((n_channels, 3, 5), n_neurons, has_bias=True).eval()


def test_it_reads_the_map_where_the_neuron_looks():
    reader = readout(3)
    reader.position.data = torch.tensor([[-1.0, -1.0], [0.5, 0.0], [1.0, 0.5]])
    reader.bias.data = torch.tensor([0.0, 10.0, 0.0])
    maps = torch.arange(15.0).reshape(1, 1, 3, 5)  # row y, column x: 5 y + x
    torch.testing.assert_close(reader(maps), torch.tensor([[0.0, 18.0, 11.5]]))
    beside = reader(maps, torch.tensor([[0.5, 0.0]]))  # one column to the right, then outside
    torch.testing.assert_close(beside, torch.tensor([[1.0, 19.0, 0.0]]))


def test_training_draws_around_the_position_with_the_spread():
    reader = readout(1).train()
    reader.position.data = torch.tensor([[0.1, -0.2]])
    reader.spread.data = torch.tensor([[[0.2, 0.0], [0.1, 0.05]]])
    torch.manual_seed(1)
    drawn = reader._points(40_000)[:, 0]
    spread = reader.spread[0].detach()
    torch.testing.assert_close(drawn.mean(0), torch.tensor([0.1, -0.2]), atol=5e-3, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), spread @ spread.T, atol=1e-3, rtol=0)
    reader.spread.data *= 100
    assert reader._points(500).abs().max() == 1  # never outside the maps


def test_positions_are_put_back_on_the_edge_and_features_cost():
    reader = readout(2, l1=0.5)
    reader.position.data = torch.tensor([[3.0, -0.5], [0.0, -2.0]])
    reader.constrain()
    assert reader.position.tolist() == [[1.0, -0.5], [0.0, -1.0]]
    reader.features.data = torch.tensor([[-2.0, 3.0]])
    assert reader.penalties()["readout_l1"].item() == pytest.approx(2.5)
    assert not readout(2).penalties()


def test_curvature_of_known_filters():
    point = torch.zeros(1, 1, 5, 5)
    point[0, 0, 2, 2] = 3.0
    assert curvature(point) == pytest.approx(20)  # 16 + 4 neighbors of 1
    torch.manual_seed(0)
    assert curvature(torch.randn(400, 1, 31, 31)) == pytest.approx(20, rel=0.03)  # border: less
    assert curvature(torch.ones(1, 1, 99, 99)) < 0.05


def test_the_shifter_starts_at_rest_and_stays_within_the_maps():
    angles = 50 * torch.randn(20, 2)
    assert not ReadoutShifterConfig().build()(angles).any()
    torch.manual_seed(0)
    moved = ReadoutShifterConfig.paper().build()(angles)
    assert moved.abs().max() <= 1
    assert moved.std() > 0


def test_looking_to_the_right_is_reported_as_a_frame_moved_to_the_left():
    config = CNNConfig(
        shifter="readout",
        readout="gaussian",
        core={"channels": [1], "kernels": [1], "strides": [1], "downsample": 2},
        linear_path=False,
    )
    encoder = CNN(config, {"s": EncoderDims(1, ("theta", "phi"), (40, 60), 1)}).eval()
    vision = encoder.head("s").vision
    last = vision.gaze.readout_shifter.layers[-1]
    last.bias.data = torch.atanh(torch.tensor([0.2, -0.1]))
    shift = encoder.shift(torch.zeros(1, 2))
    # Maps of 20 x 30 elements, 2 px each: a position of 1 is 29 px to the right, 19 px down.
    torch.testing.assert_close(shift, torch.tensor([[-5.8, 1.9, 0.0]]))


def test_a_readout_without_positions_cannot_be_shifted():
    config = CNNConfig(shifter="readout", readout=FactorizedReadoutConfig())
    with pytest.raises(ConfigError, match="set `readout: gaussian`"):
        CNN(config, {"s": EncoderDims(1, ("theta", "phi"), (40, 60), 1)})


def test_the_separable_core_keeps_the_map_and_says_what_does_not_fit():
    core = SeparableCoreConfig.paper().build()
    assert core.map_size((60, 80)) == (64, 52, 72)
    assert core(torch.randn(2, 1, 60, 80)).shape == (2, 64, 52, 72)
    with pytest.raises(ConfigError, match="first filters are 9 x 9 but its input is 8 x 80"):
        core.map_size((8, 80))
    with pytest.raises(ConfigError, match="must be odd"):
        SeparableCoreConfig(kernel=4).build()
    expected = 6.3831 * curvature(core.first_filters)
    torch.testing.assert_close(core.penalties()["laplace"], expected)
