"""Encoders that see and no more: gaze, core, readout, a temporal kernel for each neuron."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import resolve_features
from freegaze.models.encoder import AbstractEncoder
from freegaze.models.parts.link import response_link
from freegaze.models.parts.pretrained import load_pretrained_core
from freegaze.models.parts.vision import Vision, VisionConfig
from freegaze.nn.cores import AbstractCore
from freegaze.nn.precision import at_least_float32
from freegaze.nn.response import Link, apply_link, invert_link
from freegaze.nn.sessions import PerSession
from freegaze.nn.temporal import TemporalKernels
from freegaze.nn.timm_core import TimmCore, TimmCoreConfig


class AbstractVisionEncoder(AbstractEncoder):
    """A core that sessions share, and a head each with a way from frames to visual drives.

    Attributes:
        core: The core.
        heads: Each session's head, whose ``vision`` is a ``Vision``.
    """

    Config = VisionConfig
    inputs = "both"

    def __init__(self, config: VisionConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.core = config.build_core()
        self.core_config = config.core
        self.start_at_mean = config.start_at_mean
        self.heads = PerSession(
            {name: self.build_head(config, self.core, dims) for name, dims in sessions.items()}
        )

    @staticmethod
    @abstractmethod
    def build_head(config: Any, core: AbstractCore, dims: EncoderDims) -> Any:
        """Build a session's head."""

    def penalties(self, session: str | None = None) -> dict[str, Tensor]:
        """Return the penalties on the core's filters, the readout and the linear path."""
        vision = self.heads.of(self.session_name(session)).vision
        return self.core.penalties() | vision.penalties()

    def shift(
        self, behavior: Float[Tensor, "batch feature"], session: str | None = None
    ) -> Float[Tensor, "batch 3"] | None:
        """Return the shifter's (x px, y px, angle deg)."""
        return self.heads.of(self.session_name(session)).vision.displacement(behavior)

    def see(
        self,
        frames: Float[Tensor, "batch 1 height width"],
        behavior: Float[Tensor, "batch feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch 1 height width"]:
        """Return frames as the shifter moves them."""
        return self.heads.of(self.session_name(session)).vision.gaze(frames, behavior)

    def constrain(self) -> None:
        """Keep the readouts' positions within the maps."""
        for session in self.sessions:
            self.heads.of(session).vision.constrain()

    def load_pretrained(self) -> None:
        """Give the core the weights that it starts a fit from.

        Raises:
            ConfigError: If they cannot be downloaded.
            CheckpointError: If their file is broken, or of another network.
        """
        if isinstance(self.core, TimmCore) and isinstance(self.core_config, TimmCoreConfig):
            load_pretrained_core(self.core, self.core_config)


class VisionEncoder(AbstractVisionEncoder):
    """Predicts responses from the video; behavior moves the gaze, or fills planes of the frames.

    With more than one bin of history, each neuron weighs the bins of its window by a kernel of its
    own. An encoder of this kind is a ``VisionConfig`` and a name.
    """

    @staticmethod
    def build_head(config: VisionConfig, core: AbstractCore, dims: EncoderDims) -> _Head:
        """Build a session's head."""
        return _Head(config, core, dims)

    @classmethod
    def required_features(cls, config: VisionConfig, recorded: tuple[str, ...]) -> tuple[str, ...]:
        """Name the features that the shifter reads, then those of the planes."""
        return resolve_features(config.behavior_columns(), recorded)

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Return one visual drive a neuron for each frame."""
        head = self.heads.of(self.session_name(session))
        drive = head.vision(self.core, video.flatten(0, 1), behavior.flatten(0, 1))
        return drive.unflatten(0, video.shape[:2])

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Weigh the bins of each window and apply the response link."""
        head = self.heads.of(self.session_name(session))
        drive = features[:, 0] if head.kernels is None else head.kernels(features.unsqueeze(2))
        return apply_link(at_least_float32(drive) + head.bias, head.link)

    def initialize(self, session: str, mean_response: Float[Tensor, " neuron"]) -> None:
        """Start a session's biases from its neurons' mean training response."""
        if self.start_at_mean:
            head = self.heads.of(session)
            head.bias.data.copy_(invert_link(mean_response, head.link))


class _Head(nn.Module):
    """One session's part: vision, temporal kernels, biases."""

    def __init__(self, config: VisionConfig, core: AbstractCore, dims: EncoderDims) -> None:
        super().__init__()
        self.vision = Vision(config, core, dims, has_bias=False)
        many_bins = dims.history > 1
        self.kernels = TemporalKernels(dims.history, 1, dims.n_neurons) if many_bins else None
        self.bias = nn.Parameter(torch.zeros(dims.n_neurons))
        self.link: Link = response_link(dims.response_kind, config.positive_link)
