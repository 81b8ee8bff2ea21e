"""Clock offset and drift from sync pulses that two devices recorded."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float, Integer

from freegaze.errors import DataError

MIN_PULSES = 5
"""Fewer pulses do not determine offset and drift."""

_WINDOW = 60
"""Number of pulses of the stream whose pattern is searched first."""

_MAX_DRIFT = 1e-3
"""Clocks of computers and boards differ by less than 3.6 s an hour."""

_CLEAR = 0.8
"""The second best offset must match less than 80 % of what the best one matches."""


@dataclass(frozen=True)
class PulseClock:
    """Clock of a stream by sync pulses: session time = offset + (1 + drift) * own time.

    Args:
        offset_s: Session time at which the stream's clock reads 0.
        drift: Seconds that the session gains on the stream in each of the stream's seconds.
        n_matched: Pulses found on both clocks.
        n_missing_own: Pulses of the session, within the time that both recorded, that the stream
            lacks.
        n_missing_session: Pulses of the stream, within that time, that the session lacks.
        residual_ms: Median distance of matched pulses from the line.
        largest_ms: Largest such distance.
    """

    offset_s: float
    drift: float
    n_matched: int
    n_missing_own: int
    n_missing_session: int
    residual_ms: float
    largest_ms: float

    def quality(self) -> dict[str, float]:
        """Return the numbers by name, for provenance."""
        return asdict(self)


def clock_of_pulses(
    own_s: Float[np.ndarray, " n_own"],
    session_s: Float[np.ndarray, " n_session"],
    near_offset_s: float | None = None,
    tolerance_s: float = 0.003,
    where: str = "pulses",
) -> PulseClock:
    """Match the sync pulses of two clocks and fit a line through them.

    Either side may lack pulses or have further ones, and both may have begun at any time. The
    pattern of 60 pulses of the stream is searched in those of the session. From there pulses are
    matched outward, with a line fitted to all matched ones. The match is unique if intervals
    differ, as in a random or coded pulse train. With equal intervals, it is unique only if both
    sides have equally many pulses and all match.

    Args:
        own_s: Onsets on the stream's clock in seconds, in order.
        session_s: Onsets on the session's clock in seconds, in order.
        near_offset_s: If given, only offsets within half a typical interval of this are considered.
            Pulses at equal intervals need it if some are missing.
        tolerance_s: Largest distance of matched pulses from the line; twice the jitter of both
            devices.
        where: Files, for messages.

    Returns:
        Offset and drift, with quality numbers.

    Raises:
        DataError: If there are too few pulses, they do not match, or several offsets match.

    Example:
        >>> session = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 200))
        >>> found = clock_of_pulses((session - 0.2) / (1 + 5e-5), session)
        >>> round(found.offset_s, 6), round(found.drift, 8), found.n_matched
        (0.2, 5e-05, 200)
    """
    for name, times in (("the stream", own_s), ("the session", session_s)):
        if len(times) < MIN_PULSES:
            raise DataError(
                f"{where}: {len(times)} pulses on the clock of {name}, expected {MIN_PULSES}; "
                "state `offset_s` and `drift` instead"
            )
        if (np.diff(times) < 0).any():
            raise DataError(f"{where}: pulses on the clock of {name} are not in order of time")
    own_s, session_s = own_s.astype(np.float64), session_s.astype(np.float64)
    middle = max(0, len(own_s) // 2 - _WINDOW // 2)
    window = own_s[middle : middle + _WINDOW]
    center = float(window.mean())
    shifts = _candidates(window, session_s, center, tolerance_s, near_offset_s)
    if len(own_s) == len(session_s):  # perhaps pulse for pulse, which votes of equal intervals hide
        shifts.append(float(np.interp(center, own_s, session_s)) - center)
    fits = [_grow(own_s, session_s, center, shift, tolerance_s) for shift in shifts]
    fits = sorted((fit for fit in fits if fit is not None), key=lambda fit: -len(fit[1]))
    if near_offset_s is not None:
        half = _half_interval(session_s)
        fits = [fit for fit in fits if abs(fit[0][0] - near_offset_s) <= half]
    if not fits or len(fits[0][1]) < MIN_PULSES:
        raise DataError(
            f"{where}: the {len(own_s)} pulses of the stream and the {len(session_s)} of the "
            "session do not match at any offset; are both of the same pulse train?"
        )
    best = fits[0]
    n_best = len(best[1])
    others = [fit for fit in fits[1:] if abs(fit[0][0] - best[0][0]) > 4 * tolerance_s]
    is_complete = n_best == len(own_s) == len(session_s)
    if others and len(others[0][1]) >= _CLEAR * n_best and not is_complete:
        raise DataError(
            f"{where}: the pulses match at several offsets ({best[0][0]:.6f} s with {n_best} "
            f"pulses, {others[0][0][0]:.6f} s with {len(others[0][1])}), as their intervals are "
            "equal; state `near_offset_s`"
        )
    return _described(own_s, session_s, best)


def _half_interval(times: np.ndarray) -> float:
    return 0.5 * float(np.median(np.diff(times)))


_Fit = tuple[tuple[float, float], np.ndarray, np.ndarray]
"""(offset, drift), matched pulses of the stream, and of the session."""


def _candidates(
    window: np.ndarray,
    session_s: np.ndarray,
    center: float,
    tolerance_s: float,
    near_offset_s: float | None,
) -> list[float]:
    """Return the shifts that match most pulses of a window with the session's, best first."""
    differences = np.sort((session_s[None, :] - window[:, None]).reshape(-1))
    reach = tolerance_s + _MAX_DRIFT * float(np.abs(window - center).max())
    if near_offset_s is not None:
        wide = _half_interval(session_s) + reach + _MAX_DRIFT * abs(center)
        differences = differences[np.abs(differences - near_offset_s) <= wide]
    if not len(differences):
        return []
    last = np.searchsorted(differences, differences + 2 * reach, side="right")
    votes = last - np.arange(len(differences))
    found: list[float] = []
    for i in np.argsort(-votes, kind="stable"):
        shift = float(np.median(differences[i : last[i]]))
        if all(abs(shift - other) > 2 * reach for other in found):
            found.append(shift)
        if len(found) == 5:
            break
    return found


def _grow(
    own_s: np.ndarray, session_s: np.ndarray, center: float, shift: float, tolerance_s: float
) -> _Fit | None:
    """Match pulses outward from the center, fitting offset and drift to all matched ones."""
    slope, level, slope_error = 0.0, shift, _MAX_DRIFT
    furthest = float(np.abs(own_s - center).max())
    nearby = np.sort(np.abs(own_s - center))
    radius = float(nearby[min(len(nearby), 2 * MIN_PULSES) - 1])
    while True:
        inside = np.flatnonzero(np.abs(own_s - center) <= radius * (1 + 1e-9))
        predicted = own_s[inside] + level + slope * (own_s[inside] - center)
        reach = 2 * tolerance_s + slope_error * radius
        mine, theirs = _mutual_nearest(predicted, session_s, reach)
        mine = inside[mine]
        if len(mine) < MIN_PULSES:
            return None
        slope, level, near = _line(
            own_s[mine] - center, session_s[theirs] - own_s[mine], tolerance_s
        )
        if near.sum() < MIN_PULSES:
            return None
        mine, theirs = mine[near], theirs[near]
        if abs(slope) > _MAX_DRIFT:
            return None
        span = max(float(np.ptp(own_s[mine])), 1e-9)
        slope_error = min(_MAX_DRIFT, 2 * tolerance_s / span)
        if radius >= furthest:
            x = own_s[mine] - center
            good = np.abs(session_s[theirs] - own_s[mine] - level - slope * x) <= tolerance_s
            mine, theirs = mine[good], theirs[good]
            return ((level - slope * center, slope), mine, theirs) if len(mine) else None
        radius = min(2 * radius, furthest)


def _line(x: np.ndarray, y: np.ndarray, tolerance_s: float) -> tuple[float, float, np.ndarray]:
    """Fit a line; return slope, level and which points lie near it. Far ones are left out."""
    near = np.ones(len(x), bool)
    slope, level = 0.0, float(np.median(y))
    for _ in range(3):
        if near.sum() < MIN_PULSES:
            break
        slope, level = (float(value) for value in np.polyfit(x[near], y[near], 1))
        residual = np.abs(y - level - slope * x)
        near = residual <= max(tolerance_s, 3 * float(np.median(residual[near])))
    return slope, level, near


def _mutual_nearest(
    predicted: np.ndarray, session_s: np.ndarray, reach: float
) -> tuple[Integer[np.ndarray, " n"], Integer[np.ndarray, " n"]]:
    """Return pairs of pulses that are nearest to each other and within reach."""
    theirs = _nearest(session_s, predicted)
    mine = _nearest(predicted, session_s[theirs])
    is_pair = (mine == np.arange(len(predicted))) & (np.abs(session_s[theirs] - predicted) <= reach)
    return np.flatnonzero(is_pair), theirs[is_pair]


def _nearest(sorted_times: np.ndarray, at: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(sorted_times, at), 1, max(len(sorted_times) - 1, 1))
    after = np.minimum(after, len(sorted_times) - 1)
    before = np.maximum(after - 1, 0)
    is_before = np.abs(at - sorted_times[before]) <= np.abs(sorted_times[after] - at)
    return np.where(is_before, before, after)


def _described(own_s: np.ndarray, session_s: np.ndarray, fit: _Fit) -> PulseClock:
    (offset, drift), mine, theirs = fit
    on_session = offset + (1 + drift) * own_s
    residual = np.abs(session_s[theirs] - on_session[mine])
    start, stop = max(on_session[0], session_s[0]), min(on_session[-1], session_s[-1])
    margin = 0.01
    n_own = int(((on_session >= start - margin) & (on_session <= stop + margin)).sum())
    n_session = int(((session_s >= start - margin) & (session_s <= stop + margin)).sum())
    if len(mine) < 0.5 * min(n_own, n_session):
        raise DataError(
            f"only {len(mine)} pulses match of {n_own} and {n_session} in the time that both "
            "clocks recorded; was a clock reset? Cut the files there"
        )
    return PulseClock(
        offset_s=offset,
        drift=drift,
        n_matched=len(mine),
        n_missing_own=n_session - len(mine),
        n_missing_session=n_own - len(mine),
        residual_ms=float(1e3 * np.median(residual)),
        largest_ms=float(1e3 * residual.max()),
    )
