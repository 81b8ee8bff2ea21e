"""Check of the video: freezes."""

from __future__ import annotations

import numpy as np

from freegaze.files.arrays import CHUNK_BYTES
from freegaze.quality.grades import Check, Scale, runs
from freegaze.recording.recording import Recording

FREEZES = Scale("video_freezes", "Video freezes", "s", 0.2, 1.0)
"""Sensor noise makes any two camera frames differ; a few equal ones are dropped frames (0.2 s is 4
bins of 48 ms), a second of them a camera that hung."""


def check_freezes(recording: Recording) -> Check:
    """Grade the longest run of bins whose frame equals the one before.

    Recordings whose bins share frames (drawn stimuli) are not graded. Data: ``start_bin`` and
    ``length_s`` (n_freezes,), ``is_blank_share`` (): share of frames of a single gray.
    """
    r = recording
    if not np.array_equal(r.frame_index, np.arange(len(r.frames))):
        return FREEZES.not_available("bins share frames, as with drawn stimuli")
    is_same, is_blank = _compare_frames(r.frames)
    segment = r.segment_index()
    is_same[1:] &= segment[1:] == segment[:-1]
    starts, lengths = runs(is_same, segment)
    length_s = lengths * r.bin_width_s
    longest = float(length_s.max(initial=0.0))
    sentence = (
        f"The video freezes {len(starts)} times, for {longest:.2f} s at the longest (from bin "
        f"{starts[int(np.argmax(lengths))]} on)."
        if len(starts)
        else "No two successive frames are equal."
    )
    if is_blank.any():
        sentence += f" {is_blank.mean():.1%} of the frames are of a single gray."
    share = np.array(is_blank.mean())
    return FREEZES.grade(
        longest, sentence, start_bin=starts, length_s=length_s, is_blank_share=share
    )


def _compare_frames(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each frame equals the one before, and whether it is of a single gray."""
    is_same = np.zeros(len(frames), bool)
    is_blank = np.zeros(len(frames), bool)
    n = max(2, CHUNK_BYTES // max(1, frames[0].size))
    for start in range(0, len(frames), n):
        chunk = np.asarray(frames[max(0, start - 1) : start + n]).reshape(-1, frames[0].size)
        first = min(start, 1)
        is_same[start - first + 1 : start + n] = (chunk[1:] == chunk[:-1]).all(1)
        is_blank[start : start + n] = (chunk[first:] == chunk[first:, :1]).all(1)
    return is_same, is_blank
