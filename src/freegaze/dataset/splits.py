"""Splits: the bins that train, validate and test, with gaps between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Integer

from freegaze.errors import DataError
from freegaze.recording.recording import Recording, Role

ROLES: tuple[Role, ...] = ("train", "validation", "test")
UNUSED = -1

SplitMethod = Literal["auto", "given", "tail", "paper_tail", "blocks", "folds"]


@dataclass(frozen=True)
class Split:
    """The role of every bin.

    Args:
        codes: Position in ``ROLES`` of each bin's role, or -1 where left out; (time,), int8.
        gap_s: Seconds that were kept free between training and the rest.
        is_straddling: Whether a window's input bins may have another role than its target (Q9).
    """

    codes: Integer[np.ndarray, " time"]
    gap_s: float
    is_straddling: bool = False

    def bins(self, role: Role) -> np.ndarray:
        """Indices of the bins of a role."""
        return np.flatnonzero(self.is_role(role))

    def is_role(self, role: Role) -> np.ndarray:
        """Whether each bin has a role, shape (time,)."""
        return self.codes == ROLES.index(role)


def split_recording(
    recording: Recording,
    method: SplitMethod = "auto",
    *,
    validation: float = 0.2,
    test: float = 0.2,
    gap_s: float = 2.0,
    n_blocks: int = 10,
    history: int = 1,
    needed: Sequence[Role] = ROLES,
) -> Split:
    """Give every bin a role.

    Args:
        recording: The session.
        method: ``given``: the segments' own roles. ``tail``: given roles, and the last part of
            each training segment validates. ``paper_tail``: the same by the original's count of
            windows, no gap, windows may straddle the border (Q9). ``blocks``: the session is cut
            into ``n_blocks`` blocks; of each the first part trains, the next validates, the
            last tests. ``auto``: ``given`` where segments of all three roles exist, ``tail``
            where training and test exist, ``blocks`` otherwise.
        validation: Share of the training bins (``tail``), or of all bins (``blocks``), to validate.
        test: Share of all bins to test on (``blocks``).
        gap_s: Training bins closer than this to a bin of another role are left out, and validation
            bins closer than this to test bins; trials count as apart.
        n_blocks: Blocks for ``blocks``.
        history: Input bins of a window, which only ``paper_tail`` counts.
        needed: Roles that must be left with bins.

    Returns:
        The split.

    Raises:
        DataError: If roles that the method needs are missing, or nothing is left to train on.
    """
    method = _choose_method(recording) if method == "auto" else method
    codes = np.full(recording.n_bins, UNUSED, dtype=np.int8)
    if method == "blocks":
        _assign_blocks(codes, recording, validation, test, n_blocks)
    else:
        _assign_given(codes, recording)
        if method in ("tail", "paper_tail"):
            _assign_tails(codes, recording, validation, history if method == "paper_tail" else None)
    if method == "paper_tail":
        return Split(codes, gap_s=0.0, is_straddling=True)
    split = Split(leave_gaps(codes, recording, gap_s), gap_s)
    require_roles(split, recording, method, needed)
    return split


def _choose_method(recording: Recording) -> SplitMethod:
    roles = {segment.role for segment in recording.segments}
    if {"train", "validation", "test"} <= roles:
        return "given"
    return "tail" if {"train", "test"} <= roles else "blocks"


def _assign_given(codes: np.ndarray, recording: Recording) -> None:
    for segment in recording.segments:
        if segment.role is not None:
            codes[segment.start : segment.stop] = ROLES.index(segment.role)


def _assign_tails(
    codes: np.ndarray, recording: Recording, validation: float, paper_history: int | None
) -> None:
    for segment in recording.segments:
        if segment.role == "train":
            if paper_history is None:
                n_train = segment.n_bins - round(validation * segment.n_bins)
            else:  # the original counts windows: the first int(0.8 n) of n = n_bins - history train
                n_windows = segment.n_bins - paper_history
                n_train = paper_history + int((1 - validation) * n_windows)
            codes[segment.start + n_train : segment.stop] = ROLES.index("validation")


def _assign_blocks(
    codes: np.ndarray, recording: Recording, validation: float, test: float, n_blocks: int
) -> None:
    fold = trial_starts(recording) * n_blocks // recording.n_bins  # a trial is never cut
    for k in range(n_blocks):
        block = np.flatnonzero(fold == k)
        first = _cut(recording, block, 1 - test - validation)
        second = _cut(recording, block, 1 - test)
        codes[block[:first]] = ROLES.index("train")
        codes[block[first:second]] = ROLES.index("validation")
        codes[block[second:]] = ROLES.index("test")


def trial_starts(recording: Recording) -> Integer[np.ndarray, " time"]:
    """Return each bin's index; for the bins of a trial, the trial's first bin.

    Args:
        recording: The session.
    """
    times = np.arange(recording.n_bins)
    for segment in recording.segments:
        if segment.trial:
            times[segment.start : segment.stop] = segment.start
    return times


def leave_gaps(
    codes: Integer[np.ndarray, " time"], recording: Recording, gap_s: float
) -> Integer[np.ndarray, " time"]:
    """Leave out training bins near other roles, and validation bins near test bins.

    Args:
        codes: Role of each bin, see ``Split``.
        recording: The session.
        gap_s: Seconds to keep free; trials count as apart.

    Returns:
        The codes with gaps.
    """
    gap = int(np.ceil(gap_s / recording.bin_width_s))
    out = codes.copy()
    is_trial = np.array([segment.trial for segment in recording.segments])
    # A trial has a time axis of its own.
    island = np.where(is_trial[recording.segment_index()], trial_starts(recording), -1)
    for near, role in ((1, "train"), (2, "validation")):
        others = np.flatnonzero(codes >= near)
        distance = distance_to(others, island)
        out[(codes == ROLES.index(role)) & (distance <= gap)] = UNUSED
    return out


def distance_to(bins: np.ndarray, island: np.ndarray) -> np.ndarray:
    """Return the distance of each bin to the nearest of ``bins`` on its island, or infinity.

    Args:
        bins: Their indices.
        island: A label of each bin; distances are between bins of one label.
    """
    n_bins = len(island)
    if not len(bins):
        return np.full(n_bins, np.inf)
    # Islands are laid out further apart than any two bins of one.
    place = np.arange(n_bins) + 2 * n_bins * np.unique(island, return_inverse=True)[1]
    there = np.sort(place[bins])
    after = np.searchsorted(there, place)
    sides = there[np.maximum(after - 1, 0)], there[np.minimum(after, len(there) - 1)]
    distance = np.abs(place - sides).min(0)
    return np.where(distance < n_bins, distance, np.inf)


def _cut(recording: Recording, bins: np.ndarray, share: float) -> int:
    """Return where to cut some bins after a share of them; a trial is never cut through."""
    cut = round(share * len(bins))
    if cut >= len(bins):
        return len(bins)
    segment = recording.segments[recording.segment_index()[bins[cut]]]
    return int(np.searchsorted(bins, segment.start)) if segment.trial else cut


def require_roles(split: Split, recording: Recording, method: str, needed: Sequence[Role]) -> None:
    """Refuse a split that leaves a needed role without bins.

    Args:
        split: The split.
        recording: The session.
        method: Name of the method, for the message.
        needed: Roles that must have bins.

    Raises:
        DataError: Naming the first role without bins.
    """
    for role in needed:
        if not split.is_role(role).any():
            raise DataError(
                f"session {recording.session_id!r}: split {method!r} leaves no {role} bins of "
                f"{recording.n_bins} with a gap of {split.gap_s:g} s; record longer, or choose "
                "another `split.method` or a smaller `split.gap_s`"
            )
