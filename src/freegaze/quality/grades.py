"""One check of a recording's quality: a number, its limits, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Status = Literal["green", "amber", "red", "not available"]


@dataclass(frozen=True)
class Scale:
    """Name, unit and limits of a check; larger values are worse.

    Args:
        name: Short name with underscores.
        title: The same for a heading.
        unit: Unit of the value and its limits.
        amber: Limit from which a value is amber.
        red: Limit from which a value is red.
    """

    name: str
    title: str
    unit: str
    amber: float
    red: float

    def grade(self, value: float, sentence: str, **data: np.ndarray) -> Check:
        """Return the check with the status that follows from ``value``."""
        status: Status = "red" if value >= self.red else "amber" if value >= self.amber else "green"
        return Check(**vars(self), status=status, value=float(value), sentence=sentence, data=data)

    def judge(self, status: Status, sentence: str, **data: np.ndarray) -> Check:
        """Return the check with a status of its own, where its value cannot be measured."""
        return Check(**vars(self), status=status, value=np.nan, sentence=sentence, data=data)

    def not_available(self, sentence: str) -> Check:
        """Return the check as not available, with the reason."""
        return self.judge("not available", sentence)


@dataclass(frozen=True)
class Check(Scale):
    """One check of a recording: its scale, and what was found.

    Args:
        status: green (good), amber (look at it), red (mend it first), or not available.
        value: Measured value; NaN where not available.
        sentence: Finding and its meaning.
        data: Arrays for a figure: time courses, one value per column or unit.
    """

    status: Status
    value: float
    sentence: str
    data: Mapping[str, np.ndarray] = field(default_factory=dict)


def longest_run(flags: np.ndarray, segment: np.ndarray) -> tuple[int, int]:
    """Find the longest run of true flags that stays within a segment.

    Args:
        flags: Shape (time,), bool.
        segment: Number of each bin's segment, shape (time,).

    Returns:
        First bin and length of the run; (0, 0) if there is none.
    """
    starts, lengths = runs(flags, segment)
    if not len(starts):
        return 0, 0
    longest = int(np.argmax(lengths))
    return int(starts[longest]), int(lengths[longest])


def runs(flags: np.ndarray, segment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first bin and the length of each run of true flags within segments."""
    is_new = np.ones(len(flags), bool)
    is_new[1:] = ~flags[:-1] | (segment[1:] != segment[:-1])
    starts = np.flatnonzero(flags & is_new)
    number = np.cumsum(flags & is_new)[flags]  # of the run that each true flag belongs to
    return starts, np.bincount(number, minlength=len(starts) + 1)[1:]
