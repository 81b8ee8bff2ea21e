"""Rotations of head, camera and eye, and the one place where their signs are fixed.

World and head: x forward, y left, z up. Yaw turns to the left, pitch turns the nose up, roll turns
the right side down. Camera and eye: X right, Y down, Z forward in their own view; theta turns the
eye to the left (for this right eye: towards the nose), phi turns it up, torsion turns it
counterclockwise in its own view, so that the retinal frame turns clockwise. With these signs the
slopes of phi and torsion on head pitch and roll keep the gaze still, as in the animal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

CAMERA_AZIMUTH_DEG = -65.0
"""The camera looks to the right, along the eye. phi's slopes on roll (0.7) and pitch (-0.3) are
those of an eye that is held still by a gain of 0.76 and looks arctan(0.7 / 0.3) = 67 degrees off
the nose."""

CAMERA_ELEVATION_DEG = 15.0
"""The mouse's eye looks a little upward from the horizontal."""

EYE_OFFSET_CM = (-0.5, 0.7, 0.5)
"""From the camera to the eye in camera axes (right, down, forward): 1 cm in all."""

REST_THETA_DEG, REST_PHI_DEG = 9.0, 7.0
"""Mean eye position; there the eye looks where the camera looks."""


def _axis_rotation(first: int, second: int, angle_deg: ArrayLike) -> np.ndarray:
    """Rotate axis ``first`` towards axis ``second``."""
    angle = np.deg2rad(np.asarray(angle_deg, dtype=float))
    matrix = np.broadcast_to(np.eye(3), (*angle.shape, 3, 3)).copy()
    matrix[..., first, first] = matrix[..., second, second] = np.cos(angle)
    matrix[..., second, first] = np.sin(angle)
    matrix[..., first, second] = -np.sin(angle)
    return matrix


def head_rotation(yaw_deg: np.ndarray, pitch_deg: np.ndarray, roll_deg: np.ndarray) -> np.ndarray:
    """Return the head's axes (forward, left, up) as columns in the world, shape (..., 3, 3)."""
    yaw = _axis_rotation(0, 1, yaw_deg)
    pitch = _axis_rotation(0, 2, pitch_deg)
    roll = _axis_rotation(1, 2, roll_deg)
    return yaw @ pitch @ roll


def camera_mount() -> np.ndarray:
    """Return the camera's axes (right, down, forward) as columns in the head, shape (3, 3)."""
    turned = _axis_rotation(0, 1, np.array(CAMERA_AZIMUTH_DEG))
    tilted = _axis_rotation(0, 2, np.array(CAMERA_ELEVATION_DEG))
    forward_left_up = turned @ tilted
    return np.stack(
        [-forward_left_up[:, 1], -forward_left_up[:, 2], forward_left_up[:, 0]], axis=-1
    )


def camera_rotation(yaw_deg: np.ndarray, pitch_deg: np.ndarray, roll_deg: np.ndarray) -> np.ndarray:
    """Return the camera's axes as columns in the world, shape (..., 3, 3)."""
    return head_rotation(yaw_deg, pitch_deg, roll_deg) @ camera_mount()


def tilt_up(angle_deg: float) -> np.ndarray:
    """Return a rotation of camera axes that turns the line of sight up, shape (3, 3)."""
    return _axis_rotation(2, 1, -np.asarray(angle_deg))


def eye_rotation(theta_deg: np.ndarray, phi_deg: np.ndarray, torsion_deg: np.ndarray) -> np.ndarray:
    """Return the eye's axes (right, down, forward) as columns in camera axes, shape (..., 3, 3).

    Horizontal first, then vertical, then torsion about the line of sight (Fick's order).
    """
    horizontal = _axis_rotation(2, 0, -(np.asarray(theta_deg) - REST_THETA_DEG))
    vertical = _axis_rotation(2, 1, -(np.asarray(phi_deg) - REST_PHI_DEG))
    return horizontal @ vertical @ _axis_rotation(0, 1, -np.asarray(torsion_deg))
