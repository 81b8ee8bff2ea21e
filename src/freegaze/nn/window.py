"""Window of the retinal frame: a part around a center, magnified to the size of the frame."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from freegaze.nn.precision import at_least_float32
from freegaze.nn.sampling import sample_bilinear


class Window(nn.Module):
    """Magnifies a part of frames, so that all that follows keeps its sizes.

    The whole frame at first. Beyond its edges a frame continues with its border pixels.

    Args:
        frame_size: (height, width) in pixels.

    Attributes:
        center: Middle (x, y) of the window in pixels.
        magnification: Size of the frame over that of the window.

    Example:
        >>> window = Window((4, 4))
        >>> window.place((0.0, 0.0), 2.0)
        >>> window(torch.arange(4.0).expand(1, 1, 4, 4))[0, 0, 0]
        tensor([0.0000, 0.2500, 0.7500, 1.2500])
    """

    is_new = True
    """Files of earlier versions lack its values, see ``freegaze.weights.load_weights``."""

    center: Tensor
    magnification: Tensor

    def __init__(self, frame_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = frame_size
        self.frame_size = frame_size
        self.register_buffer("center", torch.tensor([(width - 1) / 2, (height - 1) / 2]))
        self.register_buffer("magnification", torch.ones(()))

    def place(self, center: tuple[float, float], magnification: float) -> None:
        """Set the window.

        Args:
            center: Middle of the window (x, y) in pixels.
            magnification: Size of the frame over that of the window, at least 1. The window is
                moved into the frame.
        """
        sides = torch.tensor(self.frame_size[::-1], dtype=self.center.dtype)
        margin = (sides / magnification - 1) / 2
        wanted = torch.tensor(center, dtype=self.center.dtype)
        inside = torch.minimum(torch.maximum(wanted, margin), sides - 1 - margin)
        self.center.copy_(inside)
        self.magnification.fill_(magnification)

    def axes(self) -> tuple[Float[Tensor, " width"], Float[Tensor, " height"]]:
        """Return the columns and the rows that are sampled; -1 and 1 are the outermost pixels."""
        found = []
        for axis, side in enumerate(self.frame_size[::-1]):
            half = (side - 1) / 2
            steps = torch.linspace(-1, 1, side).to(self.center)
            found.append((self.center[axis] - half) / max(half, 0.5) + steps / self.magnification)
        return found[0], found[1]

    def forward(
        self, frames: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """Return the window of frames, magnified."""
        across, down = self.axes()
        x, y = torch.meshgrid(across, down, indexing="xy")
        grid = torch.stack([x, y], -1).expand(len(frames), -1, -1, -1)
        return sample_bilinear(at_least_float32(frames), grid, "border")
