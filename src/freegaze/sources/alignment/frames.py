"""Conversion of video frames to bins, one by one, with only a few of them in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8

from freegaze.errors import DataError
from freegaze.files.arrays import new_frames
from freegaze.recording.reshaping import area_weights
from freegaze.sources.alignment.bins import SAME_TIME_S, Bins

FrameRule = Literal["mean", "middle", "nearest"]
"""Frame that a bin shows: the mean of the frames in it, the middle one of them, or the one nearest
to its centre. Under each rule, a bin without a frame shows the nearest one."""


class AbstractFrameReader(ABC):
    """A video of any kind."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of frames."""

    @abstractmethod
    def read(self, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield number and gray picture (height, width) of the wanted frames, in their order.

        Raises:
            DataError: If a file is damaged or too short; the message names it.
        """


@dataclass(frozen=True)
class FramePlan:
    """Plan of a video: the frames of each picture, and the picture of each bin.

    Args:
        is_lost: Whether no frame is near enough to a bin, (n_bins,).
        frame_index: Picture of each bin that is not lost.
        frames: Frames to read, in order, once for each picture that they contribute to.
        pictures: Picture that each of ``frames`` contributes to.
        n_parts: Number of frames of each picture.
    """

    is_lost: Bool[np.ndarray, " n_bins"]
    frame_index: Integer[np.ndarray, " n_kept"]
    frames: Integer[np.ndarray, " n_reads"]
    pictures: Integer[np.ndarray, " n_reads"]
    n_parts: Integer[np.ndarray, " n_pictures"]


def plan_frames(
    times: Float[np.ndarray, " n_frames"],
    order: np.ndarray | None,
    bins: Bins,
    rule: FrameRule,
    max_gap_s: float,
    is_left_out: Bool[np.ndarray, " n_bins"],
    shows: Integer[np.ndarray, " n_frames"] | None = None,
) -> FramePlan:
    """Decide which frames each bin shows.

    Args:
        times: Session times of the frames as they are read.
        order: Indices that sort them; ``None`` if they are in order.
        bins: The bins.
        rule: Choice among several frames.
        max_gap_s: A bin without a frame is lost if its centre is further than half of this from any
            frame.
        is_left_out: Bins that need no picture.
        shows: Number of the frame that is shown from each time on; ``None`` where frames are read
            in the order of their times.

    Returns:
        The plan.
    """
    order = np.arange(len(times)) if order is None else order
    times = times[order]
    number = order if shows is None else shows[order]
    centers = bins.centers
    n_before = bins.count_before_edges(times)
    first, last = n_before[:-1], n_before[1:]
    after = np.searchsorted(times, centers)
    left, right = np.maximum(after - 1, 0), np.minimum(after, len(times) - 1)
    to_left, to_right = np.abs(centers - times[left]), np.abs(times[right] - centers)
    nearest = np.where(to_left <= to_right + SAME_TIME_S, left, right)  # the earlier of two
    n_inside = last - first
    is_lost = (n_inside == 0) & (np.minimum(to_left, to_right) > max_gap_s / 2 + SAME_TIME_S)
    if shows is not None:
        nearest, is_lost = _shown_at(centers, times, max_gap_s)
    if rule != "nearest":
        has = n_inside > (0 if shows is None else 1)
        first = np.where(has, first if rule == "mean" else first + n_inside // 2, nearest)
        count = np.where(has & (rule == "mean"), n_inside, 1)
    else:
        first, count = nearest, np.ones(bins.n_bins, np.int64)
    kept = ~(is_lost | is_left_out)
    first, count = first[kept], count[kept]
    # bins that show one and the same frame share a picture; means have one of their own
    key = np.where(count == 1, number[first], number.max(initial=0) + 1 + np.arange(len(first)))
    _, appears, inverse = np.unique(key, return_index=True, return_inverse=True)
    by_time = np.argsort(appears)
    frame_index = np.argsort(by_time)[inverse]
    first, count = first[appears[by_time]], count[appears[by_time]]
    pictures = np.repeat(np.arange(len(first)), count)
    within = np.arange(len(pictures)) - np.repeat(np.cumsum(count) - count, count)
    frames = number[np.repeat(first, count) + within]
    by_frame = np.argsort(frames, kind="stable")
    return FramePlan(is_lost, frame_index, frames[by_frame], pictures[by_frame], count)


def _shown_at(
    centers: np.ndarray, times: np.ndarray, max_gap_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the entry that is shown at each bin center, and at which centers no entry is shown."""
    shown = np.searchsorted(times, centers + SAME_TIME_S, side="right") - 1
    is_before, shown = shown < 0, np.maximum(shown, 0)
    steps = np.diff(times)
    typical = np.median(steps) if len(steps) else max_gap_s
    lasts = np.append(np.where(steps <= max_gap_s + SAME_TIME_S, steps, typical), typical)
    return shown, is_before | (centers > times[shown] + lasts[shown] - SAME_TIME_S)


def read_pictures(
    reader: AbstractFrameReader,
    plan: FramePlan,
    frame_size: tuple[int, int] | None,
    progress: Callable[[int, int], None] | None = None,
) -> UInt8[np.ndarray, "n_pictures height width"]:
    """Read a video once from front to back and make the pictures of a plan.

    Args:
        reader: The video.
        plan: Plan of the wanted pictures.
        frame_size: (height, width) to scale to, each pixel the mean of the area it covers; ``None``
            keeps the video's.
        progress: Called with the numbers of frames read and of all frames.

    Returns:
        Pictures. If they exceed 256 MiB, they are in an unnamed file, which is deleted with the
        array.

    Raises:
        DataError: If the video is damaged, or the disk is full.
    """
    wanted, first = np.unique(plan.frames, return_index=True)
    stop = np.r_[first[1:], len(plan.frames)]
    out: np.ndarray | None = None
    rows = columns = np.ones((1, 1), np.float32)
    sums: dict[int, np.ndarray] = {}
    n_left = plan.n_parts.copy()
    for i, (_, frame) in enumerate(reader.read(wanted)):
        if out is None:
            size = frame_size or frame.shape
            rows, columns = (
                area_weights(n_old, n_new).astype(np.float32)
                for n_old, n_new in zip(frame.shape, size, strict=True)
            )
            out = new_frames((len(plan.n_parts), *size))
        is_same = frame.shape == out.shape[1:]
        picture = frame if is_same else rows @ frame.astype(np.float32) @ columns.T
        for target in plan.pictures[first[i] : stop[i]].tolist():
            n_left[target] -= 1
            if plan.n_parts[target] > 1:
                add_up = sums.setdefault(target, np.zeros(picture.shape, np.float32))
                add_up += picture
                if n_left[target]:
                    continue
                picture_of = sums.pop(target) / plan.n_parts[target]
            else:
                picture_of = picture
            if picture_of.dtype != np.uint8:
                picture_of = np.clip(np.floor(picture_of + 0.5), 0, 255)
            out[target] = picture_of
        if progress is not None:
            progress(i + 1, len(wanted))
    if out is None or n_left.any():
        raise DataError(f"the video yielded fewer frames than the {len(wanted)} wanted of it")
    return out
