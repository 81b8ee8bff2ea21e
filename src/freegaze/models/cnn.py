"""Vision only: a shifter, a convolutional core, a readout, a temporal kernel for each neuron."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from freegaze.models._gaze import shifter_columns
from freegaze.models._link import response_link
from freegaze.models._vision import Vision, VisionConfig
from freegaze.models.encoder import AbstractEncoder, EncoderDims, register_model
from freegaze.nn.cores import ConvCore, CoreConfig
from freegaze.nn.response import Link, apply_link, invert_link
from freegaze.nn.sessions import PerSession
from freegaze.nn.shifter import ShifterConfig
from freegaze.nn.temporal import TemporalKernels
from freegaze.recording.features import resolve_features


class CNNConfig(VisionConfig):
    """Choices of the vision-only encoder: those of ``VisionConfig``."""

    @classmethod
    def paper(cls, is_shifted: bool = True) -> CNNConfig:
        """Return the original's encoder, with or without its shifter.

        Source: Xu et al. (2023), Table 1; deviations Q11, Q12, Q13, Q15, Q19.
        """
        return cls(
            shifter=ShifterConfig.paper() if is_shifted else "none",
            core=CoreConfig.paper(),
            readout="linear",
            linear_path=False,
            start_at_mean=False,
        )


@register_model("cnn")
class CNN(AbstractEncoder):
    """Predicts responses from the video alone; behavior only moves the frames.

    With a history of one bin this is the original's CNN. With more, each neuron weighs the bins of
    its window by a kernel of its own.

    Source: Xu et al. (2023), Table 1.
    """

    Config = CNNConfig
    inputs = "both"

    def __init__(self, config: CNNConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.core = config.core.build()
        self.heads = PerSession(
            {name: _Head(config, self.core, dims) for name, dims in sessions.items()}
        )
        self.start_at_mean = config.start_at_mean

    @classmethod
    def required_features(cls, config: CNNConfig, recorded: tuple[str, ...]) -> tuple[str, ...]:
        """Name the features that the shifter reads."""
        return resolve_features(shifter_columns(config.shifter), recorded)

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
        return apply_link(drive.float() + head.bias, head.link)

    def penalties(self, session: str | None = None) -> dict[str, Tensor]:
        """Return the penalty on rough receptive fields of the linear path."""
        return self.heads.of(self.session_name(session)).vision.penalties()

    def shift(
        self, behavior: Float[Tensor, "batch feature"], session: str | None = None
    ) -> Float[Tensor, "batch 3"] | None:
        """Return the shifter's (x px, y px, angle deg)."""
        return self.heads.of(self.session_name(session)).vision.gaze.displacement(behavior)

    def initialize(self, session: str, mean_response: Float[Tensor, " neuron"]) -> None:
        """Start a session's biases from its neurons' mean training response."""
        if self.start_at_mean:
            head = self.heads.of(session)
            head.bias.data.copy_(invert_link(mean_response, head.link))


class _Head(nn.Module):
    """One session's part: vision, temporal kernels, biases."""

    def __init__(self, config: CNNConfig, core: ConvCore, dims: EncoderDims) -> None:
        super().__init__()
        self.vision = Vision(config, core, dims, has_bias=False)
        many_bins = dims.history > 1
        self.kernels = TemporalKernels(dims.history, 1, dims.n_neurons) if many_bins else None
        self.bias = nn.Parameter(torch.zeros(dims.n_neurons))
        self.link: Link = response_link(dims.response_kind)
