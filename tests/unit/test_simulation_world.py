"""Textures of the box."""

from itertools import pairwise

import numpy as np

from freegaze.simulation.world import (
    BOX_SIZE_CM,
    FACE_MEANS,
    N_BLUR_LEVELS,
    TEXELS_PER_CM,
    make_world,
)


def face(world, number: int, level: int = 0) -> np.ndarray:
    """One face's texture cut out of the atlas."""
    x, y, z = BOX_SIZE_CM
    shapes = [(z, y), (z, y), (z, x), (z, x), (y, x), (y, x)]
    top = sum(rows for rows, _ in shapes[:number]) + level * world.atlas_height_cm
    rows, columns = shapes[number]
    start = round(top * TEXELS_PER_CM)
    return world.atlas[
        start : start + round(rows * TEXELS_PER_CM), : round(columns * TEXELS_PER_CM)
    ].numpy()


def test_the_same_seed_gives_the_same_box():
    one, two = (make_world(np.random.default_rng(3)) for _ in range(2))
    assert (one.atlas == two.atlas).all()
    assert not (one.atlas == make_world(np.random.default_rng(4)).atlas).all()


def test_brightness_is_possible_and_the_monitor_is_brightest():
    world = make_world(np.random.default_rng(0))
    assert world.atlas.min() >= 0
    assert world.atlas.max() <= 1
    wall = face(world, 1)
    middle = wall[60:90, 60:125]
    assert middle.mean() > 0.7
    for number, kind in ((0, "wall"), (2, "wall"), (4, "floor"), (5, "ceiling")):
        assert abs(face(world, number).mean() - FACE_MEANS[kind]) < 0.05


def test_blur_levels_keep_the_mean_and_lose_contrast():
    world = make_world(np.random.default_rng(1))
    spreads = [face(world, 2, level).std() for level in range(N_BLUR_LEVELS)]
    means = [face(world, 2, level).mean() for level in range(N_BLUR_LEVELS)]
    assert all(a > b for a, b in pairwise(spreads))
    np.testing.assert_allclose(means, means[0], atol=0.02)


def test_textures_have_the_spectrum_of_natural_pictures():
    """Power falls with the square of spatial frequency, give or take 0.5 of an exponent."""
    slopes = []
    for seed in range(3):
        texture = face(make_world(np.random.default_rng(seed)), 2)[:140, :140]
        window = np.hanning(140)[:, None] * np.hanning(140)
        power = np.abs(np.fft.fft2((texture - texture.mean()) * window)) ** 2
        frequency = np.hypot(np.fft.fftfreq(140)[:, None], np.fft.fftfreq(140))
        picked = (frequency > 0.02) & (frequency < 0.25)
        slopes.append(np.polyfit(np.log(frequency[picked]), np.log(power[picked]), 1)[0])
    assert -2.7 < np.mean(slopes) < -1.5
