"""Window of the retinal frame: sampling by hand, and together with a displacement."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from freegaze.errors import ConfigError
from freegaze.nn.shifter import ShifterConfig
from freegaze.nn.warp import rotation_center, warp_frames
from freegaze.nn.window import Window

SIZE = (9, 12)


def frames(n: int = 3) -> torch.Tensor:
    return torch.randn(n, 1, *SIZE, generator=torch.Generator().manual_seed(0))


def test_a_new_window_is_the_whole_frame():
    seen = frames()
    torch.testing.assert_close(Window(SIZE)(seen), seen)


@pytest.mark.parametrize("magnification", [1.5, 2.0, 3.0])
def test_a_window_is_sampled_around_its_center(magnification: float):
    window, center = Window(SIZE), (6.5, 4.0)
    window.place(center, magnification)
    rows = center[1] + (np.arange(SIZE[0]) - (SIZE[0] - 1) / 2) / magnification
    columns = center[0] + (np.arange(SIZE[1]) - (SIZE[1] - 1) / 2) / magnification
    places = np.meshgrid(rows, columns, indexing="ij")
    found = window(frames()).numpy()
    for frame, one in zip(frames()[:, 0].numpy(), found[:, 0], strict=True):
        np.testing.assert_allclose(one, map_coordinates(frame, places, order=1), atol=1e-5)


@pytest.mark.parametrize("center", [(-5.0, 30.0), (100.0, -1.0)])
def test_a_window_is_moved_into_the_frame(center: tuple[float, float]):
    window = Window(SIZE)
    window.place(center, 2.0)
    across, down = window.axes()
    for axis, side in ((across, SIZE[1]), (down, SIZE[0])):
        pixels = (axis + 1) * (side - 1) / 2
        assert pixels.min() >= -0.5
        assert pixels.max() <= side - 0.5


def test_a_window_of_moved_frames_is_a_window_after_the_shift():
    """One sampling of both equals two, where the shift is by whole pixels."""
    window = Window(SIZE)
    window.place((6.0, 4.0), 2.0)
    displacement = torch.tensor([[1.0, -2.0, 0.0], [0.0, 1.0, 0.0], [-3.0, 0.0, 0.0]])
    center = rotation_center(SIZE)
    moved = warp_frames(frames(), displacement, center)
    at_once = warp_frames(frames(), displacement, center, axes=window.axes())
    torch.testing.assert_close(at_once, window(moved), atol=1e-5, rtol=0)


@pytest.mark.parametrize("choice", [ShifterConfig(), ShifterConfig.affine()])
def test_a_shifter_starts_with_given_slopes(choice: ShifterConfig):
    """By finite differences of small angles; the default is bounded by tanh."""
    network = choice.build((60, 80)).displacement
    slopes = torch.tensor([[8.0, 0.0, 0.0, 1.0], [0.0, 7.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    network.start_from(slopes)
    with torch.no_grad():
        for angle in range(4):
            step = torch.zeros(2, 4)
            step[0, angle], step[1, angle] = 1e-2, -1e-2
            plus, minus = network(step)
            torch.testing.assert_close((plus - minus) / 2e-2, slopes[:, angle], atol=1e-2, rtol=0)


def test_a_shifter_without_a_linear_path_cannot_start_from_slopes():
    network = ShifterConfig(linear=False).build((60, 80)).displacement
    with pytest.raises(ConfigError, match=r"shifter\.linear"):
        network.start_from(torch.ones(3, 4))
