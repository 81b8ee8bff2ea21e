"""Base class of encoders: each frame is encoded once, then each window responds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import resolve_features
from freegaze.dataset.sessions import PreparedSession
from freegaze.errors import ConfigError
from freegaze.models.parts.gaze import GazeCorrection
from freegaze.progress import Progress
from freegaze.registry import Registry

Inputs = Literal["video", "behavior", "both", "none"]


@runtime_checkable
class HeldOut(Protocol):
    """Validation windows of all sessions, with the loss of the fit."""

    def predict(self, encoder: AbstractEncoder, session: str) -> Float[Tensor, "window neuron"]:
        """Return what an encoder predicts for the windows of a session."""
        ...

    def loss(self, session: str, predicted: Float[Tensor, "window neuron"]) -> float:
        """Return the loss of predictions for the windows of a session."""
        ...


class AbstractEncoder(nn.Module, ABC):
    """Predicts every neuron's response from a window of video and behavior.

    A subclass implements ``encode`` and ``respond``, and builds a head for each session with
    ``add_heads``. Sessions share all other parts. With one session its name may be left out of
    every call.

    This class uses two options of ``config``, if it has them: ``features`` (see ``reads``) and
    ``start_at_mean`` (see ``initialize``).

    Args:
        config: The encoder's own configuration.
        sessions: Sizes and names of each session fitted together.

    Attributes:
        inputs: Inputs that predictions depend on: video, behavior, both or none.
        is_causal: Whether a prediction depends on input bins up to the window's last only.
    """

    Config: ClassVar[type[StrictConfig]]
    inputs: Inputs
    is_causal: bool = True

    def __init__(self, config: StrictConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__()
        self.config = config
        self.sessions = dict(sessions)
        self.history = next(iter(self.sessions.values())).history

    def add_heads(self, build: Callable[[EncoderDims], nn.Module]) -> None:
        """Build the head of each session, after the parts that sessions share.

        Args:
            build: Returns a session's head, a ``Head`` or any module, from its sizes and names.
        """
        self.heads = nn.ModuleDict({session_key(k): build(d) for k, d in self.sessions.items()})

    def head(self, session: str | None) -> Any:
        """Return a session's head; ``None`` stands for the only session.

        Raises:
            ConfigError: If the session is unknown, or left out where there are several.
        """
        return self.heads[session_key(self.session_name(session))]

    def keep_sessions(self, names: Sequence[str]) -> None:
        """Remove the heads of all other sessions, for a process that holds some sessions only.

        Args:
            names: The sessions that stay, in their order.
        """
        self.sessions = {name: self.sessions[name] for name in names}
        kept = {session_key(name) for name in names}
        for key in [key for key in self.heads if key not in kept]:
            del self.heads[key]

    @classmethod
    def reads(cls, config: Any) -> Sequence[str | Sequence[str]]:
        """Return the behavior features that each part reads, by set or by name.

        By default, these are those of the option ``features``, if ``config`` has it.
        """
        return [getattr(config, "features", ())]

    @classmethod
    def required_features(cls, config: Any, recorded: tuple[str, ...]) -> tuple[str, ...]:
        """Name each behavior feature that this encoder reads, given the recorded columns.

        Raises:
            ConfigError: If a feature needs a column that was not recorded.
        """
        of_shifter = getattr(getattr(config, "shifter", None), "columns", None)
        names: list[str] = []
        for features in cls.reads(config):
            try:
                names += resolve_features(features, recorded)
            except ConfigError as error:
                if features != of_shifter:
                    raise
                raise ConfigError(
                    f"the shifter lacks its input: {error}; to fit without a shifter, as for "
                    "head-fixed data without eye tracking, give `--set model.shifter=none`"
                ) from None
        return tuple(dict.fromkeys(names))

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
        """Turn windows of encoded frames into expected responses per bin."""

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
        """Predict all windows of contiguous segments, encoding each frame once.

        Args:
            video: Segments of at least ``history`` bins.
            behavior: Behavior features of the same bins.
            session: Session whose neurons are predicted.

        Returns:
            One response for each of the ``time - history + 1`` windows.
        """
        return self.respond_sequence(self.encode(video, behavior, session), session)

    def respond_sequence(
        self, features: Float[Tensor, "batch time hidden"], session: str | None = None
    ) -> Float[Tensor, "batch window neuron"]:
        """Turn contiguous segments of encoded frames into responses, one per window."""
        windows = features.unfold(1, self.history, 1).movedim(-1, 2)
        return self.respond(windows.flatten(0, 1), session).unflatten(0, windows.shape[:2])

    def penalties(self, session: str | None = None) -> dict[str, Tensor]:
        """Return the penalties on weights that are added to the loss, by name, already weighted."""
        return {}

    def batch_penalties(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        features: Float[Tensor, "batch time hidden"],
        session: str | None = None,
    ) -> dict[str, Tensor]:
        """Return the penalties that depend on a batch, by name, already weighted.

        Args:
            video: The batch's frames.
            behavior: Behavior features of the batch.
            features: Result of ``encode`` for them.
            session: The batch's session.
        """
        return {}

    def constrain(self) -> None:
        """Return weights to their range after a step of the optimizer; by default a no-op."""

    def load_pretrained(self) -> None:
        """Load weights trained elsewhere at the start of a fit; by default a no-op."""

    @property
    def is_solved(self) -> bool:
        """Return whether the encoder overrides ``solve``, so that no optimizer fits its weights."""
        return type(self).solve is not AbstractEncoder.solve

    def solve(
        self, sessions: Mapping[str, PreparedSession], progress: Progress | None = None
    ) -> None:
        """Fit all weights without an optimizer; by default a no-op, and an optimizer fits them.

        Args:
            sessions: The prepared sessions by id.
            progress: Called with (description, done, total) between parts of the fit.
        """

    def refit(self, sessions: Mapping[str, PreparedSession]) -> None:
        """Fit the weights of ``solve`` anew to training and validation windows.

        It is called after the validation, so that the validation loss is that of held-out windows.
        By default a no-op.

        Args:
            sessions: The prepared sessions by id.
        """

    @property
    def trained(self) -> AbstractEncoder:
        """Return the part whose weights an optimizer fits: by default the whole encoder."""
        return self

    def complete(
        self,
        sessions: Mapping[str, PreparedSession],
        held_out: HeldOut,
        like: AbstractEncoder | None = None,
    ) -> dict[str, Any]:
        """Fit all but ``trained``, once that is fitted; by default a no-op.

        Args:
            sessions: The prepared sessions by id.
            held_out: Validation windows, on which choices are made.
            like: Encoder of the same class and configuration that was completed on training
                windows. Its choices are taken over, and the fit is to training and validation
                windows.

        Returns:
            What is to be kept beside the passes of the fit, as plain values by name.
        """
        return {}

    def initialize(self, session: str, mean_response: Float[Tensor, " neuron"]) -> None:
        """Start a session's biases from the mean training responses, if ``start_at_mean``.

        Args:
            session: The session; its head is a ``Head``.
            mean_response: Mean response per bin of each neuron.
        """
        if getattr(self.config, "start_at_mean", True):
            self.head(session).start_from(mean_response)

    def prepare(
        self, session: str, data: PreparedSession, like: AbstractEncoder | None = None
    ) -> None:
        """Set what a fit takes from a session's training windows before its first step.

        By default a no-op.

        Args:
            session: The session.
            data: The prepared session.
            like: Encoder of the same class and configuration that was prepared for this session;
                what its search found is taken over.
        """

    def gaze(self, session: str | None = None) -> GazeCorrection | None:
        """Return a session's gaze correction, or ``None`` for an encoder without one."""
        return getattr(self.head(session), "gaze", None)

    def shift(
        self, behavior: Float[Tensor, "batch feature"], session: str | None = None
    ) -> Float[Tensor, "batch 3"] | None:
        """Return the shifter's (x px, y px, angle deg), or ``None`` for an encoder without one."""
        gaze = self.gaze(session)
        return None if gaze is None else gaze.displacement(behavior)

    def see(
        self,
        frames: Float[Tensor, "batch 1 height width"],
        behavior: Float[Tensor, "batch feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch 1 height width"]:
        """Return the retinal frames: frames as moved by the shifter, or unchanged without one."""
        gaze = self.gaze(session)
        return frames if gaze is None else gaze(frames, behavior)

    def session_name(self, session: str | None) -> str:
        """Return ``session``, or the only one when it is left out.

        Raises:
            ConfigError: If the session is unknown, or left out where there are several.
        """
        if session is None and len(self.sessions) == 1:
            return next(iter(self.sessions))
        if session not in self.sessions:
            raise ConfigError(
                f"unknown session {session!r}; this encoder has {', '.join(self.sessions)}"
            )
        return session


def session_key(session: str) -> str:
    """Return a session's name as a part of parameter names.

    It has no dot, equals no attribute of a module, and differs between sessions.

    Example:
        >>> session_key("mouse.1")
        's:mouse%2E1'
    """
    return "s:" + session.replace("%", "%25").replace(".", "%2E")


MODELS: Registry[type[AbstractEncoder]] = Registry("model")

E = TypeVar("E", bound=type[AbstractEncoder])


def register_model(name: str) -> Callable[[E], E]:
    """Register an encoder class under ``name`` for configurations and the command line."""
    return MODELS.register(name)  # type: ignore[return-value]


def build_encoder(
    name: str, config: StrictConfig, sessions: Mapping[str, EncoderDims], seed: int
) -> AbstractEncoder:
    """Build an encoder whose initial weights depend on ``seed`` alone.

    Args:
        name: Registered name.
        config: Configuration of the encoder.
        sessions: Sizes and names of each session.
        seed: Any integer; the caller's random state does not change.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS.get(name)(config, sessions)
