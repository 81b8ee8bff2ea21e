"""Running speed and heading from points tracked in a view from above."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from freegaze.errors import DataError


def running_speed(
    times: Float[np.ndarray, " time"],
    position_px: Float[np.ndarray, "time 2"],
    px_per_cm: float,
    smoothing_s: float = 0.1,
    max_speed_cm_s: float = 150.0,
    where: str = "top view",
) -> tuple[Float[np.ndarray, " time"], dict[str, float]]:
    """Return the speed of a tracked point.

    The velocity at a sample is the slope of the least-squares line through the known positions
    within ``smoothing_s`` before and after it. A position is left out as a tracking error if the
    point had to move faster than ``max_speed_cm_s`` both to it and from it.

    Args:
        times: Times of the samples, in order, in seconds.
        position_px: x and y; NaN where lost.
        px_per_cm: Scale of the view.
        smoothing_s: Half the width of the window.
        max_speed_cm_s: Fastest plausible speed; mice run at up to some 100 cm/s.
        where: Stream, for messages.

    Returns:
        Speed in cm/s, NaN where the point is lost; and ``share_lost``, ``share_jumps`` (tracking
        errors), ``median_speed_cm_s`` and ``still_speed_cm_s`` (5th percentile, which shows the
        noise of tracking).

    Raises:
        DataError: If no position is known, or none has another within ``smoothing_s``.

    Example:
        >>> times = np.arange(100) / 50.0
        >>> position = np.stack([30 * times, 40 * times], axis=-1)
        >>> running_speed(times, position, px_per_cm=5.0)[0][:2].round(6)
        array([10., 10.])
    """
    known = np.isfinite(position_px).all(1)
    if not known.any():
        raise DataError(f"{where}: no position is known; check the point and `min_likelihood`")
    jumps = np.zeros(len(times), bool)
    jumps[known] = _jumps(times[known], position_px[known] / px_per_cm, max_speed_cm_s)
    used = known & ~jumps
    speed = np.full(len(times), np.nan)
    t = times[used] - times[used].mean()
    first = np.searchsorted(t, t - smoothing_s * (1 + 1e-9))
    last = np.searchsorted(t, t + smoothing_s * (1 + 1e-9), side="right")

    def window_sum(values: np.ndarray) -> np.ndarray:
        total = np.concatenate([[0.0], np.cumsum(values)])
        return total[last] - total[first]

    n, sum_t, sum_tt = last - first, window_sum(t), window_sum(t**2)
    spread = n * sum_tt - sum_t**2
    slopes = []
    for x in (position_px[used] / px_per_cm).T:
        x = x - x.mean()
        with np.errstate(invalid="ignore", divide="ignore"):
            slopes.append((n * window_sum(t * x) - sum_t * window_sum(x)) / spread)
    speed[used] = np.where(n > 1, np.hypot(*slopes), np.nan)
    moving = speed[np.isfinite(speed)]
    if not len(moving):
        raise DataError(
            f"{where}: no two positions lie within {smoothing_s:g} s; state a longer `smoothing_s`"
        )
    return speed, {
        "share_lost": float(1 - known.mean()),
        "share_jumps": float(jumps.mean()),
        "median_speed_cm_s": float(np.median(moving)),
        "still_speed_cm_s": float(np.percentile(moving, 5)),
    }


def _jumps(times: np.ndarray, position: np.ndarray, max_speed: float) -> np.ndarray:
    """Return which positions are too far from both neighbors."""
    steps = np.maximum(np.diff(times), 1e-9)
    too_fast = np.linalg.norm(np.diff(position, axis=0), axis=1) / steps > max_speed
    return np.append(False, too_fast) & np.append(too_fast, False)


def heading(
    front_px: Float[np.ndarray, "time 2"],
    back_px: Float[np.ndarray, "time 2"],
    *,
    is_from_below: bool = False,
) -> Float[np.ndarray, " time"]:
    """Return the direction from a point at the back of the head to one at its front.

    Args:
        front_px: Point at the front, such as the nose; x to the right and y down, NaN where lost.
        back_px: Point at the back, such as the neck.
        is_from_below: Whether the camera looks up through the floor, which mirrors left and right.

    Returns:
        Heading in degrees, -180..180: 0 to the right of the frame, positive to the left as the
        animal turns; NaN where a point is lost or both coincide.

    Example:
        >>> heading(np.array([[0.0, -5.0]]), np.array([[0.0, 0.0]]))
        array([90.])
    """
    x, y = (front_px - back_px).T
    angle = np.rad2deg(np.arctan2(y if is_from_below else 0.0 - y, x))
    return np.where((x == 0) & (y == 0), np.nan, angle)
