"""Walking and head posture of the virtual mouse.

The time constants and spreads below were tuned until the measured signals show the statistics of a
freely moving mouse (see the realism card); a comment names the entry of each one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, radians, sin

import numpy as np

from freegaze.simulation.processes import (
    STEP_S,
    low_pass,
    normal_scores,
    on_off,
    ornstein_uhlenbeck,
    slow_process,
)
from freegaze.simulation.world import BOX_SIZE_CM
from freegaze.standard_scores import standardize

WALL_MARGIN_CM = 3.5
"""The head keeps this far from the walls."""

PITCH_MEAN_DEG, PITCH_SD_DEG = -18.0, 19.5
ROLL_MEAN_DEG, ROLL_SD_DEG = 5.0, 11.3
"""Slow posture; fast movements add the rest of the table's spread."""

PITCH_ROLL_CORRELATION = 0.3
"""Makes the spread of phi, which follows -0.3 pitch + 0.7 roll, as small as it was measured."""

PITCH_SKEW, ROLL_SKEW = -0.03, 0.04
"""The table's percentiles: pitch reaches further down, roll further to the right."""


@dataclass(frozen=True)
class Body:
    """Position of head and body at each step of 16 ms; arrays of shape (n_steps,) unless stated.

    Args:
        position_cm: Position of the head, shape (n_steps, 3).
        yaw_deg: Heading of the head, not wrapped.
        pitch_deg: Nose up.
        roll_deg: Right side down.
        speed_cm_s: Walking speed.
        is_walking: Whether in a bout.
        arousal: Slow state of zero mean and unit variance that widens the pupil.
    """

    position_cm: np.ndarray
    yaw_deg: np.ndarray
    pitch_deg: np.ndarray
    roll_deg: np.ndarray
    speed_cm_s: np.ndarray
    is_walking: np.ndarray
    arousal: np.ndarray


def make_body(
    n_steps: int,
    walk_rng: np.random.Generator,
    head_rng: np.random.Generator,
    turn_gain: float = 1.0,
) -> Body:
    """Draw a path through the box and the movements of the head.

    Args:
        n_steps: Number of 16 ms steps.
        walk_rng: Randomness of walking.
        head_rng: Randomness of the head.
        turn_gain: Factor on fast head movements.

    Returns:
        The body's state at each step.
    """
    is_walking = on_off(walk_rng, n_steps, on_s=3.0, off_s=8.0, min_s=0.5)
    speed = _speed(walk_rng, is_walking)
    vigor = _vigor(head_rng, is_walking) * turn_gain
    pitch_slow, roll_slow = _posture(head_rng, n_steps)
    pitch = pitch_slow + _fast_angle(head_rng, vigor, 70.0)
    roll = roll_slow + _fast_angle(head_rng, vigor, 47.0)
    free_turn = vigor * _band_noise(head_rng, n_steps, YAW_MEMORY) * 100.0
    position, yaw = _walk(walk_rng, speed, free_turn)
    height = (
        2.8
        + 0.03 * (pitch - PITCH_MEAN_DEG)
        + 0.4 * low_pass(ornstein_uhlenbeck(walk_rng, n_steps, 3.0)[:, 0], 0.3)
    )
    arousal = slow_process(walk_rng, n_steps, 25.0, 1.0)
    position = np.column_stack([position, np.clip(height, 1.5, 6.0)])
    return Body(position, yaw, pitch, roll, speed, is_walking, arousal)


YAW_MEMORY = 0.72
"""Step-to-step correlation of yaw velocity: 1/e at 0.05 s."""

TILT_MEMORY = 0.62
"""Step-to-step correlation of pitch and roll velocity: 1/e at 0.03 s."""

TILT_RETURN_S = 0.25
"""Fast nods return to the posture in this time, so that they do not add up to a drift."""


def _speed(rng: np.random.Generator, is_walking: np.ndarray) -> np.ndarray:
    """Walking speed: log-normal around 8 cm/s within bouts, with soft starts and ends."""
    gait = np.exp(0.4 * ornstein_uhlenbeck(rng, len(is_walking), 0.8)[:, 0])
    wanted = np.where(is_walking, 8.5 * gait, 0.0)
    return low_pass(low_pass(wanted, 0.12), 0.08)


def _vigor(rng: np.random.Generator, is_walking: np.ndarray) -> np.ndarray:
    """Strength of fast head movement: large in bouts and while walking; its mean square is 1.

    Half of the time in each state gives the heavy tails of the table: a median of 23 deg/s under a
    standard deviation of 100.
    """
    looks_around = on_off(rng, len(is_walking), on_s=1.0, off_s=2.0, min_s=0.2)
    active = np.where(is_walking | looks_around, 1.0, 0.10)
    vigor = low_pass(active, 0.05) * np.exp(0.25 * ornstein_uhlenbeck(rng, len(active), 5.0)[:, 0])
    return vigor / np.sqrt(np.mean(vigor**2))


def _band_noise(rng: np.random.Generator, n_steps: int, memory: float) -> np.ndarray:
    """Unit-variance noise with a step-to-step correlation."""
    return ornstein_uhlenbeck(rng, n_steps, -STEP_S / np.log(memory))[:, 0]


def _fast_angle(rng: np.random.Generator, vigor: np.ndarray, velocity_sd: float) -> np.ndarray:
    """Fast movement of an angle around its posture, in degrees, with a given spread of velocity."""
    velocity = vigor * _band_noise(rng, len(vigor), TILT_MEMORY) * STEP_S
    keep = np.exp(-STEP_S / TILT_RETURN_S)
    angle = low_pass(velocity, TILT_RETURN_S, initial=np.zeros(1)) / (1 - keep)
    return angle * (velocity_sd * STEP_S / np.diff(angle).std())


def _posture(rng: np.random.Generator, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Slow pitch and roll in degrees, with the table's distributions and time constants."""
    pitch = slow_process(rng, n_steps, 22.0, 0.7)
    roll = slow_process(rng, n_steps, 38.0, 0.7)
    pitch = normal_scores(pitch)
    roll = roll - np.mean(roll * pitch) * pitch
    roll = PITCH_ROLL_CORRELATION * pitch + np.sqrt(1 - PITCH_ROLL_CORRELATION**2) * standardize(
        roll
    )
    roll = normal_scores(roll)
    return (
        PITCH_MEAN_DEG + PITCH_SD_DEG * (pitch + PITCH_SKEW * (pitch**2 - 1)),
        ROLL_MEAN_DEG + ROLL_SD_DEG * (roll + ROLL_SKEW * (roll**2 - 1)),
    )


def _walk(
    rng: np.random.Generator, speed: np.ndarray, free_turn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Walk where the body points, turning away from walls; one step after the other.

    Returns:
        Position on the floor in cm (n_steps, 2), and yaw in degrees (n_steps,).
    """
    (size_x, size_y, _), margin = BOX_SIZE_CM, WALL_MARGIN_CM
    x, y = (margin + (size - 2 * margin) * rng.random() for size in (size_x, size_y))
    yaw = body_yaw = 360.0 * rng.random()
    follow = 1 - np.exp(-STEP_S / 0.3)  # the trunk follows the head within about 0.3 s
    xs, ys, yaws = [], [], []
    for v, turn in zip(speed.tolist(), free_turn.tolist(), strict=True):
        heading = radians(body_yaw)
        x += v * cos(heading) * STEP_S
        y += v * sin(heading) * STEP_S
        x, y = min(max(x, margin), size_x - margin), min(max(y, margin), size_y - margin)
        yaw += (turn + _steering(x, y, v, body_yaw, size_x, size_y)) * STEP_S
        body_yaw += follow * (yaw - body_yaw)
        xs.append(x)
        ys.append(y)
        yaws.append(yaw)
    return np.column_stack([xs, ys]), np.array(yaws)


def _steering(x: float, y: float, v: float, yaw_deg: float, size_x: float, size_y: float) -> float:
    """Turn (deg/s) towards the middle when walking within 9 cm of a wall."""
    gap = min(x, y, size_x - x, size_y - y)
    if gap > 9.0 or v < 1.0:
        return 0.0
    away = sin(atan2(size_y / 2 - y, size_x / 2 - x) - radians(yaw_deg))
    return 12.0 * v * away * (9.0 - gap) / 5.5
