"""What an encoder is: a frame encoder and a temporal head, so that windows share their frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar, Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.errors import ConfigError
from freegaze.registry import Registry

Inputs = Literal["video", "behavior", "both", "none"]


class AbstractEncoder(nn.Module, ABC):
    """Predicts every neuron's response from a window of video and behavior.

    A subclass reads ``config`` once, in its constructor, and hands plain values on. Sessions share
    the core and have a head each; with one session its name may be left out of every call.

    Args:
        config: The encoder's own configuration.
        sessions: Sizes and names of each session fitted together.

    Attributes:
        inputs: What it reads: video, behavior, both or none.
        is_causal: Whether a prediction depends on input bins up to the window's last only.
    """

    Config: ClassVar[type[StrictConfig]]
    inputs: ClassVar[Inputs]
    is_causal: ClassVar[bool] = True

    def __init__(self, config: StrictConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__()
        self.config = config
        self.sessions = dict(sessions)
        self.history = next(iter(self.sessions.values())).history

    @classmethod
    @abstractmethod
    def required_features(cls, config: Any, recorded: tuple[str, ...]) -> tuple[str, ...]:
        """Name the behavior features that this encoder reads, given the recorded columns."""

    @abstractmethod
    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Encode each frame once, with the behavior of its bin."""

    @abstractmethod
    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Turn windows of encoded frames into expected responses a bin."""

    def forward(
        self,
        video: Float[Tensor, "batch history 1 height width"],
        behavior: Float[Tensor, "batch history feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch neuron"]:
        """Predict one window each: expected response in the target bin, (batch, neuron)."""
        return self.respond(self.encode(video, behavior, session), session)

    def predict_sequence(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch window neuron"]:
        """Predict all windows of contiguous stretches, encoding each frame once.

        Args:
            video: Stretches of at least ``history`` bins.
            behavior: Behavior features of the same bins.
            session: Whose head answers.

        Returns:
            One response for each of the ``time - history + 1`` windows.
        """
        return self.respond_sequence(self.encode(video, behavior, session), session)

    def respond_sequence(
        self, features: Float[Tensor, "batch time hidden"], session: str | None = None
    ) -> Float[Tensor, "batch window neuron"]:
        """Turn contiguous stretches of encoded frames into responses, one for each window."""
        windows = features.unfold(1, self.history, 1).movedim(-1, 2)
        return self.respond(windows.flatten(0, 1), session).unflatten(0, windows.shape[:2])

    def penalties(self, session: str | None = None) -> dict[str, Tensor]:
        """Return penalties on weights by name, each already weighted, to be added to the loss."""
        return {}

    def batch_penalties(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        features: Float[Tensor, "batch time hidden"],
        session: str | None = None,
    ) -> dict[str, Tensor]:
        """Return penalties on what became of a batch by name, each already weighted.

        Args:
            video: The batch's frames.
            behavior: Its behavior features.
            features: What ``encode`` made of them.
            session: Whose head answers.
        """
        return {}

    def constrain(self) -> None:
        """Put weights that an optimizer's step took out of their range back; by default a no-op."""

    def load_pretrained(self) -> None:
        """Take over weights trained elsewhere, at the start of a fit; by default a no-op."""

    def initialize(self, session: str, mean_response: Float[Tensor, " neuron"]) -> None:
        """Start a session's head from its neurons' mean training response; by default a no-op."""

    def shift(
        self, behavior: Float[Tensor, "batch feature"], session: str | None = None
    ) -> Float[Tensor, "batch 3"] | None:
        """Return the shifter's (x px, y px, angle deg), or ``None`` for an encoder without one."""
        return None

    def see(
        self,
        frames: Float[Tensor, "batch 1 height width"],
        behavior: Float[Tensor, "batch feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch 1 height width"]:
        """Return frames as the shifter moves them: the retinal image. By default as they are."""
        return frames

    def session_name(self, session: str | None) -> str:
        """Return ``session``, or the only one when it is left out.

        Raises:
            ConfigError: If the session is unknown, or left out where there are several.
        """
        if session is None and len(self.sessions) == 1:
            return next(iter(self.sessions))
        if session not in self.sessions:
            raise ConfigError(
                f"unknown session {session!r}; this encoder knows {', '.join(self.sessions)}"
            )
        return session


def _discover_models() -> None:
    package = import_module("freegaze.models")
    for module in iter_modules(package.__path__):
        if not module.name.startswith("_"):
            import_module(f"freegaze.models.{module.name}")


MODELS: Registry[type[AbstractEncoder]] = Registry("model", _discover_models)

E = TypeVar("E", bound=type[AbstractEncoder])


def register_model(name: str) -> Callable[[E], E]:
    """Enter an encoder class under ``name`` for configurations and the command line."""
    return MODELS.register(name)  # type: ignore[return-value]


def build_encoder(
    name: str, config: StrictConfig, sessions: Mapping[str, EncoderDims], seed: int
) -> AbstractEncoder:
    """Build an encoder whose initial weights depend on ``seed`` alone.

    Args:
        name: Registered name.
        config: Its configuration.
        sessions: Sizes and names of each session.
        seed: Any integer; the caller's random state is left as found.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS.get(name)(config, sessions)
