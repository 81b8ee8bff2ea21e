"""YAML keys of the sensors that behavior is computed from: eye, head, top view and lens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from freegaze.config import StrictConfig
from freegaze.sources.lab_files.clocks import FileName
from freegaze.sources.lab_files.timed import TableFormat, TimedConfig
from freegaze.sources.sensors.lens import LensModel, Projection

Axis = Annotated[str, Field(pattern=r"^[+-]?[xyz]$")]


class GazeConfig(StrictConfig):
    """Angles of the eye from the pupil's ellipse; see ``freegaze.sources.sensors.eye``.

    Args:
        max_axis_ratio: The camera is calibrated by ellipses with a smaller ratio of short to long
            axis.
        center_px: (x, y) of the pupil when the eye looks into the camera; by default it is
            calibrated by the axes of the ellipses.
        scale_px: Distance from the eye's center of rotation to the pupil; by default it is
            calibrated, too.
        reference: Direction of theta = phi = 0: that of the ``camera``, or the ``median`` position
            of the session.
        theta_positive: Side of the frame on which theta is positive.
        phi_positive: Side of the frame on which phi is positive.
    """

    max_axis_ratio: float = Field(default=0.9, gt=0, lt=1)
    center_px: tuple[float, float] | None = None
    scale_px: float | None = Field(default=None, gt=0)
    reference: Literal["camera", "median"] = "camera"
    theta_positive: Literal["right", "left"] = "right"
    phi_positive: Literal["down", "up"] = "down"

    @model_validator(mode="after")
    def _has_both(self) -> GazeConfig:
        if (self.center_px is None) != (self.scale_px is None):
            raise ValueError("give both `center_px` and `scale_px`, or neither")
        return self


class ImuConfig(TimedConfig, TableFormat):
    """Pitch, roll and yaw velocity of the head from an accelerometer and a gyroscope.

    Args:
        file: Table of any layout; see ``TableFormat``.
        time: Column with the times, if they are in this file.
        acceleration: Columns of the accelerometer along x, y and z of the device.
        rotation: Columns of the gyroscope about x, y and z of the device.
        axes: Device axes, with a sign, that point forward (nose), left and up.
        acceleration_unit: ``g`` or ``m/s^2``.
        acceleration_scale: Size of the number 1 of the file in that unit; 1 by default.
        rotation_unit: ``deg/s`` or ``rad/s``.
        rotation_scale: Size of the number 1 of the file in that unit; 1 by default.
        smoothing_s: Standard deviation of the Gaussian average that separates gravity from
            movement.
        rename: Other names of the columns ``pitch``, ``roll``, ``yaw_velocity`` and ``gz``.
    """

    kind: Literal["imu"] = "imu"
    file: FileName
    time: str | None = None
    acceleration: tuple[str, str, str]
    rotation: tuple[str, str, str]
    axes: tuple[Axis, Axis, Axis] = ("x", "y", "z")
    acceleration_unit: Literal["g", "m/s^2"] = "g"
    acceleration_scale: float = 1.0
    rotation_unit: Literal["deg/s", "rad/s"] = "deg/s"
    rotation_scale: float = 1.0
    smoothing_s: float = Field(default=1.0, gt=0)
    rename: dict[str, str] = Field(default_factory=dict)

    @field_validator("axes")
    @classmethod
    def _are_right_handed(cls, axes: tuple[str, str, str]) -> tuple[str, str, str]:
        if sorted(axis[-1] for axis in axes) != ["x", "y", "z"]:
            raise ValueError("name each of x, y and z once, such as [x, y, z] or [-y, x, z]")
        order = ["xyz".index(axis[-1]) for axis in axes]
        is_even = order in ([0, 1, 2], [1, 2, 0], [2, 0, 1])
        n_negative = sum(axis.startswith("-") for axis in axes)
        if is_even != (n_negative % 2 == 0):
            raise ValueError("forward, left and up must be right-handed; flip one sign")
        return axes


class TopViewConfig(TimedConfig):
    """Running speed and heading from points tracked in a view from above.

    Args:
        file: File of the tracker.
        tracker: Name of the tracker.
        track: Track of SLEAP or individual of movement, if there are several.
        min_likelihood: Points below this likelihood are lost.
        point: Point whose speed is computed.
        front: Point at the front of the head, such as the nose; with ``back`` gives ``yaw``.
        back: Point behind it, such as the neck.
        px_per_cm: Scale of the view.
        smoothing_s: Half the width of the window over which the speed is computed.
        max_speed_cm_s: Single positions that would need a higher speed count as lost.
        seen_from: ``above``, or ``below`` through the floor.
        rename: Other names of the columns ``speed`` and ``yaw``.
    """

    kind: Literal["top_view"] = "top_view"
    file: FileName
    tracker: Literal["deeplabcut", "sleap", "movement"] = "deeplabcut"
    track: str | None = None
    min_likelihood: float = Field(default=0.9, ge=0, le=1)
    point: str
    front: str | None = None
    back: str | None = None
    px_per_cm: float = Field(gt=0)
    smoothing_s: float = Field(default=0.1, gt=0)
    max_speed_cm_s: float = Field(default=150.0, gt=0)
    seen_from: Literal["above", "below"] = "above"
    rename: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_both(self) -> TopViewConfig:
        if (self.front is None) != (self.back is None):
            raise ValueError("give both `front` and `back`, or neither")
        if self.track is not None and self.tracker == "deeplabcut":
            raise ValueError("`track` is for `tracker: sleap` and `tracker: movement`")
        return self


class LensConfig(StrictConfig):
    """Calibration of the head camera, to undistort its frames; see ``Lens``.

    Args:
        model: ``fisheye`` (k1, k2, k3, k4) or ``pinhole`` (k1, k2, p1, p2, k3), as in OpenCV.
        focal_px: (x, y) in pixels of the video.
        center_px: Principal point (x, y).
        coefficients: Coefficients of the distortion.
        projection: Projection of the new frames: ``equidistant`` (equal angles per pixel) or
            ``pinhole``.
        calibrated_size: [height, width] of the frames of the calibration.
    """

    model: LensModel
    focal_px: tuple[float, float]
    center_px: tuple[float, float]
    coefficients: tuple[float, ...] = Field(default=(), max_length=5)
    projection: Projection = "equidistant"
    calibrated_size: tuple[int, int] | None = None

    @model_validator(mode="after")
    def _fits_the_model(self) -> LensConfig:
        if self.model == "fisheye" and len(self.coefficients) > 4:
            raise ValueError("`fisheye` has at most four coefficients")
        if min(self.focal_px) <= 0:
            raise ValueError("`focal_px` must be positive")
        return self
