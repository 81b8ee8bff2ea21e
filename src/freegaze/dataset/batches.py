"""Data of a session as tensors on a device, and batches gathered from them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8
from torch import Tensor

from freegaze.dataset.behavior import BehaviorTransform
from freegaze.dataset.windows import contiguous_runs, cut_sequences
from freegaze.recording.recording import Recording

VideoRule = Literal["standardize", "unit", "minmax_segment"]

PART_PIXELS = 1 << 20
"""Number of pixels that are in memory at once while scaling is fitted. NumPy counts gray levels as
64-bit numbers; this limits them to 8 MiB for any length of session and any size of frame."""


@dataclass(frozen=True)
class VideoScaling:
    """Scaling of gray levels to an encoder's input: ``level * scale + offset``.

    Args:
        rule: ``standardize``: mean 0 and sd 1 over training bins, so that 0 is the mean gray.
            ``unit``: 0..255 becomes 0..1. ``minmax_segment``: each segment's lowest level becomes
            ``low``, its highest ``high`` (the original; Q2).
        scale: Factor, where it is the same for all segments.
        offset: Added after.
        low: Least value for ``minmax_segment``.
        high: Greatest value for ``minmax_segment``.
    """

    rule: VideoRule
    scale: float = 1 / 255
    offset: float = 0.0
    low: float = 0.0
    high: float = 1.0

    def per_segment(self, recording: Recording) -> Float[np.ndarray, "segment 2"]:
        """Return (scale, offset) of each segment."""
        if self.rule != "minmax_segment":
            return np.tile([self.scale, self.offset], (len(recording.segments), 1))
        return np.array([self._minmax(recording, s.bins()) for s in recording.segments])

    def _minmax(self, recording: Recording, bins: np.ndarray) -> tuple[float, float]:
        ends = [(int(v.min()), int(v.max())) for v in _video_parts(recording, bins)]
        least, greatest = float(min(low for low, _ in ends)), float(max(high for _, high in ends))
        scale = (self.high - self.low) / ((greatest - least) or 1.0)
        return scale, self.low - least * scale


def fit_video_scaling(
    recording: Recording, training_bins: np.ndarray, rule: VideoRule = "standardize"
) -> VideoScaling:
    """Fit the scaling on training bins only.

    Args:
        recording: The session.
        training_bins: Indices of the bins that it is fitted on.
        rule: See ``VideoScaling``.
    """
    if rule != "standardize":
        return VideoScaling(rule)
    # A histogram of gray levels holds the exact moments in constant memory, whatever the length.
    histogram = np.zeros(256, dtype=np.int64)
    for video in _video_parts(recording, training_bins):
        histogram += np.bincount(video.ravel(), minlength=256)
    levels = np.arange(256)
    mean = float((histogram * levels).sum() / histogram.sum())
    sd = float(np.sqrt((histogram * (levels - mean) ** 2).sum() / histogram.sum())) or 1.0
    return VideoScaling(rule, scale=1 / sd, offset=-mean / sd)


@dataclass(frozen=True)
class Preparation:
    """Everything fitted on training bins that turns a session's recording into encoder inputs.

    Args:
        behavior: Features and their standardization.
        video: Gray levels and their standardization.
    """

    behavior: BehaviorTransform
    video: VideoScaling


@dataclass(frozen=True)
class Batch:
    """Sequences of contiguous bins and the responses of the windows in them.

    Args:
        session_id: The session.
        video: Scaled frames, (sequence, time, 1, height, width).
        behavior: Features, (sequence, time, feature).
        responses: Observed responses of each window's target bin, (sequence, window, neuron), with
            ``window = time - history + 1``.
    """

    session_id: str
    video: Float[Tensor, "sequence time 1 height width"]
    behavior: Float[Tensor, "sequence time feature"]
    responses: Float[Tensor, "sequence window neuron"]


class SessionTensors:
    """One prepared session on a device; video stays uint8 and is scaled when it is gathered.

    Args:
        recording: The session.
        preparation: Scaling fitted on its training bins.
        history: Input bins of a window.
        lag: Target bin minus last input bin.
        device: Device of the tensors; on the CPU the video is shared with the recording.
    """

    def __init__(
        self,
        recording: Recording,
        preparation: Preparation,
        history: int,
        lag: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.session_id = recording.session_id
        self.history, self.lag = history, lag
        self.preparation = preparation
        self.frames: UInt8[Tensor, "frame height width"] = _as_tensor(recording.frames, device)
        self.frame_index = _as_tensor(recording.frame_index.astype(np.int64), device)
        self.signals = _as_tensor(preparation.behavior.signals(recording), device)
        self._constants = preparation.behavior.constants(torch.float32, device)
        self.responses = _as_tensor(recording.responses.astype(np.float32, copy=False), device)
        self.segment_index = _as_tensor(recording.segment_index(), device)
        scaling = preparation.video.per_segment(recording).astype(np.float32)
        self.video_scaling = _as_tensor(scaling, device)

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""
        return self.frames.device

    def gather(self, first_targets: Integer[Tensor, " sequence"], n_windows: int) -> Batch:
        """Gather the sequences whose first windows have the given target bins.

        Args:
            first_targets: Target bin of each sequence's first window.
            n_windows: Consecutive windows of each sequence.
        """
        first = first_targets.to(self.device)[:, None]
        targets = first + torch.arange(n_windows, device=self.device)
        start = first - self.lag - self.history + 1
        bins = start + torch.arange(n_windows + self.history - 1, device=self.device)
        return Batch(
            self.session_id,
            self.video(bins),
            self.preparation.behavior.features(self.signals[bins], self._constants),
            self.responses[targets],
        )

    def video(self, bins: Integer[Tensor, "*batch"]) -> Float[Tensor, "*batch 1 height width"]:
        """Return the scaled frames of some bins."""
        flat = bins.flatten()
        frames = self.frames.index_select(0, self.frame_index[flat])
        scale, offset = self.video_scaling[self.segment_index[flat]][:, :, None, None].unbind(1)
        scaled = frames.float().mul_(scale).add_(offset)
        return scaled.unflatten(0, bins.shape).unsqueeze(-3)


def shuffled_sequences(
    targets: Integer[np.ndarray, " window"],
    n_windows: int,
    n_sequences: int,
    seed: int,
    device: torch.device | str = "cpu",
) -> list[Integer[Tensor, " sequence"]]:
    """Return one pass of training batches as first target bins, drawn from ``seed`` alone.

    Args:
        targets: Target bins of all training windows, in order of time.
        n_windows: Windows of a sequence.
        n_sequences: Sequences of a batch; the last batch may be smaller.
        seed: Seed of the cuts between sequences and of their order.
        device: Device of the result.
    """
    rng = np.random.default_rng(seed)
    firsts = rng.permutation(cut_sequences(targets, n_windows, rng))
    return list(torch.from_numpy(firsts).to(device).split(n_sequences))


def sequence_chunks(
    targets: Integer[np.ndarray, " window"], max_windows: int
) -> Iterator[tuple[int, int]]:
    """Cut consecutive windows into chunks for prediction.

    Args:
        targets: Target bins in order of time.
        max_windows: Largest number of windows in a chunk; it limits the memory.

    Yields:
        (first target bin, number of windows); together every window once, in order of time.
    """
    for start, stop in contiguous_runs(targets):
        for first in range(start, stop, max_windows):
            yield first, min(max_windows, stop - first)


def _video_parts(recording: Recording, bins: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the frames of some bins, a part at a time."""
    n_frames = max(1, PART_PIXELS // math.prod(recording.frame_size))
    for start in range(0, len(bins), n_frames):
        yield recording.video(bins[start : start + n_frames])


def _as_tensor(array: np.ndarray, device: torch.device | str) -> Tensor:
    """Share an array's memory where possible: a copy of a mapped video may not fit."""
    with warnings.catch_warnings():
        # Torch warns of arrays that may not be written to; a session's tensors are only read.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)
