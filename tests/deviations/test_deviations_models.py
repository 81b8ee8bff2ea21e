"""Deviations Q11 to Q20: what the paper's encoders do, and what the defaults do instead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from freegaze.dataset.config import DataConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import FEATURE_SETS
from freegaze.models.cnn import CNNConfig
from freegaze.models.cnn_gru import CNNGRUConfig
from freegaze.models.encoder import AbstractEncoder, build_encoder
from freegaze.nn.shifter import ShifterConfig
from freegaze.nn.warp import affine_matrix, rotation_center

SIZE = (60, 80)


def gru(config: CNNGRUConfig, history: int = 1, features: str = "all") -> AbstractEncoder:
    names = CNNGRUConfig.model_validate(config.model_dump())
    assert names == config  # a preset survives being written down
    dims = EncoderDims(3, FEATURE_SETS[features], SIZE, history, recorded=FEATURE_SETS["all"])
    return build_encoder("cnn_gru", config, {"s": dims}, seed=0)


def head_of(encoder: AbstractEncoder) -> Any:
    return encoder.head("s")


def inputs(n: int, history: int, n_features: int = 11) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(n, history, 1, *SIZE, generator=generator)
    return video, torch.randn(n, history, n_features, generator=generator)


@pytest.mark.parametrize("angle_deg", [10.0, 45.0])
def test_q11_rotation_about_the_swapped_center_moves_the_picture(angle_deg: float) -> None:
    rotation = torch.tensor([[0.0, 0.0, angle_deg]], dtype=torch.float64)
    middle = torch.tensor([39.5, 29.5, 1.0], dtype=torch.float64)
    moved = {}
    for kind, config in (("paper", ShifterConfig.paper()), ("default", ShifterConfig())):
        center = rotation_center(SIZE, config.center)
        moved[kind] = float((affine_matrix(rotation, center)[0] @ middle - middle[:2]).norm())
    off = np.hypot(39.5 - 30, 29.5 - 40)  # 14.2 px between the two centers
    assert moved["paper"] == pytest.approx(2 * np.sin(np.deg2rad(angle_deg) / 2) * off)
    assert moved["default"] == pytest.approx(0, abs=1e-9)


def test_q12_ranges_differ_between_tables_and_are_no_bounds() -> None:
    table_1, table_2 = CNNConfig.paper().shifter, CNNGRUConfig.paper().shifter
    default = CNNConfig().shifter
    reached = []
    for config in (table_1, table_2, default):
        assert isinstance(config, ShifterConfig)
        network = config.build(SIZE).displacement.eval()
        with torch.no_grad():
            network.layers[-1].bias.fill_(1e6)
            if network.offset is not None:
                network.offset.fill_(0.5)
            reached.append(network(torch.zeros(1, 4))[0, 0].item())
    assert reached == pytest.approx([1.5 * 80 / 4, 1.5 * 80 / 5.5, 80 / 2])


def test_q13_a_black_border_tells_of_gaze_and_a_gray_one_does_not() -> None:
    """A featureless scene: [0, 1] video in the original, mean gray = 0 in the default."""
    angles = torch.tensor([[[2.0, 1.0, 0.5, -0.5]], [[-2.0, -1.0, -0.5, 0.5]]])
    dims = EncoderDims(3, ("theta", "phi", "pitch", "roll"), SIZE, 1)
    difference = []
    for config, gray in ((CNNConfig.paper(), 0.5), (CNNConfig(), 0.0)):
        encoder = build_encoder("cnn", config, {"s": dims}, seed=0).eval()
        with torch.no_grad():
            for parameter in head_of(encoder).vision.gaze.parameters():
                parameter += 0.3
            rates = encoder(torch.full((2, 1, 1, *SIZE), gray), angles)
        difference.append((rates[0] - rates[1]).abs().max().item())
    assert difference[0] > 1e-4
    assert difference[1] == 0


@pytest.mark.parametrize("row", ["velo", "velo_prod"])
def test_q14_the_shifter_of_velocity_rows_reads_derivatives(row: str) -> None:
    derivatives = ("d_theta", "d_phi", "d_pitch", "d_roll")
    positions = ("theta", "phi", "pitch", "roll")
    paper, default = CNNGRUConfig.paper(row), CNNGRUConfig(features=row)
    assert isinstance(paper.shifter, ShifterConfig)
    assert isinstance(default.shifter, ShifterConfig)
    assert paper.shifter.columns == derivatives
    assert default.shifter.columns == positions
    # Columns 4, 3, 1, 2 of the row, as the original picked them.
    assert tuple(FEATURE_SETS[row][i] for i in (4, 3, 1, 2)) == derivatives
    assert gru(paper, features=row).shift(torch.zeros(2, len(FEATURE_SETS[row]))) is not None


def test_q15_sizes_of_maps_are_computed() -> None:
    dims = EncoderDims(3, FEATURE_SETS["orig"], (48, 64), 1)
    original = EncoderDims(3, FEATURE_SETS["orig"], SIZE, 1)
    encoder = build_encoder("cnn", CNNConfig.paper(), {"a": dims, "b": original}, seed=0)
    n_inputs = [encoder.head(s).vision.readout.linear.in_features for s in "ab"]
    assert n_inputs == [32 * 1 * 3, 480]


def test_q16_one_scale_for_all_neurons() -> None:
    video, behavior = inputs(16, 1)
    paper, default = gru(CNNGRUConfig.paper("all")), gru(CNNGRUConfig(features="all"))
    streams = paper.train().encode(video, behavior).view(16, 3, 3)
    # Each stream has mean 0 and variance 1 over samples *and* neurons, not neuron by neuron.
    torch.testing.assert_close(streams.mean((0, 2)), torch.zeros(3), rtol=0, atol=1e-5)
    variance = streams.var((0, 2), correction=0)
    torch.testing.assert_close(variance, torch.ones(3), rtol=0, atol=1e-2)
    assert head_of(paper).norm.weight.shape == (3,)
    assert head_of(default).norm is None


def test_q17_one_bin_of_history_leaves_nothing_to_remember() -> None:
    changed = {}
    for history in (1, 4):
        encoder = gru(CNNGRUConfig.paper("all"), history).eval()
        video, behavior = inputs(4, history)
        with torch.no_grad():
            before = encoder(video, behavior)
            head_of(encoder).gru.hidden_weight += 0.5
            changed[history] = not torch.equal(before, encoder(video, behavior))
    assert changed == {1: False, 4: True}
    assert DataConfig().history > 1


@pytest.mark.parametrize(("per_frame", "updates"), [(True, 4), (False, 1)])
def test_q18_statistics_are_updated_once_a_bin_or_once_a_batch(
    per_frame: bool, updates: int
) -> None:
    config = CNNGRUConfig.paper("all").model_copy(update={"encode_per_frame": per_frame})
    assert CNNGRUConfig.paper().encode_per_frame
    assert not CNNGRUConfig().encode_per_frame
    encoder = gru(config, history=4).train()
    encoder(*inputs(4, 4))
    counts = [encoder.core.blocks[0].norm, head_of(encoder).norm, head_of(encoder).behavior.norm]
    assert [norm.num_batches_tracked.item() for norm in counts] == [updates] * 3


def test_q18_makes_no_difference_in_evaluation() -> None:
    video, behavior = inputs(2, 3)
    rates = []
    for per_frame in (True, False):
        config = CNNGRUConfig.paper("all").model_copy(update={"encode_per_frame": per_frame})
        rates.append(gru(config, history=3).eval()(video, behavior))
    torch.testing.assert_close(rates[0], rates[1])


@pytest.mark.parametrize(
    ("config", "is_noisy"), [(CNNConfig.paper(is_shifted=False), True), (CNNConfig(), False)]
)
def test_q19_half_of_each_map_is_dropped(config: CNNConfig, is_noisy: bool) -> None:
    dims = EncoderDims(3, FEATURE_SETS["orig"], SIZE, 1)
    encoder = build_encoder("cnn", config, {"s": dims}, seed=0).train()
    video, behavior = inputs(4, 1, 6)
    assert torch.equal(encoder(video, behavior), encoder(video, behavior)) is not is_noisy
    (maps,) = encoder.core.blocks[0]([video[:, 0]])
    share = (maps != 0).double().mean().item()
    assert share == pytest.approx(0.25 if is_noisy else 0.5, abs=0.03)


def test_q20_the_penalty_is_the_mean_absolute_weight_and_stands_apart() -> None:
    encoder = gru(CNNGRUConfig.paper("all"))
    weight = head_of(encoder).behavior.linear.weight
    penalties = encoder.penalties("s")
    assert penalties.keys() == {"behavior_l1"}
    assert penalties["behavior_l1"].item() == pytest.approx(weight.abs().mean().item())
    assert (
        gru(CNNGRUConfig(features="all", behavior_l1=0.0))
        .penalties()
        .keys()
        .isdisjoint({"behavior_l1"})
    )
