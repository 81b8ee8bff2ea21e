"""The same recording with another frame size, or cut into other segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float

from freegaze.errors import ConfigError, DataError
from freegaze.files.arrays import new_frames
from freegaze.recording.recording import Recording, Segment

_PIECE = 512  # frames that are resized together
_SAME_ASPECT = 0.01

Steps = Callable[[int, int], None]


def resize_video(
    recording: Recording,
    size: tuple[int, int],
    scratch: Path | None = None,
    steps: Steps | None = None,
) -> Recording:
    """Return the recording with frames of another size.

    A new pixel is the mean over the area it covers, rounded to a gray level; enlarging repeats
    pixels. The calibration is adapted if the aspect ratio stays the same within 1 %, and is unknown
    otherwise.

    Args:
        recording: Any recording.
        size: (height, width) in pixels.
        scratch: Folder for the temporary file of a large video; the system's by default.
        steps: Called with (frames done, frames in all).

    Raises:
        ConfigError: If the size is not positive.
        DataError: If the temporary file cannot be written.
    """
    if min(size) < 1:
        raise ConfigError(f"a frame has at least one pixel, got size {size[0]} x {size[1]}")
    height, width = recording.frame_size
    rows, columns = area_weights(height, size[0]), area_weights(width, size[1])
    n_frames = len(recording.frames)
    frames = new_frames((n_frames, *size), scratch)
    for start in range(0, n_frames, _PIECE):
        piece = recording.frames[start : start + _PIECE].astype(np.float64)
        # Rounded to 1e-9 first: sums of fractions of pixels miss an exact half by one bit.
        levels = np.rint(np.round(rows @ piece @ columns.T, 9))
        frames[start : start + _PIECE] = levels.astype(np.uint8)
        if steps is not None:
            steps(min(start + _PIECE, n_frames), n_frames)
    return replace(recording, frames=frames, deg_per_px=_scaled(recording, size))


def cut_segments(recording: Recording, n_segments: int, test: float) -> Recording:
    """Cut a session into parts of equal length, each with training bins first and test bins last.

    Xu et al. (2023) use 10 parts with the last 30 % of each as test bins. Borders of segments
    without a role are gaps in the recording and stay; roles that were given are replaced.

    Args:
        recording: A recording without trials.
        n_segments: Number of parts.
        test: Share of each part to test on, between 0 and 1.

    Raises:
        ConfigError: If a number is out of its range.
        DataError: If the recording has trials, or is too short.

    Example:
        >>> from freegaze.sources.tiny import make_tiny_recording
        >>> [s.n_bins for s in cut_segments(make_tiny_recording(0), 2, 0.25).segments]
        [90, 30, 90, 30]
    """
    if n_segments < 1 or not 0 < test < 1:
        raise ConfigError(
            f"expected at least 1 segment and a test share between 0 and 1, got {n_segments} and "
            f"{test:g}"
        )
    if recording.is_in_trial().any():
        raise DataError(
            f"session {recording.session_id!r} consists of trials, which are not cut; keep its own "
            "roles"
        )
    n_bins = recording.n_bins
    gaps = {s.stop for s in recording.segments if s.role is None} - {n_bins}
    segments: list[Segment] = []
    for k in range(n_segments):
        start, stop = round(k * n_bins / n_segments), round((k + 1) * n_bins / n_segments)
        border = start + round((1 - test) * (stop - start))
        if not start < border < stop:
            raise DataError(
                f"session {recording.session_id!r} has {n_bins} bins, too few for {n_segments} "
                f"segments with {test:g} of each to test; choose fewer"
            )
        edges = sorted({start, border, stop, *(g for g in gaps if start < g < stop)})
        for first, last in pairwise(edges):
            segments.append(Segment(first, last, "train" if last <= border else "test"))
    return recording.with_segments(segments)


def area_weights(n_old: int, n_new: int) -> Float[np.ndarray, "n_new n_old"]:
    """Return the share of each old pixel in each new one, along one axis; rows sum to 1."""
    edges = np.arange(n_new + 1) * n_old / n_new
    low, high = edges[:-1, None], edges[1:, None]
    old = np.arange(n_old)
    covered = np.clip(np.minimum(high, old + 1) - np.maximum(low, old), 0, None)
    return covered / covered.sum(axis=1, keepdims=True)


def _scaled(recording: Recording, size: tuple[int, int]) -> float | None:
    if recording.deg_per_px is None:
        return None
    by_height, by_width = (old / new for old, new in zip(recording.frame_size, size, strict=True))
    if abs(by_height / by_width - 1) > _SAME_ASPECT:
        return None
    return recording.deg_per_px * by_height
