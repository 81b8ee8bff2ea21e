"""Generalized linear models of vision and position, after Parker et al. (2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.models.encoder import AbstractEncoder, register_model
from freegaze.models.parts.columns import Columns
from freegaze.models.parts.gaze import GazeCorrection, ImageShifterChoice
from freegaze.models.parts.head import Head
from freegaze.nn.penalties import roughness
from freegaze.nn.precision import at_least_float32
from freegaze.nn.readouts import coarse_size
from freegaze.nn.shifter import ShifterConfig
from freegaze.nn.temporal import LaggedLinear


class GLMConfig(StrictConfig):
    """Choices of the generalized linear model.

    Args:
        kind: ``"vision"``: link(vision); ``"position"``: link(position); ``"additive"``:
            link(vision + position); ``"multiplicative"``: |1 + position| * link(vision).
        shifter: Movement of frames by gaze, or ``none``.
        position: Behavior features of the position filter, by set or by name.
        position_bins: Bins of the window that have position weights: ``"all"``, or only the
            ``"middle"`` one (the target bin of a window with a lag of minus half its length).
        downsample: Pixels, down and across, that are averaged into one.
        crop: Averaged pixels that are cut off at each border.
        link: ``"auto"`` chooses by the kind of responses; ``"relu"`` is that of the source.
        scale_steps: Whether an optimizer's steps on pixel weights are scaled down by the square
            root of the number of pixels; the source's are not.
        smoothness: Weight of the squared differences between neighboring weights in time and space.
        l1: Weight of the sum of absolute weights per neuron.
        l2: Weight of the sum of squared weights per neuron.
    """

    kind: Literal["vision", "position", "additive", "multiplicative"] = "multiplicative"
    shifter: ImageShifterChoice = ShifterConfig()
    position: str | tuple[str, ...] = "recorded"
    position_bins: Literal["all", "middle"] = "all"
    downsample: int = Field(default=2, ge=1)
    crop: int = Field(default=0, ge=0)
    link: Literal["auto", "relu"] = "auto"
    scale_steps: bool = True
    smoothness: float = Field(default=1.0, ge=0)
    l1: float = Field(default=0.0, ge=0)
    l2: float = Field(default=0.0, ge=0)

    @classmethod
    def paper(
        cls,
        kind: Literal["vision", "position", "additive", "multiplicative"] = "multiplicative",
        l2: float = 0.0,
    ) -> GLMConfig:
        """Return the source's model; train it with squared error, lag -2 and history 5.

        Args:
            kind: One of its four models.
            l2: The source tries 20 values from 0.01 to 1000, evenly in the logarithm.

        Source: Parker et al. (2022), code.
        """
        return cls(
            kind=kind,
            shifter=ShifterConfig.parker2022(),
            position=("theta", "phi", "pitch", "roll"),
            position_bins="middle",
            crop=5,
            link="relu",
            scale_steps=False,
            smoothness=0.0,
            l1=1e-4,
            l2=l2,
        )


class GLMHead(Head):
    """One session's part: filters over frames and behavior, biases."""

    def __init__(self, config: GLMConfig, dims: EncoderDims) -> None:
        super().__init__(dims)
        all_bins = range(dims.history)
        self.vision: LaggedLinear | None = None
        self.position: LaggedLinear | None = None
        if config.kind != "position":
            self.gaze = GazeCorrection(config.shifter, dims)
            self.field_size = coarse_size(dims.frame_size, config.downsample, config.crop)
            n_pixels = self.field_size[0] * self.field_size[1]
            scale = n_pixels**-0.5 if config.scale_steps else 1.0
            self.vision = LaggedLinear(all_bins, n_pixels, dims.n_neurons, scale)
        self.columns = Columns(dims, _position(config), "the position part")
        if self.columns.n_features:
            bins = all_bins if config.position_bins == "all" else [dims.history // 2]
            self.position = LaggedLinear(bins, self.columns.n_features, dims.n_neurons)
        self.downsample, self.crop = config.downsample, config.crop
        if config.link == "relu":
            self.link = "relu"

    def pixels(self, frames: Tensor, behavior: Tensor) -> Tensor:
        """Move, average and crop the frames, and lay out their pixels, (batch, pixel)."""
        assert self.gaze is not None
        coarse = F.avg_pool2d(self.gaze(frames, behavior), self.downsample)
        height, width = coarse.shape[-2:]
        cut = self.crop
        return coarse[..., cut : height - cut, cut : width - cut].flatten(1)

    def sum_windows(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return vision and position of each window, (batch, neuron); zero for an absent one."""
        n_vision, vision, position = 0, features.new_zeros(()), features.new_zeros(())
        if self.vision is not None:
            n_vision = self.vision.weight.shape[:2].numel()
            vision = self.vision.sum_window(features[..., :n_vision])
        if self.position is not None:
            position = self.position.sum_window(features[..., n_vision:])
        return vision, position


@register_model("glm")
class GLM(AbstractEncoder):
    """Predicts responses by one linear filter over pixels and lags, and one over behavior.

    Source: Parker, Abe, Leonard, Martins, Niell (2022), "Joint coding of visual input and eye/head
    position in V1 of freely moving mice".
    """

    Config = GLMConfig
    inputs = "both"

    def __init__(self, config: GLMConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.add_heads(lambda dims: GLMHead(config, dims))
        self.is_multiplicative = config.kind == "multiplicative"
        self.strengths = {"smoothness": config.smoothness, "l1": config.l1, "l2": config.l2}

    @classmethod
    def reads(cls, config: GLMConfig) -> Sequence[str | Sequence[str]]:
        """Return the position features, then those of the shifter."""
        gaze = () if config.kind == "position" else config.shifter.columns
        return [_position(config), gaze]

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Return the contribution of each bin to a window, for each position in the window."""
        head = self.head(session)
        states = behavior.flatten(0, 1)
        parts = []
        if head.vision is not None:
            parts.append(head.vision(head.pixels(video.flatten(0, 1), states)))
        if head.position is not None:
            parts.append(head.position(head.columns(states)))
        return torch.cat(parts, 1).unflatten(0, behavior.shape[:2])

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Sum the bins of each window and apply the link."""
        head = self.head(session)
        vision, position = head.sum_windows(at_least_float32(features))
        if self.is_multiplicative:
            return (1 + position).abs() * head.link_response(vision)
        return head.link_response(vision + position)

    def penalties(self, session: str | None = None) -> dict[str, Tensor]:
        """Return smoothness, L1 and L2 of visual weights, each summed per neuron."""
        head = self.head(session)
        if head.vision is None:
            return {}
        weight = head.vision.scaled_weight()
        values = {
            "smoothness": roughness(weight.unflatten(2, head.field_size)).mean(),
            "l1": weight.abs().sum() / weight.shape[1],
            "l2": weight.square().sum() / weight.shape[1],
        }
        return {name: s * values[name] for name, s in self.strengths.items() if s}


def _position(config: GLMConfig) -> str | tuple[str, ...]:
    return () if config.kind == "vision" else config.position
