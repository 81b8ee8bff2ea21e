"""Blocks of time, which intervals and tests resample because bins are not independent.

Neighboring bins of a recording share slow states of the animal, so that resampling bins gives
intervals that are far too short. Blocks of 20 s and more keep those states inside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Integer

from freegaze.contiguous import run_bounds, run_ids
from freegaze.errors import DataError, ShapeError

BLOCK_S = 20.0
"""Shortest block in seconds."""

BLOCKS_WANTED = 12
"""Blocks to aim at. On simulated recordings whose states last 20 s, intervals from 10 blocks of 77
s covered 92 to 96 % and those from 30 blocks of 26 s 86 to 90 %; with states of 5 s both covered
92 to 96 %, the longer blocks being 15 % wider."""

PARTS_WANTED = 120
"""Parts of all blocks together by which the correlation between blocks is estimated."""

MOST_PARTS = 10
"""Most parts per block."""

MOST_TRIAL_BLOCKS = 60
"""Most blocks of trials. Of more trials, neighboring ones make a block: more than 60 blocks narrow
an interval by less than 2 % (Student's t)."""


@dataclass(frozen=True, eq=False)
class TimeBlocks:
    """Contiguous blocks that cover all bins in order.

    Args:
        starts: First bin of each block, increasing, the first one 0, shape (block,).
        n_bins: Number of bins in all blocks together.
        bins: Number of each bin in the recording, shape (time,). Without it, the times of blocks
            are unknown, and intervals take the blocks as independent of each other.

    Raises:
        ShapeError: If the starts do not increase from 0 to below ``n_bins``, or there is not one
            number per bin.
    """

    starts: Integer[np.ndarray, " block"]
    n_bins: int
    bins: Integer[np.ndarray, " time"] | None = None

    def __post_init__(self) -> None:
        if self.bins is not None and len(self.bins) != self.n_bins:
            raise ShapeError(
                f"the blocks cover {self.n_bins} bins but {len(self.bins)} are numbered"
            )
        edges = np.append(self.starts, self.n_bins)
        if edges[0] != 0 or (np.diff(edges) <= 0).any():
            raise ShapeError(
                f"block starts must increase from 0 to below {self.n_bins}, got {self.starts}"
            )

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.starts)

    def lengths(self) -> Integer[np.ndarray, " block"]:
        """Return the number of bins in each block."""
        return np.diff(np.append(self.starts, self.n_bins))

    def ids(self) -> Integer[np.ndarray, " time"]:
        """Return the number of the block that each bin belongs to."""
        return np.repeat(np.arange(self.n_blocks), self.lengths())

    def sums(self, values: Float[np.ndarray, "time ..."]) -> Float[np.ndarray, "block ..."]:
        """Sum over the bins of each block.

        Args:
            values: First axis time.

        Returns:
            The same with first axis block.

        Raises:
            ShapeError: If the number of bins is another one.
        """
        if len(values) != self.n_bins:
            raise ShapeError(f"the blocks cover {self.n_bins} bins but the array has {len(values)}")
        return np.add.reduceat(values, self.starts, axis=0)

    def n_varying(self, values: Float[np.ndarray, "time neuron"]) -> Integer[np.ndarray, " neuron"]:
        """Count the blocks in which each column changes.

        Args:
            values: First axis time.
        """
        highest, lowest = (
            ends.reduceat(values, self.starts, axis=0) for ends in (np.maximum, np.minimum)
        )
        return (highest > lowest).sum(0)

    def select(self, keep: Bool[np.ndarray, " time"]) -> TimeBlocks:
        """Return the blocks of the kept bins alone; a block without any is dropped.

        Args:
            keep: Whether to keep each bin.

        Raises:
            DataError: If no bin is kept.
        """
        kept = self.ids()[keep]
        if not kept.size:
            raise DataError("no bin is left to be scored; check the mask of bins (tracking, split)")
        bins = None if self.bins is None else self.bins[keep]
        return TimeBlocks(np.unique(kept, return_index=True)[1], kept.size, bins)

    def at(self, bins: Integer[np.ndarray, " time"]) -> TimeBlocks:
        """Return the blocks with the number of each bin in the recording.

        Args:
            bins: One number per bin, in order of time.

        Raises:
            ShapeError: If there is not one number per bin.
        """
        return replace(self, bins=bins)

    def parts(self) -> TimeBlocks:
        """Cut each block into equal parts, about `PARTS_WANTED` altogether.

        Example:
            >>> TimeBlocks(np.array([0, 100]), 200).parts().starts[:4]
            array([ 0, 10, 20, 30])
        """
        n_each = min(MOST_PARTS, max(1, PARTS_WANTED // self.n_blocks))
        starts = [
            first + np.unique(np.arange(n_each) * length // n_each)
            for first, length in zip(self.starts, self.lengths(), strict=True)
        ]
        return TimeBlocks(np.concatenate(starts), self.n_bins, self.bins)


def cut_blocks(
    segment_ids: Integer[np.ndarray, " time"],
    bin_width_s: float,
    block_s: float = BLOCK_S,
    n_wanted: int = BLOCKS_WANTED,
) -> TimeBlocks:
    """Cut segments into about ``n_wanted`` blocks that are as long as that allows.

    Slow states make neighboring blocks alike, so that blocks should be long; an interval needs
    about ten of them. Each segment is cut into equal parts without a short remainder, none shorter
    than ``block_s`` (a segment that is itself shorter is one block). Ten segments of 77 s give ten
    blocks, one segment of 600 s gives twelve of 50 s, three segments of 60 s give nine of 20 s.

    Args:
        segment_ids: Label of the segment of each bin; a block never crosses a change of label.
        bin_width_s: Width of a bin in seconds.
        block_s: Shortest block in seconds.
        n_wanted: Number of blocks to aim at; more where there are more segments.

    Returns:
        The blocks.

    Example:
        >>> cut_blocks(np.array([0] * 50 + [1] * 30), bin_width_s=1.0).starts
        array([ 0, 25, 50])
    """
    shortest = int(np.ceil(block_s / bin_width_s - 1e-9))  # 20 s / 0.1 s is 200, not 201
    block_bins = max(shortest, len(segment_ids) // n_wanted)
    starts = []
    for first, stop in zip(*run_bounds(segment_ids), strict=True):
        n_bins = stop - first
        n_blocks = max(1, n_bins // block_bins)
        starts.append(first + np.arange(n_blocks) * n_bins // n_blocks)
    return TimeBlocks(np.concatenate(starts), len(segment_ids))


def trial_blocks(segment_ids: Integer[np.ndarray, " time"]) -> TimeBlocks:
    """Make each segment one block: for recordings whose segments are an experiment's trials.

    Args:
        segment_ids: Number of the trial of each bin.

    Returns:
        One block per trial.
    """
    return TimeBlocks(run_bounds(segment_ids)[0], len(segment_ids))


def blocks_of_bins(
    run_ids: Integer[np.ndarray, " time"],
    segment_ids: Integer[np.ndarray, " time"],
    is_trial: Bool[np.ndarray, " time"],
    bin_width_s: float,
) -> TimeBlocks:
    """Make blocks of bins of which some lie in trials: whole trials, elsewhere blocks of time.

    Of more than `MOST_TRIAL_BLOCKS` trials, neighboring ones make a block.

    Args:
        run_ids: Label of the contiguous segment of chosen bins around each.
        segment_ids: Number of the recording's segment of each bin.
        is_trial: Whether that segment is a trial.
        bin_width_s: Width of a bin in seconds.

    Returns:
        The blocks, in order of time.

    Example:
        >>> segment = np.array([0] * 50 + [1] * 5 + [2] * 5)
        >>> blocks_of_bins(segment, segment, segment > 0, bin_width_s=1.0).starts
        array([ 0, 25, 50, 55])
    """
    cut = cut_blocks(run_ids, bin_width_s).starts
    whole = trial_blocks(segment_ids).starts
    whole = whole[is_trial[whole]]
    n_blocks = min(len(whole), MOST_TRIAL_BLOCKS)
    together = whole[np.arange(n_blocks) * len(whole) // max(1, n_blocks)]
    resumed = whole[(whole > 0) & ~is_trial[whole - 1]]  # trials after bins that are in none
    return TimeBlocks(np.unique(np.r_[cut[~is_trial[cut]], together, resumed]), len(run_ids))


def relabel_runs(
    segment_ids: Integer[np.ndarray, " time"], keep: Bool[np.ndarray, " time"]
) -> Integer[np.ndarray, " kept"]:
    """Label the contiguous segments that remain when some bins are left out.

    Smoothing over kept bins must not bridge the hole of those left out.

    Args:
        segment_ids: Label of each bin.
        keep: Whether each bin remains.

    Returns:
        A new label for each kept bin, counting from 0.

    Example:
        >>> relabel_runs(np.array([5, 5, 5, 6]), np.array([True, False, True, True]))
        array([0, 1, 2])
    """
    kept = np.flatnonzero(keep)
    return run_ids(kept - np.arange(len(kept)), segment_ids[kept])
