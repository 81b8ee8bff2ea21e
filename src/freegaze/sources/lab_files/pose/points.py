"""Tracked points of one animal, from any program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer

from freegaze.errors import DataError
from freegaze.registry import require_name, require_names

SHARED = "single"
"""DeepLabCut's name for points that belong to no animal."""


@dataclass(frozen=True)
class Points:
    """Tracked points of one animal.

    Args:
        names: Names of the points.
        frames: Number of each row's frame in the movie, rising.
        xy: Positions in px, NaN where not found.
        likelihood: 0..1; 0 where not found.
        z: Third coordinate, ``None`` where there are two.
        times: Time of each row in seconds, if the file states it.
    """

    names: tuple[str, ...]
    frames: Integer[np.ndarray, " time"]
    xy: Float[np.ndarray, "time point 2"]
    likelihood: Float[np.ndarray, "time point"]
    z: Float[np.ndarray, "time point"] | None = None
    times: Float[np.ndarray, " time"] | None = None

    def pick(self, wanted: Sequence[str] | None, file: Path) -> list[int]:
        """Return the places of points by name; all of them for ``None``.

        Raises:
            DataError: If there is no point of a name.
        """
        require_names(wanted or (), self.names, f"{file} has no point")
        return [self.names.index(name) for name in (self.names if wanted is None else wanted)]


def certain_by_hand(xy: np.ndarray, likelihood: np.ndarray | None) -> np.ndarray:
    """Return likelihoods; points that a person placed have none and count as certain.

    Args:
        xy: (..., 2), NaN where a point was not found.
        likelihood: (...), NaN where there is none; ``None`` if no point has one.

    Returns:
        The likelihood of each point, 0 where it was not found.
    """
    certain = np.ones(xy.shape[:-1]) if likelihood is None else likelihood.copy()
    certain[np.isnan(certain)] = 1.0
    certain[~np.isfinite(xy).all(axis=-1)] = 0.0
    return certain


def pick_animal(known: Sequence[str], wanted: str | None, file: Path) -> str:
    """Return the name of the animal to read; without a wanted one, that of the only animal.

    Raises:
        DataError: If there are several animals, or none of this name.
    """
    if wanted is not None:
        require_name(wanted, known, f"{file} has no individual")
        return wanted
    animals = [name for name in known if name != SHARED] or list(known)
    if len(animals) != 1:
        raise DataError(
            f"{file} has several individuals ({', '.join(animals[:9])}); state `individual`"
        )
    return animals[0]


def to_frame_numbers(numbers: np.ndarray, where: str) -> np.ndarray:
    """Check frame numbers and return them as whole numbers.

    Raises:
        DataError: If one is negative, not whole, or there twice.
    """
    is_number = np.isfinite(numbers) & (numbers >= 0) & (numbers < 2**53)
    if not is_number.all() or (numbers != np.round(numbers)).any():
        row = int((~is_number | (numbers != np.round(numbers))).argmax())
        raise DataError(f"{where}: row {row} is of frame {numbers[row]}; expected 0, 1, 2 ...")
    whole = numbers.astype(np.int64)
    values, counts = np.unique(whole, return_counts=True)
    if (counts > 1).any():
        raise DataError(f"{where}: frame {values[counts > 1][0]} is there twice")
    return whole
