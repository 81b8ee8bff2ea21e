"""Four kinds of gaze shift: compensatory, to either side, and of the head alone."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from freegaze.contiguous import run_bounds
from freegaze.simulation.eye import YAW_GAIN, Eye
from freegaze.simulation.processes import STEP_S, low_pass

GAZE_EVENTS = ("gaze_shift_left", "gaze_shift_right", "compensatory", "head_only")
"""Saccades to either side, head turns that the eye counters, and head turns that it does not."""

GAZE_SIGNALS = ("gz", *GAZE_EVENTS)
"""Signals of the violation ``gaze_shifts``: yaw velocity, and the beginning of each event."""

TURN_DEG_S, SMOOTH_S, MARGIN_STEPS = 60.0, 0.03, 3
"""Yaw speed of a head turn after smoothing; steps around it in which a saccade belongs to it."""

JUMP_DEG = 5.0
"""Movement of the eye within a bin, beyond countering yaw, that counts as a saccade when it is read
off recorded angles."""

HEAD_ONLY_SHARE, HEAD_ONLY_GAIN = 0.12, 0.1
"""Share of head turns that the eye hardly counters, and the gain during them."""


def yaw_velocity(yaw_deg: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """Return the velocity of an unwrapped angle at each step, deg/s."""
    return np.diff(yaw_deg, prepend=yaw_deg[:1]) / STEP_S


def find_turns(yaw_deg: Float[np.ndarray, " step"]) -> list[tuple[int, int]]:
    """Return first step and step after the last of each turn of the head.

    Args:
        yaw_deg: Heading, not wrapped.

    Returns:
        Runs of steps in which the smoothed yaw speed is above ``TURN_DEG_S``.
    """
    fast = np.abs(low_pass(yaw_velocity(yaw_deg), SMOOTH_S)) > TURN_DEG_S
    return [(start, stop) for start, stop in _runs(fast) if stop - start >= MARGIN_STEPS]


def draw_gain(
    yaw_deg: Float[np.ndarray, " step"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, " step"], Bool[np.ndarray, " step"]]:
    """Draw the turns that the head makes alone.

    Args:
        yaw_deg: Heading, not wrapped.
        rng: Source of randomness.

    Returns:
        Share of yaw that the eye counters at each step, and whether it belongs to a turn of the
        head alone.
    """
    is_alone = np.zeros(len(yaw_deg), dtype=bool)
    for start, stop in find_turns(yaw_deg):
        if rng.random() < HEAD_ONLY_SHARE:
            is_alone[max(start - MARGIN_STEPS, 0) : stop] = True
    return np.where(is_alone, HEAD_ONLY_GAIN, YAW_GAIN), is_alone


def gaze_events(
    yaw_deg: Float[np.ndarray, " step"], eye: Eye, is_alone: Bool[np.ndarray, " step"]
) -> dict[str, Float[np.ndarray, " step"]]:
    """Mark the beginning of each gaze shift.

    Args:
        yaw_deg: Heading, not wrapped.
        eye: Movements of the eye.
        is_alone: Steps of turns of the head alone, from ``draw_gain``.

    Returns:
        By name of ``GAZE_EVENTS``, 1 at its first step and 0 elsewhere. A head turn with a saccade
        is a gaze shift.
    """
    events = {name: np.zeros(len(yaw_deg)) for name in GAZE_EVENTS}
    for start, stop in _runs(eye.is_saccade):
        before = eye.theta_deg[max(start - 1, 0)]
        side = "left" if eye.theta_deg[stop - 1] > before else "right"
        events[f"gaze_shift_{side}"][start] = 1.0
    for start, stop in find_turns(yaw_deg):
        if not eye.is_saccade[max(start - MARGIN_STEPS, 0) : stop + MARGIN_STEPS].any():
            name = "head_only" if is_alone[start:stop].all() else "compensatory"
            events[name][start] = 1.0
    return events


def read_events(
    theta_deg: Float[np.ndarray, " bin"], gz_deg_s: Float[np.ndarray, " bin"], bin_s: float
) -> dict[str, Float[np.ndarray, " bin"]]:
    """Find gaze shifts in what was recorded, one value per bin.

    Args:
        theta_deg: Recorded horizontal eye position, no NaN.
        gz_deg_s: Recorded yaw velocity.
        bin_s: Width of a bin.

    Returns:
        By name of ``GAZE_EVENTS``, 1 in its first bin and 0 elsewhere.

    Example:
        >>> theta, gz = np.array([9.0, 9.0, 19.0, 25.0, 25.0]), np.zeros(5)
        >>> read_events(theta, gz, 0.048)["gaze_shift_left"]
        array([0., 0., 1., 0., 0.])
    """
    events = {name: np.zeros(len(theta_deg)) for name in GAZE_EVENTS}
    moved, turned = np.diff(theta_deg, prepend=theta_deg[:1]), gz_deg_s * bin_s
    jump = moved + YAW_GAIN * turned
    for side, sign in (("left", 1), ("right", -1)):
        for start, _ in _runs(sign * jump > JUMP_DEG):
            events[f"gaze_shift_{side}"][start] = 1.0
    jumps = np.abs(jump) > JUMP_DEG
    for start, stop in _runs(np.abs(gz_deg_s) > TURN_DEG_S):
        if not jumps[max(start - 1, 0) : stop + 1].any():
            countered = -moved[start:stop].sum() / turned[start:stop].sum()
            name = "head_only" if countered < YAW_GAIN / 2 else "compensatory"
            events[name][start] = 1.0
    return events


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return first step, and step after the last, of each run of true values."""
    first, stop = run_bounds(mask)
    return [(a, b) for a, b in zip(first.tolist(), stop.tolist(), strict=True) if mask[a]]
