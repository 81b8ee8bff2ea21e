"""Fields of the same neurons moved together: planted movements, mismatches, chance."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate, shift

from freegaze.errors import DataError, ShapeError
from freegaze.explanation.fields.agreement import match_fields


def gabors(n: int, seed: int = 0, size: tuple[int, int] = (30, 40)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    out = []
    for _ in range(n):
        cx, cy, turn = rng.uniform(14, 26), rng.uniform(11, 19), rng.uniform(0, np.pi)
        along = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        envelope = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 3.0**2))
        out.append(envelope * np.cos(2 * np.pi * 0.1 * along + rng.uniform(0, 2 * np.pi)))
    return np.stack(out)


@pytest.mark.parametrize(("dx", "dy", "turn"), [(0, 0, 0), (4, -3, 0), (-5, 2, 10), (0, 0, -20)])
def test_a_planted_movement_is_taken_out(dx: int, dy: int, turn: int):
    first = gabors(12)
    moved = rotate(shift(first, (0, -dy, -dx), order=1), -turn, axes=(2, 1), reshape=False, order=1)
    found = match_fields(first, moved, n_pairings=40)
    assert found.rotation_deg == turn
    if turn == 0:
        assert found.shift_px == (dx, dy)
    assert np.min(found.correlation) > 0.85
    assert (found.p == 1 / 12).all(), "only its own field is as close"
    assert found.mean_p == 1 / 41
    assert found.mean > found.null.max() + 0.3
    assert (found.mismatched < 0.3).all()


def test_fields_of_other_neurons_agree_no_better_than_chance():
    """p is uniform over 1/100 ... 1: of ten at least one is above a tenth, but once in 1e10."""
    found = [
        match_fields(gabors(8, i), gabors(8, 100 + i), n_pairings=99, seed=i) for i in range(10)
    ]
    assert max(f.mean_p for f in found) > 0.1
    assert np.mean([f.mean_p for f in found]) > 0.2
    assert np.mean([f.p.mean() for f in found]) > 0.25


def test_a_flat_field_is_left_out():
    first = gabors(4)
    second = first.copy()
    second[2] = 0.0
    found = match_fields(first, second, n_pairings=5)
    assert np.isnan(found.correlation).tolist() == [False, False, True, False]
    assert found.mean == pytest.approx(1.0)


def test_what_cannot_be_compared():
    with pytest.raises(ShapeError, match="one shape"):
        match_fields(gabors(3), gabors(3, size=(12, 16)))
    with pytest.raises(DataError, match="at least 2 neurons"):
        match_fields(gabors(1), gabors(1))


def test_unrelated_fields_of_few_neurons_do_not_agree_by_the_search() -> None:
    """Scored by a displacement that it helped to choose, a field of 6 neurons got r = .22.

    240 correlations of unrelated fields: the mean is zero within four standard errors of a mean
    over sets, which share a displacement.
    """
    rng, means, least = np.random.default_rng(11), [], []
    for _ in range(40):
        first, second = (gaussian_filter(rng.normal(size=(6, 12, 16)), (0, 2, 2)) for _ in range(2))
        found = match_fields(first, second, n_pairings=1)
        means.append(found.correlation.mean())
        least.append((found.p <= 1 / 6).mean())
    assert abs(np.mean(means)) < 4 * np.std(means) / np.sqrt(40)
    assert np.mean(means) < 0.1
    assert np.mean(least) <= 1 / 6 + 2 * np.sqrt(5 / 36 / 240)
