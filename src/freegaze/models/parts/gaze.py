"""Gaze correction: a session's shifter with the behavior features that it reads, or none."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Discriminator
from torch import Tensor, nn

from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.sessions import PreparedSession
from freegaze.models.parts.columns import Columns
from freegaze.nn.shifter import (
    DisplacementNetwork,
    ImageShifter,
    NoShifterConfig,
    ReadoutShifterConfig,
    ShifterConfig,
)
from freegaze.nn.window import Window

ImageShifterChoice = Annotated[ShifterConfig | NoShifterConfig, Discriminator("kind")]
ShifterChoice = Annotated[
    ShifterConfig | ReadoutShifterConfig | NoShifterConfig, Discriminator("kind")
]


FRAME_WIDTH_DEG = 120.0
"""Degrees that a frame is taken to be wide where its calibration is unknown, as common head cameras
have."""


class GazeCorrection(nn.Module):
    """Moves a session's frames, or the positions of its readout, or neither.

    Args:
        choice: The shifter's configuration.
        dims: Sizes and names of the session.
        px_per_position: Pixels (x, y) of one unit of the readout's positions, which run from -1 to
            1 between the outermost elements of the core's maps.
        window: Part of the retinal frame that the encoder reads; ``None`` is all of it.

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
        window: Window | None = None,
    ) -> None:
        super().__init__()
        self.window = window
        is_image = isinstance(choice, ShifterConfig)
        self.shifter = choice.build(dims.frame_size) if is_image else None
        is_readout = isinstance(choice, ReadoutShifterConfig)
        self.readout_shifter = choice.build() if is_readout else None
        self.columns = Columns(dims, choice.columns, "the shifter")
        self.px_per_position = px_per_position

    @torch.no_grad()
    def start_from_camera(self, session: PreparedSession) -> None:
        """Start the shifter from the camera's calibration: pixels grow with the eye's angles.

        Args:
            session: The prepared session; without ``deg_per_px`` the frame is taken to be
                ``FRAME_WIDTH_DEG`` wide.

        Raises:
            ConfigError: If the shifter has no linear path.
        """
        if self.shifter is None:
            return
        recording, transform = session.recording, session.preparation.behavior
        deg_per_px = recording.deg_per_px or FRAME_WIDTH_DEG / recording.frame_size[1]
        names = [session.dims.behavior_names[i] for i in self.columns.positions.tolist()]
        sd = dict(zip(transform.signal_names, transform.signal_scale, strict=True))
        slopes = torch.zeros(3, len(names))
        for axis, name in enumerate(("theta", "phi")):
            if name in names:
                slopes[axis, names.index(name)] = float(sd[name]) / deg_per_px
        self.shifter.displacement.start_from(slopes)

    def forward(
        self,
        frames: Float[Tensor, "batch 1 height width"],
        behavior: Float[Tensor, "batch feature"],
    ) -> Float[Tensor, "batch 1 height width"]:
        """Return the retinal frames: the frames, moved."""
        return frames if self.shifter is None else self.shifter(frames, self.columns(behavior))

    def in_window(
        self,
        frames: Float[Tensor, "batch 1 height width"],
        behavior: Float[Tensor, "batch feature"],
    ) -> Float[Tensor, "batch 1 height width"]:
        """Return the window of the retinal frames, magnified to the size of the frames."""
        if self.window is None:
            return self(frames, behavior)
        if self.shifter is None:
            return self.window(frames)
        return self.shifter(frames, self.columns(behavior), self.window.axes())

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
        if self.window is not None:
            shift = shift / self.window.magnification
        return torch.cat([shift, torch.zeros_like(shift[:, :1])], 1)
