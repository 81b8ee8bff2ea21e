"""Eye movements in the head, which counter head rotation, with saccades to the new center.

theta follows its set point 9 + 0.4 (pitch + 18) - 0.15 (roll - 5) and counters yaw; phi and torsion
counter roll and pitch by following them. Angles are in degrees, signs as in ``rotation``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freegaze.simulation.body import PITCH_MEAN_DEG, ROLL_MEAN_DEG, Body
from freegaze.simulation.processes import STEP_S, low_pass
from freegaze.simulation.rotation import REST_PHI_DEG, REST_THETA_DEG

YAW_GAIN = 0.77
"""Share of head yaw that the eye counters between saccades (table: 0.6 to 0.8)."""

THETA_ON_PITCH, THETA_ON_ROLL = 0.4, -0.15
PHI_ON_PITCH, PHI_ON_ROLL = -0.33, 0.74
"""Slopes of the eye on head posture (table: 0.4, -0.15, -0.3, 0.7)."""

TORSION_ON_PITCH, TORSION_ON_ROLL = 0.35, 0.08
"""Torsion follows pitch by 0.3 to 0.4, with a small roll term."""

SACCADE_STEPS = 4
"""A saccade of 20 degrees lasts about 60 ms, at some 300 degrees per second."""


@dataclass(frozen=True)
class Eye:
    """Direction of the eye in the head at each step, shape (n_steps,) each.

    Args:
        theta_deg: Angle to the left (nasal for this right eye).
        phi_deg: Up.
        torsion_deg: Counterclockwise in the eye's own view.
        is_saccade: Whether the eye jumps at this step.
    """

    theta_deg: np.ndarray
    phi_deg: np.ndarray
    torsion_deg: np.ndarray
    is_saccade: np.ndarray


def make_eye(
    body: Body,
    rng: np.random.Generator,
    torsion_gain: float = 1.0,
    yaw_gain: np.ndarray | float = YAW_GAIN,
) -> Eye:
    """Move the eye with the head.

    Args:
        body: The head's movements.
        rng: Randomness of the eye.
        torsion_gain: Factor on torsion (the track ``hard`` has more).
        yaw_gain: Share of head yaw that the eye counters, one for all steps or (n_steps,).

    Returns:
        The eye's position at each step.
    """
    pitch, roll = body.pitch_deg - PITCH_MEAN_DEG, body.roll_deg - ROLL_MEAN_DEG
    horizontal, vertical, is_saccade = _counter_and_jump(
        np.diff(body.yaw_deg, prepend=body.yaw_deg[:1]), yaw_gain, rng
    )
    theta = REST_THETA_DEG + THETA_ON_PITCH * pitch + THETA_ON_ROLL * roll + horizontal
    phi = REST_PHI_DEG + _soft_floor(PHI_ON_PITCH * pitch + PHI_ON_ROLL * roll + vertical)
    torsion = torsion_gain * (TORSION_ON_PITCH * pitch + TORSION_ON_ROLL * roll)
    return Eye(theta, phi, torsion, is_saccade)


def _soft_floor(angle: np.ndarray) -> np.ndarray:
    """Resist looking down: the table's phi reaches 18 degrees below its mean but 28 above."""
    floor = -21.0
    return np.where(angle > 0, angle, floor * np.tanh(angle / floor))


def _counter_and_jump(
    turn_deg: np.ndarray, yaw_gain: np.ndarray | float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counter yaw between saccades; jump back past the middle when the eye has gone too far.

    Args:
        turn_deg: Head yaw a step, in degrees.
        yaw_gain: Share of it that the eye counters.
        rng: Randomness of thresholds, landing points and spontaneous saccades.

    Returns:
        Horizontal and vertical deviation from the set point in degrees, and whether it jumps.
    """
    n_steps = len(turn_deg)
    leak = STEP_S / 2.0  # the eye drifts back to its set point within seconds
    limits = (17.0 + 8.0 * rng.random(n_steps)).tolist()
    landings = (3.0 * rng.standard_normal(n_steps) + 1.0).tolist()
    verticals = (4.5 * rng.standard_normal(n_steps)).tolist()
    spontaneous = (rng.random(n_steps) < 0.15 * STEP_S).tolist()  # one in seven seconds
    horizontal, vertical = 0.0, verticals[-1]
    limit, jump, remaining = limits[-1], (0.0, 0.0), 0
    out: list[tuple[float, float, bool]] = []
    for i, countered in enumerate((yaw_gain * turn_deg).tolist()):
        if remaining:
            remaining -= 1
            horizontal += jump[0] - countered
            vertical += jump[1]
            out.append((horizontal, vertical, True))
            continue
        horizontal -= countered + leak * horizontal
        out.append((horizontal, vertical, False))
        if abs(horizontal) > limit or spontaneous[i]:
            side = 1.0 if horizontal > 0 else -1.0
            goal = -side * landings[i]
            jump = ((goal - horizontal) / SACCADE_STEPS, (verticals[i] - vertical) / SACCADE_STEPS)
            limit, remaining = limits[i], SACCADE_STEPS
    array = np.array(out)
    return array[:, 0], array[:, 1], array[:, 2].astype(bool)


PUPIL_BASE_PX, PUPIL_AROUSAL_PX, PUPIL_WALK_PX = 20.0, 2.2, 2.5
"""Pupil radius in pixels of the eye camera: its mean, and what arousal and walking add."""


def pupil_radius(body: Body, brightness: np.ndarray, brightness_px: float) -> np.ndarray:
    """Return the pupil's radius at each step, in pixels of the eye camera.

    Args:
        body: Gives arousal and walking.
        brightness: Mean brightness of the view, 0..1, shape (n_steps,).
        brightness_px: Shrinking in px per standard deviation of brightness.

    Returns:
        Shape (n_steps,): follows slow arousal, rises with walking after about 1 s, shrinks with
        light within about half a second.
    """
    walking = low_pass(low_pass(np.minimum(body.speed_cm_s / 8.0, 2.0), 0.5), 0.5)
    light = low_pass((brightness - brightness.mean()) / max(brightness.std(), 1e-6), 0.5)
    return (
        PUPIL_BASE_PX
        + PUPIL_AROUSAL_PX * body.arousal
        + PUPIL_WALK_PX * walking
        - brightness_px * light
    )
