"""Deviations Q34 and Q35: gradient ascent as the original did it, and as the defaults do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import FEATURE_SETS
from freegaze.explanation.fields.ascent import (
    Ascent,
    BatchRoughness,
    FixedSteps,
    PaperClimb,
    Roughness,
    ascend,
)
from freegaze.models.cnn_gru import CNNGRUConfig
from freegaze.models.encoder import AbstractEncoder, build_encoder
from freegaze.nn.cores import CoreConfig

SIZE = (24, 32)
NAMES = FEATURE_SETS["all_prod"]
SMALL = {"channels": (8, 4), "kernels": (7, 5), "strides": (2, 2)}


def make(dropout: float) -> AbstractEncoder:
    """The paper's encoder with a smaller core, in float64."""
    core = CoreConfig.paper().model_copy(update={**SMALL, "dropout": dropout})
    config = CNNGRUConfig.paper().model_copy(update={"core": core, "n_hidden": 16})
    dims = EncoderDims(3, NAMES, SIZE, 1, recorded=FEATURE_SETS["all"])
    encoder = build_encoder("cnn_gru", config, {"s": dims}, seed=0)
    generator = torch.Generator().manual_seed(1)
    for module in encoder.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_var is not None
            module.running_var += torch.rand(module.running_var.shape, generator=generator)
    return encoder.double().eval()


def starts(n: int) -> tuple[Tensor, Tensor]:
    """Start images N(0.5, 0.25) and behavior of ones, as for Figure 4."""
    generator = torch.Generator().manual_seed(2)
    video = 0.5 + 0.25 * torch.randn(n, 1, 1, *SIZE, generator=generator, dtype=torch.float64)
    return video, torch.ones(n, 1, len(NAMES), dtype=torch.float64)


def climb(encoder: AbstractEncoder, n: int, steps: int, **options: Any) -> Ascent:
    video, behavior = starts(n)
    given = {
        "penalties": [BatchRoughness(0.01)],
        "is_retinal": False,
        "has_dropout": True,
        **options,
    }
    return ascend(
        *(encoder, torch.ones(n, dtype=torch.long), video, behavior),
        climb=PaperClimb(),
        stopping=FixedSteps(steps),
        **given,
    )


def by_hand(
    encoder: AbstractEncoder, n: int, steps: int, seed: int, is_behavior_optimized: bool
) -> tuple[Tensor, Tensor, float]:
    """The original's loop for neuron 1; also returns the last learning rate."""
    encoder.train()
    for module in encoder.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    video, behavior = (start.requires_grad_() for start in starts(n))
    inputs = [video, behavior] if is_behavior_optimized else [video]
    adam = torch.optim.Adam(inputs, lr=0.1, weight_decay=0.02)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(adam, patience=20, factor=0.2, min_lr=1e-5)
    kernel = torch.tensor([[[[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]]], dtype=torch.float64)
    torch.manual_seed(seed)
    for _ in range(steps):
        adam.zero_grad()
        edges = torch.norm(F.conv2d(video[:, 0], kernel), p=2)
        loss = (-encoder(video, behavior)[:, 1] + 0.01 * edges).sum()
        loss.backward()
        adam.step()
        plateau.step(loss.detach())
    encoder.eval()
    return video.detach()[:, :, 0], behavior.detach(), adam.param_groups[0]["lr"]


@pytest.mark.parametrize("is_behavior_optimized", [True, False], ids=["figure4", "figurec1"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_q34_q35_the_paper_protocol_is_the_original_loop(
    dropout: float, is_behavior_optimized: bool
) -> None:
    encoder = make(dropout)
    found = climb(encoder, 4, 100, seed=5, is_behavior_optimized=is_behavior_optimized)
    video, behavior, rate = by_hand(make(dropout), 4, 100, 5, is_behavior_optimized)
    np.testing.assert_allclose(found.video, video, atol=1e-5)
    np.testing.assert_allclose(found.behavior, behavior, atol=1e-5)
    assert np.abs(found.video - starts(4)[0][:, :, 0].numpy()).max() > 0.1
    assert found.n_gradients == 400
    if dropout:
        assert rate < 0.1  # the loss stood still, so that cutting the rate was tested too


def test_q34_dropout_stays_on_in_the_paper_and_not_by_default() -> None:
    encoder = make(0.5)
    weights = {name: value.clone() for name, value in encoder.state_dict().items()}
    paper = [climb(encoder, 2, 1, seed=s).gains for s in (0, 1)]
    default = [climb(encoder, 2, 1, seed=s, has_dropout=False).gains for s in (0, 1)]
    assert np.abs(paper[0] - paper[1]).max() > 1e-4
    assert np.array_equal(*default)
    # Batch normalization was in evaluation mode in the original too: nothing was learned.
    assert all(torch.equal(v, weights[k]) for k, v in encoder.state_dict().items())
    without = [climb(make(0.0), 2, 1, has_dropout=on).gains for on in (True, False)]
    np.testing.assert_allclose(*without, rtol=1e-12)  # dropout is all that differs


def test_q35_one_norm_for_the_batch_counts_once_for_each_of_64_pictures() -> None:
    video = starts(64)[0]
    kernel = torch.tensor([[[[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]]], dtype=torch.float64)
    edges = F.conv2d(video[:, 0], kernel)
    paper, default = BatchRoughness(0.01)(video), Roughness(0.01)(video)
    assert paper.sum().item() == pytest.approx(64 * 0.01 * edges.norm().item())
    np.testing.assert_allclose(default, 0.01 * edges.flatten(1).norm(dim=1))
    # Of 64 pictures alike, each pays 8 times what it would pay alone.
    alike = video[:1].repeat(64, 1, 1, 1, 1)
    ratio = BatchRoughness()(alike) / Roughness()(alike)
    np.testing.assert_allclose(ratio, 8.0)


@pytest.mark.parametrize(("penalty", "is_coupled"), [(BatchRoughness, True), (Roughness, False)])
def test_q35_pictures_of_a_batch_depend_on_each_other(penalty: Any, is_coupled: bool) -> None:
    video = starts(3)[0]
    slopes = []
    for others in (1.0, 10.0):
        batch = torch.cat([video[:1], others * video[1:]]).requires_grad_()
        (slope,) = torch.autograd.grad(penalty(0.01)(batch).sum(), batch)
        slopes.append(slope[0])
    differs = (slopes[0] - slopes[1]).abs().max() > 1e-3 * slopes[0].abs().max()
    assert bool(differs) == is_coupled
    encoder = make(0.0)
    together = climb(encoder, 3, 3, penalties=[penalty(0.5)], has_dropout=False)
    alone = climb(encoder, 1, 3, penalties=[penalty(0.5)], has_dropout=False)
    assert (np.abs(together.video[0] - alone.video[0]).max() > 1e-3) == is_coupled
