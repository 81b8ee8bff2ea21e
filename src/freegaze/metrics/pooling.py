"""Resampled scores of several recordings, with their neurons as one population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from freegaze.errors import ShapeError
from freegaze.metrics.block_dependence import PartSums
from freegaze.metrics.bootstrap import BlockDraws


def pool_draws(recordings: Sequence[BlockDraws]) -> BlockDraws:
    """Put the neurons of several recordings side by side.

    Blocks stay those of their own recording. A block of one recording has no influence on neurons
    of another, and each recording is resampled by itself.

    Args:
        recordings: Draws of one score in each recording, equally many, drawn independently of each
            other.

    Returns:
        Draws of all blocks and all neurons, in the order given.

    Raises:
        ShapeError: If the numbers of draws differ.
    """
    if len({len(r.counts) for r in recordings}) != 1:
        raise ShapeError(
            "recordings to be pooled need equally many draws, got "
            f"{[len(r.counts) for r in recordings]}"
        )
    joined = {
        name: np.concatenate([getattr(r, name) for r in recordings], axis=-1)
        for name in ("value", "slope", "drawn", "drawn_slope")
    }
    owners = range(len(recordings))
    of_block = np.repeat(owners, [r.n_blocks for r in recordings])
    of_neuron = np.repeat(owners, [r.value.shape[-1] for r in recordings])
    is_own = of_block[:, None] == of_neuron
    # Without a block of another recording, the score of a neuron stays as it is.
    left_out = np.tile(joined["value"], (len(of_block), 1))
    left_out[is_own] = np.concatenate([r.left_out.ravel() for r in recordings])
    n_statistics = recordings[0].statistics.shape[1]
    statistics = np.zeros((*is_own.shape, n_statistics))
    statistics[is_own] = np.concatenate(
        [np.moveaxis(r.statistics, 1, 2).reshape(-1, n_statistics) for r in recordings]
    )
    return BlockDraws(
        statistics=np.ascontiguousarray(np.moveaxis(statistics, 2, 1)),
        counts=np.concatenate([r.counts for r in recordings], axis=1),
        left_out=left_out,
        parts=_parts(recordings),
        **joined,
    )


def _parts(recordings: Sequence[BlockDraws]) -> tuple[PartSums, ...]:
    """Return the parts of all recordings with the places of their neurons."""
    parts, n_before = [], 0
    for draws in recordings:
        parts += [replace(p, first_neuron=p.first_neuron + n_before) for p in draws.parts]
        n_before += draws.value.shape[-1]
    return tuple(parts)
