"""Head of the convex encoder: features in a window, weights, kernels, gain and offset."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from freegaze.dataset.dims import EncoderDims
from freegaze.models.parts.columns import Columns
from freegaze.models.parts.gaze import GazeCorrection, ImageShifterChoice
from freegaze.models.parts.head import Head
from freegaze.nn.gained_response import GainedResponse
from freegaze.nn.local_energies import SETS, LocalEnergies
from freegaze.nn.shifter import ImageShifter
from freegaze.nn.temporal import START


def first_kernel(history: int) -> Float[Tensor, " bin"]:
    """Return the kernel from which a fit starts, the oldest bin first, of sum 1."""
    latest = torch.tensor(START[:history]).flip(0)
    kernel = torch.zeros(history)
    kernel[-len(latest) :] = latest / latest.sum()
    return kernel


class LocalEnergyHead(Head):
    """One session's part: gaze correction, features in a window, weights, kernels, behavior.

    Args:
        dims: Sizes and names of the session.
        shifter: Movement of frames by gaze.
        features: Behavior features that act as gain and offset.
        wavelengths: Wavelengths of the Gabors in pixels.
        n_orientations: Orientations of the Gabors.
        places: Places (down, across).

    Attributes:
        weight: Weight of each feature at each place, (neuron, feature * place).
        weight_sd: Posterior standard deviation of each weight.
        kernel: Kernel over the bins of a window, the oldest first.
        response: Gain and offset of behavior, bias and link.
        window_sd: Standard deviation of the window around the center of the places, in pixels.
        penalty: Relative ridge penalty of each neuron.
        set_weights: Prior variance of each set of features.
    """

    weight_sd: Tensor
    recency: Tensor
    window_sd: Tensor
    penalty: Tensor
    set_weights: Tensor

    def __init__(
        self,
        dims: EncoderDims,
        shifter: ImageShifterChoice,
        features: str | Sequence[str],
        wavelengths: Sequence[float],
        n_orientations: int,
        places: tuple[int, int],
    ) -> None:
        super().__init__(dims, has_bias=False)
        self.gaze = GazeCorrection(shifter, dims)
        self.columns = Columns(dims, features, "local_energy")
        self.energies = LocalEnergies(dims.frame_size, wavelengths, n_orientations, places)
        n_inputs = self.energies.n_features * places[0] * places[1]
        n_neurons, n_behavior = dims.n_neurons, self.columns.n_features
        self.weight = nn.Parameter(torch.zeros(n_neurons, n_inputs))
        self.kernel = nn.Parameter(first_kernel(dims.history)[:, None].repeat(1, n_neurons))
        self.response = GainedResponse(n_neurons, n_behavior, self.link == "identity")
        self.register_buffer("weight_sd", torch.zeros(n_neurons, n_inputs))
        self.register_buffer("window_sd", torch.tensor(float(min(dims.frame_size))))
        self.register_buffer("penalty", torch.zeros(n_neurons))
        self.register_buffer("set_weights", torch.ones(len(SETS)))
        recency = 0.5 ** torch.arange(dims.history).flip(0)
        self.register_buffer("recency", recency / recency.sum(), persistent=False)

    @property
    def shifter(self) -> ImageShifter | None:
        """Return the shifter, or ``None`` if frames are not moved."""
        return None if self.gaze is None else self.gaze.shifter

    def retinal_frames(self, frames: Tensor, behavior: Tensor) -> Tensor:
        """Return frames as moved by gaze, (batch, 1, height, width)."""
        assert self.gaze is not None
        return self.gaze(frames, behavior)

    def drive(self, frames: Tensor) -> Float[Tensor, "batch neuron"]:
        """Return the weighted sum of features for retinal frames."""
        return self.energies(frames).flatten(1) @ self.weight.T

    def start_from(self, mean_response: Float[Tensor, " neuron"]) -> None:
        """Start from predicting each neuron's mean response."""
        self.response.start_from(mean_response)
