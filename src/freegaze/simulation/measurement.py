"""Measured signals: noise, delay, and moments when the eye is not tracked."""

from __future__ import annotations

import numpy as np

from freegaze.recording.columns import find_column
from freegaze.simulation.body import Body
from freegaze.simulation.eye import Eye
from freegaze.simulation.processes import STEP_S, STEPS_PER_BIN

BEHAVIOR_NAMES = ("speed", "gz", "pitch", "roll", "phi", "theta", "pupil_radius")
BEHAVIOR_UNITS = tuple(find_column(name).unit for name in BEHAVIOR_NAMES)
EYE_COLUMNS = ("phi", "theta", "pupil_radius")
"""Seen by the eye camera, hence lost together."""

GYRO_NOISE_DEG_S, TILT_NOISE_DEG, SPEED_NOISE_CM_S, PUPIL_NOISE_PX = 5.0, 0.8, 0.3, 0.3
"""Instrument noise of one 16 ms sample; below what the table's medians allow (23 deg/s of yaw)."""

LOSS_RUN_STEPS = 9.0
"""Mean length of a run of lost frames, 0.14 s: a blink or a corneal reflection."""


def tracking_lost(eye: Eye, body: Body, share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw when the eye is not tracked: in runs, five times as likely in the fastest movements.

    Args:
        eye: Gives eye movements.
        body: Gives head movements.
        share: Expected share of steps lost.
        rng: Source of randomness.

    Returns:
        Booleans, shape (n_steps,).
    """
    speed = np.abs(np.gradient(body.yaw_deg)) + np.abs(np.gradient(eye.theta_deg))
    hazard = 1.0 + 4.0 * np.minimum(speed / max(np.quantile(speed, 0.95), 1e-9), 1.0)
    return runs_of_loss(hazard, share, rng)


def runs_of_loss(hazard: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw runs of lost steps that start more often where a hazard is high.

    Args:
        hazard: Relative chance that a run starts, shape (n_steps,).
        share: Expected share of steps lost.
        rng: Source of randomness.

    Returns:
        Booleans, shape (n_steps,).
    """
    # A run starts only outside others: starts a step = share / length, divided by the free share.
    hazard = hazard * (share / LOSS_RUN_STEPS / (1 - share) / hazard.mean())
    starts = np.flatnonzero(rng.random(len(hazard)) < hazard)
    lengths = rng.geometric(1 / LOSS_RUN_STEPS, len(starts))
    lost = np.zeros(len(hazard), dtype=bool)
    for start, length in zip(starts, lengths, strict=True):
        lost[start : start + length] = True
    return lost


def measure(
    body: Body,
    eye: Eye,
    pupil_px: np.ndarray,
    lost: np.ndarray,
    eye_noise_deg: float,
    eye_delay_steps: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Read the instruments at every step.

    Args:
        body: True movements of body and head.
        eye: True movements of the eye.
        pupil_px: True radius of the pupil.
        lost: Whether the eye is not tracked.
        eye_noise_deg: Standard deviation of tracked eye angles.
        eye_delay_steps: Delay of the eye camera after the gyroscope.
        rng: Source of randomness.

    Returns:
        The recorded columns by name, and ``pitch_velocity`` and ``roll_velocity`` (deg/s) of the
        gyroscope, each of shape (n_steps,); NaN where the eye is lost.
    """
    n_steps = len(lost)

    def noisy(signal: np.ndarray, sd: float) -> np.ndarray:
        return signal + sd * rng.standard_normal(n_steps)

    def seen(signal: np.ndarray, sd: float) -> np.ndarray:
        late = np.concatenate([np.repeat(signal[:1], eye_delay_steps), signal])[:n_steps]
        return np.where(lost, np.nan, noisy(late, sd))

    def velocity(angle: np.ndarray) -> np.ndarray:
        return np.diff(angle, prepend=angle[:1]) / STEP_S

    return {
        "speed": np.maximum(noisy(body.speed_cm_s, SPEED_NOISE_CM_S), 0.0),
        "gz": noisy(velocity(body.yaw_deg), GYRO_NOISE_DEG_S),
        "pitch": noisy(body.pitch_deg, TILT_NOISE_DEG),
        "roll": noisy(body.roll_deg, TILT_NOISE_DEG),
        "phi": seen(eye.phi_deg, eye_noise_deg),
        "theta": seen(eye.theta_deg, eye_noise_deg),
        "pupil_radius": seen(pupil_px, PUPIL_NOISE_PX),
        "pitch_velocity": noisy(velocity(body.pitch_deg), GYRO_NOISE_DEG_S),
        "roll_velocity": noisy(velocity(body.roll_deg), GYRO_NOISE_DEG_S),
    }


def to_bins(signal: np.ndarray) -> np.ndarray:
    """Average each bin's tracked steps; NaN where fewer than two of the three were tracked.

    Args:
        signal: Shape (n_steps,), NaN where lost.

    Returns:
        Shape (n_bins,).
    """
    steps = signal.reshape(-1, STEPS_PER_BIN)
    tracked = np.isfinite(steps)
    n_tracked = tracked.sum(axis=1)
    total = np.where(tracked, steps, 0.0).sum(axis=1)
    return np.where(n_tracked >= 2, total / np.maximum(n_tracked, 1), np.nan)
