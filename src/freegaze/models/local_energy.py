"""Convex encoder: ridge regression on local Gabor energies, phases, luminance and behavior."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.sessions import PreparedSession
from freegaze.models.encoder import AbstractEncoder, register_model
from freegaze.models.parts.energy_head import LocalEnergyHead
from freegaze.models.parts.energy_solver import SessionFit
from freegaze.models.parts.energy_window import find_set_weights, search_session
from freegaze.models.parts.gaze import ImageShifterChoice
from freegaze.nn.precision import at_least_float32
from freegaze.nn.shifter import ShifterConfig
from freegaze.progress import Progress


class LocalEnergyConfig(StrictConfig):
    """Choices of the convex encoder.

    Args:
        shifter: Movement of frames by gaze, linear in the angles by default, or ``none``.
        features: Behavior features that act as gain and offset, by set or by name.
        wavelengths: Wavelengths of the Gabors in pixels.
        n_orientations: Orientations of the Gabors.
        places: Places (down, across) at which features are computed.
        n_components: Principal components of the features at each place that the regression uses;
            three times as many in a narrow window.
        n_folds: Folds of the training windows that choose window, weights of sets and penalties.
    """

    shifter: ImageShifterChoice = ShifterConfig.affine()
    features: str | tuple[str, ...] = "recorded"
    wavelengths: tuple[PositiveFloat, ...] = Field(
        default=(3.0, 4.5, 7.0, 11.0, 17.0, 26.0), min_length=1
    )
    n_orientations: int = Field(default=6, ge=2)
    places: tuple[PositiveInt, PositiveInt] = (7, 9)
    n_components: PositiveInt = 10
    n_folds: int = Field(default=5, ge=2)


@register_model("local_energy")
class LocalEnergy(AbstractEncoder):
    """Predicts responses by ridge regression on local features of the retinal frame.

    Features are those of ``LocalEnergies`` in a window of the frame that all neurons share. In a
    wide window each neuron has a prior of its own over places. Each neuron has weights and a kernel
    over the window's bins; behavior acts as gain and offset. Window, prior variance of the sets of
    features and penalties are chosen on held-out folds of the training windows. All weights follow
    in closed form but the last few of each neuron (bias, gain, offset, softness), which are fitted
    by maximum likelihood to drives of held-out folds. Predictions are shrunk towards the mean rate
    where the gain over it is uncertain.
    """

    Config = LocalEnergyConfig
    inputs = "both"

    def __init__(self, config: LocalEnergyConfig, sessions: Mapping[str, EncoderDims]) -> None:
        super().__init__(config, sessions)
        self.add_heads(
            lambda dims: LocalEnergyHead(
                dims,
                config.shifter,
                config.features,
                config.wavelengths,
                config.n_orientations,
                config.places,
            )
        )
        self.n_folds, self.n_components = config.n_folds, config.n_components
        self._fits: dict[str, SessionFit] = {}

    @classmethod
    def reads(cls, config: LocalEnergyConfig) -> Sequence[str | Sequence[str]]:
        """Return the features of gain and offset, then those of the shifter."""
        return [config.features, config.shifter.columns]

    def encode(
        self,
        video: Float[Tensor, "batch time 1 height width"],
        behavior: Float[Tensor, "batch time feature"],
        session: str | None = None,
    ) -> Float[Tensor, "batch time hidden"]:
        """Return each frame's drive of every neuron, and the behavior of its bin."""
        head = self.head(session)
        states = behavior.flatten(0, 1)
        drive = head.drive(head.retinal_frames(video.flatten(0, 1), states))
        return torch.cat([drive, head.columns(states)], 1).unflatten(0, behavior.shape[:2])

    def respond(
        self, features: Float[Tensor, "batch history hidden"], session: str | None = None
    ) -> Float[Tensor, "batch neuron"]:
        """Weigh the bins of each window, then apply gain, offset and link."""
        head = self.head(session)
        features = at_least_float32(features)
        n_neurons = head.kernel.shape[1]
        visual = (features[..., :n_neurons] * head.kernel).sum(1)
        behavior = torch.einsum("bhf,h->bf", features[..., n_neurons:], head.recency)
        return head.response(visual, behavior)

    def solve(
        self, sessions: Mapping[str, PreparedSession], progress: Progress | None = None
    ) -> None:
        """Find each session's window, and fit its weights to training windows.

        Args:
            sessions: The prepared sessions by id.
            progress: Called with (description, done, total) between the parts of the fit.
        """
        step = progress or (lambda *_: None)
        for i, (name, session) in enumerate(sessions.items()):
            step("find window", 2 * i, 2 * len(sessions))
            self.head(name).gaze.start_from_camera(session)
            self.search(name, session)
            step("fit weights", 2 * i + 1, 2 * len(sessions))
            with self._on_cpu():
                self._fits[name] = self._fit(name, session)
        step("fit weights", 2 * len(sessions), 2 * len(sessions))

    def refit(self, sessions: Mapping[str, PreparedSession]) -> None:
        """Fit the weights again to training and validation windows, in the windows found."""
        with self._on_cpu():
            for name, session in sessions.items():
                # After an interruption the fit of ``solve`` is made again.
                found = self._fits.pop(name, None) or self._fit(name, session)
                with torch.no_grad():
                    found.refit()

    def n_encoded(self, session: str | None = None) -> int:
        """Return the number of values that ``encode`` returns for each frame."""
        head = self.head(session)
        return head.kernel.shape[1] + head.columns.n_features

    def take_window(self, name: str, like: LocalEnergy) -> None:
        """Take over the window and the weights of sets that another encoder has found.

        Args:
            name: The session.
            like: Encoder of the same configuration for the same session.
        """
        own, found = self.head(name), like.head(name)
        own.energies.load_state_dict(found.energies.state_dict())
        own.window_sd.copy_(found.window_sd)
        own.set_weights.copy_(found.set_weights)

    @torch.no_grad()
    def search(self, name: str, session: PreparedSession) -> None:
        """Find a session's window and weights of sets of features, under its gaze correction.

        Args:
            name: The session.
            session: The prepared session; training windows are used.
        """
        head = self.head(name)
        with self._on_cpu():
            data = search_session(head, session, self.n_folds)
            head.set_weights.copy_(find_set_weights(head, data))

    def fit_weights(self, sessions: Mapping[str, PreparedSession]) -> None:
        """Fit the weights to training windows, in windows that were found before.

        Args:
            sessions: The prepared sessions by id.
        """
        with self._on_cpu():
            for name, session in sessions.items():
                self._fit(name, session)

    @contextmanager
    def _on_cpu(self) -> Iterator[None]:
        """Compute on the CPU, where the choices of a fit are made; then return to the device."""
        device = next(self.parameters()).device
        self.cpu()
        try:
            yield
        finally:
            self.to(device)

    @torch.no_grad()
    def _fit(self, name: str, session: PreparedSession) -> SessionFit:
        found = SessionFit(self.head(name), session, self.n_components, self.n_folds)
        found.fit()
        return found
