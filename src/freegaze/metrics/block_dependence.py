"""Correlation between blocks of time, and how much wider intervals become by it.

The bootstrap takes blocks as independent. Where states of the animal last longer than blocks, or
trials follow each other quickly, they are not, and intervals are too short. The influences of parts
of blocks are modeled as white noise plus a part whose correlation falls exponentially with time.
From the likelihood of that model follows by how much the variance between blocks underestimates the
variance of a score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Integer
from scipy import stats

from freegaze.metrics.blocks import TimeBlocks

TIMES = 2.0 ** np.arange(-1, 7)
"""Correlation times that are tried, in units of the distance between neighboring parts."""

LONGEST_SHARE = 0.25
"""Longest correlation time that is tried, as a share of all parts: a longer one cannot be told from
a trend."""

SHARES = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 0.98])
"""Shares of the correlated part in the variance of a part of a block that are tried."""

EVEN_PRIOR = 0.1
"""Weight of the even prior beside the one that the neurons of a session have in common."""

FEW_STATES = 5.0
"""Weight of few states. Where a state lasts for a whole block, the blocks are as skewed as the
states are, and ten of them do not show their tail: the square of the factor grows by this number
times the share of one state in the variance of a block, per block that is independent. Chosen on
simulated signals with states of 5, 20 and 60 s."""

LEVEL = 0.95
"""Coverage whose quantile of Student's t states what the degrees of freedom cost."""


@dataclass(frozen=True, eq=False)
class PartSums:
    """Sums over parts of blocks, in the order of time.

    Args:
        sums: Statistics of each part.
        blocks: Number of the block that each part belongs to.
        centers: Middle of each part, in bins of the recording.
        first_neuron: Number of the first of these neurons among those of all recordings.
    """

    sums: Float[np.ndarray, "part statistic neuron"]
    blocks: Integer[np.ndarray, " part"]
    centers: Float[np.ndarray, " part"]
    first_neuron: int = 0

    @property
    def neurons(self) -> slice:
        """Place of these neurons among those of all recordings."""
        return slice(self.first_neuron, self.first_neuron + self.sums.shape[2])

    def influences(
        self, slope: Float[np.ndarray, "statistic neuron"]
    ) -> Float[np.ndarray, "part neuron"]:
        """Return the first-order effect of each part on the score of each neuron.

        Args:
            slope: Derivative of each score by each statistic.
        """
        return np.einsum("sn,psn->pn", slope, self.sums)


def sum_parts(
    blocks: TimeBlocks, sums_of: Callable[[TimeBlocks], np.ndarray]
) -> tuple[Float[np.ndarray, "block statistic neuron"], PartSums | None]:
    """Sum statistics over blocks and over their parts.

    Args:
        blocks: The blocks.
        sums_of: Returns the sums over any blocks.

    Returns:
        The sums over blocks, and those over parts; ``None`` where the times of the blocks are
        unknown, so that they count as independent.
    """
    if blocks.bins is None:
        return sums_of(blocks), None
    parts = blocks.parts()
    sums = sums_of(parts)
    block = np.searchsorted(blocks.starts, parts.starts, side="right") - 1
    centers = parts.sums(blocks.bins[:, None].astype(np.float64))[:, 0] / parts.lengths()
    whole = np.add.reduceat(sums, np.searchsorted(block, np.arange(blocks.n_blocks)), axis=0)
    return whole, PartSums(sums, block, centers)


def widening(
    influences: Float[np.ndarray, "part neuron"],
    blocks: Integer[np.ndarray, " part"],
    centers: Float[np.ndarray, " part"],
) -> Float[np.ndarray, " neuron"]:
    """Estimate by which factor intervals are too short if blocks are taken as independent.

    Each pair of correlation time and share has a factor: the root of the variance of a sum over the
    one that the variance between blocks states, times the ratio of the quantiles of Student's t
    with the degrees of freedom that correlated blocks have and with those of independent ones, and
    times what few states per block cost (`FEW_STATES`). The factor of a neuron is the mean over
    pairs, weighted by their probability. The prior probabilities of pairs are those that the
    neurons have in common.

    Args:
        influences: Effect of each part of a block on each score; NaN for neurons without a score.
        blocks: Number of the block of each part.
        centers: Middle of each part, in bins.

    Returns:
        Factors; 1 where a score or a second block does not exist.

    Source: restricted likelihood, H. D. Patterson and R. Thompson (1971), Biometrika 58:545-554;
    degrees of freedom after F. E. Satterthwaite (1946), Biometrics Bulletin 2:110-114.
    """
    factor = np.ones(influences.shape[1])
    is_known = np.isfinite(influences).all(0) & (np.ptp(influences, axis=0) > 0)
    if blocks[-1] < 1 or not is_known.any():
        return factor
    grid = _grid(blocks.astype(np.int64).tobytes(), centers.astype(np.float64).tobytes())
    known = influences[:, is_known] / np.abs(influences[:, is_known]).max(0)
    log_likelihood = grid.log_likelihood(known)
    likelihood = np.exp(log_likelihood - log_likelihood.max(0))
    # Once with an even prior, then with the prior common to all neurons. More steps would count
    # neurons that share their states as independent evidence.
    alone = likelihood / likelihood.sum(0)
    common = alone.mean(1, keepdims=True)
    probability = likelihood * (EVEN_PRIOR / len(likelihood) + (1 - EVEN_PRIOR) * common)
    factor[is_known] = grid.factors @ (probability / probability.sum(0))
    return factor


@dataclass(frozen=True, eq=False)
class _Grid:
    """Pairs of correlation time and share: what their likelihoods are made of, and their factors.

    ``vectors`` are of the space that a constant leaves, one set per correlation time.
    """

    vectors: Float[np.ndarray, "time component part"]
    variances: Float[np.ndarray, "time share component"]
    factors: Float[np.ndarray, " pair"]

    def log_likelihood(
        self, influences: Float[np.ndarray, "part neuron"]
    ) -> Float[np.ndarray, "pair neuron"]:
        """Return the restricted log likelihood of each pair, the overall variance at its best."""
        square = np.einsum("tcp,pn->tcn", self.vectors, influences) ** 2
        scaled = np.einsum("tsc,tcn->tsn", 1 / self.variances, square)
        n_components = self.vectors.shape[1]
        found = np.log(self.variances).sum(2)[..., None] + n_components * np.log(scaled)
        return -0.5 * found.reshape(-1, influences.shape[1])


@lru_cache(maxsize=16)
def _grid(blocks_bytes: bytes, centers_bytes: bytes) -> _Grid:
    """Return the grid of parts at these places, kept for the other scores of a session."""
    blocks, centers = np.frombuffer(blocks_bytes, np.int64), np.frombuffer(centers_bytes)
    n_parts, n_blocks = len(blocks), int(blocks[-1]) + 1
    apart = np.abs(centers[:, None] - centers) / np.median(np.diff(centers))
    basis = np.linalg.qr(np.column_stack([np.ones(n_parts), np.eye(n_parts)[:, 1:]]))[0][:, 1:]
    is_in = (blocks == np.arange(n_blocks)[:, None]).astype(np.float64)
    n_parts_each = np.bincount(blocks)
    vectors, variances, factors = [], [], []
    for time in TIMES[max(1.0, LONGEST_SHARE * n_parts) >= TIMES]:
        correlation = np.exp(-apart / time)
        values, own = np.linalg.eigh(basis.T @ correlation @ basis)
        vectors.append((basis @ own).T)
        variances.append(1 + SHARES[:, None] * (np.maximum(values, 0.0) - 1))
        slow = is_in @ correlation @ is_in.T
        factors += [_factor(share, slow, n_parts_each) for share in SHARES]
    return _Grid(np.stack(vectors), np.stack(variances), np.array(factors))


def _factor(
    share: float, slow: Float[np.ndarray, "block block"], n_parts: Integer[np.ndarray, " block"]
) -> float:
    """Return by which factor an interval is too short.

    Args:
        share: Share of the correlated part in the variance of a part of a block.
        slow: Sums over the parts of two blocks of the correlation of their correlated parts.
        n_parts: Number of parts of each block.
    """
    covariance, n_blocks = (1 - share) * np.diag(n_parts) + share * slow, len(slow)
    centered = covariance - covariance.mean(0)
    stated = np.trace(centered) * n_blocks / (n_blocks - 1)
    freedom = np.trace(centered) ** 2 / (centered * centered.T).sum()
    quantile = stats.t.ppf((1 + LEVEL) / 2, [freedom, n_blocks - 1])
    own = np.diag(slow)  # n_parts ** 2 where one state lasts for a whole block
    one_state = (share * own / np.diag(covariance) * own / n_parts**2).mean()
    skewed = 1 + FEW_STATES * one_state / (freedom + 1)
    return float(np.sqrt(skewed * covariance.sum() / stated) * quantile[0] / quantile[1])
