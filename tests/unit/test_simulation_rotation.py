"""Signs of head, camera and eye, each worked out by hand."""

import numpy as np
import pytest

from freegaze.simulation.camera import pixels_of_rays
from freegaze.simulation.rotation import (
    CAMERA_AZIMUTH_DEG,
    CAMERA_ELEVATION_DEG,
    REST_PHI_DEG,
    REST_THETA_DEG,
    camera_mount,
    camera_rotation,
    eye_rotation,
    head_rotation,
)

ZERO = np.array(0.0)


def head(yaw=0.0, pitch=0.0, roll=0.0) -> np.ndarray:
    return head_rotation(np.array(yaw), np.array(pitch), np.array(roll))


def test_yaw_turns_left_pitch_up_roll_right_side_down():
    assert head(yaw=10)[1, 0] > 0, "the nose moves to the left (y)"
    assert head(pitch=10)[2, 0] > 0, "the nose moves up (z)"
    assert head(roll=10)[2, 1] > 0, "the left side moves up"


@pytest.mark.parametrize("angles", [(0, 0, 0), (200, -30, 12), (-75, 60, -33)])
def test_all_are_proper_rotations(angles):
    for matrix in (
        head(*angles),
        camera_mount(),
        camera_rotation(*(np.array(a) for a in angles)),
        eye_rotation(*(np.array(a) for a in angles)),
    ):
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1.0)


def test_the_camera_looks_right_and_a_little_up():
    forward = camera_mount()[:, 2]
    azimuth, elevation = np.deg2rad([CAMERA_AZIMUTH_DEG, CAMERA_ELEVATION_DEG])
    np.testing.assert_allclose(
        forward,
        [
            np.cos(azimuth) * np.cos(elevation),
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
        ],
        atol=1e-12,
    )
    right, down = camera_mount()[:, 0], camera_mount()[:, 1]
    assert right[2] == pytest.approx(0.0, abs=1e-12), "the picture's horizon is level"
    assert down[2] < -0.9


def seen_by_eye(theta=0.0, phi=0.0, torsion=0.0, point=(0.0, 0.0, 1.0)) -> np.ndarray:
    """Pixels at which the eye, this far from rest, sees a direction given in camera axes."""
    eye = eye_rotation(
        np.array(REST_THETA_DEG + theta), np.array(REST_PHI_DEG + phi), np.array(torsion)
    )
    return pixels_of_rays(np.array(point) @ eye, 1.5)


def test_at_rest_the_eye_sees_what_the_camera_sees():
    np.testing.assert_allclose(seen_by_eye(), [0, 0], atol=1e-12)


def test_an_eye_turned_left_sees_the_scene_moved_right():
    np.testing.assert_allclose(seen_by_eye(theta=6.0), [4.0, 0.0], atol=1e-9)


def test_an_eye_turned_up_sees_the_scene_moved_down():
    np.testing.assert_allclose(seen_by_eye(phi=6.0), [0.0, 4.0], atol=1e-9)


def test_positive_torsion_turns_the_scene_clockwise():
    right = (np.sin(np.deg2rad(15)), 0.0, np.cos(np.deg2rad(15)))
    x, y = seen_by_eye(torsion=20.0, point=right)
    np.testing.assert_allclose(
        [x, y], 10 * np.array([np.cos(0.349066), np.sin(0.349066)]), atol=1e-4
    )


@pytest.mark.parametrize(
    ("movement", "eye"),
    [
        ({"roll": 10.0}, {"phi": 7.0}),
        ({"pitch": 10.0}, {"phi": -3.0}),
        ({"yaw": 10.0}, {"theta": -7.0}),
    ],
)
def test_the_slopes_of_the_table_hold_the_gaze_more_still(movement, eye):
    """With the eye's response the line of sight moves less in the world than without."""

    def sight(**angles: float) -> np.ndarray:
        moved = head(**movement) @ camera_mount()
        theta, phi = angles.get("theta", 0.0), angles.get("phi", 0.0)
        return (
            moved
            @ eye_rotation(np.array(REST_THETA_DEG + theta), np.array(REST_PHI_DEG + phi), ZERO)
        )[:, 2]

    still = camera_mount()[:, 2]
    assert np.linalg.norm(sight(**eye) - still) < 0.75 * np.linalg.norm(sight() - still)


def test_torsion_that_follows_pitch_holds_the_picture_upright():
    """The angle by which the eye's right axis tilts out of the horizon shrinks."""
    moved = head(pitch=20.0) @ camera_mount()
    without, with_torsion = (
        moved @ eye_rotation(np.array(REST_THETA_DEG), np.array(REST_PHI_DEG), np.array(t))
        for t in (0.0, 0.35 * 20.0)
    )
    assert abs(with_torsion[2, 0]) < abs(without[2, 0])
