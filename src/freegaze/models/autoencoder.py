"""Autoencoder: responses and frames from a few latent numbers per frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.errors import ConfigError
from freegaze.models.encoder import AbstractEncoder, register_model
from freegaze.models.parts.gaze import GazeCorrection, ImageShifterChoice
from freegaze.models.parts.head import KernelHead, PositiveLink
from freegaze.nn.cores import ConvCore, CoreConfig
from freegaze.nn.fast.batch_norm import BatchNorm2d
from freegaze.nn.precision import at_least_float32
from freegaze.nn.shifter import NoShifterConfig, ShifterConfig


class AutoencoderConfig(StrictConfig):
    """Choices of the autoencoder.

    Args:
        shifter: Movement of frames by gaze, or ``none``.
        core: The convolutional core; the decoder is its mirror image.
        n_latent: Numbers that a frame is reduced to.
        reconstruction: Weight of the mean squared error of the reconstructed frames in the loss.
        target: Frames to reconstruct: ``"moved"`` by the shifter, as the core saw them, or
            ``"raw"``, as the head camera recorded them (original); the displacement is not part of
            the latent numbers.
        rectify: Whether reconstructed frames are batch-normalized and rectified (original), so that
            they have no level below zero, unlike half of standardized video.
        positive_link: Link of expected counts: ``softplus``, or ``elu1`` (ELU + 1).
        start_at_mean: Whether a fit starts from each neuron's mean response.
    """

    shifter: ImageShifterChoice = ShifterConfig()
    core: CoreConfig = CoreConfig(channels=(16, 32, 64), kernels=(7, 5, 3), strides=(1, 2, 2))
    n_latent: int = Field(default=256, ge=1)
    reconstruction: float = Field(default=0.5, ge=0)
    target: Literal["moved", "raw"] = "moved"
    rectify: bool = False
    positive_link: PositiveLink = "softplus"
    start_at_mean: bool = True

    @classmethod
    def paper(cls, is_shifted: bool = True) -> AutoencoderConfig:
        """Return the original's encoder, with or without its shifter.

        Source: Xu et al. (2023), Table 1; deviations Q11, Q12, Q13, Q24.
        """
        core = CoreConfig.paper().model_copy(update={"channels": (64, 128, 256), "dropout": 0.0})
        return cls(
            shifter=ShifterConfig.paper(hidden=128) if is_shifted else NoShifterConfig(),
            core=core,
            target="raw",
            rectify=True,
            start_at_mean=False,
        )


class Decoder(nn.Module):
    """Mirror image of a ``ConvCore``: from latent numbers to a gray frame.

    Args:
        n_latent: Latent numbers.
        core: The core; each of its blocks is inverted by a block.
        sizes: (height, width) of the core's first input, then of each block's output.
        ends_rectified: Whether the frame is batch-normalized and rectified, as in the original;
            otherwise it may take any value.
    """

    def __init__(
        self,
        n_latent: int,
        core: ConvCore,
        sizes: Sequence[tuple[int, int]],
        ends_rectified: bool,
    ) -> None:
        super().__init__()
        channels, kernels, strides = core.channels, core.kernels, core.strides
        self.map_size = (channels[-1], *sizes[-1])
        self.expand = nn.Linear(n_latent, channels[-1] * sizes[-1][0] * sizes[-1][1])
        self.blocks = nn.Sequential()
        for block in reversed(range(len(channels))):
            n_out = channels[block - 1] if block else 1
            kernel, stride = kernels[block], strides[block]
            missing = [
                wanted - ((side - 1) * stride + kernel)
                for wanted, side in zip(sizes[block], sizes[block + 1], strict=True)
            ]
            has_norm = block > 0 or ends_rectified
            self.blocks.append(
                nn.Sequential(
                    nn.ConvTranspose2d(
                        channels[block],
                        n_out,
                        kernel,
                        stride,
                        output_padding=(missing[0], missing[1]),
                    ),
                    *((BatchNorm2d(n_out), nn.ReLU()) if has_norm else ()),
                )
            )

    def forward(
        self, latent: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "batch 1 height width"]:
        """Return the frames in the size that the core's first block saw."""
        maps = self.expand(latent).relu().unflatten(1, self.map_size)
        return self.blocks(maps)


class AutoencoderHead(KernelHead):
    """One session's part: gaze, readout of the latent numbers, temporal kernels, biases."""

    def __init__(self, config: AutoencoderConfig, dims: EncoderDims) -> None:
        super().__init__(dims, config.positive_link)
        self.gaze = GazeCorrection(config.shifter, dims)
        self.readout = nn.Linear(config.n_latent, dims.n_neurons, bias=False)
        self.add_kernels(dims)


@register_model("autoencoder")
class Autoencoder(AbstractEncoder):
    """Reduces each frame to latent numbers, which predict the responses and the frame.

    Source: Xu et al. (2023), Table 1; deviation Q24.
    """

    Config = AutoencoderConfig
    inputs = "both"

    def __init__(self, config: AutoencoderConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        frame_sizes = {dims.frame_size for dims in sessions.values()}
        if len(frame_sizes) > 1:
            raise ConfigError(
                "the autoencoder's sessions share latent numbers and need frames of one size, got "
                + ", ".join(f"{height} x {width}" for height, width in sorted(frame_sizes))
            )
        self.core = config.core.build()
        sizes = self.core.map_sizes(frame_sizes.pop())
        self.latent = nn.Linear(
            self.core.channels[-1] * sizes[-1][0] * sizes[-1][1], config.n_latent
        )
        self.decoder = Decoder(config.n_latent, self.core, sizes, ends_rectified=config.rectify)
        self.add_heads(lambda dims: AutoencoderHead(config, dims))
        self.reconstruction = config.reconstruction
        self.is_target_moved = config.target == "moved"

    @classmethod
    def reads(cls, config: AutoencoderConfig) -> Sequence[str | Sequence[str]]:
        """Return the features of the shifter."""
        return [config.shifter.columns]

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Return the latent numbers of each frame."""
        gaze = self.head(session).gaze
        maps = self.core(gaze(video.flatten(0, 1), behavior.flatten(0, 1)))
        return self.latent(maps.flatten(1)).unflatten(0, video.shape[:2])

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Read each bin's latent numbers, weigh the window's bins, apply the response link."""
        head = self.head(session)
        return head.respond(head.readout(features))

    def reconstruct(
        self, features: Float[Tensor, "batch time hidden"]
    ) -> Float[Tensor, "batch time 1 h w"]:
        """Reconstruct the frames from the latent numbers, in the size that the core saw."""
        return self.decoder(features.flatten(0, 1)).unflatten(0, features.shape[:2])

    def batch_penalties(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        features: Float[Tensor, "batch time hidden"],
        session: str | None = None,
    ) -> dict[str, Tensor]:
        """Return the weighted mean squared error of the reconstructed frames."""
        target = video.flatten(0, 1)
        if self.is_target_moved:
            with torch.no_grad():  # or the shifter would move frames to where they are easy
                gaze = self.head(session).gaze
                target = gaze(target, behavior.flatten(0, 1))
        target = self.core.coarse(target)
        error = F.mse_loss(at_least_float32(self.reconstruct(features).flatten(0, 1)), target)
        return {"reconstruction": self.reconstruction * error}
