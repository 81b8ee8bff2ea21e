"""Convex encoder: ridge regression on local Gabor energies, phases, luminance and behavior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from freegaze.config import StrictConfig
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.sessions import PreparedSession
from freegaze.models.encoder import AbstractEncoder, register_model
from freegaze.models.parts.energy_head import LocalEnergyHead
from freegaze.models.parts.energy_solver import fit_session, search_session
from freegaze.models.parts.gaze import ImageShifterChoice
from freegaze.nn.precision import at_least_float32
from freegaze.nn.shifter import ShifterConfig
from freegaze.progress import Progress
from freegaze.recording.recording import Role


class LocalEnergyConfig(StrictConfig):
    """Choices of the convex encoder.

    Args:
        shifter: Movement of frames by gaze, linear in the angles by default, or ``none``.
        features: Behavior features that act as gain and offset, by set or by name.
        wavelengths: Wavelengths of the Gabors in pixels.
        n_orientations: Orientations of the Gabors.
        places: Places (down, across) at which features are computed.
        n_components: Principal components of the features that the regression uses.
        n_folds: Folds of the training windows that choose window, weights of sets and penalties.
    """

    shifter: ImageShifterChoice = ShifterConfig.affine()
    features: str | tuple[str, ...] = "recorded"
    wavelengths: tuple[PositiveFloat, ...] = Field(
        default=(3.0, 4.5, 6.5, 9.5, 14.0, 20.0), min_length=1
    )
    n_orientations: int = Field(default=8, ge=2)
    places: tuple[PositiveInt, PositiveInt] = (7, 7)
    n_components: PositiveInt = 400
    n_folds: int = Field(default=5, ge=2)


@register_model("local_energy")
class LocalEnergy(AbstractEncoder):
    """Predicts responses by ridge regression on local features of the retinal frame.

    Features are those of ``LocalEnergies`` in a window of the frame that all neurons share. Each
    neuron has weights and a kernel over the window's bins; behavior acts as gain and offset.
    Window, prior variance of the sets of features and penalties are chosen on held-out folds of the
    training windows. All weights have a closed form, except a few of each neuron (bias, gain,
    offset, softness); these are fitted by maximum likelihood to drives of held-out folds.
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
            search_session(self.head(name), session, self.n_folds)
            step("fit weights", 2 * i + 1, 2 * len(sessions))
            self._fit(name, session, ["train"])
        step("fit weights", 2 * len(sessions), 2 * len(sessions))

    def refit(self, sessions: Mapping[str, PreparedSession]) -> None:
        """Fit the weights again to training and validation windows, in the windows found."""
        for name, session in sessions.items():
            self._fit(name, session, ["train", "validation"])

    def _fit(self, name: str, session: PreparedSession, roles: Sequence[Role]) -> None:
        fit_session(self.head(name), session, roles, self.n_components, self.n_folds)
