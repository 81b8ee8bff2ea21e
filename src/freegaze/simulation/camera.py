"""An equidistant fisheye and the ray caster that both camera and retina look through.

Camera axes: X to the right, Y down, Z forward, in the frame's own view. A point at angle ``r``
from the axis lies ``r / deg_per_px`` pixels from the center of the frame (equidistant
projection).
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch.nn import functional as F

from freegaze.simulation.world import World

FIELD_HEIGHT_DEG = 90.0
"""Height of the picture: 60 pixels of 1.5 degrees; smaller frames keep the field, not the scale."""


def deg_per_px(frame_size: tuple[int, int]) -> float:
    """Return the scale of a frame in degrees per pixel (1.5 for 60 x 80)."""
    return FIELD_HEIGHT_DEG / frame_size[0]


def pixel_grid(frame_size: tuple[int, int]) -> np.ndarray:
    """Return (x, y) of every pixel relative to the center of the frame, in pixels.

    Args:
        frame_size: (height, width).

    Returns:
        Shape (height * width, 2), row by row.
    """
    height, width = frame_size
    y, x = np.mgrid[:height, :width]
    return (
        np.stack([x - (width - 1) / 2, y - (height - 1) / 2], axis=-1).reshape(-1, 2).astype(float)
    )


def rays_of_pixels(points_px: np.ndarray, scale_deg: float) -> np.ndarray:
    """Return the unit direction, in camera axes, that each point of the frame looks into.

    Args:
        points_px: Shape (..., 2), relative to the center of the frame.
        scale_deg: Degrees per pixel.

    Returns:
        Shape (..., 3): right, down, forward.
    """
    angle = np.deg2rad(points_px * scale_deg)
    radius = np.hypot(angle[..., 0], angle[..., 1])
    return np.stack([*(np.moveaxis(angle, -1, 0) * np.sinc(radius / np.pi)), np.cos(radius)], -1)


def pixels_of_rays(rays: np.ndarray, scale_deg: float) -> np.ndarray:
    """Return where in the frame a direction is seen, the inverse of ``rays_of_pixels``.

    Args:
        rays: Shape (..., 3), any length.
        scale_deg: Degrees per pixel.

    Returns:
        Shape (..., 2), pixels relative to the center of the frame.
    """
    sideways = np.hypot(rays[..., 0], rays[..., 1])
    angle = np.arctan2(sideways, rays[..., 2])
    # Straight ahead the direction sideways is undefined and its length zero.
    factor = np.where(sideways > 1e-12, angle / np.maximum(sideways, 1e-12), 1.0)
    return np.rad2deg(rays[..., :2] * factor[..., None]) / scale_deg


class Renderer:
    """Sees a box through an equidistant fisheye of one size.

    Args:
        world: World that the camera sees.
        frame_size: (height, width) of the frames.
        points_px: Points of an ideal frame that the pixels see, (height * width, 2), relative to
            its center; each pixel sees its own by default.
    """

    def __init__(
        self, world: World, frame_size: tuple[int, int], points_px: np.ndarray | None = None
    ) -> None:
        self.world = world
        self.frame_size = frame_size
        self.scale_deg = deg_per_px(frame_size)
        points_px = pixel_grid(frame_size) if points_px is None else points_px
        rays = rays_of_pixels(points_px, self.scale_deg)
        rows = torch.arange(frame_size[0], dtype=torch.float32) / frame_size[0]
        self._time_of_row = rows.repeat_interleave(frame_size[1])
        self._rays = torch.from_numpy(rays.T.astype(np.float32)).contiguous()
        self._size = torch.tensor(world.size_cm, dtype=torch.float32)[:, None, None]

    def render(
        self,
        position: Float[np.ndarray | torch.Tensor, "frames 3"],
        rotation: Float[np.ndarray | torch.Tensor, "frames 3 3"],
        rotation_at_end: Float[np.ndarray, "frames 3 3"] | None = None,
    ) -> Float[torch.Tensor, "frames height width"]:
        """Render frames from inside the box.

        From inside a convex box a ray leaves through the face whose plane it meets first, so that
        no intersection needs testing: of the six planes the nearest one ahead is the one that is
        seen.

        Args:
            position: Position of the camera in cm, inside the box.
            rotation: Columns are the camera's right, down and forward axes in the world.
            rotation_at_end: The same when a rolling shutter has passed the last row; each row has
                its own rotation in between. By default all rows are taken at once.

        Returns:
            Brightness in 0..1, float32.
        """
        n_frames = len(position)
        axes, place = (torch.as_tensor(a, dtype=torch.float32) for a in (rotation, position))
        rays = (axes.permute(1, 0, 2).reshape(-1, 3) @ self._rays).view(3, n_frames, -1)
        if rotation_at_end is not None:
            ends = torch.as_tensor(rotation_at_end, dtype=torch.float32)
            last = (ends.permute(1, 0, 2).reshape(-1, 3) @ self._rays).view(3, n_frames, -1)
            # Not of unit length (off by less than 1 % where a row turns by 10 degrees), which
            # matters to the level of blur alone.
            rays += last.sub_(rays).mul_(self._time_of_row)
        origin = place.T[:, :, None]
        # 1 / distance to the plane ahead on each axis; the largest of the three is met first.
        nearness = torch.maximum(rays * (1 / (self._size - origin)), rays * (-1 / origin))
        nearest = torch.maximum(torch.maximum(nearness[0], nearness[1]), nearness[2])
        on_x, on_z = nearness[0] == nearest, nearness[2] == nearest
        distance = nearest.reciprocal_()
        hit = torch.addcmul(origin, rays, distance)
        half_texel = 0.5 / self.world.texels_per_cm
        hit = hit.clamp_(torch.full_like(self._size, half_texel), self._size - half_texel)
        return self._sample(hit, rays, distance, on_x, on_z).view(n_frames, *self.frame_size)

    def _sample(
        self,
        hit: torch.Tensor,
        rays: torch.Tensor,
        distance: torch.Tensor,
        on_x: torch.Tensor,
        on_z: torch.Tensor,
    ) -> torch.Tensor:
        """Look up the brightness where rays hit, blurred as much as the pixel covers there."""
        _, y_cm, z_cm = self.world.size_cm
        across = torch.where(on_x, hit[1], hit[0])
        along = torch.where(on_z, hit[1], hit[2])
        normal = torch.where(on_x, rays[0], torch.where(on_z, rays[2], rays[1]))
        along += torch.where(on_x, 0.0, torch.where(on_z, 4 * z_cm, 2 * z_cm))
        along += torch.where(normal > 0, torch.where(on_z, y_cm, z_cm), 0.0)
        along.add_(self._blur_level(distance, normal), alpha=self.world.atlas_height_cm)
        height_cm = self.world.atlas_height_cm * self.world.n_levels
        width_cm = self.world.atlas.shape[1] / self.world.texels_per_cm
        grid = torch.stack([across * (2 / width_cm) - 1, along * (2 / height_cm) - 1], dim=-1)
        return F.grid_sample(
            self.world.atlas[None, None],
            grid[None],
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )[0, 0]

    def _blur_level(self, distance: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
        """Half octaves of the pixel's width in texels: the square root of the area it covers."""
        texel_per_cm = np.deg2rad(self.scale_deg) * self.world.texels_per_cm
        area = (distance * distance).div_(normal.abs()).mul_(texel_per_cm**2)
        return area.log2_().round_().clamp_(0, self.world.n_levels - 1)

    def distances(self, position: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Return how far it is to the box along rays given in the world.

        Args:
            position: Shape (n, 3), cm.
            rays: Unit vectors, shape (n, n_rays, 3).

        Returns:
            Shape (n, n_rays), cm.
        """
        ahead = np.where(
            rays > 0, np.asarray(self.world.size_cm) - position[:, None], position[:, None]
        )
        with np.errstate(divide="ignore"):
            return (ahead / np.abs(rays)).min(axis=-1)
