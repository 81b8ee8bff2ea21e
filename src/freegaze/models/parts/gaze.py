"""A session's shifter with the columns that it reads, or none."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from pydantic import Discriminator
from torch import Tensor, nn

from freegaze.dataset.dims import EncoderDims
from freegaze.models.parts.columns import Columns
from freegaze.nn.readout_shifter import ReadoutShifter, ReadoutShifterConfig
from freegaze.nn.shifter import ImageShifter, NoShifterConfig, ShifterConfig

ImageShifterChoice = Annotated[ShifterConfig | NoShifterConfig, Discriminator("kind")]
ShifterChoice = Annotated[
    ShifterConfig | ReadoutShifterConfig | NoShifterConfig, Discriminator("kind")
]


def shifter_columns(choice: ShifterChoice) -> tuple[str, ...]:
    """Return the behavior features that a shifter reads; none without one."""
    return () if isinstance(choice, NoShifterConfig) else choice.columns


class GazeCorrection(nn.Module):
    """Moves a session's frames back to where the eye looked, or what readouts look at, or neither.

    Args:
        choice: The shifter's configuration.
        dims: Sizes and names of the session.

    Raises:
        ConfigError: If the session lacks a behavior feature that the shifter reads.
    """

    shifter: ImageShifter | None
    readout_shifter: ReadoutShifter | None

    def __init__(self, choice: ShifterChoice, dims: EncoderDims) -> None:
        super().__init__()
        is_image = isinstance(choice, ShifterConfig)
        self.shifter = choice.build(dims.frame_size) if is_image else None
        is_readout = isinstance(choice, ReadoutShifterConfig)
        self.readout_shifter = choice.build() if is_readout else None
        self.columns = Columns(dims.columns(shifter_columns(choice), "the shifter"))

    def forward(
        self,
        frames: Float[Tensor, "batch 1 height width"],
        behavior: Float[Tensor, "batch feature"],
    ) -> Float[Tensor, "batch 1 height width"]:
        """Return the frames, moved."""
        return frames if self.shifter is None else self.shifter(frames, self.columns(behavior))

    def offset(self, behavior: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch 2"] | None:
        """Return how far (x, y) readouts look beside their positions, or ``None`` for not at all.

        Positions run from -1 to 1 across the core's maps.
        """
        if self.readout_shifter is None:
            return None
        return self.readout_shifter(self.columns(behavior))

    def displacement(
        self, behavior: Float[Tensor, "batch feature"]
    ) -> Float[Tensor, "batch 3"] | None:
        """Return (x px, y px, angle deg) by which frames are moved, or ``None`` if they are not."""
        return None if self.shifter is None else self.shifter.displacement(self.columns(behavior))
