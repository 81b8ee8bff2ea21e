"""Search for the window of a population and the weights of sets of features."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from freegaze.models.parts.energy_basis import compute_features, prior_scales, window_of
from freegaze.models.parts.energy_head import LocalEnergyHead
from freegaze.nn.lagged_ridge import held_out_errors
from freegaze.nn.local_energies import LocalEnergies

if TYPE_CHECKING:
    from freegaze.models.parts.energy_solver import FitData

SPREADS = (0.04, 0.06, 0.09, 0.13, 0.2, 0.3, 0.45)
"""Tried standard deviations of windows, as a share of the frame's height."""

START_SPREADS = (2, 4)
"""Positions in ``SPREADS`` of the windows that are moved over the frame first. With the wide one
alone, the search ended in windows that were too wide: test correlation .18 instead of .20 on
``ay2_u003``, a recording of macaque V1."""

N_STARTS = 3
"""Number of first windows from which the search continues."""

GRID = (6, 8)
"""First centers (down, across)."""

WIDE_GAIN = 1.1
"""A window that began as the whole frame must explain more by this factor."""

PLACES_PER_SD = 0.7
"""Distance of neighboring places in standard deviations of the window."""

SEARCH_PENALTIES = (1.0, 10.0)
SEARCH_COMPONENTS = 150
SEARCH_SAMPLE = 400

SET_FACTORS = (0.0, 0.3, 1.0, 3.0)
"""Tried prior variances of a set of features, while those of the other sets stay."""

Choice = TypeVar("Choice")


def find_window(head: LocalEnergyHead, data: FitData) -> None:
    """Choose center, width and weights of sets by the error in held-out folds.

    Windows of two widths are moved over a coarse grid, with half the filters. From the best of
    them, steps to better neighbors lead to a center and a width. The weights of sets follow one
    after the other, with all filters.

    Args:
        head: Its ``energies``, ``window_sd`` and ``set_weights`` are overwritten.
        data: Windows of the search.
    """
    energies, kernel = head.energies, head.kernel.flip(0)
    height, width = energies.frame_size
    energies.fit_contrast(data.frames[:: max(1, len(data.frames) // SEARCH_SAMPLE)])
    few = energies.thinned()

    def place(module: LocalEnergies, choice: tuple[float, float, int]) -> float:
        sd = SPREADS[choice[2]] * height
        module.center.copy_(torch.tensor(choice[:2]))
        module.spacing.fill_(PLACES_PER_SD * sd)
        return sd

    @cache
    def error_at(choice: tuple[float, float, int]) -> float:
        sd = place(few, choice)
        inputs = _weighted_parts(few, data, sd)
        return _error(sum_kernels(inputs, head.set_weights), data, kernel)

    def neighbors(choice: tuple[float, float, int]) -> list[tuple[float, float, int]]:
        x, y, index = choice
        step = SPREADS[index] * height
        moved = [(x + step, y), (x - step, y), (x, y + step), (x, y - step)]
        inside = [(a, b) for a, b in moved if 0 <= a < width and 0 <= b < height]
        wider = [k for k in (index - 1, index + 1) if 0 <= k < len(SPREADS)]
        return [(a, b, index) for a, b in inside] + [(x, y, k) for k in wider]

    starts = [
        ((j + 0.5) * width / GRID[1] - 0.5, (i + 0.5) * height / GRID[0] - 0.5, k)
        for k in START_SPREADS
        for i in range(GRID[0])
        for j in range(GRID[1])
    ]
    whole = ((width - 1) / 2, (height - 1) / 2, len(SPREADS) - 1)
    first = sorted(starts, key=error_at)[:N_STARTS]
    best = min((descend(error_at, [start], neighbors) for start in first), key=error_at)
    wide = descend(error_at, [whole], neighbors)
    if 1 - error_at(wide) > WIDE_GAIN * (1 - error_at(best)):
        best = wide
    head.window_sd.fill_(place(energies, best))
    inputs = _weighted_parts(energies, data, float(head.window_sd))

    def error_of(weights: tuple[float, ...]) -> float:
        return _error(sum_kernels(inputs, torch.tensor(weights)), data, kernel)

    def reweighted(weights: tuple[float, ...]) -> list[tuple[float, ...]]:
        found = []
        for i in range(len(weights)):
            found += [(*weights[:i], w, *weights[i + 1 :]) for w in SET_FACTORS if w != weights[i]]
        return [w for w in found if any(w)]

    head.set_weights.copy_(
        torch.tensor(descend(error_of, [tuple(head.set_weights.tolist())], reweighted))
    )


def descend(
    error_of: Callable[[Choice], float],
    starts: list[Choice],
    neighbors: Callable[[Choice], list[Choice]],
) -> Choice:
    """Go from the best start to better neighbors until there is none.

    Args:
        error_of: Returns the error of a choice.
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


def _weighted_parts(
    energies: LocalEnergies, data: FitData, sd: float
) -> list[tuple[Tensor, Tensor]]:
    """Return each set's kernel of a sample of frames, and that of all frames with the sample."""
    features = compute_features(energies, data.frames)
    every = max(1, len(features) // SEARCH_SAMPLE)
    window = window_of(energies, sd)
    scale = prior_scales(features[::every], energies, torch.ones(4).to(features), window)
    features = (features - features[::every].mean(0)) * scale
    parts = []
    for index in range(4):
        own = features[:, energies.set_index == index].flatten(1)
        across = own @ own[::every].T
        parts.append((across[::every], across))
    return parts


def sum_kernels(
    parts: list[tuple[Tensor, Tensor]], weights: Float[Tensor, " set"]
) -> Float[Tensor, "row component"]:
    """Return the components of frames whose kernel is a weighted sum over sets.

    Args:
        parts: For each set, kernel of a sample, and kernel of all frames with the sample.
        weights: Weight of each set.
    """
    sample = sum(w * part[0] for w, part in zip(weights.tolist(), parts, strict=True))
    across = sum(w * part[1] for w, part in zip(weights.tolist(), parts, strict=True))
    values, vectors = torch.linalg.eigh(torch.as_tensor(sample))
    values, vectors = values[-SEARCH_COMPONENTS:], vectors[:, -SEARCH_COMPONENTS:]
    keep = values > 1e-6 * values.sum()
    return across @ (vectors[:, keep] / values[keep].sqrt())


def _error(
    features: Float[Tensor, "row component"], data: FitData, kernel: Float[Tensor, "lag neuron"]
) -> float:
    """Return the error in held-out folds, relative to the variance and averaged over neurons.

    All neurons have the kernel of the first, as they do before kernels are fitted.
    """
    usage = data.usage()
    features = features - (usage @ features) / usage.sum()
    moments = data.summed_moments(features, kernel[:, 0])
    errors, _ = held_out_errors(moments, torch.ones_like(kernel[:1]), SEARCH_PENALTIES)
    power = sum(m.power for m in moments)
    return float((errors / torch.as_tensor(power)).mean(1).min())
