"""Vision times behavior through time: the headline encoder of Xu et al. (2023), corrected."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import resolve_features
from freegaze.models.encoder import register_model
from freegaze.models.parts.columns import Columns
from freegaze.models.parts.link import response_link
from freegaze.models.parts.vision import Vision, VisionConfig
from freegaze.models.parts.vision_encoder import AbstractVisionEncoder
from freegaze.nn.behavior import BehaviorEncoder
from freegaze.nn.cores import AbstractCore, CoreConfig
from freegaze.nn.fast.batch_norm import BatchNorm1d
from freegaze.nn.precision import at_least_float32
from freegaze.nn.readouts import LinearReadoutConfig
from freegaze.nn.recurrent import GatedRecurrentUnit
from freegaze.nn.response import Link, apply_link, invert_link
from freegaze.nn.shifter import NoShifterConfig, ShifterConfig
from freegaze.nn.temporal import TemporalKernels


class CNNGRUConfig(VisionConfig):
    """Choices of the encoder, beside those of ``VisionConfig``.

    Args:
        features: Behavior features, by set or by name; an empty list for vision only.
        normalize_behavior: Whether features are batch-normalized (original) instead of relying on
            standardized ones.
        own_gain: Whether behavior multiplies vision by weights of its own, apart from those by
            which it adds; the original uses the same for both.
        behavior_l1: Weight of the mean absolute feature weight in the loss.
        normalize_streams: Whether vision, behavior and their product are batch-normalized, each by
            one scale for all neurons.
        kernels: Whether each neuron also weighs its own streams over the window by kernels of its
            own, beside the recurrent unit that mixes all neurons.
        n_hidden: Hidden units of the recurrent unit.
        encode_per_frame: Whether training normalizes the frames of each bin of the window by
            themselves.
    """

    features: str | tuple[str, ...] = "recorded"
    normalize_behavior: bool = False
    own_gain: bool = True
    behavior_l1: float = Field(default=0.01, ge=0)
    normalize_streams: bool = False
    kernels: bool = True
    n_hidden: int = Field(default=64, ge=1)
    encode_per_frame: bool = False

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


@register_model("cnn_gru")
class CNNGRU(AbstractVisionEncoder):
    """Predicts responses from vision, behavior and their product over a window.

    Each frame is moved by gaze and reduced to one visual drive a neuron; the bin's behavior gives
    a drive to add and one to multiply with. All three go to a recurrent unit and, by default, to
    each neuron's own temporal kernels.

    Source: Xu et al. (2023), Tables 2 and 3.
    """

    Config = CNNGRUConfig

    def __init__(self, config: CNNGRUConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.behavior_l1 = config.behavior_l1
        self.encode_per_frame = config.encode_per_frame

    @staticmethod
    def build_head(config: CNNGRUConfig, core: AbstractCore, dims: EncoderDims) -> _Head:
        """Build a session's head."""
        return _Head(config, core, dims)

    @classmethod
    def required_features(cls, config: CNNGRUConfig, recorded: tuple[str, ...]) -> tuple[str, ...]:
        """Name the features of the behavior encoder, then those that only vision reads."""
        names = resolve_features(config.features, recorded)
        return resolve_features((*names, *config.behavior_columns()), recorded)

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Return the streams of each frame: vision, behavior and product for all neurons."""
        head = self.heads.of(self.session_name(session))
        # Deviation Q18: the original called its normalizing layers once for each bin of the window.
        step = 1 if self.encode_per_frame and self.training else video.shape[1]
        parts = zip(video.split(step, 1), behavior.split(step, 1), strict=True)
        return torch.cat([self._encode(head, frames, states) for frames, states in parts], 1)

    def _encode(self, head: _Head, video: Tensor, behavior: Tensor) -> Tensor:
        states = behavior.flatten(0, 1)
        vision = head.vision(self.core, video.flatten(0, 1), states)
        return head.streams(vision, states).flatten(1).unflatten(0, video.shape[:2])

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Read each window's streams and apply the response link."""
        head = self.heads.of(self.session_name(session))
        drive = head.output(head.gru(features))
        if head.kernels is not None:
            drive = drive + head.kernels(features.unflatten(2, (head.n_streams, -1)))
        return apply_link(at_least_float32(drive), head.link)

    def penalties(self, session: str | None = None) -> dict[str, Tensor]:
        """Return those of vision, and the one on behavior weights (Q20)."""
        head = self.heads.of(self.session_name(session))
        penalties = super().penalties(session)
        if head.behavior is not None and self.behavior_l1:
            penalties["behavior_l1"] = self.behavior_l1 * head.behavior.mean_absolute_weight()
        return penalties

    def initialize(self, session: str, mean_response: Float[Tensor, " neuron"]) -> None:
        """Start a session's biases from its neurons' mean training response."""
        if self.start_at_mean:
            head = self.heads.of(session)
            head.output.bias.data.copy_(invert_link(mean_response, head.link))
            if head.kernels is not None:  # the recurrent unit adds what the kernels leave
                head.output.weight.data.zero_()
            if head.behavior is not None:  # most cells know little of most signals
                head.behavior.linear.weight.data.mul_(0.1)


class _Head(nn.Module):
    """One session's part: vision, behavior encoder, recurrent unit, kernels, output."""

    def __init__(self, config: CNNGRUConfig, core: AbstractCore, dims: EncoderDims) -> None:
        super().__init__()
        n_neurons = dims.n_neurons
        names = resolve_features(config.features, dims.recorded or dims.behavior_names)
        self.columns = Columns(dims.columns(names, "the behavior encoder"))
        self.vision = Vision(config, core, dims, has_bias=True)
        n_outputs = 2 if config.own_gain else 1
        self.behavior = (
            BehaviorEncoder(len(names), n_neurons, config.normalize_behavior, n_outputs)
            if names
            else None
        )
        self.n_streams = 3 if names else 1
        self.norm = BatchNorm1d(self.n_streams) if config.normalize_streams else None
        self.gru = GatedRecurrentUnit(self.n_streams * n_neurons, config.n_hidden)
        self.output = nn.Linear(config.n_hidden, n_neurons)
        self.kernels = (
            TemporalKernels(dims.history, self.n_streams, n_neurons) if config.kernels else None
        )
        self.link: Link = response_link(dims.response_kind, config.positive_link)

    def streams(self, vision: Tensor, behavior: Tensor) -> Tensor:
        """Stack vision, behavior and product, (batch, stream, neuron)."""
        if self.behavior is None:
            stacked = vision.unsqueeze(1)
        else:
            states = self.behavior(self.columns(behavior)).chunk(self.behavior.n_outputs, dim=1)
            stacked = torch.stack([vision, states[0], vision * states[-1]], dim=1)
        return stacked if self.norm is None else self.norm(stacked)
