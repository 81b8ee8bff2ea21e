"""Readouts, recurrence, temporal weights, links, penalties, names of sessions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from freegaze.dataset.dims import EncoderDims
from freegaze.errors import ConfigError
from freegaze.models.cnn_gru import CNNGRU, CNNGRUConfig
from freegaze.models.mean_rate import MeanRate, MeanRateConfig
from freegaze.nn.penalties import roughness
from freegaze.nn.readouts import FactorizedReadoutConfig, LinearReadoutConfig, PixelReadout
from freegaze.nn.recurrent import GatedRecurrentUnit
from freegaze.nn.response import LOWEST_MEAN_RESPONSE, apply_link, invert_link
from freegaze.nn.shifter import NoShifterConfig
from freegaze.nn.temporal import LaggedLinear, TemporalKernels


def test_recurrent_unit_equals_the_built_in() -> None:
    torch.manual_seed(0)
    ours, theirs = GatedRecurrentUnit(5, 7).double(), nn.GRU(5, 7, batch_first=True).double()
    theirs.load_state_dict(
        {
            "weight_ih_l0": ours.input_weight,
            "weight_hh_l0": ours.hidden_weight,
            "bias_ih_l0": ours.input_bias,
            "bias_hh_l0": ours.hidden_bias,
        }
    )
    window = torch.randn(4, 6, 5, dtype=torch.float64)
    mine, reference = ours(window), theirs(window)[1][0]
    torch.testing.assert_close(mine, reference)
    mine.square().sum().backward()
    reference.square().sum().backward()
    torch.testing.assert_close(ours.hidden_weight.grad, theirs.weight_hh_l0.grad)
    torch.testing.assert_close(ours.input_bias.grad, theirs.bias_ih_l0.grad)


def test_recurrent_unit_can_be_mapped() -> None:
    """``torch.func`` refuses the built-in."""
    torch.manual_seed(0)
    unit = GatedRecurrentUnit(3, 4)
    windows = torch.randn(5, 2, 6, 3)
    torch.testing.assert_close(
        torch.func.vmap(unit)(windows), torch.stack([unit(w) for w in windows])
    )


def test_linear_readout_weighs_channels_first() -> None:
    readout = LinearReadoutConfig().build((2, 3, 4), 5, has_bias=True)
    maps = torch.randn(6, 2, 3, 4)
    weight = readout.linear.weight.view(5, 2, 3, 4)
    expected = torch.einsum("bchw,nchw->bn", maps, weight) + readout.linear.bias
    torch.testing.assert_close(readout(maps), expected)


@pytest.mark.parametrize("has_bias", [True, False])
def test_factorized_readout_is_mask_times_channels(has_bias: bool) -> None:
    torch.manual_seed(0)
    readout = FactorizedReadoutConfig().build((2, 3, 4), 5, has_bias=has_bias)
    maps = torch.randn(6, 2, 3, 4)
    mask = readout.mask.view(5, 3, 4)
    expected = torch.einsum("bchw,nhw,nc->bn", maps, mask, readout.channels)
    torch.testing.assert_close(readout(maps), expected)
    assert (readout.bias is not None) == has_bias


@pytest.mark.parametrize(
    ("history", "start"), [(5, [0, 0, 0.1, 0.5, 0.4]), (2, [5 / 9, 4 / 9]), (1, [1.0])]
)
def test_temporal_kernels_start_at_the_latency_of_cortex(history: int, start: list[float]) -> None:
    streams = torch.randn(2, history, 3, 5)
    expected = torch.einsum("bhsn,h->bn", streams, torch.tensor(start))
    torch.testing.assert_close(TemporalKernels(history, 3, 5)(streams), expected)


def test_pixel_readout_is_a_receptive_field_of_averaged_pixels() -> None:
    readout = PixelReadout((5, 6), downsample=2, n_neurons=3)
    frames = torch.randn(4, 1, 5, 6)
    assert torch.equal(readout(frames), torch.zeros(4, 3))
    nn.init.normal_(readout.field)
    coarse = frames[:, 0, :4].reshape(4, 2, 2, 3, 2).mean((2, 4))
    expected = torch.einsum("bhw,nhw->bn", coarse, readout.field)
    torch.testing.assert_close(readout(frames), expected)
    with pytest.raises(ConfigError, match="downsample"):
        PixelReadout((5, 6), downsample=7, n_neurons=3)


def test_lagged_linear_equals_a_weight_for_each_bin_of_a_window() -> None:
    torch.manual_seed(0)
    layer = LaggedLinear([0, 2], n_inputs=3, n_outputs=4)
    nn.init.normal_(layer.weight)
    window = torch.randn(5, 3, 3)
    drives = layer(window.flatten(0, 1)).unflatten(0, (5, 3))
    expected = window[:, 0] @ layer.weight[0].T + window[:, 2] @ layer.weight[1].T
    torch.testing.assert_close(layer.sum_window(drives), expected)


def test_behavior_encoder_normalizes_on_request() -> None:
    behavior = 100 + 7 * torch.randn(1000, 3)
    names = ("speed", "pitch", "roll")
    plain, normalized = (
        CNNGRU(
            CNNGRUConfig(shifter=NoShifterConfig(), normalize_behavior=is_normalized),
            {"s": EncoderDims(2, names, (30, 40), 1)},
        )
        .head("s")
        .behavior
        for is_normalized in (False, True)
    )
    assert normalized(behavior).abs().mean() < 2
    assert plain(behavior).shape == (1000, 4)  # two neurons, one drive to add and one to multiply
    torch.testing.assert_close(plain(behavior), plain.linear(behavior))


@pytest.mark.parametrize("link", ["softplus", "identity", "relu"])
def test_links_are_undone_by_their_inverse(link: str) -> None:
    mean = torch.tensor([0.01, 0.7, 30.0])
    torch.testing.assert_close(apply_link(invert_link(mean, link), link), mean)


def test_a_silent_neuron_starts_near_silence() -> None:
    start = apply_link(invert_link(torch.zeros(1), "softplus"), "softplus")
    assert start.item() == pytest.approx(LOWEST_MEAN_RESPONSE, rel=1e-3)


def test_identity_lets_negative_responses_through() -> None:
    values = torch.tensor([-2.0, 3.0])
    assert torch.equal(apply_link(values, "identity"), values)
    assert (apply_link(values, "softplus") > 0).all()


def test_roughness_counts_every_pair_of_neighbors() -> None:
    torch.manual_seed(0)
    fields = torch.randn(2, 3, 4, 5)
    expected = torch.zeros(3)
    for t in range(2):
        for y in range(4):
            for x in range(5):
                for dt, dy, dx in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
                    if t + dt < 2 and y + dy < 4 and x + dx < 5:
                        step = fields[t + dt, :, y + dy, x + dx] - fields[t, :, y, x]
                        expected += step.square()
    torch.testing.assert_close(roughness(fields), expected)


def test_any_session_name_has_a_module_of_its_own() -> None:
    names = ["a.b", "a b", "a%2Eb", "keys", "", "forward", "é/ü"]
    encoder = MeanRate(MeanRateConfig(), {name: EncoderDims(1, (), (4, 4), 1) for name in names})
    assert len({id(encoder.head(name)) for name in names}) == len(names)
    assert all(name.count(".") == 2 for name in encoder.state_dict())
    assert len(encoder.state_dict()) == len(names)
