"""Gaze correction: a session's shifter with the behavior features that it reads, or none."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Discriminator
from torch import Tensor, nn

from freegaze.dataset.dims import EncoderDims
from freegaze.models.parts.columns import Columns
from freegaze.nn.shifter import (
    DisplacementNetwork,
    ImageShifter,
    NoShifterConfig,
    ReadoutShifterConfig,
    ShifterConfig,
)

ImageShifterChoice = Annotated[ShifterConfig | NoShifterConfig, Discriminator("kind")]
ShifterChoice = Annotated[
    ShifterConfig | ReadoutShifterConfig | NoShifterConfig, Discriminator("kind")
]


class GazeCorrection(nn.Module):
    """Moves a session's frames, or the positions of its readout, or neither.

    Args:
        choice: The shifter's configuration.
        dims: Sizes and names of the session.
        px_per_position: Pixels (x, y) of one unit of the readout's positions, which run from -1 to
            1 between the outermost elements of the core's maps.

    Raises:
        ConfigError: If the session lacks a behavior feature that the shifter reads.
    """

    shifter: ImageShifter | None
    readout_shifter: DisplacementNetwork | None

    def __init__(
        self,
        choice: ShifterChoice,
        dims: EncoderDims,
        px_per_position: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        super().__init__()
        is_image = isinstance(choice, ShifterConfig)
        self.shifter = choice.build(dims.frame_size) if is_image else None
        is_readout = isinstance(choice, ReadoutShifterConfig)
        self.readout_shifter = choice.build() if is_readout else None
        self.columns = Columns(dims, choice.columns, "the shifter")
        self.px_per_position = px_per_position

    def forward(
        self,
        frames: Float[Tensor, "batch 1 height width"],
        behavior: Float[Tensor, "batch feature"],
    ) -> Float[Tensor, "batch 1 height width"]:
        """Return the frames, moved."""
        return frames if self.shifter is None else self.shifter(frames, self.columns(behavior))

    def offset(self, behavior: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch 2"] | None:
        """Return the shift (x, y) of the readout's positions, or ``None`` if they stay."""
        if self.readout_shifter is None:
            return None
        return self.readout_shifter(self.columns(behavior))

    def displacement(
        self, behavior: Float[Tensor, "batch feature"]
    ) -> Float[Tensor, "batch 3"] | None:
        """Return (x px, y px, angle deg) for each bin, or ``None`` without a shifter.

        Positions of the readout that move to the right equal frames that move to the left.
        """
        if self.shifter is not None:
            return self.shifter.displacement(self.columns(behavior))
        offset = self.offset(behavior)
        if offset is None:
            return None
        shift = -offset * offset.new_tensor(self.px_per_position)
        return torch.cat([shift, torch.zeros_like(shift[:, :1])], 1)
