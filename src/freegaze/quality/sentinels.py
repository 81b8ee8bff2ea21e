"""Values that stand for lost samples, such as -9999, 65535 or -1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from freegaze.quality.grades import Check, Scale
from freegaze.recording.recording import Recording

SENTINELS = Scale("lost_values", "Values that stand for lost samples", "columns", 1, 3)
"""One column with such a value is interpolated towards it wherever samples were lost."""

_WRITTEN = (
    *(-1e6, -99999, -32768, -9999, -1000, -999, -99),
    *(99, 255, 999, 1000, 4095, 9999, 32767, 65535, 99999, 1e6, 2**31 - 1, 2**32 - 1),
)
"""Values that programs write for a lost sample, beside -1 and 0."""
_NEVER_ZERO = ("pupil_x", "pupil_y", "pupil_radius", "pupil_area")
"""Columns in which 0 stands for a lost sample."""
_LEAST_TIMES, _LEAST_SHARE = 3, 5e-4
_LEAST_DISTINCT = 10
"""Signals with fewer other values are steps or labels, whose values mean what they say."""
_PERCENTILES = (1.0, 99.0)


@dataclass(frozen=True)
class Sentinel:
    """A value that seems to stand for lost samples.

    Args:
        value: The value.
        share: Share of the samples that have it, 0..1.
    """

    value: float
    share: float


def find_sentinel(values: Float[np.ndarray, " time"], name: str) -> Sentinel | None:
    """Find a value that seems to stand for lost samples of a signal.

    It is the least or the greatest value, occurs repeatedly, and is one that programs write. All
    other values are further from it than 98 % of them are from each other, or, for -1, are not
    negative.

    Args:
        values: Samples; NaN is lost already.
        name: Name of the column.

    Returns:
        The value, ``None`` if there is none.

    Example:
        >>> speed = np.r_[np.linspace(0, 30, 90), np.full(10, -9999.0)]
        >>> find_sentinel(speed, "speed")
        Sentinel(value=-9999.0, share=0.1)
    """
    known = values[np.isfinite(values)]
    if len(known) <= _LEAST_TIMES:
        return None
    for value in (float(known.min()), float(known.max())):
        is_it = known == value
        share = float(is_it.mean())
        if is_it.sum() < _LEAST_TIMES or share < _LEAST_SHARE:
            continue
        if _stands_apart(value, known[~is_it], name):
            return Sentinel(value, share)
    return None


def _stands_apart(value: float, others: np.ndarray, name: str) -> bool:
    if len(others) < _LEAST_DISTINCT or len(np.unique(others[:10_000])) < _LEAST_DISTINCT:
        return False
    if value == -1:
        return bool(others.min() >= 0)
    is_written = value in _WRITTEN or (value == 0 and name in _NEVER_ZERO)
    low, high = np.percentile(others, _PERCENTILES)
    return is_written and bool(
        np.abs(others - value).min() > (high - low) / (4 if value == 0 else 1)
    )


def check_sentinels(recording: Recording) -> Check:
    """Count the columns with a value that seems to stand for lost samples.

    Samples are looked at where a source had them, else bins. Data: ``lost`` and ``share``
    (n_columns,), NaN and 0 for a column without such a value.
    """
    if not recording.behavior_names:
        return SENTINELS.not_available("no behavior was recorded")
    found = dict(_found(recording))
    value = np.array([found[n].value if n in found else np.nan for n in recording.behavior_names])
    share = np.array([found[n].share if n in found else 0.0 for n in recording.behavior_names])
    told = "; ".join(f"{name} is {s.value:.9g} in {s.share:.1%}" for name, s in found.items())
    sentence = (
        f"{told}, far from all other values: if that means lost, state it as `lost_values`."
        if found
        else "No column has a value that stands for lost samples."
    )
    return SENTINELS.grade(len(found), sentence, lost=value, share=share)


def _found(recording: Recording) -> Iterator[tuple[str, Sentinel]]:
    alignment = recording.provenance.get("alignment")
    of_samples = alignment.get("lost_values") if isinstance(alignment, dict) else None
    for i, name in enumerate(recording.behavior_names):
        if of_samples is None:
            sentinel = find_sentinel(recording.behavior[:, i].astype(np.float64), name)
            if sentinel is not None:
                yield name, sentinel
        elif name in of_samples:
            yield name, Sentinel(*map(float, of_samples[name]))
