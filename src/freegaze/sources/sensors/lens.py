"""Model of the lens distortion of a head camera, and its removal from frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8

from freegaze.errors import DataError, ShapeError
from freegaze.sources.alignment.frames import AbstractFrameReader

LensModel = Literal["pinhole", "fisheye"]
Projection = Literal["pinhole", "equidistant"]

_EDGE = 1e-6
"""Tolerance by which pixels at the edge of the frame count as seen in spite of rounding."""

_STEPS = 2000
"""Number of angles at which it is checked that a model spreads rays outward."""


@dataclass(frozen=True)
class Lens:
    """Calibration of a camera, in OpenCV's conventions: x to the right, y down, pixels from 0.

    ``pinhole`` is the model of Brown and Conrady with coefficients k1, k2, p1, p2, k3;
    ``fisheye`` that of Kannala and Brandt with k1, k2, k3, k4. Missing coefficients are 0.

    Args:
        model: One of the two.
        focal_px: (x, y).
        center_px: Principal point (x, y).
        coefficients: Coefficients of the calibration, in its order.
    """

    model: LensModel
    focal_px: tuple[float, float]
    center_px: tuple[float, float]
    coefficients: tuple[float, ...] = ()

    def project(self, rays: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 2"]:
        """Return the pixel at which the camera sees each direction.

        Args:
            rays: Right, down, forward; any length.

        Returns:
            (x, y) in px, NaN for directions that the camera does not see: behind a pinhole, or
            beyond the angle at which the model turns back towards the center.

        Example:
            >>> lens = Lens("fisheye", (40.0, 40.0), (39.5, 29.5))
            >>> lens.project(np.array([[1.0, 0.0, 1.0]])).round(3)
            array([[70.916, 29.5  ]])
        """
        sideways = np.hypot(rays[..., 0], rays[..., 1])
        angle = np.arctan2(sideways, rays[..., 2])
        is_seen = angle < self._largest_angle()
        with np.errstate(invalid="ignore", divide="ignore"):
            direction = np.where(sideways[..., None] > 0, rays[..., :2] / sideways[..., None], 0.0)
        spread = direction * self._radius(np.where(is_seen, angle, 0.0))[..., None]
        if self.model == "pinhole":
            spread = spread + self._tangential(np.where(is_seen, angle, 0.0), direction)
        points = np.asarray(self.focal_px) * spread + np.asarray(self.center_px)
        return np.where(is_seen[..., None], points, np.nan)

    def _radius(self, angle: np.ndarray) -> np.ndarray:
        """Return the distorted distance from the center, in focal lengths."""
        k = np.zeros(5)
        k[: len(self.coefficients)] = self.coefficients
        if self.model == "fisheye":
            square = angle**2
            return angle * (1 + square * (k[0] + square * (k[1] + square * (k[2] + square * k[3]))))
        radius = np.tan(angle)
        square = radius**2
        return radius * (1 + square * (k[0] + square * (k[1] + square * k[4])))

    def _tangential(self, angle: np.ndarray, direction: np.ndarray) -> np.ndarray:
        p = np.zeros(4)
        p[: len(self.coefficients[:4])] = self.coefficients[:4]
        x, y = np.moveaxis(direction * np.tan(angle)[..., None], -1, 0)
        square = x**2 + y**2
        shift_x = 2 * p[2] * x * y + p[3] * (square + 2 * x**2)
        shift_y = p[2] * (square + 2 * y**2) + 2 * p[3] * x * y
        return np.stack([shift_x, shift_y], axis=-1)

    def _largest_angle(self) -> float:
        limit = np.pi if self.model == "fisheye" else np.pi / 2 - 1e-3
        angle = np.linspace(0, limit, _STEPS)
        falls = np.flatnonzero(np.diff(self._radius(angle)) <= 0)
        return float(angle[falls[0]]) if len(falls) else limit


def rays_of_frame(
    frame_size: tuple[int, int], projection: Projection, focal_px: float
) -> Float[np.ndarray, "height width 3"]:
    """Return the direction that each pixel of an undistorted frame shows.

    Args:
        frame_size: (height, width).
        projection: ``equidistant`` (equal angles per pixel along each radius) or ``pinhole``.
        focal_px: Pixels per radian at the center.

    Returns:
        Right, down, forward; unit length.
    """
    height, width = frame_size
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x, y = (x - (width - 1) / 2) / focal_px, (y - (height - 1) / 2) / focal_px
    radius = np.hypot(x, y)
    if projection == "pinhole":
        rays = np.stack([x, y, np.ones_like(x)], axis=-1)
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    sine = np.sinc(radius / np.pi)  # sin(radius) / radius
    return np.stack([x * sine, y * sine, np.cos(radius)], axis=-1)


class UndistortedFrames(AbstractFrameReader):
    """Frames of a video, in the same size, without the distortion of the camera.

    Each pixel is interpolated linearly between four pixels of the camera. Pixels that the camera
    did not see are black.

    Args:
        reader: The video.
        lens: Calibration of the camera.
        projection: Projection of the new frames; ``equidistant`` has the same angle per pixel along
            each radius, as analyses in visual angle need it.
        calibrated_size: (height, width) of the frames of the calibration; the video's by default.
        where: Video, for messages.
    """

    def __init__(
        self,
        reader: AbstractFrameReader,
        lens: Lens,
        projection: Projection = "equidistant",
        calibrated_size: tuple[int, int] | None = None,
        where: str = "video",
    ) -> None:
        self.reader, self.lens = reader, lens
        self.projection: Projection = projection
        self.calibrated_size, self.where = calibrated_size, where
        self.frame_size: tuple[int, int] | None = None
        self._map: _Map | None = None

    def __len__(self) -> int:
        return len(self.reader)

    @property
    def deg_per_px(self) -> float:
        """Degrees per pixel at the center of the new frames."""
        return float(np.rad2deg(1 / np.mean(self.lens.focal_px)))

    def quality(self) -> dict[str, float]:
        """Return ``deg_per_px`` and ``share_seen``, the share of pixels that the camera saw."""
        seen = float("nan") if self._map is None else float(self._map.is_seen.mean())
        return {"deg_per_px": self.deg_per_px, "share_seen": seen}

    def read(self, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Give the wanted frames, in order; see ``AbstractFrameReader``.

        Raises:
            ShapeError: If frames have another size than in the calibration.
            DataError: If the calibration sees nothing of the new frame.
        """
        for number, frame in self.reader.read(wanted):
            if self._map is None:
                self._map = self._make_map((frame.shape[0], frame.shape[1]))
                self.frame_size = (frame.shape[0], frame.shape[1])
            yield number, self._map.apply(frame)

    def _make_map(self, frame_size: tuple[int, int]) -> _Map:
        if self.calibrated_size not in (None, frame_size):
            raise ShapeError(
                f"{self.where}: frames of {frame_size[0]} x {frame_size[1]} px but the lens was "
                f"calibrated for {self.calibrated_size}; state focal length and center for this "
                "size"
            )
        rays = rays_of_frame(frame_size, self.projection, float(np.mean(self.lens.focal_px)))
        made = _make_map(self.lens.project(rays), frame_size)
        if not made.is_seen.any():
            raise DataError(
                f"{self.where}: with this `lens` no pixel lies in the frame; check `focal_px` and "
                "`center_px`, (x, y) in pixels of this video"
            )
        return made


@dataclass(frozen=True)
class _Map:
    """Four pixels and weights of each new pixel, flat."""

    is_seen: Bool[np.ndarray, " pixel"]
    places: np.ndarray
    weights: np.ndarray

    def apply(self, frame: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
        new = np.zeros(frame.size, np.uint8)
        mean = (frame.reshape(-1)[self.places] * self.weights).sum(0)
        new[self.is_seen] = np.floor(mean + 0.5)
        return new.reshape(frame.shape)


def _make_map(points: np.ndarray, frame_size: tuple[int, int]) -> _Map:
    height, width = frame_size
    x, y = points.reshape(-1, 2).T
    with np.errstate(invalid="ignore"):
        is_inside = (x >= -_EDGE) & (x <= width - 1 + _EDGE)
        is_seen = is_inside & (y >= -_EDGE) & (y <= height - 1 + _EDGE)
    x, y = np.clip(x[is_seen], 0, width - 1), np.clip(y[is_seen], 0, height - 1)
    left = np.minimum(np.floor(x).astype(np.int64), max(width - 2, 0))
    top = np.minimum(np.floor(y).astype(np.int64), max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    a, b = x - left, y - top
    places = [top * width + left, top * width + right, bottom * width + left]
    weights = [(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b]
    return _Map(
        is_seen,
        np.stack([*places, bottom * width + right]),
        np.stack(weights).astype(np.float32),
    )
