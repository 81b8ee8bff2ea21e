"""Base class of heads: the parts of an encoder that belong to one session."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from freegaze.dataset.dims import EncoderDims
from freegaze.models.parts.gaze import GazeCorrection
from freegaze.nn.precision import at_least_float32
from freegaze.nn.response import Link, apply_link, invert_link
from freegaze.nn.temporal import TemporalKernels
from freegaze.recording.recording import ResponseKind

PositiveLink = Literal["softplus", "elu1"]
"""Links that encoders offer for responses that are never negative."""


class Head(nn.Module):
    """A response link and, by default, a bias for each neuron; no gaze correction.

    Args:
        dims: Sizes and names of the session.
        positive_link: Link of counts and inferred spikes; fluorescence has any sign, and uses the
            identity.
        has_bias: Whether ``bias`` is added here; otherwise the head has a linear layer ``output``
            whose bias takes its place.

    Attributes:
        gaze: The session's gaze correction, if the encoder has one.
    """

    gaze: GazeCorrection | None
    output: nn.Linear

    def __init__(
        self, dims: EncoderDims, positive_link: Link = "softplus", *, has_bias: bool = True
    ) -> None:
        super().__init__()
        is_signed = dims.response_kind is ResponseKind.FLUORESCENCE
        self.link: Link = "identity" if is_signed else positive_link
        self.gaze = None
        self.bias = nn.Parameter(torch.zeros(dims.n_neurons)) if has_bias else None

    def link_response(
        self, drive: Float[Tensor, "*batch neuron"]
    ) -> Float[Tensor, "*batch neuron"]:
        """Return the expected responses to drives, in float32 or higher precision."""
        drive = at_least_float32(drive)
        return apply_link(drive if self.bias is None else drive + self.bias, self.link)

    def start_from(self, mean_response: Float[Tensor, " neuron"]) -> None:
        """Set the biases so that a drive of zero predicts each neuron's mean response."""
        bias = self.output.bias if self.bias is None else self.bias
        bias.data.copy_(invert_link(mean_response, self.link))


class KernelHead(Head):
    """A head that weighs each neuron's drive over the bins of a window.

    A subclass adds ``kernels`` after the modules that come before them. Without them, a window of
    one bin passes unchanged.
    """

    kernels: TemporalKernels | None

    def add_kernels(self, dims: EncoderDims) -> None:
        """Add a temporal kernel for each neuron, for windows of more than one bin."""
        many_bins = dims.history > 1
        self.kernels = TemporalKernels(dims.history, 1, dims.n_neurons) if many_bins else None

    def respond(
        self, drives: Float[Tensor, "batch history neuron"]
    ) -> Float[Tensor, "batch neuron"]:
        """Weigh the bins of each window and apply the response link."""
        drive = drives[:, 0] if self.kernels is None else self.kernels(drives.unsqueeze(2))
        return self.link_response(drive)
