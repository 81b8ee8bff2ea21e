"""Vision, behavior and their product over time: the main encoder of Xu et al. (2023)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, NonNegativeInt, model_validator
from torch import Tensor, nn

from freegaze.dataset.dims import EncoderDims
from freegaze.models.encoder import register_model
from freegaze.models.parts.columns import Columns
from freegaze.models.parts.head import Head
from freegaze.models.parts.vision import Vision, VisionConfig, VisionEncoder, WindowChoice
from freegaze.nn.cores import AbstractCore, CoreConfig
from freegaze.nn.fast.batch_norm import BatchNorm1d
from freegaze.nn.readouts import LinearReadoutConfig
from freegaze.nn.recurrent import GatedRecurrentUnit
from freegaze.nn.shifter import NoShifterConfig, ShifterConfig
from freegaze.nn.temporal import TemporalKernels

N_HIDDEN = 16
"""Hidden units of the recurrent unit by default."""


class CNNGRUConfig(VisionConfig):
    """Choices of the encoder, beside those of ``VisionConfig``.

    Args:
        window: Part of the retinal frame that the core reads, as in ``VisionConfig``.
        features: Behavior features, by set or by name; an empty list for vision only.
        normalize_behavior: Whether features are batch-normalized (original) instead of relying on
            standardized ones.
        own_gain: Whether the weights by which behavior multiplies vision differ from those by
            which it adds; the original uses the same for both.
        behavior_l1: Weight of the mean absolute feature weight in the loss.
        normalize_streams: Whether vision, behavior and their product are batch-normalized, each by
            one scale for all neurons.
        kernels: Whether each neuron also weighs its own streams over the window by temporal
            kernels, in addition to the recurrent unit that mixes all neurons.
        n_hidden: Hidden units of the recurrent unit; 0 for none. ``auto`` is 16, and 0 where a
            window is one bin and there are ``kernels``: without a past, the unit only mixes
            neurons.
        encode_per_frame: Whether training normalizes the frames of each bin of the window by
            themselves.
    """

    window: WindowChoice = "auto"
    features: str | tuple[str, ...] = "recorded"
    normalize_behavior: bool = False
    own_gain: bool = True
    behavior_l1: float = Field(default=0.01, ge=0)
    normalize_streams: bool = False
    kernels: bool = True
    n_hidden: Literal["auto"] | NonNegativeInt = "auto"
    encode_per_frame: bool = False

    @model_validator(mode="after")
    def _has_an_output(self) -> CNNGRUConfig:
        if self.n_hidden == 0 and not self.kernels:
            raise ValueError("n_hidden: 0 needs kernels: true, or nothing reaches the output")
        return self

    def hidden_units(self, history: int) -> int:
        """Return the hidden units of the recurrent unit for windows of ``history`` bins."""
        if self.n_hidden != "auto":
            return self.n_hidden
        return 0 if history == 1 and self.kernels else N_HIDDEN

    @classmethod
    def paper(
        cls, features: str | tuple[str, ...] = "all_prod", is_shifted: bool = True
    ) -> CNNGRUConfig:
        """Return the original's encoder.

        In its ``velo`` and ``velo_prod`` rows the shifter reads derivatives, since the original
        picked columns by number.

        Args:
            features: Behavior feature set of the table's row.
            is_shifted: Whether frames are moved by gaze.

        Source: Xu et al. (2023), Tables 2 and 3; deviations Q11 to Q20.
        """
        angles = ("theta", "phi", "pitch", "roll")
        if features in ("velo", "velo_prod"):
            angles = ("d_theta", "d_phi", "d_pitch", "d_roll")
        shifter = ShifterConfig.paper(max_shift=1 / 5.5).model_copy(update={"columns": angles})
        return cls(
            shifter=shifter if is_shifted else NoShifterConfig(),
            core=CoreConfig.paper(),
            readout=LinearReadoutConfig(),
            window="whole",
            linear_path=False,
            features=features,
            normalize_behavior=True,
            own_gain=False,
            behavior_l1=1.0,
            normalize_streams=True,
            kernels=False,
            n_hidden=512,
            encode_per_frame=True,
            start_at_mean=False,
        )


class CNNGRUHead(Head):
    """One session's part: vision, behavior encoder, recurrent unit, kernels, output."""

    def __init__(self, config: CNNGRUConfig, core: AbstractCore, dims: EncoderDims) -> None:
        n_hidden = config.hidden_units(dims.history)
        super().__init__(dims, config.positive_link, has_bias=not n_hidden)
        n_neurons = dims.n_neurons
        self.columns = Columns(dims, config.features, "the behavior encoder")
        n_features = self.columns.n_features
        self.vision = Vision(config, core, dims, has_bias=True)
        self.n_drives = 2 if config.own_gain else 1
        self.behavior = None
        if n_features:
            norm = BatchNorm1d(n_features) if config.normalize_behavior else nn.Identity()
            linear = nn.Linear(n_features, self.n_drives * n_neurons)
            self.behavior = nn.Sequential(OrderedDict(norm=norm, linear=linear))
        self.n_streams = 3 if n_features else 1
        self.norm = BatchNorm1d(self.n_streams) if config.normalize_streams else None
        self.gru = None
        if n_hidden:
            self.gru = GatedRecurrentUnit(self.n_streams * n_neurons, n_hidden)
            self.output = nn.Linear(n_hidden, n_neurons)
        self.kernels = (
            TemporalKernels(dims.history, self.n_streams, n_neurons) if config.kernels else None
        )

    def start_from(self, mean_response: Float[Tensor, " neuron"]) -> None:
        """Start from each neuron's mean response, with little effect of behavior."""
        super().start_from(mean_response)
        if (
            self.gru is not None and self.kernels is not None
        ):  # the recurrent unit adds to the kernels' drive
            self.output.weight.data.zero_()
        if self.behavior is not None:  # most neurons depend little on most features
            self.behavior.get_parameter("linear.weight").data.mul_(0.1)

    def streams(self, vision: Tensor, behavior: Tensor) -> Tensor:
        """Stack vision, behavior and product, (batch, stream, neuron)."""
        if self.behavior is None:
            stacked = vision.unsqueeze(1)
        else:
            states = self.behavior(self.columns(behavior)).chunk(self.n_drives, dim=1)
            stacked = torch.stack([vision, states[0], vision * states[-1]], dim=1)
        return stacked if self.norm is None else self.norm(stacked)


@register_model("cnn_gru")
class CNNGRU(VisionEncoder):
    """Predicts responses from vision, behavior and their product over a window.

    Each frame is moved by gaze and reduced to one visual drive per neuron. The behavior of its bin
    gives one drive that is added and one that multiplies. All three enter a recurrent unit and, by
    default, temporal kernels of each neuron. By default, windows of one bin have no recurrent unit.

    Source: Xu et al. (2023), Tables 2 and 3.
    """

    Config = CNNGRUConfig
    Head = CNNGRUHead

    def __init__(self, config: CNNGRUConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.behavior_l1 = config.behavior_l1
        self.encode_per_frame = config.encode_per_frame

    @classmethod
    def reads(cls, config: CNNGRUConfig) -> Sequence[str | Sequence[str]]:
        """Return the features of the behavior encoder, then those of vision."""
        return [config.features, *super().reads(config)]

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Return the streams of each frame: vision, behavior and product of all neurons."""
        head = self.head(session)
        # Deviation Q18: the original called its normalizing layers once for each bin of the window.
        step = 1 if self.encode_per_frame and self.training else video.shape[1]
        parts = zip(video.split(step, 1), behavior.split(step, 1), strict=True)
        return torch.cat([self._encode(head, frames, states) for frames, states in parts], 1)

    def _encode(self, head: CNNGRUHead, video: Tensor, behavior: Tensor) -> Tensor:
        states = behavior.flatten(0, 1)
        vision = head.vision(self.core, video.flatten(0, 1), states)
        return head.streams(vision, states).flatten(1).unflatten(0, video.shape[:2])

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Read each window's streams and apply the response link."""
        head = self.head(session)
        drives = []
        if head.gru is not None:
            drives.append(head.output(head.gru(features)))
        if head.kernels is not None:
            drives.append(head.kernels(features.unflatten(2, (head.n_streams, -1))))
        return head.link_response(sum(drives))

    def penalties(self, session: str | None = None) -> dict[str, Tensor]:
        """Return the penalties of vision, and that on behavior weights (Q20)."""
        behavior = self.head(session).behavior
        penalties = super().penalties(session)
        if behavior is not None and self.behavior_l1:
            penalties["behavior_l1"] = self.behavior_l1 * behavior.linear.weight.abs().mean()
        return penalties
