"""Behavior without video: what running, posture and arousal explain by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import resolve_features
from freegaze.errors import ConfigError
from freegaze.models.encoder import AbstractEncoder, register_model
from freegaze.models.parts.columns import Columns
from freegaze.models.parts.link import response_link
from freegaze.nn.precision import at_least_float32
from freegaze.nn.recurrent import GatedRecurrentUnit
from freegaze.nn.response import Link, apply_link, invert_link
from freegaze.nn.sessions import PerSession


class BehaviorOnlyConfig(StrictConfig):
    """Choices of the behavior-only encoder.

    Args:
        features: Behavior features, by set or by name.
        temporal: ``"linear"`` weighs every feature of every bin of the window, ``"gru"`` reads the
            window with a recurrent unit.
        n_hidden: Hidden units of the recurrent unit.
        l1: Weight of the mean absolute feature weight in the loss.
    """

    features: str | tuple[str, ...] = "recorded"
    temporal: Literal["linear", "gru"] = "linear"
    n_hidden: int = Field(default=64, ge=1)
    l1: float = Field(default=0.0, ge=0)


@register_model("behavior_only")
class BehaviorOnly(AbstractEncoder):
    """Predicts responses from behavior alone, by a generalized linear model or a small GRU."""

    Config = BehaviorOnlyConfig
    inputs = "behavior"

    def __init__(self, config: BehaviorOnlyConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.heads = PerSession(
            {
                name: _Head(
                    _feature_positions(config.features, dims),
                    config.n_hidden if config.temporal == "gru" else None,
                    dims,
                )
                for name, dims in sessions.items()
            }
        )
        self.l1 = config.l1

    @classmethod
    def required_features(
        cls, config: BehaviorOnlyConfig, recorded: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Name the configured features."""
        return resolve_features(config.features, recorded)

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Return the selected features; the video is ignored."""
        return self.heads.of(self.session_name(session)).columns(behavior)

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Read each window and apply the response link."""
        head = self.heads.of(self.session_name(session))
        hidden = features.flatten(1) if head.gru is None else head.gru(features)
        return apply_link(at_least_float32(head.output(hidden)), head.link)

    def penalties(self, session: str | None = None) -> dict[str, Tensor]:
        """Return the L1 penalty on the weights that read the features."""
        if not self.l1:
            return {}
        head = self.heads.of(self.session_name(session))
        weight = head.output.weight if head.gru is None else head.gru.input_weight
        return {"behavior_l1": self.l1 * weight.abs().mean()}

    def initialize(self, session: str, mean_response: Float[Tensor, " neuron"]) -> None:
        """Start a session's biases from its neurons' mean training response."""
        head = self.heads.of(session)
        head.output.bias.data.copy_(invert_link(mean_response, head.link))


class _Head(nn.Module):
    """One session's part: columns, recurrent unit or none, output weights."""

    def __init__(self, positions: list[int], n_hidden: int | None, dims: EncoderDims) -> None:
        super().__init__()
        self.columns = Columns(positions)
        n_features = len(positions)
        self.gru = None if n_hidden is None else GatedRecurrentUnit(n_features, n_hidden)
        self.output = nn.Linear(n_hidden or n_features * dims.history, dims.n_neurons)
        nn.init.zeros_(self.output.weight)  # starts as the mean response
        self.link: Link = response_link(dims.response_kind)


def _feature_positions(features: str | tuple[str, ...], dims: EncoderDims) -> list[int]:
    names = resolve_features(features, dims.recorded or dims.behavior_names)
    if not names:
        raise ConfigError(
            "behavior_only needs at least one behavior feature, got none; name some in `features`, "
            "or choose the model mean_rate"
        )
    return dims.columns(names, "behavior_only")
