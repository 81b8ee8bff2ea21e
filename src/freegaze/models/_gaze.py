"""A session's shifter with the columns that it reads, or none."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from freegaze.models._columns import Columns
from freegaze.models.encoder import EncoderDims
from freegaze.nn.shifter import ImageShifter, ShifterConfig

ShifterChoice = ShifterConfig | Literal["none"]


def shifter_columns(choice: ShifterChoice) -> tuple[str, ...]:
    """Return the behavior features that a shifter reads; none for ``"none"``."""
    return () if choice == "none" else choice.columns


class GazeCorrection(nn.Module):
    """Moves a session's frames back to where the eye looked, or leaves them as they are.

    Args:
        choice: The shifter's configuration, or ``"none"``.
        dims: Sizes and names of the session.

    Raises:
        ConfigError: If the session lacks a behavior feature that the shifter reads.
    """

    shifter: ImageShifter | None

    def __init__(self, choice: ShifterChoice, dims: EncoderDims) -> None:
        super().__init__()
        self.shifter = None if choice == "none" else choice.build(dims.frame_size)
        self.columns = Columns(dims.columns(shifter_columns(choice), "the shifter"))

    def forward(
        self,
        frames: Float[Tensor, "batch 1 height width"],
        behavior: Float[Tensor, "batch feature"],
    ) -> Float[Tensor, "batch 1 height width"]:
        """Return the frames, moved."""
        return frames if self.shifter is None else self.shifter(frames, self.columns(behavior))

    def displacement(
        self, behavior: Float[Tensor, "batch feature"]
    ) -> Float[Tensor, "batch 3"] | None:
        """Return (x px, y px, angle deg) for each bin, or ``None`` without a shifter."""
        return None if self.shifter is None else self.shifter.displacement(self.columns(behavior))
