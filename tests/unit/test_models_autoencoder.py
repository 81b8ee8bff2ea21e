"""The autoencoder: what it reconstructs, and from what."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from freegaze.dataset.dims import EncoderDims
from freegaze.errors import ConfigError
from freegaze.models.autoencoder import Autoencoder, AutoencoderConfig
from freegaze.nn.cores import CoreConfig

DIMS = EncoderDims(3, ("theta", "phi", "pitch", "roll"), (30, 40), 2)


@settings(deadline=None, max_examples=25)
@given(
    size=st.tuples(st.integers(30, 50), st.integers(30, 50)),
    kernels=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    strides=st.lists(st.integers(1, 3), min_size=3, max_size=3),
)
def test_the_decoder_undoes_any_core_to_the_pixel(size, kernels, strides):
    core = CoreConfig(
        channels=(2,) * len(kernels), kernels=kernels, strides=strides[: len(kernels)]
    )
    config = AutoencoderConfig(shifter="none", core=core, n_latent=4)
    try:
        encoder = Autoencoder(config, {"s": EncoderDims(1, (), size, 1)})
    except ConfigError:
        return  # the core said that its filters are larger than its maps
    video = torch.randn(2, 1, 1, *size)
    frames = encoder.reconstruct(encoder.encode(video, torch.zeros(2, 1, 0)))
    assert frames.shape == (2, 1, 1, size[0] // 2, size[1] // 2)


@pytest.mark.parametrize("target", ["moved", "raw"])
def test_the_penalty_is_the_error_against_the_target(target):
    torch.manual_seed(0)
    config = AutoencoderConfig(target=target, core=CoreConfig(downsample=1), reconstruction=0.7)
    encoder = Autoencoder(config, {"s": DIMS}).eval()
    for parameter in encoder.head("s").gaze.parameters():
        parameter.data.normal_(std=0.3)
    video, behavior = torch.randn(4, 2, 1, 30, 40), torch.randn(4, 2, 4)
    features = encoder.encode(video, behavior)
    penalty = encoder.batch_penalties(video, behavior, features)["reconstruction"]
    wanted = video.flatten(0, 1)
    if target == "moved":
        wanted = encoder.head("s").gaze(wanted, behavior.flatten(0, 1))
        assert not torch.allclose(wanted, video.flatten(0, 1))
    error = (encoder.reconstruct(features).flatten(0, 1) - wanted).square().mean()
    torch.testing.assert_close(penalty, 0.7 * error)


def test_the_target_does_not_pull_at_the_shifter():
    encoder = Autoencoder(AutoencoderConfig(reconstruction=1.0), {"s": DIMS})
    video, behavior = torch.randn(4, 2, 1, 30, 40), torch.randn(4, 2, 4)
    features = encoder.encode(video, behavior).detach()
    encoder.batch_penalties(video, behavior, features)["reconstruction"].backward()
    assert all(p.grad is None for p in encoder.head("s").gaze.parameters())


def test_sessions_need_frames_of_one_size():
    other = EncoderDims(3, DIMS.behavior_names, (40, 40), 2)
    with pytest.raises(ConfigError, match="frames of one size, got 30 x 40, 40 x 40"):
        Autoencoder(AutoencoderConfig(), {"a": DIMS, "b": other})
