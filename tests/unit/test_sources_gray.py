"""Video of any numbers as gray levels: exact where possible, one line otherwise."""

import numpy as np
import pytest

from freegaze.errors import DataError, ShapeError
from freegaze.sources.gray import GrayScale, find_gray_scale


def scale_of(frames: np.ndarray) -> GrayScale:
    return find_gray_scale(lambda: iter([frames[:2], frames[2:]]), "video")


def video(*values: float, dtype: str = "f8") -> np.ndarray:
    return np.array(values, dtype).reshape(-1, 1, 1)


def test_gray_levels_stay_as_they_are():
    for dtype in ("u1", "i4", "f4", "f8"):
        frames = video(0, 17, 255, dtype=dtype)
        scale = scale_of(frames)
        assert scale.describe() == {"gray": "as in the file"}
        assert scale.apply(frames).ravel().tolist() == [0, 17, 255]


def test_fractions_of_gray_levels_are_rounded():
    frames = video(0.4, 17.6, 254)
    scale = scale_of(frames)
    assert scale.apply(frames).ravel().tolist() == [0, 18, 254]
    assert scale.describe()["gray"] == {"black": 0.0, "white": 255.0, "largest_rounding": 0.5}


def test_contrasts_are_stretched_by_one_line():
    frames = video(-2, 0, 3)
    scale = scale_of(frames)
    levels = scale.apply(frames).ravel()
    assert levels.tolist() == [0, 102, 255]
    back = scale.low + levels * (scale.high - scale.low) / 255
    assert np.abs(back - frames.ravel()).max() <= scale.describe()["gray"]["largest_rounding"]


def test_shares_of_white_are_stretched():
    assert scale_of(video(0.0, 0.5, 1.0)).apply(video(0, 0.5, 1)).ravel().tolist() == [0, 128, 255]


def test_truly_constant_video_is_black_or_kept():
    assert scale_of(video(-1, -1, -1)).apply(video(-1, -1)).ravel().tolist() == [0, 0]
    assert scale_of(video(7, 7, 7)).apply(video(7, 7)).ravel().tolist() == [7, 7]


@pytest.mark.parametrize("value", [2.0**63, -1e120])
def test_constant_video_of_values_that_one_more_does_not_change(value: float):
    """Seed 47 of the mutants of ``ModelData_all.h5``: 2**63 + 1 is 2**63 in float64."""
    assert scale_of(video(value, value, value)).apply(video(value)).ravel().tolist() == [0]


def test_lost_frames_show_the_mean_and_are_counted():
    frames = np.stack([np.full((2, 2), v) for v in (10.0, 30.0, 0.0)])
    frames[2, 0, 1] = np.nan
    scale = scale_of(frames)
    assert scale.apply(frames)[2].tolist() == [[20, 20], [20, 20]]
    assert scale.describe()["gray"]["lost_frames"] == 1


@pytest.mark.parametrize(
    ("frames", "error", "message"),
    [
        (np.zeros((3, 4)), ShapeError, "expected .time, height, width."),
        (np.zeros((3, 0, 4)), ShapeError, "expected .time, height, width."),
        (np.zeros((3, 4, 4), bool), DataError, "expected numbers, got bool"),
        (video(np.nan, np.nan, np.nan), DataError, "no frame without missing values"),
        (video(0, np.inf, 1), DataError, "from 0 to inf"),
        (video(0, 1e200, 1), DataError, "from 0 to 1e.200"),
    ],
)
def test_what_cannot_be_shown_is_named(frames, error, message):
    with pytest.raises(error, match=message):
        scale_of(frames)
