"""Eye angles from the ellipse of the pupil, and their calibration.

Camera model: the camera is far from the eye (orthographic projection), the eye turns about a fixed
center, and the pupil is a flat circle perpendicular to the gaze, ``scale_px`` in front of that
center. Turned by ``theta`` and ``phi``, the pupil's center is seen at ::

    x = center_x + scale_px * sin(theta)
    y = center_y + scale_px * cos(theta) * sin(phi)

and the circle as an ellipse whose short axis points at ``center_px``, with an axis ratio of the
cosine of the angle between gaze and camera. So the axes of many ellipses determine the center and
the scale without a calibration target. If the pupil is at ``center_px``, the eye looks into the
camera: theta and phi are 0. The lens of the eye, the cornea and torsion are not modeled.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float

from freegaze.errors import DataError

MIN_FRAMES = 50
"""Fewer ellipses do not determine the center."""


@dataclass(frozen=True)
class EyeCalibration:
    """Calibration of an eye camera.

    Args:
        center_px: (x, y) of the pupil's center when the eye looks into the camera.
        scale_px: Distance from the center of rotation to the pupil's plane.
        n_frames: Ellipses that determined it; 0 where it was stated.
        r: Correlation over these ellipses of the distance from the center with the sine of the
            angle that the axis ratio tells; near 1 where the model holds. NaN where it was stated.
    """

    center_px: tuple[float, float]
    scale_px: float
    n_frames: int = 0
    r: float = float("nan")

    def quality(self) -> dict[str, float]:
        """Return the numbers by name, for provenance."""
        numbers = asdict(self)
        x, y = numbers.pop("center_px")
        return {"center_x_px": x, "center_y_px": y, **numbers}


def calibrate_eye(
    ellipses: Float[np.ndarray, "time 5"],
    is_good: Bool[np.ndarray, " time"] | None = None,
    max_axis_ratio: float = 0.9,
    where: str = "eye",
) -> EyeCalibration:
    """Calibrate an eye camera by the axes of the pupil's ellipses.

    The center is the point that the short axes of all ellipses point at: the least-squares solution
    of ``long_axis . (center - pupil) = 0``. The scale is the least-squares slope of the pupil's
    distance from it on ``sqrt(1 - axis_ratio**2)``.

    Args:
        ellipses: x, y, long and short half axis in px, direction of the long axis in radians, as
            ``fit_pupil`` returns them; NaN where lost.
        is_good: Frames to use, for example those with all points; by default all.
        max_axis_ratio: Only ellipses with a smaller short axis / long axis are used, as the
            direction of a circle is undefined.
        where: Stream, for messages.

    Returns:
        The calibration.

    Raises:
        DataError: If fewer than 50 frames remain, or all ellipses point the same way.

    Source:
        The pipeline of Parker et al. (2022), https://doi.org/10.1016/j.neuron.2022.08.027; the idea
        is that of Swirski and Dodgson (2013).

    Example:
        >>> gaze = np.deg2rad(np.random.default_rng(0).uniform(-40, 40, (500, 2)))
        >>> seen = ellipses_of_gaze(gaze, center_px=(160.0, 120.0), scale_px=90.0, radius_px=20.0)
        >>> found = calibrate_eye(seen)
        >>> np.round([*found.center_px, found.scale_px], 6)
        array([160., 120.,  90.])
    """
    x, y, long_axis, short_axis, direction = ellipses.T
    with np.errstate(invalid="ignore"):
        ratio = short_axis / long_axis
        used = ratio < max_axis_ratio
    if is_good is not None:
        used &= is_good
    if used.sum() < MIN_FRAMES:
        raise DataError(
            f"{where}: {int(used.sum())} frames have an ellipse with an axis ratio below "
            f"{max_axis_ratio:g}, expected {MIN_FRAMES}; raise `max_axis_ratio`, or state "
            "`center_px` and `scale_px` of another session of this camera"
        )
    axes = np.stack([np.cos(direction[used]), np.sin(direction[used])], axis=-1)
    pupils = np.stack([x[used], y[used]], axis=-1)
    normal = axes.T @ axes
    if np.linalg.cond(normal) > 1e3:  # 1e3: directions within some 2 degrees of each other
        raise DataError(
            f"{where}: the long axes of all ellipses point the same way, so the center of the eye "
            "is undetermined; state `center_px` and `scale_px`"
        )
    center = np.linalg.solve(normal, axes.T @ (axes * pupils).sum(1))
    distance = np.linalg.norm(pupils - center, axis=1)
    sine = np.sqrt(1 - ratio[used] ** 2)
    scale = float((sine * distance).sum() / (sine**2).sum())
    is_varied = distance.std() > 0 and sine.std() > 0
    r = float(np.corrcoef(distance, sine)[0, 1]) if is_varied else float("nan")
    return EyeCalibration((float(center[0]), float(center[1])), scale, int(used.sum()), r)


def eye_angles(
    pupil_x: Float[np.ndarray, " time"],
    pupil_y: Float[np.ndarray, " time"],
    calibration: EyeCalibration,
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """Return the angles of the eye from the camera's axis.

    Args:
        pupil_x: Center of the pupil in px, to the right.
        pupil_y: Center of the pupil in px, down.
        calibration: Calibration of the camera.

    Returns:
        ``theta``, positive where the pupil is on the right of the frame, and ``phi``, positive
        where it is in the lower half, in degrees; NaN where the pupil is lost or further from the
        center than ``scale_px``.

    Source:
        The pipeline of Parker et al. (2022), https://doi.org/10.1016/j.neuron.2022.08.027.

    Example:
        >>> camera = EyeCalibration(center_px=(160.0, 120.0), scale_px=90.0)
        >>> theta, phi = eye_angles(np.array([205.0]), np.array([120.0]), camera)
        >>> theta.round(6), phi
        (array([30.]), array([0.]))
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        theta = np.arcsin((pupil_x - calibration.center_px[0]) / calibration.scale_px)
        sine = (pupil_y - calibration.center_px[1]) / (np.cos(theta) * calibration.scale_px)
        phi = np.arcsin(sine)
    theta = np.where(np.isfinite(phi), theta, np.nan)
    return np.rad2deg(theta), np.rad2deg(phi)


def ellipses_of_gaze(
    gaze_rad: Float[np.ndarray, "time 2"],
    center_px: tuple[float, float],
    scale_px: float,
    radius_px: float | Float[np.ndarray, " time"],
) -> Float[np.ndarray, "time 5"]:
    """Return the ellipses that the camera model sees, the inverse of ``eye_angles``.

    Args:
        gaze_rad: theta and phi in radians.
        center_px: Center of the pupil, as in ``EyeCalibration``.
        scale_px: Distance to the pupil, as in ``EyeCalibration``.
        radius_px: Radius of the pupil in px.

    Returns:
        Ellipses as ``fit_pupil`` returns them.

    Example:
        >>> ellipses_of_gaze(np.deg2rad([[0.0, 60.0]]), (0.0, 0.0), 100.0, 20.0).round(3)
        array([[ 0.   , 86.603, 20.   , 10.   ,  0.   ]])
    """
    theta, phi = gaze_rad.T
    x, y = np.sin(theta), np.cos(theta) * np.sin(phi)
    ratio = np.cos(theta) * np.cos(phi)
    long_axis = np.broadcast_to(np.asarray(radius_px, np.float64), x.shape)
    direction = np.arctan2(-x, y)  # perpendicular to the displacement
    direction = (direction + np.pi / 2) % np.pi - np.pi / 2 + 0.0
    x, y = center_px[0] + scale_px * x, center_px[1] + scale_px * y
    return np.stack([x, y, long_axis, long_axis * ratio, direction], axis=-1)
