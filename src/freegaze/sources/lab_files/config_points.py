"""Keys of the YAML of tracked points, and of the pupil that facemap finds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from freegaze.sources.lab_files.sensor_config import GazeConfig
from freegaze.sources.lab_files.timed import FileName, TimedConfig

SleapAxis = Literal["track", "xy", "node", "frame"]


class PupilConfig(TimedConfig):
    """A pupil from tracked points on its edge: pupil_x, pupil_y and pupil_radius in px.

    Args:
        file: CSV or h5 as the tracker writes it.
        points: Points on the edge of the pupil; all by default.
        min_likelihood: Points below this likelihood are not used. Points that a person placed have
            none and are always used.
        shape: ``ellipse`` (at least 5 points; its radius is half the long axis), ``circle`` (3),
            ``center``, their mean, without a radius, or ``points``: no pupil, but each point as
            columns ``NAME_x`` and ``NAME_y`` (and ``NAME_z`` of points in space).
        theta_deg_per_px: If given, ``theta`` = this times (pupil_x - median); its sign decides
            which side is positive.
        phi_deg_per_px: If given, ``phi`` = this times (pupil_y - median).
        gaze: Angles of the eye by a model of eye and camera, calibrated by the axes of the
            ellipses; ``{}`` for its defaults.
        rename: Other names of the columns, such as ``{theta: theta_left}``.
    """

    file: FileName
    points: tuple[str, ...] | None = None
    min_likelihood: float = Field(default=0.9, ge=0, le=1)
    shape: Literal["ellipse", "circle", "center", "points"] = "ellipse"
    theta_deg_per_px: float | None = None
    phi_deg_per_px: float | None = None
    gaze: GazeConfig | None = None
    rename: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_one_gaze(self) -> PupilConfig:
        if self.gaze is not None and self.shape != "ellipse":
            raise ValueError("`gaze` needs `shape: ellipse`")
        linear = self.theta_deg_per_px is not None or self.phi_deg_per_px is not None
        if self.gaze is not None and linear:
            raise ValueError("give `gaze`, or `theta_deg_per_px` and `phi_deg_per_px`, not both")
        if linear and self.shape == "points":
            raise ValueError("`shape: points` has no pupil; leave out `*_deg_per_px`")
        return self


class DeepLabCutConfig(PupilConfig):
    """Points of DeepLabCut or Lightning Pose; see ``PupilConfig``.

    Args:
        individual: Name of the animal, where there are several.
        table: Name of the table in an h5 of several; ``df_with_missing`` by default.
        frame_numbers: Whether the first column numbers the frames of the movie; frames without a
            row are lost. If false, rows are frames 0, 1, 2 ...
    """

    kind: Literal["deeplabcut"] = "deeplabcut"
    individual: str | None = None
    table: str | None = None
    frame_numbers: bool = True


class SleapConfig(PupilConfig):
    """Points of SLEAP (analysis CSV or h5); see ``PupilConfig``.

    Args:
        track: Name of the track, where several overlap in time; or names of tracks that are one
            animal, of which the first that is there is taken.
        axes: Order of the axes of ``tracks`` in an h5, where it cannot be found.
        first_frame: Number of the first frame in an h5: SLEAP may leave out frames before the first
            that was tracked, and its file does not say so.
    """

    kind: Literal["sleap"] = "sleap"
    track: str | tuple[str, ...] | None = None
    axes: tuple[SleapAxis, SleapAxis, SleapAxis, SleapAxis] | None = None
    first_frame: int | None = Field(default=None, ge=0)


class MovementConfig(PupilConfig):
    """Points in a netCDF file of movement, whatever tracker they are from; see ``PupilConfig``.

    Args:
        individual: Name of the animal, where there are several.
    """

    kind: Literal["movement"] = "movement"
    individual: str | None = None


class AniposeConfig(PupilConfig):
    """Points in space in a CSV of Anipose; ``shape`` must be ``points``."""

    kind: Literal["anipose"] = "anipose"
    shape: Literal["ellipse", "circle", "center", "points"] = "points"

    @model_validator(mode="after")
    def _is_in_space(self) -> AniposeConfig:
        if self.shape != "points":
            raise ValueError("points of Anipose lie in space, so that `shape` must be `points`")
        return self


class FacemapConfig(TimedConfig):
    """What facemap found in a movie: pupil_x, pupil_y, pupil_radius and pupil_area in px; blink.

    Args:
        file: ``*_proc.npy`` as facemap writes it. It is a pickle, of which only plain values and
            arrays are read.
        pupil: Number of the pupil region, from 0; the only one by default.
        components: Number of components of the motion of the face to take, as ``motion_0`` and so
            on.
        region: Number of the motion region that they are of, as in ``motSVD``: 0 is all videos
            together; the only one that is not empty by default.
        theta_deg_per_px: If given, ``theta`` = this times (pupil_x - median); its sign decides
            which side is positive.
        phi_deg_per_px: If given, ``phi`` = this times (pupil_y - median).
        rename: Other names of the columns.
    """

    kind: Literal["facemap"] = "facemap"
    file: FileName
    pupil: int | None = Field(default=None, ge=0)
    components: int = Field(default=0, ge=0, le=500)
    region: int | None = Field(default=None, ge=0)
    theta_deg_per_px: float | None = None
    phi_deg_per_px: float | None = None
    rename: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_use(self) -> FacemapConfig:
        if self.region is not None and not self.components:
            raise ValueError("`region` applies to `components`, of which none are asked for")
        return self
