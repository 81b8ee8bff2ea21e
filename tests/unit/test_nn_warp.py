"""Warps follow kornia's convention exactly, and move pictures the way their documentation says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.geometry.transform import get_affine_matrix2d, warp_affine
from torch import Tensor

from freegaze.errors import ConfigError
from freegaze.nn.warp import affine_matrix, rotation_center, warp_frames


def kornia_warp(frames: Tensor, displacement: Tensor, center: tuple[float, float]) -> Tensor:
    n = len(frames)
    matrix = get_affine_matrix2d(
        displacement[:, :2],
        torch.tensor([center]).to(frames).expand(n, 2),
        torch.ones(n, 2).to(frames),
        displacement[:, 2],
    )
    return warp_affine(frames, matrix[:, :2], dsize=tuple(frames.shape[-2:]))


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(2, 20),
    width=st.integers(2, 20),
    seed=st.integers(0, 1000),
    kind=st.sampled_from(["true", "swapped"]),
)
def test_warp_equals_kornia(height: int, width: int, seed: int, kind: str) -> None:
    torch.manual_seed(seed)
    frames = torch.rand(3, 1, height, width)
    displacement = torch.randn(3, 3) * torch.tensor([width / 4, height / 4, 60.0])
    center = rotation_center((height, width), kind)
    ours = warp_frames(frames, displacement, center)
    torch.testing.assert_close(ours, kornia_warp(frames, displacement, center), rtol=0, atol=1e-4)


def test_gradient_of_the_displacement_equals_kornia() -> None:
    torch.manual_seed(0)
    frames, weights = torch.rand(2, 1, 12, 16), torch.rand(2, 1, 12, 16)
    gradients = []
    for warp in (warp_frames, kornia_warp):
        displacement = torch.tensor([[1.3, -0.7, 11.0], [-2.2, 0.4, -35.0]], requires_grad=True)
        (warp(frames, displacement, (6.0, 8.0)) * weights).sum().backward()
        gradients.append(displacement.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)


def test_matrix_equals_kornia() -> None:
    displacement = torch.tensor([[3.0, -2.0, 30.0]], dtype=torch.float64)
    expected = get_affine_matrix2d(
        displacement[:, :2],
        torch.tensor([[30.0, 40.0]], dtype=torch.float64),
        torch.ones(1, 2, dtype=torch.float64),
        displacement[:, 2],
    )
    torch.testing.assert_close(affine_matrix(displacement, (30.0, 40.0)), expected[:, :2])


def test_a_shift_moves_the_picture_right_and_down() -> None:
    frame = torch.zeros(1, 1, 5, 6)
    frame[0, 0, 1, 2] = 1.0
    moved = warp_frames(frame, torch.tensor([[2.0, 1.0, 0.0]]), (2.5, 2.0))
    assert moved[0, 0, 2, 4] == pytest.approx(1.0)
    assert moved.sum() == pytest.approx(1.0)


def test_a_positive_angle_turns_clockwise_as_displayed() -> None:
    frame = torch.zeros(1, 1, 5, 5)
    frame[0, 0, 0, 2] = 1.0  # up, in the middle
    turned = warp_frames(frame, torch.tensor([[0.0, 0.0, 90.0]]), (2.0, 2.0))
    assert turned[0, 0, 2, 4] == pytest.approx(1.0)  # right, in the middle


def test_the_matrix_tells_where_points_go() -> None:
    frame = torch.zeros(1, 1, 9, 9)
    frame[0, 0, 3, 5] = 1.0
    displacement = torch.tensor([[1.0, -2.0, 90.0]])
    x, y = (affine_matrix(displacement, (4.0, 4.0))[0] @ torch.tensor([5.0, 3.0, 1.0])).tolist()
    moved = warp_frames(frame, displacement, (4.0, 4.0))
    assert moved[0, 0, round(y), round(x)] == pytest.approx(1.0, abs=1e-4)


def test_outside_is_gray_or_the_border() -> None:
    frame = torch.full((1, 1, 4, 4), 2.0)
    far = torch.tensor([[100.0, 0.0, 0.0]])
    assert warp_frames(frame, far, (1.5, 1.5), "zeros").abs().max() == 0
    assert warp_frames(frame, far, (1.5, 1.5), "border").min() == pytest.approx(2.0)


def test_a_single_row_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 x 2"):
        warp_frames(torch.zeros(1, 1, 1, 5), torch.zeros(1, 3), (2.0, 0.0))
