"""Windows as index arithmetic: input bins that predict a target bin.

A window of ``history`` L and ``lag`` g reads bins t-g-L+1 .. t-g and predicts bin t; lag 1 is the
original's. Windows never cross the ends of a segment.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Integer

from freegaze.dataset.splits import Split, distance_to
from freegaze.errors import DataError
from freegaze.recording.recording import Role, Segment


def window_targets(
    segments: Sequence[Segment],
    history: int,
    lag: int = 1,
    *,
    split: Split | None = None,
    role: Role | None = None,
    usable: Bool[np.ndarray, " time"] | None = None,
) -> Integer[np.ndarray, " window"]:
    """Return the target bin of every window.

    Args:
        segments: The recording's segments.
        history: Input bins of a window, at least 1.
        lag: Target bin minus last input bin; 0 or negative lets a window see its target and beyond.
        split: Roles of the bins, with ``role``.
        role: Keep windows whose target, and (unless the split straddles) inputs, have this role.
        usable: Keep windows whose inputs and target are all usable.

    Returns:
        Target bins in order of time.

    Raises:
        DataError: If history is below 1.
    """
    if history < 1:
        raise DataError(f"history must be at least 1 bin, got {history}")
    before = max(lag + history - 1, 0)
    after = max(-lag, 0)
    targets = np.concatenate(
        [np.arange(s.start + before, max(s.stop - after, s.start + before)) for s in segments]
    )
    if split is not None and role is not None:
        in_role = split.is_role(role)
        targets = targets[in_role[targets]]
        if not split.is_straddling:
            targets = _with_inputs_in(targets, in_role, history, lag)
    if usable is not None:
        targets = _with_inputs_in(targets[usable[targets]], usable, history, lag)
    return targets


def input_bins(targets: np.ndarray, history: int, lag: int = 1) -> np.ndarray:
    """Return the input bins of windows, shape (n_windows, history), oldest first."""
    return targets[:, None] + np.arange(-lag - history + 1, -lag + 1)


def contiguous_runs(targets: np.ndarray) -> list[tuple[int, int]]:
    """Return (first, stop) of each set of consecutive target bins."""
    if not len(targets):
        return []
    edges = np.flatnonzero(np.diff(targets) != 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(targets, edges)]


def cut_sequences(
    targets: np.ndarray, n_windows: int, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Cut consecutive windows into sequences that share their frames.

    Args:
        targets: Target bins in order of time.
        n_windows: Windows of a sequence; 1 gives independent windows.
        rng: Draws where the first sequence of consecutive windows starts, so that other windows are
            left out each time; ``None`` starts at the first window.

    Returns:
        First target bin of each sequence. Every window occurs at most once; of consecutive windows,
        at most ``n_windows - 1`` at both ends are left out.
    """
    firsts = []
    for start, stop in contiguous_runs(targets):
        spare = (stop - start) % n_windows
        offset = 0 if rng is None else int(rng.integers(spare + 1))
        n_sequences = (stop - start) // n_windows
        firsts.append(start + offset + n_windows * np.arange(n_sequences))
    return np.concatenate(firsts) if firsts else np.empty(0, dtype=np.int64)


def check_leaks(
    segments: Sequence[Segment],
    split: Split,
    history: int,
    lag: int,
    bin_width_s: float,
) -> None:
    """Check that no training window has a bin of a test window, or within the gap of one.

    Args:
        segments: The recording's segments.
        split: The split to check; if its windows straddle on purpose, only test bins are checked.
        history: Input bins of a window.
        lag: Target bin minus last input bin.
        bin_width_s: Width of a bin in seconds.

    Raises:
        DataError: If a window does; the message names its bin.
    """
    train = _touched(
        window_targets(segments, history, lag, split=split, role="train"), history, lag
    )
    test = _touched(window_targets(segments, history, lag, split=split, role="test"), history, lag)
    both = np.intersect1d(train, test)
    if len(both):
        raise DataError(
            f"leak: training and test windows share bin {both[0]} and {len(both) - 1} others; "
            "split the recording again"
        )
    trial = np.repeat([s.trial for s in segments], [s.n_bins for s in segments])
    train, test = train[~trial[train]], test[~trial[test]]
    if split.is_straddling or not len(train):
        return
    near = distance_to(test, np.zeros(segments[-1].stop))[train]
    worst = int(near.argmin())
    if near[worst] * bin_width_s < split.gap_s:
        raise DataError(
            f"leak: training bin {train[worst]} is {near[worst] * bin_width_s:.2f} s from a test "
            f"bin, closer than the gap of {split.gap_s:g} s; split the recording again"
        )


def _with_inputs_in(targets: np.ndarray, allowed: np.ndarray, history: int, lag: int) -> np.ndarray:
    """Keep the targets whose input bins are all allowed."""
    total = np.concatenate([[0], np.cumsum(allowed)])
    first = targets - lag - history + 1
    return targets[total[first + history] - total[first] == history]


def _touched(targets: np.ndarray, history: int, lag: int) -> np.ndarray:
    return np.unique(np.concatenate([input_bins(targets, history, lag).ravel(), targets]))
