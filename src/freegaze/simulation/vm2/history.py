"""Spikes that depend on earlier spikes: dead time, bursts, adaptation; and averages over them.

A step of 16 ms has four parts. In each a neuron fires at most once, with a probability that the
rate and its own spikes of the last tenths of a second decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float

from freegaze.errors import DataError
from freegaze.simulation.processes import STEP_S, STEPS_PER_BIN

PARTS_PER_STEP = 4
"""Parts of 4 ms: the dead time is one of them."""

BURST_S, ADAPTATION_S = 0.006, 0.1
"""Time constants of the traces that spikes leave."""

WARM_UP_STEPS, PIECE_STEPS = 25, 252
"""Pieces of 4 s are simulated side by side, each after 0.4 s of its own past."""

NUMBERS_AT_ONCE = 4_000_000
"""Numbers of a trace over pieces, neurons and repetitions that are held in memory at once."""


@dataclass(frozen=True)
class History:
    """Effects of a neuron's own spikes, (n_neurons,) each.

    The rate is multiplied by (1 + burst * fast trace) / (1 + adaptation * slow trace). A spike adds
    1 to both traces.

    Args:
        refractory: 1 where no spike follows another within 4 ms, else 0.
        burst: Weight of the trace of ``BURST_S``.
        adaptation: Weight of the trace of ``ADAPTATION_S``.
    """

    refractory: np.ndarray
    burst: np.ndarray
    adaptation: np.ndarray

    @classmethod
    def from_traits(cls, traits: Mapping[str, np.ndarray]) -> History:
        """Return the effects that the traits of neurons name."""
        return cls(traits["refractory"], traits["burst"], traits["spike_adaptation"])

    @property
    def is_none(self) -> bool:
        """Whether no spike has an effect, so that counts are Poisson."""
        return not (self.refractory.any() or self.burst.any() or self.adaptation.any())


def simulate_spikes(
    rate: Float[np.ndarray, "step n"], history: History, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "bin n"], Float[np.ndarray, "bin n"]]:
    """Draw spikes once.

    Args:
        rate: Expected count of each step without an effect of spikes.
        history: Effects of spikes.
        rng: Source of randomness.

    Returns:
        Counts of each bin, and the sum of the probabilities of a spike, given the spikes before.

    Example:
        >>> one = np.ones(1)
        >>> rate = np.full((30_000, 1), 0.08)
        >>> dead = History(refractory=one, burst=0 * one, adaptation=0 * one)
        >>> counts, _ = simulate_spikes(rate, dead, np.random.default_rng(0))
        >>> hazard = 1 - np.exp(-0.02)  # in 4 ms; then 4 ms without
        >>> bool(abs(counts.mean() / (12 * hazard / (1 + hazard)) - 1) < 0.03)
        True
    """
    if history.is_none:
        counts = _in_bins(rate)
        return rng.poisson(counts).astype(np.float32), counts.astype(np.float32)
    n_steps, n = rate.shape
    n_pieces = -(-n_steps // PIECE_STEPS)
    padded = np.zeros((WARM_UP_STEPS + n_pieces * PIECE_STEPS, n), dtype=np.float32)
    padded[:WARM_UP_STEPS] = rate[:1]
    padded[WARM_UP_STEPS : WARM_UP_STEPS + n_steps] = rate
    padded /= PARTS_PER_STEP
    spikes = np.empty((PIECE_STEPS // STEPS_PER_BIN, n_pieces, n), dtype=np.float32)
    expected = np.empty_like(spikes)
    pieces_at_once = max(NUMBERS_AT_ONCE // n, 1)
    for first in range(0, n_pieces, pieces_at_once):
        chosen = slice(first, min(first + pieces_at_once, n_pieces))
        places = np.arange(chosen.start, chosen.stop) * PIECE_STEPS
        _run(padded, places, history, rng, spikes[:, chosen], expected[:, chosen])
    n_bins = n_steps // STEPS_PER_BIN
    counts, means = (
        array.transpose(1, 0, 2).reshape(-1, n)[:n_bins] for array in (spikes, expected)
    )
    return counts, means


def average_counts(
    rates: Iterable[Float[np.ndarray, "step n"]],
    history: History,
    rng: np.random.Generator,
    n_workers: int = 1,
) -> Float[np.ndarray, "bin n"]:
    """Average expected counts over a neuron's own spikes, and over rates that differ by draw.

    Args:
        rates: Expected count of each step without an effect of spikes, one array per draw.
        history: Effects of spikes.
        rng: Source of randomness.
        n_workers: Draws made at a time; the result does not depend on it.

    Returns:
        Mean over draws of the sum of the probabilities of a spike in each bin.

    Raises:
        DataError: If there is no draw.

    Example:
        >>> none = History(*np.zeros((3, 1)))
        >>> average_counts([np.full((3, 1), 0.1)], none, np.random.default_rng(0)).round(3)
        array([[0.3]])
    """
    total, n_draws, draws = np.zeros(()), 0, iter(rates)
    with ThreadPoolExecutor(n_workers) as pool:
        while some := list(islice(draws, n_workers)):
            children = rng.spawn(len(some))
            parts = pool.map(lambda rate, own: _expected(rate, history, own), some, children)
            for part in parts:
                total = total + part
            n_draws += len(some)
    if not n_draws:
        raise DataError("an average over simulations needs at least one draw")
    return total / n_draws


def _expected(rate: np.ndarray, history: History, rng: np.random.Generator) -> np.ndarray:
    return _in_bins(rate) if history.is_none else simulate_spikes(rate, history, rng)[1]


def _in_bins(rate: np.ndarray) -> np.ndarray:
    return rate.reshape(-1, STEPS_PER_BIN, rate.shape[1]).sum(axis=1)


def _run(
    rate: np.ndarray,
    places: np.ndarray,
    history: History,
    rng: np.random.Generator,
    spikes: np.ndarray,
    expected: np.ndarray,
) -> None:
    """Simulate pieces that begin at some places of the rate, one part after the other."""
    shape = (len(places), rate.shape[1])
    burst, adaptation, refractory = (
        array.astype(np.float32)
        for array in (history.burst, history.adaptation, history.refractory)
    )
    part_s = STEP_S / PARTS_PER_STEP
    keep_fast, keep_slow = (np.float32(np.exp(-part_s / s)) for s in (BURST_S, ADAPTATION_S))
    fast, slow, last, factor, chance, uniform = np.zeros((6, *shape), dtype=np.float32)
    fired = np.zeros(shape, dtype=bool)
    spikes[:] = 0
    expected[:] = 0
    for step in range(WARM_UP_STEPS + PIECE_STEPS):
        now = rate[places + step]
        at = (step - WARM_UP_STEPS) // STEPS_PER_BIN
        for _ in range(PARTS_PER_STEP):
            np.multiply(fast, burst, out=factor)
            factor += 1
            np.multiply(slow, adaptation, out=chance)
            chance += 1
            factor /= chance
            np.multiply(now, factor, out=chance)
            np.negative(chance, out=chance)
            np.expm1(chance, out=chance)
            np.multiply(last, refractory, out=factor)
            factor -= 1
            chance *= factor
            rng.random(out=uniform, dtype=np.float32)
            np.less(uniform, chance, out=fired)
            last[:] = fired
            fast += last
            fast *= keep_fast
            slow += last
            slow *= keep_slow
            if step >= WARM_UP_STEPS:
                spikes[at] += last
                expected[at] += chance
