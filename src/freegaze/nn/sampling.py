"""Bilinear sampling with forward derivatives, which PyTorch's own lacks."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F

Padding = Literal["zeros", "border"]


def sample_bilinear(
    maps: Float[Tensor, "batch channel height width"],
    grid: Float[Tensor, "batch rows columns 2"],
    padding: Padding = "zeros",
) -> Float[Tensor, "batch channel rows columns"]:
    """Sample maps at points between their pixels.

    Within a dual level of ``torch.autograd.forward_ad``, tangents of maps and of points go through.

    Args:
        maps: Maps.
        grid: Points (x, y); -1 and 1 are the middles of the outermost pixels.
        padding: Value outside: zero, or the nearest border pixel.
    """
    if torch.compiler.is_compiling():  # nobody compiles forward derivatives
        return _sample(maps, grid, padding)
    plain_maps, maps_tangent = forward_ad.unpack_dual(maps)
    plain_grid, grid_tangent = forward_ad.unpack_dual(grid)
    if maps_tangent is None and grid_tangent is None:
        return _sample(maps, grid, padding)
    tangent = torch.zeros((), dtype=maps.dtype, device=maps.device)
    if maps_tangent is not None:
        tangent = tangent + _sample(maps_tangent, plain_grid, padding)
    if grid_tangent is not None:
        for axis in (0, 1):
            slope = _slope(plain_maps, plain_grid, padding, axis)
            tangent = tangent + slope * grid_tangent[..., axis].unsqueeze(1)
    return forward_ad.make_dual(_sample(plain_maps, plain_grid, padding), tangent)


def _sample(maps: Tensor, grid: Tensor, padding: Padding) -> Tensor:
    return F.grid_sample(maps, grid, "bilinear", padding, align_corners=True)


def _slope(maps: Tensor, grid: Tensor, padding: Padding, axis: int) -> Tensor:
    """Return the derivative by one coordinate: the difference of the pixels on both sides."""
    half = (maps.shape[-1 - axis] - 1) / 2
    place = (grid[..., axis] + 1) * half
    before = place.floor()
    sides = []
    for pixel in (before, before + 1):
        moved = grid.clone()
        moved[..., axis] = pixel / half - 1
        sides.append(_sample(maps, moved, padding))
    slope = (sides[1] - sides[0]) * half
    if padding == "border":  # beyond the border nothing changes
        slope = slope * ((place >= 0) & (place <= 2 * half)).unsqueeze(1)
    return slope
