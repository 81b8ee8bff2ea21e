"""Conversion of video of any numbers to gray levels 0..255, without a change if possible.

A recording's video is uint8. Files of laboratories hold other numbers: gray levels as floats,
fractions after resizing, contrasts around zero. One linear map for the whole video turns them into
gray levels, and the recording's provenance keeps it; rounding changes at most half a level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from freegaze.errors import DataError, ShapeError

LEVELS = 255


@dataclass(frozen=True, slots=True)
class GrayScale:
    """Linear map of values to gray levels.

    Args:
        low: Value that becomes 0.
        high: Value that becomes 255.
        is_exact: Whether every value becomes a gray level without rounding.
        n_lost: Frames with missing values, shown as the mean of the others.
        fill: Gray level of those frames.
    """

    low: float
    high: float
    is_exact: bool
    n_lost: int = 0
    fill: int = 0

    def apply(self, frames: np.ndarray) -> np.ndarray:
        """Return gray levels of frames (time, height, width), uint8."""
        if frames.dtype == np.uint8 and self.is_exact:
            return frames
        with np.errstate(invalid="ignore"):
            levels = (frames.astype(np.float64) - self.low) * (LEVELS / (self.high - self.low))
            levels = np.rint(np.clip(levels, 0, LEVELS))
        if self.n_lost:
            levels[lost_frames(frames)] = self.fill
        return levels.astype(np.uint8)

    def describe(self) -> dict[str, Any]:
        """Return the map as plain values, for the provenance."""
        if self.is_exact and not self.n_lost:
            return {"gray": "as in the file"}
        step = 0.0 if self.is_exact else (self.high - self.low) / LEVELS / 2
        told = {"black": self.low, "white": self.high, "largest_rounding": step}
        return {"gray": told | ({"lost_frames": self.n_lost} if self.n_lost else {})}


def lost_frames(frames: np.ndarray) -> np.ndarray:
    """Return which frames contain a missing value, shape (time,)."""
    if frames.dtype.kind != "f":
        return np.zeros(len(frames), bool)
    return np.asarray(np.isnan(frames).any(axis=(1, 2)))


def find_gray_scale(pieces: Callable[[], Iterator[np.ndarray]], where: str) -> GrayScale:
    """Choose the map to gray levels for a video that is read in parts.

    Whole numbers in 0..255, some of them above 1, do not change. Other numbers in this range are
    rounded. All others are scaled so that the smallest becomes 0 and the largest 255.

    Args:
        pieces: Returns consecutive parts (time, height, width), from the start at each call.
        where: Name of the array, for messages.

    Raises:
        ShapeError: If it has not the axes (time, height, width).
        DataError: If it contains text, infinities or only missing values.
    """
    low, high, is_whole, n_lost = np.inf, -np.inf, True, 0
    total, n_values = 0.0, 0
    for piece in pieces():
        if piece.ndim != 3 or 0 in piece.shape[1:]:
            raise ShapeError(f"{where}: expected (time, height, width), got {piece.shape}")
        if piece.dtype.kind not in "iuf":
            raise DataError(f"{where}: expected numbers, got {piece.dtype}")
        is_lost = lost_frames(piece)
        known = piece[~is_lost] if is_lost.any() else piece
        n_lost += int(is_lost.sum())
        if known.size:
            low, high = min(low, float(known.min())), max(high, float(known.max()))
            is_whole = is_whole and (
                known.dtype.kind != "f" or bool((known == np.rint(known)).all())
            )
            total, n_values = total + float(known.sum(dtype=np.float64)), n_values + known.size
    if not n_values:
        raise DataError(f"{where}: holds no frame without missing values; restore the file")
    # Beyond float64's root, squares and differences of values would overflow.
    if not (np.isfinite([low, high, total]).all() and max(abs(low), abs(high)) < 1e150):
        raise DataError(f"{where}: holds values from {low:g} to {high:g}; mark lost frames as NaN")
    is_gray = low >= 0 and high <= LEVELS and (high > 1 or low == high == 0)
    if is_gray:
        low, high = 0.0, float(LEVELS)
    elif high == low:
        high = max(low + 1, float(np.nextafter(low, np.inf)))  # one more may be the same
    scale = GrayScale(low, high, is_exact=is_gray and is_whole, n_lost=n_lost)
    fill = scale.apply(np.full((1, 1, 1), total / n_values))
    return GrayScale(low, high, scale.is_exact, n_lost, int(fill[0, 0, 0]))
