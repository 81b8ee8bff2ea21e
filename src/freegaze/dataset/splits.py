"""Splits: the bins that train, validate and test, with gaps between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Integer

from freegaze.dataset.stimuli import are_stimuli_repeated, find_seen_stimuli, group_stimuli
from freegaze.errors import DataError
from freegaze.recording.recording import Recording, Role

ROLES: tuple[Role, ...] = ("train", "validation", "test")
UNUSED = -1

SplitMethod = Literal["auto", "given", "tail", "paper_tail", "blocks", "stimulus", "folds"]


@dataclass(frozen=True)
class Split:
    """The role of every bin.

    Args:
        codes: Position in ``ROLES`` of each bin's role, or -1 where left out; (time,), int8.
        gap_s: Seconds that were kept free between training and the rest.
        is_straddling: Whether a window's input bins may have another role than its target (Q9).
        method: Method that made it, "" where roles come from elsewhere.
    """

    codes: Integer[np.ndarray, " time"]
    gap_s: float
    is_straddling: bool = False
    method: str = ""

    def bins(self, role: Role) -> np.ndarray:
        """Return the bins of a role."""
        return np.flatnonzero(self.is_role(role))

    def is_role(self, role: Role) -> np.ndarray:
        """Return whether each bin has a role, shape (time,)."""
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
    condition: str | None = None,
    needed: Sequence[Role] = ROLES,
) -> Split:
    """Give every bin a role.

    Args:
        recording: The session.
        method: ``given``: the segments' own roles. ``tail``: given roles, and the last part of
            each training segment validates. ``paper_tail``: ``tail`` by the original's count of
            windows, without gaps; windows may straddle the border (Q9). ``blocks``: the session is
            cut into ``n_blocks`` blocks; of each the first part trains, the next validates, the
            last tests; trials are never cut. ``stimulus``: bins of two roles share no condition,
            and no frame except blank ones. ``auto``: ``given`` where segments of all three roles
            exist, ``tail`` where training and test exist, ``stimulus`` where stimuli repeat and can
            be held out in about the wanted shares, ``blocks`` otherwise.
        validation: Share of the training bins (``tail``), or of all bins (``blocks``,
            ``stimulus``), to validate.
        test: Share of all bins to test on (``blocks``, ``stimulus``).
        gap_s: Training bins closer than this to a bin of another role are left out, and validation
            bins closer than this to test bins; trials count as apart.
        n_blocks: Blocks for ``blocks``.
        history: Input bins of a window, which only ``paper_tail`` counts.
        condition: Annotation whose values ``stimulus`` keeps together. Without it, the annotation
            ``condition`` is used if the recording has it.
        needed: Roles that must have bins.

    Returns:
        The split.

    Raises:
        DataError: If roles that the method needs are missing, or nothing is left to train on.
    """
    if method == "auto":
        method = _choose_method(recording, validation, test, gap_s, condition)
    codes = np.full(recording.n_bins, UNUSED, dtype=np.int8)
    if method == "blocks":
        _assign_blocks(codes, recording, validation, test, n_blocks)
    elif method == "stimulus":
        _assign_stimuli(codes, recording, validation, test, condition)
    else:
        _assign_given(codes, recording)
        if method in ("tail", "paper_tail"):
            _assign_tails(codes, recording, validation, history if method == "paper_tail" else None)
    if method == "paper_tail":
        return Split(codes, gap_s=0.0, is_straddling=True, method=method)
    split = Split(leave_gaps(codes, recording, gap_s), gap_s, method=method)
    require_roles(split, recording, method, needed)
    return split


def describe_split(recording: Recording) -> dict[str, str]:
    """Describe the split that a fit with default settings makes.

    Args:
        recording: Any recording.

    Returns:
        Method, share of the bins of each role, and how much of the test bins' stimuli training
        bins show, in words; the reason where there is no such split.
    """
    try:
        split = split_recording(recording, needed=("train", "test"))
    except DataError as error:
        return {"method": f"none: {error}"}
    shares = {role: f"{split.is_role(role).mean():.1%} of the bins" for role in ROLES}
    seen = find_seen_stimuli(recording, split.bins("train"), split.bins("test"))
    return {
        "method": split.method,
        **shares,
        "test stimuli also seen in training": seen.sentence(),
    }


def _choose_method(
    recording: Recording, validation: float, test: float, gap_s: float, condition: str | None
) -> SplitMethod:
    roles = {segment.role for segment in recording.segments}
    if {"train", "validation", "test"} <= roles:
        return "given"
    if {"train", "test"} <= roles:
        return "tail"
    if not are_stimuli_repeated(recording, condition):
        return "blocks"
    codes = np.full(recording.n_bins, UNUSED, dtype=np.int8)
    _assign_stimuli(codes, recording, validation, test, condition)
    left = leave_gaps(codes, recording, gap_s)
    found = np.bincount(left[left >= 0], minlength=len(ROLES)) / recording.n_bins
    asked = np.array([1 - validation - test, validation, test])
    return "stimulus" if (found >= asked / 2).all() else "blocks"


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
    has_trials = recording.is_in_trial().any()
    late = np.zeros(2)  # bins by which the cuts of earlier blocks came late, as trials are whole
    for k in range(n_blocks):
        block = np.flatnonzero(fold == k)
        wanted = np.array([1 - test - validation, 1 - test]) * len(block) - late
        first, second = (_cut(recording, block, at) for at in wanted)
        if has_trials:
            late = np.array([first, second]) - wanted
        codes[block[:first]] = ROLES.index("train")
        codes[block[first:second]] = ROLES.index("validation")
        codes[block[second:]] = ROLES.index("test")


def _assign_stimuli(
    codes: np.ndarray,
    recording: Recording,
    validation: float,
    test: float,
    condition: str | None,
) -> None:
    """Give each group of stimuli a role, so that the roles come near their shares of the bins.

    In trials, the largest group comes first and goes to the role that has the smallest part of its
    share. Outside trials, groups keep their order of time, so that gaps are few.
    """
    group = group_stimuli(recording, condition)
    size = np.bincount(group)
    share = np.array([1 - validation - test, validation, test])
    if recording.is_in_trial().all():
        role = _balance(size, share)
    else:
        middle = (np.cumsum(size) - size / 2) / size.sum()
        role = np.searchsorted(np.cumsum(share)[:-1], middle)
    codes[:] = role[group]


def _balance(size: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the role of each group of a size; with three groups or more, each role has one."""
    role, filled = np.zeros(len(size), int), np.zeros(len(share))
    for i in np.argsort(-size, kind="stable"):
        part = (filled + size[i] / 2) / share
        # Of equally filled roles, the one with the smallest share, which has no group yet.
        role[i] = len(part) - 1 - int(np.argmin(np.round(part[::-1], 9)))
        filled[role[i]] += size[i]
    return role


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
    # A trial has a time axis of its own.
    island = np.where(recording.is_in_trial(), trial_starts(recording), -1)
    for near, role in ((1, "train"), (2, "validation")):
        others = np.flatnonzero(codes >= near)
        distance = distance_to(others, island)
        out[(codes == ROLES.index(role)) & (distance <= gap)] = UNUSED
    return out


def distance_to(bins: np.ndarray, island: np.ndarray) -> np.ndarray:
    """Return the distance of each bin to the nearest of ``bins`` on its island, or infinity.

    Args:
        bins: Indices of the bins to measure the distance from.
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


def _cut(recording: Recording, bins: np.ndarray, wanted: float) -> int:
    """Return where to cut some bins at ``wanted``; a trial is never cut through."""
    cut = min(max(round(wanted), 0), len(bins))
    if cut >= len(bins):
        return len(bins)
    segment = recording.segments[recording.segment_index()[bins[cut]]]
    if not segment.trial:
        return cut
    ends = np.searchsorted(bins, (segment.start, segment.stop))
    return int(ends[np.argmin(np.abs(ends - wanted))])


def require_roles(split: Split, recording: Recording, method: str, needed: Sequence[Role]) -> None:
    """Refuse a split that leaves a needed role without bins.

    Args:
        split: The split.
        recording: The session.
        method: Name of the method, for the message.
        needed: Roles that must have bins.

    Raises:
        DataError: If such a role has no bins.
    """
    for role in needed:
        if not split.is_role(role).any():
            raise DataError(
                f"session {recording.session_id!r}: split {method!r} leaves no {role} bins of "
                f"{recording.n_bins} with a gap of {split.gap_s:g} s; record longer, or choose "
                "another `split.method` or a smaller `split.gap_s`"
            )
