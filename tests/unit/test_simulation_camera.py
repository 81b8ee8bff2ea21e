"""Optics: what the ray caster shows, against closed forms and a plain loop over rays and planes."""

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from freegaze.simulation.camera import (
    Renderer,
    deg_per_px,
    pixel_grid,
    pixels_of_rays,
    rays_of_pixels,
)
from freegaze.simulation.world import BOX_SIZE_CM, make_world, world_from_faces

SIZE = (40.0, 30.0, 20.0)
RESOLUTION = 4.0
FACES = (0, 0, 1, 1, 2, 2)  # the axis that each face is perpendicular to


def face_shapes() -> list[tuple[float, float]]:
    """(rows, columns) in cm of x-, x+, y-, y+, z-, z+."""
    x, y, z = SIZE
    return [(z, y), (z, y), (z, x), (z, x), (y, x), (y, x)]


def gradient_world():
    """Brightness rises evenly along both sides of a face, differently on each of the six."""
    faces = []
    for number, (rows_cm, columns_cm) in enumerate(face_shapes()):
        rows = (np.arange(round(rows_cm * RESOLUTION)) + 0.5) / RESOLUTION
        columns = (np.arange(round(columns_cm * RESOLUTION)) + 0.5) / RESOLUTION
        faces.append(0.1 * number + 0.004 * rows[:, None] + 0.003 * columns)
    return world_from_faces(faces, SIZE, RESOLUTION)


def brightness_by_loop(origin: np.ndarray, ray: np.ndarray) -> tuple[float, float]:
    """Test all six planes; return the brightness and the hit's distance to the face's border."""
    best = (math.inf, -1, origin)
    for number, axis in enumerate(FACES):
        plane = 0.0 if number % 2 == 0 else SIZE[axis]
        if ray[axis] == 0:
            continue
        distance = (plane - origin[axis]) / ray[axis]
        if 0 < distance < best[0]:
            best = (distance, number, origin + distance * ray)
    _, number, hit = best
    row = hit[1] if FACES[number] == 2 else hit[2]
    column = hit[1] if FACES[number] == 0 else hit[0]
    rows_cm, columns_cm = face_shapes()[number]
    border = min(row, column, rows_cm - row, columns_cm - column)
    return 0.1 * number + 0.004 * row + 0.003 * column, border


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


def test_every_pixel_sees_what_a_loop_over_planes_finds():
    rng = np.random.default_rng(0)
    renderer = Renderer(gradient_world(), (12, 16))
    position = np.array([[12.0, 20.0, 6.0], [30.0, 5.0, 13.0]])
    rotation = np.stack([random_rotation(rng) for _ in range(2)])
    seen = renderer.render(torch.tensor(position).float(), torch.tensor(rotation).float()).numpy()
    rays = rays_of_pixels(pixel_grid((12, 16)), deg_per_px((12, 16)))
    n_compared = 0
    for frame in range(2):
        for pixel, ray in enumerate(rays):
            expected, border = brightness_by_loop(position[frame], rotation[frame] @ ray)
            # Near an edge the anti-aliasing blur (up to 6 cm here) meets the border of the face.
            if border > 6.0:
                n_compared += 1
                assert seen[frame].ravel()[pixel] == pytest.approx(expected, abs=2e-3)
    assert n_compared > 100


def look_along_x(yaw_deg: float = 0.0) -> torch.Tensor:
    """Camera axes (right, down, forward) for a camera that looks along x, turned left by yaw."""
    yaw = math.radians(yaw_deg)
    forward = [math.cos(yaw), math.sin(yaw), 0.0]
    right = [math.sin(yaw), -math.cos(yaw), 0.0]
    return torch.tensor([right, [0.0, 0.0, -1.0], forward]).T[None]


def spot_world(spots: list[tuple[int, float, float]]):
    """Black faces with Gaussian spots: (face, row in cm, column in cm)."""
    faces = [np.zeros((round(r * 8), round(c * 8))) for r, c in face_shapes()]
    for number, row, column in spots:
        rows, columns = ((np.arange(n) + 0.5) / 8 for n in faces[number].shape)
        faces[number] += np.exp(
            -((rows[:, None] - row) ** 2 + (columns - column) ** 2) / (2 * 0.5**2)
        )
    return world_from_faces(faces, SIZE, 8.0)


def spot_position(picture: np.ndarray) -> np.ndarray:
    """Center of brightness (x, y) relative to the middle of the frame."""
    weight = picture.ravel() / picture.sum()
    return weight @ pixel_grid(picture.shape)


@pytest.mark.parametrize("yaw", [-10.0, 10.0])
def test_ten_degrees_of_yaw_move_the_middle_of_the_picture_by_10_over_1_5_pixels(yaw):
    renderer = Renderer(spot_world([(1, 10.0, 15.0)]), (60, 80))
    position = torch.tensor([[10.0, 15.0, 10.0]])
    before = spot_position(renderer.render(position, look_along_x())[0].numpy())
    after = spot_position(renderer.render(position, look_along_x(yaw))[0].numpy())
    np.testing.assert_allclose(before, [0.0, 0.0], atol=0.05)
    # Turning left moves the scene to the right.
    np.testing.assert_allclose(after, [yaw / 1.5, 0.0], atol=0.05)


def test_walking_moves_near_walls_more_than_far_ones():
    # One spot on the left wall (y+) 7 cm away, one on the far end of the right wall, 23 cm away.
    renderer = Renderer(spot_world([(3, 10.0, 26.0), (2, 10.0, 38.0)]), (60, 80))
    shifts = []
    for spot in (np.array([26.0, 30.0, 10.0]), np.array([38.0, 0.0, 10.0])):
        seen = []
        for x in (18.0, 19.0):
            position = np.array([x, 23.0, 10.0])
            picture = renderer.render(torch.tensor(position[None]).float(), look_along_x())
            half = picture[0].numpy().copy()
            side = slice(0, 40) if spot[1] > 15 else slice(40, 80)
            mask = np.zeros_like(half)
            mask[:, side] = half[:, side]
            # The camera's right is -y: a spot at larger y is seen to the left.
            angle = math.degrees(math.atan2(position[1] - spot[1], spot[0] - x))
            assert spot_position(mask)[0] == pytest.approx(angle / 1.5, abs=0.25)
            seen.append(spot_position(mask)[0])
        shifts.append(seen[1] - seen[0])
    assert shifts[0] < 0 < shifts[1], "both move away from the direction of walking"
    assert abs(shifts[0]) > 2 * abs(shifts[1])


@given(st.floats(-60, 60), st.floats(-45, 45))
def test_projection_inverts(x_deg, y_deg):
    point = np.array([x_deg, y_deg]) / 1.5
    ray = rays_of_pixels(point, 1.5)
    assert np.linalg.norm(ray) == pytest.approx(1.0)
    np.testing.assert_allclose(pixels_of_rays(3.0 * ray, 1.5), point, atol=1e-9)


def test_equidistant_means_angle_in_proportion_to_pixels():
    ray = rays_of_pixels(np.array([20.0, 0.0]), 1.5)
    np.testing.assert_allclose(
        ray, [math.sin(math.radians(30)), 0, math.cos(math.radians(30))], atol=1e-12
    )


def test_distances_agree_with_the_box():
    renderer = Renderer(gradient_world(), (6, 8))
    rays = np.array([[[1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0], [-1.0, 0, 0]]])
    distances = renderer.distances(np.array([[10.0, 12.0, 5.0]]), rays)
    np.testing.assert_allclose(distances, [[30.0, 12.0, 15.0, 10.0]])


def test_a_fine_pattern_far_away_is_gray_not_aliased():
    stripes = [
        np.tile(np.arange(round(c * 8)) % 2, (round(r * 8), 1)).astype(float)
        for r, c in face_shapes()
    ]
    renderer = Renderer(world_from_faces(stripes, SIZE, 8.0), (60, 80))
    picture = renderer.render(torch.tensor([[3.0, 15.0, 10.0]]), look_along_x())[0].numpy()
    # Stripes of 1/8 cm at 37 cm are 0.4 degrees wide, a quarter of a period a pixel.
    assert picture[25:35, 35:45].std() < 0.02
    assert picture[25:35, 35:45].mean() == pytest.approx(0.5, abs=0.02)


def test_rendering_is_fast():
    """At least 1,000 frames a second on two idle cores; less is asked of a busy machine."""
    renderer = Renderer(make_world(np.random.default_rng(0)), (60, 80))
    position = torch.tensor(BOX_SIZE_CM) * torch.rand(24, 3).clamp(0.1, 0.9)
    rotation = look_along_x().expand(24, 3, 3).contiguous()
    renderer.render(position, rotation)
    rates = []
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(10):
            renderer.render(position, rotation)
        rates.append(240 / (time.perf_counter() - start))
    print(f"rendered {max(rates):.0f} frames a second")
    assert max(rates) > 300
