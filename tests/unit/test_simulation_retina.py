"""From camera to retina: signs of the affine, and that it is the best one."""

import numpy as np
import pytest
import torch

from freegaze.simulation.camera import Renderer
from freegaze.simulation.retina import (
    affine_of_gaze,
    best_affine,
    eye_pose,
    warp,
)
from freegaze.simulation.rotation import (
    EYE_OFFSET_CM,
    REST_PHI_DEG,
    REST_THETA_DEG,
    camera_rotation,
    eye_rotation,
)
from freegaze.simulation.world import make_world


def test_affine_is_degrees_from_rest_over_degrees_a_pixel():
    theta = REST_THETA_DEG + np.array([0.0, 3.0, -30.0])
    phi = REST_PHI_DEG + np.array([0.0, -6.0, 21.0])
    affine = affine_of_gaze(theta, phi, np.array([0.0, 5.0, -5.0]), 1.5)
    np.testing.assert_allclose(affine, [[0, 0, 0], [2, -4, 5], [-20, 14, -5]])


def test_warp_moves_the_picture_right_and_down_and_leaves_zero_behind():
    picture = torch.rand(1, 9, 12)
    moved = warp(picture, np.array([[3.0, 2.0, 0.0]]))
    torch.testing.assert_close(moved[0, 2:, 3:], picture[0, :-2, :-3])
    assert moved[0, :2].abs().max() < 1e-6
    assert moved[0, :, :3].abs().max() < 1e-6


def test_warp_turns_clockwise():
    picture = torch.zeros(1, 9, 9)
    picture[0, 4, 7] = 1.0  # right of the middle
    turned = warp(picture, np.array([[0.0, 0.0, 90.0]]))
    assert turned[0, 7, 4] == pytest.approx(1.0, abs=1e-4), "lands below the middle"


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(5)
    renderer = Renderer(make_world(rng), (60, 80))
    position = np.array([[20.0, 15.0, 4.0], [30.0, 20.0, 4.0]])
    camera = camera_rotation(np.array([20.0, 200.0]), np.array([-18.0, 5.0]), np.array([5.0, -9.0]))
    return renderer, position, camera


@pytest.mark.parametrize(
    ("theta", "phi", "torsion"), [(6.0, 0.0, 0.0), (0.0, -6.0, 0.0), (0.0, 0.0, 8.0), (-9, 5, -6)]
)
def test_without_parallax_the_best_affine_is_that_of_the_gaze(scene, theta, phi, torsion):
    """Shift and rotation are exact at the middle of the sphere, a bit off at 25 degrees."""
    renderer, position, camera = scene
    angles = (REST_THETA_DEG + theta, REST_PHI_DEG + phi, torsion)
    eye = camera @ eye_rotation(*(np.full(2, a) for a in angles))
    fitted = best_affine(renderer, position, camera, position, eye)
    expected = affine_of_gaze(*(np.full(2, float(a)) for a in angles), renderer.scale_deg)
    np.testing.assert_allclose(fitted, expected, atol=0.6)


def test_the_spherical_retina_looks_like_the_camera_moved_by_the_best_affine(scene):
    renderer, position, camera = scene
    rest = (np.full(2, REST_THETA_DEG + 12.0), np.full(2, REST_PHI_DEG - 8.0), np.full(2, 10.0))
    eye_position, eye = eye_pose(position, camera, *rest)
    np.testing.assert_allclose(
        np.linalg.norm(eye_position - position, axis=1), np.linalg.norm(EYE_OFFSET_CM)
    )
    affine = best_affine(renderer, position, camera, eye_position, eye)

    def render(where: np.ndarray, axes: np.ndarray) -> torch.Tensor:
        return renderer.render(torch.tensor(where).float(), torch.tensor(axes).float())

    picture, retinal = render(position, camera), render(eye_position, eye)
    middle = (slice(None), slice(18, 42), slice(25, 55))

    def agreement(moved: torch.Tensor) -> float:
        a, b = moved[middle].numpy().ravel(), retinal[middle].numpy().ravel()
        return float(np.corrcoef(a, b)[0, 1])

    assert agreement(warp(picture, affine)) > 0.8
    assert agreement(warp(picture, affine)) > agreement(picture) + 0.3
    wrong = affine * np.array([-1, 1, 1])
    assert agreement(warp(picture, affine)) > agreement(warp(picture, wrong)) + 0.3


def test_the_best_affine_is_better_than_its_neighbors(scene):
    """Closed-form Procrustes against trying: no small change lowers the squared distance."""
    renderer, position, camera = scene
    angles = (np.full(2, 15.0), np.full(2, 2.0), np.full(2, 7.0))
    eye_position, eye = eye_pose(position, camera, *angles)
    best = best_affine(renderer, position, camera, eye_position, eye)[0]

    def error(affine: np.ndarray) -> float:
        from freegaze.simulation.camera import pixels_of_rays, rays_of_pixels

        ticks = np.arange(-25.0, 26.0, 5.0) / 1.5
        source = np.array([(x, y) for y in ticks for x in ticks if np.hypot(x, y) <= 25 / 1.5])
        angle = np.deg2rad(affine[2])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        rays = rays_of_pixels(source, 1.5) @ camera[0].T
        reach = renderer.distances(position[:1], rays[None])[0]
        points = position[0] + rays * reach[:, None]
        seen = pixels_of_rays((points - eye_position[0]) @ eye[0], 1.5)
        return float(((source @ turn.T + affine[:2] - seen) ** 2).sum())

    for change in np.vstack([np.eye(3), -np.eye(3)]) * 0.2:
        assert error(best) < error(best + change)
