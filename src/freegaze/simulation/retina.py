"""Retinal frames: the world through the eye, or the camera frame moved by an affine.

Warp convention, the same for the truth and for any image shifter that should undo the gaze: with x
to the right and y down, what the camera has at pixel ``p`` the retina has at ``M p``, where
``M = T(x_px, y_px) T(c) R T(-c)``, ``R = [[cos a, -sin a], [sin a, cos a]]`` and ``c`` is the
center of the frame, ``((width - 1) / 2, (height - 1) / 2)``. So a positive ``x_px`` moves the
frame to the right, a positive ``y_px`` down, a positive ``a`` turns it clockwise. Applied to the
camera's frame, the truth's (x_px, y_px, rotation_deg) gives the retinal frame.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from freegaze.nn.warp import rotation_center, warp_frames
from freegaze.simulation.camera import Renderer, pixels_of_rays, rays_of_pixels
from freegaze.simulation.rotation import EYE_OFFSET_CM, REST_PHI_DEG, REST_THETA_DEG, eye_rotation

RetinaKind = Literal["sphere", "affine"]

FIT_RADIUS_DEG = 25.0
"""The best affine is fitted to the middle of the frame, where receptive fields are."""


def affine_of_gaze(
    theta_deg: Float[np.ndarray, " time"],
    phi_deg: Float[np.ndarray, " time"],
    torsion_deg: Float[np.ndarray, " time"],
    scale_deg: float,
) -> Float[np.ndarray, "time 3"]:
    """Return the affine that the affine retina applies to the camera's frame.

    It is linear in the gaze. At 1.5 degrees per pixel, 90 % of the shifts are within 14 px
    horizontally and 11 px vertically, 99 % within 22 and 17 px.

    Args:
        theta_deg: Horizontal eye position, shape (time,).
        phi_deg: Vertical eye position.
        torsion_deg: Torsion.
        scale_deg: Degrees per pixel.

    Returns:
        x_px, y_px, rotation_deg, shape (time, 3).
    """
    x, y = (theta_deg - REST_THETA_DEG) / scale_deg, (phi_deg - REST_PHI_DEG) / scale_deg
    return np.stack([x, y, torsion_deg], axis=-1)


def warp(
    frames: Float[torch.Tensor, "time height width"], affine: Float[np.ndarray, "time 3"]
) -> Float[torch.Tensor, "time height width"]:
    """Move frames by the affine of this module; what comes from outside the frame is 0.

    Args:
        frames: Shape (time, height, width), float.
        affine: x_px, y_px, rotation_deg, shape (time, 3).

    Returns:
        Same shape as ``frames``, sampled bilinearly.
    """
    height, width = frames.shape[1:]
    displacement = torch.from_numpy(affine).float()
    return warp_frames(frames[:, None], displacement, rotation_center((height, width)))[:, 0]


def eye_pose(
    position_cm: np.ndarray,
    camera: np.ndarray,
    theta: np.ndarray,
    phi: np.ndarray,
    torsion: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the eye is and how it is turned in the world.

    Args:
        position_cm: Position of the camera, shape (time, 3).
        camera: The camera's axes as columns, shape (time, 3, 3).
        theta: Eye position in degrees, shape (time,).
        phi: Eye position in degrees.
        torsion: Torsion in degrees.

    Returns:
        Position (time, 3) and axes (time, 3, 3).
    """
    return position_cm + camera @ np.array(EYE_OFFSET_CM), camera @ eye_rotation(
        theta, phi, torsion
    )


def best_affine(
    renderer: Renderer,
    position_cm: np.ndarray,
    camera: np.ndarray,
    eye_position_cm: np.ndarray,
    eye: np.ndarray,
) -> np.ndarray:
    """Fit the shift and rotation that best carry the camera's frame onto the spherical retina.

    For a grid of camera pixels, the visible point of the world and its place on the retina are
    computed. Shift and rotation follow by least squares (two-dimensional Procrustes).

    Args:
        renderer: The camera in its world.
        position_cm: Position of the camera, shape (time, 3).
        camera: The camera's axes, shape (time, 3, 3).
        eye_position_cm: Position of the eye, shape (time, 3).
        eye: The eye's axes, shape (time, 3, 3).

    Returns:
        x_px, y_px, rotation_deg, shape (time, 3).
    """
    ticks = np.arange(-FIT_RADIUS_DEG, FIT_RADIUS_DEG + 1, 5.0) / renderer.scale_deg
    source = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    source = source[np.hypot(*source.T) <= FIT_RADIUS_DEG / renderer.scale_deg]
    rays = np.einsum("tij,pj->tpi", camera, rays_of_pixels(source, renderer.scale_deg))
    points = position_cm[:, None] + rays * renderer.distances(position_cm, rays)[..., None]
    seen = np.einsum("tpi,tij->tpj", points - eye_position_cm[:, None], eye)
    target = pixels_of_rays(seen, renderer.scale_deg)
    # The source grid is symmetric, so its mean is zero and the shift is the mean of the targets.
    shift = target.mean(axis=1)
    centered = target - shift[:, None]
    sine = (source[:, 0] * centered[..., 1] - source[:, 1] * centered[..., 0]).sum(axis=1)
    cosine = (source * centered).sum(axis=(1, 2))
    return np.column_stack([shift, np.rad2deg(np.arctan2(sine, cosine))])
