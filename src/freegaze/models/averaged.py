"""Several fits of one encoder as one encoder that predicts the mean of their rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.models.encoder import AbstractEncoder, build_encoder
from freegaze.models.parts.gaze import GazeCorrection


class AveragedEncoder(AbstractEncoder):
    """Predicts the mean of the rates that its members predict.

    The members share gaze correction, so that they agree on the retinal frame.

    Args:
        members: Encoders of one class and configuration, for the same sessions.

    Attributes:
        members: The encoders.
    """

    def __init__(self, members: Iterable[AbstractEncoder]) -> None:
        encoders = list(members)
        first = encoders[0]
        super().__init__(first.config, first.sessions)
        self.members = nn.ModuleList(encoders)
        self.inputs, self.is_causal = first.inputs, first.is_causal

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Return the features of each frame by each member, one after the other."""
        encoded = [member.encode(video, behavior, session) for member in self.encoders()]
        return torch.cat(encoded, -1)

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Return the mean over members of the responses to each window."""
        parts = features.chunk(len(self.members), -1)
        pairs = zip(self.encoders(), parts, strict=True)
        return torch.stack([member.respond(part, session) for member, part in pairs]).mean(0)

    def gaze(self, session: str | None = None) -> GazeCorrection | None:
        """Return the gaze correction that members share."""
        return self.encoders()[0].gaze(session)

    def encoders(self) -> list[AbstractEncoder]:
        """Return the members as encoders."""
        return [member for member in self.members if isinstance(member, AbstractEncoder)]


def build_averaged(
    name: str, config: StrictConfig, sessions: Mapping[str, EncoderDims], n_members: int
) -> AbstractEncoder:
    """Build the encoder of a run with initial weights: the average of several, or one.

    Args:
        name: Registered name.
        config: Configuration of the encoder.
        sessions: Sizes and names of each session.
        n_members: Encoders to average.

    Returns:
        An ``AveragedEncoder`` of more than one member, or the encoder itself.
    """
    members = [build_encoder(name, config, sessions, seed) for seed in range(n_members)]
    return members[0] if n_members == 1 else AveragedEncoder(members)


def share_gaze(encoder: AbstractEncoder, first: AbstractEncoder) -> None:
    """Take over another fit's gaze correction, which training then leaves alone.

    Args:
        encoder: Changed in place.
        first: An encoder of the same class and configuration.
    """
    own = dict(encoder.named_modules())
    for name, module in first.named_modules():
        if isinstance(module, GazeCorrection):
            own[name].load_state_dict(module.state_dict())
            own[name].requires_grad_(False)
