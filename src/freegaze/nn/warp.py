"""Shift and rotation of frames, differentiable with respect to the displacement."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from freegaze.errors import ConfigError
from freegaze.nn.precision import at_least_float32
from freegaze.nn.sampling import Padding, sample_bilinear

Center = Literal["true", "swapped"]


def rotation_center(frame_size: tuple[int, int], kind: Center = "true") -> tuple[float, float]:
    """Return the point (x, y) in pixels that frames are rotated about.

    Args:
        frame_size: (height, width) in pixels.
        kind: ``"true"`` is the middle pixel; ``"swapped"`` is (height / 2, width / 2) taken for (x,
            y), as the original did.

    Source: deviation Q11.
    """
    height, width = frame_size
    if kind == "swapped":
        return (height / 2, width / 2)
    return ((width - 1) / 2, (height - 1) / 2)


def affine_matrix(
    displacement: Float[Tensor, "batch 3"], center: tuple[float, float]
) -> Float[Tensor, "batch 2 3"]:
    """Return the matrix that maps points (x, y, 1) of the frame to points of the warped frame.

    It is T(dx, dy) T(c) R T(-c), all in pixels with y down, R = [[cos a, -sin a], [sin a, cos a]].

    Args:
        displacement: (x px, y px, angle deg); a positive angle turns the frame clockwise as
            displayed.
        center: Point (x, y) that is rotated about.
    """
    dx, dy, angle_deg = displacement.unbind(1)
    cos, sin = torch.cos(torch.deg2rad(angle_deg)), torch.sin(torch.deg2rad(angle_deg))
    cx, cy = center
    top = torch.stack([cos, -sin, dx + cx - cos * cx + sin * cy], dim=1)
    bottom = torch.stack([sin, cos, dy + cy - sin * cx - cos * cy], dim=1)
    return torch.stack([top, bottom], dim=1)


def warp_frames(
    frames: Float[Tensor, "batch channel height width"],
    displacement: Float[Tensor, "batch 3"],
    center: tuple[float, float],
    padding: Padding = "zeros",
    axes: tuple[Float[Tensor, " width"], Float[Tensor, " height"]] | None = None,
) -> Float[Tensor, "batch channel height width"]:
    """Shift and rotate each frame by its own displacement, with bilinear interpolation.

    Values outside the frame are 0 (mean gray for standardized video, black for the original's) or
    the nearest border pixel. The convention is that of kornia's ``get_affine_matrix2d`` and
    ``warp_affine`` with ``align_corners=True``.

    Args:
        frames: One frame per displacement.
        displacement: (x px, y px, angle deg) that the frame moves by.
        center: Point (x, y) that is rotated about.
        padding: Value outside the frame.
        axes: Columns and rows of the moved frame that are returned, where -1 and 1 are the
            outermost pixels; by default all.

    Raises:
        ConfigError: If a frame is less than 2 pixels high or wide.

    Source: Xu et al. (2023), shifter; the paper's rotation center is deviation Q11.
    """
    height, width = frames.shape[-2:]
    if min(height, width) < 2:
        raise ConfigError(
            f"a shifter needs frames of at least 2 x 2 pixels, got {height} x {width}"
        )
    grid = _sampling_grid(at_least_float32(displacement), center, (height, width), axes)
    return sample_bilinear(at_least_float32(frames), grid, padding)


def _sampling_grid(
    displacement: Tensor,
    center: tuple[float, float],
    frame_size: tuple[int, int],
    axes: tuple[Tensor, Tensor] | None,
) -> Tensor:
    # The sampler asks where a pixel of the warped frame comes from: p = R' (q - c - d) + c, here
    # written out in the sampler's units (-1 and 1 are the middles of the outermost pixels).
    height, width = frame_size
    dx, dy, angle_deg = displacement.unbind(1)
    cos, sin = torch.cos(torch.deg2rad(angle_deg)), torch.sin(torch.deg2rad(angle_deg))
    half_x, half_y = (width - 1) / 2, (height - 1) / 2
    from_x, from_y = half_x - center[0] - dx, half_y - center[1] - dy
    offset_x = cos * from_x + sin * from_y + (center[0] - half_x)
    offset_y = cos * from_y - sin * from_x + (center[1] - half_y)
    kind = {"dtype": dx.dtype, "device": dx.device}
    whole = torch.linspace(-1, 1, width, **kind), torch.linspace(-1, 1, height, **kind)
    across, down = whole if axes is None else axes
    down = down[:, None]
    # Rows and columns apart: only their sum is as large as a frame.
    cos, sin, offset_x, offset_y = (v[:, None, None] for v in (cos, sin, offset_x, offset_y))
    x = (cos * across + offset_x / half_x) + sin * (half_y / half_x) * down
    y = (cos * down + offset_y / half_y) - sin * (half_x / half_y) * across
    return torch.stack([x, y], dim=-1)
