"""Instruments of VM-2: a camera with its faults, and what the eye camera reports."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from jaxtyping import Bool, Float, UInt8

from freegaze.simulation.body import Body
from freegaze.simulation.camera import Renderer, deg_per_px, pixel_grid
from freegaze.simulation.eye import Eye
from freegaze.simulation.measurement import runs_of_loss
from freegaze.simulation.processes import STEPS_PER_BIN, low_pass, slow_process
from freegaze.simulation.rates import MEAN_GRAY
from freegaze.simulation.retina import best_affine, eye_pose
from freegaze.simulation.rotation import REST_PHI_DEG, REST_THETA_DEG, camera_rotation, tilt_up
from freegaze.simulation.views import Glance
from freegaze.simulation.world import World

CAMERA_PITCH_DEG = 8.0
"""Elevation of the camera beyond what is assumed."""

LENS_STRENGTH = 0.12
"""A point at the upper edge of the frame (45 degrees) is seen where an ideal lens would have a
point 12 % farther out."""

EXPOSURE_SHARE, EXPOSURE_S = 0.6, 0.4
"""Exponent of the correction of brightness, and its time constant."""

DARKEST = 0.02
"""Brightness below which exposure does not rise further."""

EYE_SCALES = ((1.15, 0.85), (0.85, 1.15))
"""Factors on theta and phi; one pair is drawn per session."""

EYE_OFFSET_SD_DEG, EYE_DRIFT_SD_DEG, EYE_DRIFT_S = 4.0, 4.0, 60.0
"""Size of constant and drifting errors of eye angles, and the time constant of the drift."""

BEHAVIOR_LOSS_SHARE = 0.12
"""Share of lost steps with the violation ``behavior_loss``."""


class HeadCamera:
    """Camera on the head, and the eye beside it.

    Args:
        world: World that both see.
        frame_size: (height, width) of the frames.
        violations: Names of the violations that are on.
    """

    def __init__(
        self, world: World, frame_size: tuple[int, int], violations: Collection[str]
    ) -> None:
        self._eye = Renderer(world, frame_size)
        points = pixel_grid(frame_size)
        if "lens" in violations:
            points = distorted(points, deg_per_px(frame_size))
        self._camera = Renderer(world, frame_size, points)
        self._pitch = CAMERA_PITCH_DEG if "camera_pitch" in violations else 0.0
        self._has_rolling_shutter = "rolling_shutter" in violations
        self.scale_deg = self._eye.scale_deg

    def glance(self, body: Body, eye: Eye, steps: slice) -> Glance:
        """Render some steps.

        Args:
            body: Positions of the head.
            eye: Directions of the eye.
            steps: Steps of whole bins.

        Returns:
            What is seen; brightness is that of the retinal frame, which no fault changes.
        """
        position = body.position_cm[steps]
        nominal = self._axes(body, steps)
        camera = nominal @ tilt_up(self._pitch)
        ends = None
        if self._has_rolling_shutter:
            # The last row is taken almost a step later: at the pose of the next step.
            later = slice(steps.start + 1, steps.stop + 1)
            following = self._axes(body, later) @ tilt_up(self._pitch)
            ends = np.concatenate([following, camera[-1:]])[: len(camera)]
        frames = self._camera.render(position, camera, ends)
        gaze = (eye.theta_deg[steps], eye.phi_deg[steps], eye.torsion_deg[steps])
        eye_position, axes = eye_pose(position, nominal, *gaze)
        retinal = self._eye.render(eye_position, axes)
        brightness = retinal.mean(dim=(1, 2)).numpy()
        middle = slice(STEPS_PER_BIN // 2, None, STEPS_PER_BIN)
        affine = best_affine(
            self._eye, position[middle], camera[middle], eye_position[middle], axes[middle]
        )
        return Glance(frames, retinal - MEAN_GRAY, affine, brightness)

    def _axes(self, body: Body, steps: slice) -> np.ndarray:
        return camera_rotation(body.yaw_deg[steps], body.pitch_deg[steps], body.roll_deg[steps])


def distorted(
    points_px: Float[np.ndarray, "pixel 2"], scale_deg: float
) -> Float[np.ndarray, "pixel 2"]:
    """Return where an ideal lens would see what a real one has at each pixel.

    Args:
        points_px: Pixels relative to the center of the frame.
        scale_deg: Degrees per pixel.
    """
    radius = np.hypot(*points_px.T) * scale_deg / 45.0
    return points_px * (1 + LENS_STRENGTH * radius**2)[:, None]


def exposed(
    frames: UInt8[np.ndarray, "bin height width"],
) -> UInt8[np.ndarray, "bin height width"]:
    """Correct frames as a camera does that adjusts its exposure.

    Args:
        frames: Video.

    Returns:
        Frames times a gain that follows brightness, clipped.
    """
    brightness = np.repeat(frames.mean(axis=(1, 2)) / 255, STEPS_PER_BIN)
    past = low_pass(brightness, EXPOSURE_S)[STEPS_PER_BIN // 2 :: STEPS_PER_BIN]
    gain = (past.mean() / np.maximum(past, DARKEST)) ** EXPOSURE_SHARE
    out = np.empty_like(frames)
    for i, (frame, factor) in enumerate(zip(frames, gain, strict=True)):
        out[i] = np.minimum(np.round(frame * factor), 255)
    return out


def tracking_lost_in_behavior(
    eye: Eye, body: Body, rng: np.random.Generator
) -> Bool[np.ndarray, " step"]:
    """Draw when the eye is not tracked: most while running, and with the eye turned far.

    Args:
        eye: Directions of the eye.
        body: Gives walking.
        rng: Source of randomness.

    Returns:
        Booleans, shape (n_steps,).
    """
    away = np.hypot(eye.theta_deg - REST_THETA_DEG, eye.phi_deg - REST_PHI_DEG) / 15.0
    hazard = 0.2 + 2.0 * np.minimum(body.speed_cm_s / 8.0, 1.5) + np.minimum(away, 2.0) ** 3
    return runs_of_loss(hazard, BEHAVIOR_LOSS_SHARE, rng)


def misread_eye(
    path: Mapping[str, np.ndarray], violations: Collection[str], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return eye angles with errors of scale, offset and drift.

    Args:
        path: Measured ``theta`` and ``phi`` at each step.
        violations: Names of the violations that are on.
        rng: Source of randomness; what is drawn does not depend on the violations.

    Returns:
        ``theta`` and ``phi``.
    """
    scales = EYE_SCALES[int(rng.integers(len(EYE_SCALES)))]
    read = {}
    for name, rest, scale in zip(
        ("theta", "phi"), (REST_THETA_DEG, REST_PHI_DEG), scales, strict=True
    ):
        offset = EYE_OFFSET_SD_DEG * rng.standard_normal()
        drift = EYE_DRIFT_SD_DEG * slow_process(rng, len(path[name]), EYE_DRIFT_S, 5.0)
        angle = path[name] - rest
        angle = angle * scale if "eye_scale" in violations else angle
        angle = angle + offset if "eye_offset" in violations else angle
        angle = angle + drift if "eye_drift" in violations else angle
        read[name] = angle + rest
    return read
