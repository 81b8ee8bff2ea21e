"""Gabor fits find what a picture was made of, and say how good they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freegaze.errors import DataError, ShapeError
from freegaze.explanation.fields.gabor import energy_middle, fit_gabor
from type_checks import unchecked

SIZE = (24, 32)


def draw(
    center: tuple[float, float],
    sigma: tuple[float, float],
    orientation_deg: float,
    frequency: float,
    phase_deg: float,
    amplitude: float = 1.0,
) -> np.ndarray:
    """A Gabor function written down from its definition, y down."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    angle = np.radians(orientation_deg)
    along = np.cos(angle) * (x - center[0]) + np.sin(angle) * (y - center[1])
    across = np.cos(angle) * (y - center[1]) - np.sin(angle) * (x - center[0])
    envelope = np.exp(-0.5 * (along / sigma[0]) ** 2 - 0.5 * (across / sigma[1]) ** 2)
    return amplitude * envelope * np.cos(2 * np.pi * frequency * along + np.radians(phase_deg))


def turned_by(a: float, b: float, period: float) -> float:
    return abs((a - b + period / 2) % period - period / 2)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    x=st.floats(10, 22),
    y=st.floats(8, 16),
    along=st.floats(2.5, 4.0),
    across=st.floats(2.5, 4.0),
    orientation=st.floats(0, 179.9),
    cycles=st.floats(0.35, 0.8),
    phase=st.floats(-180, 180),
    amplitude=st.floats(0.01, 100),
)
def test_parameters_come_back(
    x: float,
    y: float,
    along: float,
    across: float,
    orientation: float,
    cycles: float,
    phase: float,
    amplitude: float,
) -> None:
    """At least a third of a cycle a sd: with less, size and frequency stand for each other."""
    frequency = cycles / along
    picture = draw((x, y), (along, across), orientation, frequency, phase, amplitude)
    found = fit_gabor(picture[None])
    assert found.explained > 0.9999
    assert found.center_px == pytest.approx((x, y), abs=0.1)
    assert found.sigma_px == pytest.approx((along, across), rel=0.05)
    assert found.frequency == pytest.approx(frequency, rel=0.03)
    assert turned_by(found.orientation_deg, orientation, 180) < 1
    # Near 180 degrees the wave may be found running the other way, where phase changes its sign.
    sign = 1 if abs(found.orientation_deg - orientation) < 90 else -1
    assert turned_by(found.phase_deg, sign * phase, 360) < 5
    np.testing.assert_allclose(found.pictures[0], picture, atol=0.02 * amplitude)


def test_directions_are_as_displayed() -> None:
    """Clockwise from the right, y down: 45 degrees runs down to the right."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    envelope = np.exp(-((x - 16) ** 2 + (y - 12) ** 2) / 18)
    for step, orientation in (((1, 0), 0), ((0, 1), 90), ((1, 1), 45), ((-1, 1), 135)):
        along = (step[0] * (x - 16) + step[1] * (y - 12)) / np.hypot(*step)
        found = fit_gabor((envelope * np.cos(0.9 * along))[None])
        assert turned_by(found.orientation_deg, orientation, 180) < 0.5
        assert abs(found.phase_deg) < 2  # a bright middle
    dark = fit_gabor((-envelope * np.cos(0.9 * (x - 16)))[None])
    assert turned_by(dark.phase_deg, 180, 360) < 2
    left = fit_gabor((envelope * np.sin(0.9 * (16 - x)))[None])  # bright on the left
    runs_right = left.orientation_deg < 90  # 0 and 180 are the same wave, run either way
    assert left.phase_deg == pytest.approx(90 if runs_right else -90, abs=2)


def test_a_quadrature_pair_shares_everything_but_phase() -> None:
    shape = ((15.0, 11.0), (3.0, 3.5), 60.0, 0.17)
    pair = np.stack([draw(*shape, 20), draw(*shape, 110, 2.0)])
    found = fit_gabor(pair)
    assert found.explained > 0.9999
    assert found.orientation_deg == pytest.approx(60, abs=0.5)
    assert found.phase_deg == pytest.approx(20, abs=3)  # that of the first
    np.testing.assert_allclose(found.pictures, pair, atol=0.02)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    orientation=st.floats(0, 179.9),
    cycles=st.floats(0.3, 0.45),
    aspect=st.floats(0.85, 1.4),
    phase=st.floats(-180, 180),
    constant=st.floats(-0.8, 0.8),
)
def test_a_wave_on_a_bright_or_dark_middle_is_found_whole(
    orientation: float, cycles: float, aspect: float, phase: float, constant: float
) -> None:
    """Its energy lies beside the envelope's middle, at one lobe, where a search would stay."""
    sigma = (3.5, 3.5 * aspect)
    shape = ((16.0, 11.5), sigma, orientation)
    picture = draw(*shape, cycles / sigma[0], phase) + constant * draw(*shape, 0.0, 0.0)
    found = fit_gabor(picture[None])
    assert found.explained > 0.9999
    assert found.center_px == pytest.approx((16.0, 11.5), abs=0.2)


def test_a_blob_is_a_gabor_without_a_wave() -> None:
    picture = draw((13.0, 10.0), (3.0, 3.0), 0, 0.0, 0)
    found = fit_gabor(picture[None])
    assert found.explained > 0.999
    assert found.center_px == pytest.approx((13, 10), abs=0.1)


def test_noise_is_not_explained() -> None:
    """Nine free numbers of 768: a fit explains a few hundredths of white noise."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(1, *SIZE))
    found = fit_gabor(noise)
    assert 0 <= found.explained < 0.15
    residual = ((noise - found.pictures) ** 2).sum() / (noise**2).sum()
    assert found.explained == pytest.approx(1 - residual, abs=1e-6)
    weak = draw((15.0, 11.0), (3.0, 3.0), 30, 0.15, 0)
    mixed = weak + weak.std() * rng.normal(size=SIZE)
    assert fit_gabor(mixed[None]).explained == pytest.approx(0.5, abs=0.1)


def test_the_middle_of_energy_is_where_the_strongest_lobe_is() -> None:
    """By hand: squares of 3 and 1 at x = 2 and 6, of two pictures; a bright lobe of a sine."""
    pictures = np.zeros((1, 2, 5, 8))
    pictures[0, 0, 1, 2], pictures[0, 1, 4, 6] = np.sqrt(3), -1.0
    np.testing.assert_allclose(energy_middle(pictures), [[3.0, 1.75]])
    assert not energy_middle(np.zeros((2, 1, 4, 4))).any()
    shape = ((16.0, 11.5), (4.0, 4.0), 0.0)
    picture = draw(*shape, 0.09, -90) + 0.7 * draw(*shape, 0.0, 0.0)  # bright on the right
    found = fit_gabor(picture[None])
    assert found.center_px == pytest.approx((16.0, 11.5), abs=0.1)
    assert found.energy_px == pytest.approx(energy_middle(picture[None, None])[0], abs=0.02)
    assert 1 < found.energy_px[0] - 16 < 4


@unchecked()
def test_what_cannot_be_fitted_is_named() -> None:
    with pytest.raises(ShapeError, match="4 x 4"):
        fit_gabor(np.ones((1, 3, 20)))
    for picture in (np.zeros((1, 8, 8)), np.full((1, 8, 8), np.nan)):
        with pytest.raises(DataError, match="flat or not finite"):
            fit_gabor(picture)
