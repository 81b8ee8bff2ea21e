"""Resampled scores of several recordings, with their neurons as one population."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from freegaze.errors import ShapeError
from freegaze.metrics.bootstrap import BlockDraws


def pool_draws(recordings: Sequence[BlockDraws]) -> BlockDraws:
    """Put the neurons of several recordings side by side.

    Blocks stay those of their own recording: a block of one says nothing about neurons of another,
    and each recording is resampled by itself.

    Args:
        recordings: Of one score, with equally many draws; their chance must be independent.

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
    return BlockDraws(
        statistics=_block_diagonal([r.statistics for r in recordings]),
        counts=np.concatenate([r.counts for r in recordings], axis=1),
        value=np.concatenate([r.value for r in recordings], axis=-1),
        slope=np.concatenate([r.slope for r in recordings], axis=-1),
        drawn=np.concatenate([r.drawn for r in recordings], axis=-1),
        drawn_slope=np.concatenate([r.drawn_slope for r in recordings], axis=-1),
        left_out=_left_out(recordings),
    )


def _left_out(recordings: Sequence[BlockDraws]) -> np.ndarray:
    """Return all scores without each block: that of another recording changes nothing."""
    value = np.concatenate([r.value for r in recordings], axis=-1)
    left_out = np.tile(value, (sum(r.n_blocks for r in recordings), 1))
    block = neuron = 0
    for part in recordings:
        n_blocks, n_neurons = part.left_out.shape
        left_out[block : block + n_blocks, neuron : neuron + n_neurons] = part.left_out
        block, neuron = block + n_blocks, neuron + n_neurons
    return left_out


def _block_diagonal(statistics: Sequence[np.ndarray]) -> np.ndarray:
    n_blocks = sum(len(s) for s in statistics)
    n_neurons = sum(s.shape[2] for s in statistics)
    pooled = np.zeros((n_blocks, statistics[0].shape[1], n_neurons))
    block = neuron = 0
    for part in statistics:
        pooled[block : block + len(part), :, neuron : neuron + part.shape[2]] = part
        block, neuron = block + len(part), neuron + part.shape[2]
    return pooled
