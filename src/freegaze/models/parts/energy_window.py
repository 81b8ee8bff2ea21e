"""Search for the window of a population and the weights of sets of features."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from freegaze.dataset.folds import assign_folds
from freegaze.dataset.sessions import PreparedSession
from freegaze.models.parts.energy_basis import EnergyBasis, window_of
from freegaze.models.parts.energy_data import FitData, read_windows
from freegaze.models.parts.energy_head import LocalEnergyHead
from freegaze.nn.fold_ridge import FoldSums, held_out_ridge
from freegaze.nn.local_energies import SETS, LocalEnergies

SEARCH_WINDOWS = 4000
"""Most windows of a movie that the search reads; of repeated frames it reads all."""

RUN = 64
"""Consecutive windows that are taken together for the search."""

SPREADS = (0.04, 0.06, 0.09, 0.13, 0.2, 0.3, 0.45)
"""Standard deviations of windows that are tried, as a share of the frame's height."""

WIDE = 4
"""Position in ``SPREADS`` of the first wide windows. Narrow ones stay below."""

N_STARTS = 3
"""Narrow windows from which the search goes on; a fine grid is used from all of them only where
frames are few."""

ROWS = (9, 15)
"""Least and most rows of places of the coarse grid, which covers the frame."""

FRAME_PLACES = 500_000
"""Frames times places of the coarse grid, about. With 9 rows instead of 15, no narrow window was
found on ``ay4_u005``, a recording of macaque V1 with 440 frames."""

COARSE_COMPONENTS = 5
FINE_COMPONENTS = 10
FINE_PLACES = (5, 5)

LEAST_SPREAD = 0.75
"""Least standard deviation of a window on the coarse grid, in distances of neighboring places."""

WIDE_GAIN = 1.1
"""Factor on the explained share by which a wide window must be better than a narrow one. On
``ay4_u005``, wide windows explained as much as narrow ones in folds, and less in the test."""

PLACES_PER_SD = 0.7
"""Distance of neighboring places in standard deviations of the window."""

SEARCH_PENALTY = 10**0.5
SEARCH_SAMPLE = 400

SET_FACTORS = (0.0, 0.3, 1.0, 3.0)
"""Prior variances of a set of features that are tried, the others' being as they are."""

SET_COMPONENTS = 2
"""Components of each set at each place while the weights of sets are chosen."""

Choice = TypeVar("Choice")
Window = tuple[float, float, int]
"""Center (x, y) in pixels, and position in ``SPREADS``."""


@torch.no_grad()
def search_session(head: LocalEnergyHead, session: PreparedSession, n_folds: int) -> FitData:
    """Find the window by the error in held-out folds.

    Args:
        head: The head, with its gaze correction; ``energies`` and ``window_sd`` are overwritten.
        session: The prepared session; training windows are used.
        n_folds: Folds of the training windows.

    Returns:
        Windows of the search.
    """
    targets = session.targets("train")
    folds = assign_folds(session.recording, session.split, targets, n_folds)
    some = _some(session, targets)
    mean = session.tensors(head.weight.device).responses[targets].mean(0)
    data = read_windows(head, session, targets[some], folds[some], mean).in_memory()
    head.energies.fit_contrast(data.sample(SEARCH_SAMPLE))
    x, y, index = find_window(head, data)
    head.window_sd.fill_(SPREADS[index] * head.energies.frame_size[0])
    place(head.energies, (x, y, index))
    return data


def find_window(head: LocalEnergyHead, data: FitData) -> Window:
    """Choose the center and the width of the window that all neurons share.

    Narrow and wide windows are moved over a coarse grid that covers the frame, with half the
    filters. From the best of both kinds, steps to neighbors lead to a center and a width. A narrow
    window then moves on with a grid of its own.

    Args:
        head: Head whose ``energies`` give the filters.
        data: Windows of the search.
    """
    height, width = head.energies.frame_size
    kernel = head.kernel[:, 0].flip(0)
    power = data.responses.square().sum(0)

    def error_on_grid(rows: int) -> tuple[list[tuple[float, float]], Callable[[Window], float]]:
        """Return the places of a grid over the frame, and errors of windows on it."""
        energies = head.energies.thinned((rows, max(1, round(rows * width / height))))
        energies.spacing.fill_(height / rows)
        basis, sums = _sum_components(energies, data, kernel, COARSE_COMPONENTS)

        def error_of(choice: Window) -> float:
            window = window_of(energies, torch.tensor(choice[:2]), SPREADS[choice[2]] * height)
            return _error(sums, basis.place_prior(window), power)

        return [(x, y) for x, y in energies.places().tolist()], cache(error_of)

    fine = head.energies.thinned(FINE_PLACES)

    @cache
    def fine_error(choice: Window) -> float:
        place(fine, choice)
        basis, sums = _sum_components(fine, data, kernel, FINE_COMPONENTS)
        window = window_of(fine, fine.center, SPREADS[choice[2]] * height)
        return _error(sums, basis.place_prior(window), power)

    def neighbors_from(first: int, stop: int) -> Callable[[Window], list[Window]]:
        def neighbors(choice: Window) -> list[Window]:
            x, y, index = choice
            step = SPREADS[index] * height
            moved = [(x + step, y), (x - step, y), (x, y + step), (x, y - step)]
            inside = [(a, b) for a, b in moved if 0 <= a < width and 0 <= b < height]
            others = [k for k in (index - 1, index + 1) if first <= k < stop]
            return [(a, b, index) for a, b in inside] + [(x, y, k) for k in others]

        return neighbors

    rows = math.sqrt(FRAME_PLACES / len(data.shown) * height / width)
    rows = min(max(round(rows), ROWS[0]), ROWS[1])
    least = next(k for k, spread in enumerate(SPREADS) if spread * rows >= LEAST_SPREAD)
    centers, narrow_error = error_on_grid(rows)
    starts = sorted([(x, y, least) for x, y in centers], key=narrow_error)[:N_STARTS]
    narrow = [descend(narrow_error, [start], neighbors_from(least, WIDE)) for start in starts]
    centers, wide_error = error_on_grid(ROWS[0])
    starts = [(x, y, WIDE) for x, y in centers[::4]]
    wide = descend(wide_error, starts, neighbors_from(WIDE, len(SPREADS)))
    if 1 - wide_error(wide) > WIDE_GAIN * (1 - min(map(narrow_error, narrow))):
        return wide
    narrow = sorted(set(narrow), key=narrow_error)[: N_STARTS if rows == ROWS[1] else 1]
    found = [descend(fine_error, [start], neighbors_from(0, WIDE)) for start in narrow]
    return min(found, key=fine_error)


@torch.no_grad()
def find_set_weights(head: LocalEnergyHead, data: FitData) -> Float[Tensor, " set"]:
    """Choose the prior variance of each set of features, one after the other.

    Args:
        head: Head whose window is already the one of the fit.
        data: Windows of the search.
    """
    kernel = head.kernel[:, 0].flip(0)
    bases = [
        EnergyBasis.fit(head.energies, one, data.sample(SEARCH_SAMPLE), SET_COMPONENTS)
        for one in torch.eye(len(SETS)).to(head.set_weights)
    ]
    basis = EnergyBasis(head.energies, torch.cat([b.directions for b in bases], 2))
    sums = data.sums(data.project(basis)[0], kernel)
    window = window_of(head.energies, head.energies.center, head.window_sd)
    sizes = torch.tensor([b.directions.shape[2] for b in bases])
    power = data.responses.square().sum(0)

    def error_of(weights: tuple[float, ...]) -> float:
        of_set = torch.tensor(weights).to(window).repeat_interleave(sizes)
        return _error(sums, (window[:, None] * of_set).flatten(), power)

    def reweighted(weights: tuple[float, ...]) -> list[tuple[float, ...]]:
        found = []
        for i in range(len(weights)):
            found += [(*weights[:i], w, *weights[i + 1 :]) for w in SET_FACTORS if w != weights[i]]
        return [w for w in found if any(w)]

    return torch.tensor(descend(error_of, [(1.0,) * len(SETS)], reweighted))


def place(energies: LocalEnergies, choice: Window) -> None:
    """Put the places of a module into a window, in a wide one no further apart than rows fit."""
    height = energies.frame_size[0]
    spacing = min(PLACES_PER_SD * SPREADS[choice[2]], 1 / energies.n_places[0]) * height
    energies.center.copy_(torch.tensor(choice[:2]))
    energies.spacing.fill_(spacing)


def descend(
    error_of: Callable[[Choice], float],
    starts: list[Choice],
    neighbors: Callable[[Choice], list[Choice]],
) -> Choice:
    """Go from the best start to better neighbors until there is none.

    Args:
        error_of: Error of a choice, computed once for each.
        starts: First choices.
        neighbors: Returns the choices next to one.
    """
    known: dict[Choice, float] = {}

    def best_of(choices: list[Choice]) -> Choice:
        for choice in choices:
            if choice not in known:
                known[choice] = error_of(choice)
        return min(choices, key=known.__getitem__)

    best = best_of(starts)
    while (better := best_of([best, *neighbors(best)])) != best:
        best = better
    return best


def _sum_components(
    energies: LocalEnergies, data: FitData, kernel: Float[Tensor, " lag"], n_components: int
) -> tuple[EnergyBasis, FoldSums]:
    """Return components of features, and their sums over folds."""
    ones = torch.ones(len(SETS)).to(energies.center)
    basis = EnergyBasis.fit(energies, ones, data.sample(SEARCH_SAMPLE), n_components)
    return basis, data.sums(data.project(basis)[0], kernel)


def _error(
    sums: FoldSums, prior: Float[Tensor, " component"], power: Float[Tensor, " neuron"]
) -> float:
    """Return the error in held-out folds, relative to the variance and averaged over neurons."""
    errors, _ = held_out_ridge(sums, prior, [SEARCH_PENALTY])
    return 1 + float((errors[0] / power.clamp_min(1e-12)).mean())


def _some(session: PreparedSession, targets: np.ndarray) -> np.ndarray:
    """Return which windows the search reads: all where frames repeat, else some runs of them."""
    every = math.ceil(len(targets) / SEARCH_WINDOWS)
    if len(session.recording.frames) <= SEARCH_WINDOWS:
        every = 1
    return np.arange(len(targets)) // RUN % every == 0
