"""Agreement of two sets of receptive fields of the same neurons, up to a common displacement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import rotate, shift

from freegaze.errors import DataError, ShapeError

ROTATIONS_DEG = tuple(range(-30, 31, 5))
"""Rotations that are tried; eye and camera are aligned to some degrees."""

LARGEST_SHIFT = 0.25
"""Shifts tried, as a share of each side of the picture."""


@dataclass(frozen=True, eq=False)
class FieldAgreement:
    """Agreement of fields after the shift and rotation that fit all of them best.

    Args:
        shift_px: (x, y) by which the second fields were moved, after the rotation.
        rotation_deg: Rotation of the second fields, counterclockwise as displayed.
        moved: The second fields, moved.
        correlation: Correlation of the two fields of each neuron; NaN where one is flat.
        mismatched: Mean correlation of each neuron's first field with the second fields of other
            neurons.
        p: Share of neurons whose second field is as close to this neuron's first, itself included.
        mean: Mean correlation of matched fields.
        null: The same for neurons paired at random, each pairing with its own best displacement.
        mean_p: Share of pairings that agree as well, the true one included.
    """

    shift_px: tuple[int, int]
    rotation_deg: float
    moved: Float[np.ndarray, "neuron height width"]
    correlation: Float[np.ndarray, " neuron"]
    mismatched: Float[np.ndarray, " neuron"]
    p: Float[np.ndarray, " neuron"]
    mean: float
    null: Float[np.ndarray, " pairing"]
    mean_p: float


def match_fields(
    first: Float[np.ndarray, "neuron height width"],
    second: Float[np.ndarray, "other other_height other_width"],
    *,
    n_pairings: int = 200,
    seed: int = 0,
) -> FieldAgreement:
    """Move all second fields alike until they agree best with the first; test the agreement.

    ``moved`` is after the displacement that fits all neurons best. A neuron's ``correlation``,
    ``mismatched`` and ``p`` are after the displacement that fits all *other* neurons best, so that
    no field is scored by a displacement that it helped to choose.

    Args:
        first: One picture per neuron.
        second: One picture per neuron, same neurons, order and size.
        n_pairings: Random pairings.
        seed: Seed of the pairings.

    Raises:
        ShapeError: If shapes differ.
        DataError: If there are fewer than two neurons.
    """
    if first.shape != second.shape:
        raise ShapeError(f"fields must have one shape, got {first.shape} and {second.shape}")
    n = len(first)
    if n < 2:
        raise DataError("a comparison needs fields of at least 2 neurons, got 1 or none")
    turned = np.stack(
        [
            rotate(second, d, axes=(2, 1), reshape=False, order=1, prefilter=False)
            for d in ROTATIONS_DEG
        ]
    )
    search = _Search(_unit(first), _unit(turned))
    matched, place, x, y = search.best(np.arange(n))
    moved = shift(turned[place], (0, y, x), order=0)
    correlations = _left_out_correlations(search, _unit(first), turned)
    is_flat = (np.ptp(first, axis=(1, 2)) == 0) | (np.ptp(moved, axis=(1, 2)) == 0)
    own = np.diag(correlations).copy()
    p = (correlations >= own[:, None]).mean(1)
    mismatched = (correlations.sum(1) - own) / (n - 1)
    own[is_flat], p[is_flat] = np.nan, np.nan
    rng = np.random.default_rng(seed)
    null = np.array([search.best(rng.permutation(n))[0] for _ in range(n_pairings)])
    return FieldAgreement(
        shift_px=(x, y),
        rotation_deg=float(ROTATIONS_DEG[place]),
        moved=moved,
        correlation=own,
        mismatched=mismatched,
        p=p,
        mean=float(np.nanmean(own)) if not is_flat.all() else np.nan,
        null=null,
        mean_p=float((1 + (null >= matched).sum()) / (1 + n_pairings)),
    )


def _left_out_correlations(
    search: _Search, first: np.ndarray, turned: np.ndarray
) -> Float[np.ndarray, "neuron other"]:
    """Correlate each first field with all second ones, moved as fits the other neurons best."""
    rows = []
    for neuron, (place, x, y) in enumerate(search.best_without_each()):
        moved = _unit(shift(turned[place], (0, y, x), order=0))
        rows.append(np.einsum("hw,bhw->b", first[neuron], moved))
    return np.stack(rows)


class _Search:
    """Mean correlation of all neurons at every rotation and shift, by Fourier transforms."""

    def __init__(self, first: np.ndarray, turned: np.ndarray) -> None:
        self.size = first.shape[1:]
        self.padded = (2 * self.size[0], 2 * self.size[1])
        self.first = np.fft.rfft2(first, self.padded)
        self.turned = np.conj(np.fft.rfft2(turned, self.padded))

    def best(self, pairing: np.ndarray) -> tuple[float, int, int, int]:
        """Return the best mean, the number of its rotation, and its shift (x, y)."""
        products = np.einsum("nhw,rnhw->rhw", self.first, self.turned[:, pairing])
        value, place, x, y = self._highest(products)
        return value / len(pairing), place, x, y

    def best_without_each(self) -> list[tuple[int, int, int]]:
        """Return the rotation and shift (x, y) that fit all other neurons best, for each neuron."""
        products = np.einsum("nhw,rnhw->rhw", self.first, self.turned)
        return [
            self._highest(products - self.first[n] * self.turned[:, n])[1:]
            for n in range(len(self.first))
        ]

    def _highest(self, products: np.ndarray) -> tuple[float, int, int, int]:
        sums = np.fft.irfft2(products, self.padded)
        reach_y, reach_x = (int(LARGEST_SHIFT * side) for side in self.size)
        ys, xs = np.arange(-reach_y, reach_y + 1), np.arange(-reach_x, reach_x + 1)
        near = sums[:, ys[:, None], xs[None]]
        place, row, column = np.unravel_index(int(near.argmax()), near.shape)
        return float(near[place, row, column]), int(place), int(xs[column]), int(ys[row])


def _unit(pictures: np.ndarray) -> np.ndarray:
    """Return pictures of mean 0 and norm 1; flat ones stay 0."""
    centered = pictures - pictures.mean((-2, -1), keepdims=True)
    norm = np.sqrt((centered**2).sum((-2, -1), keepdims=True))
    return centered / np.where(norm > 0, norm, 1.0)
