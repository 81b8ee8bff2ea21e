"""Putting an explanation beside the truth: the movement taken out, and measures of likeness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from freegaze.explanation.fields.gabor import energy_middle
from freegaze.explanation.truth import (
    compare_fields,
    correlate,
    moved_fields,
    subspace_overlap,
    true_envelopes,
)
from freegaze.nn.warp import rotation_center, warp_frames
from freegaze.simulation import SimulationConfig, Truth, simulate
from report_runs import make_explanation


def test_correlation_of_pictures() -> None:
    picture = np.array([[1.0, 2.0], [3.0, 6.0]])
    assert correlate(picture, 5 - 2 * picture) == pytest.approx(-1)
    assert correlate(picture, np.full((2, 2), 7.0)) == 0
    # Deviations (-2, -1, 0, 3) and (1, -1, 1, -1): (-2 + 1 - 3) / sqrt(14 * 4)
    assert correlate(picture, np.array([[1.0, -1.0], [1.0, -1.0]])) == pytest.approx(-4 / 56**0.5)


def test_overlap_of_subspaces() -> None:
    axes = np.eye(4).reshape(4, 2, 2)
    pair = axes[:2]
    turned = np.stack([pair[0] + pair[1], 3 * (pair[0] - pair[1])])
    assert subspace_overlap(turned, pair) == pytest.approx(1)
    assert subspace_overlap(pair, axes[2:]) == pytest.approx(0)
    assert subspace_overlap(pair, axes[1:3]) == pytest.approx(0.5**0.5)
    assert subspace_overlap(pair, np.zeros((2, 2, 2))) == 0


@pytest.mark.parametrize("movement", [(2.0, -1.0, 0.0), (0.0, 0.0, 25.0), (1.5, 2.0, -10.0)])
def test_a_moved_field_sees_on_the_moved_retina_what_it_saw(
    movement: tuple[float, float, float],
) -> None:
    """Where the encoder's retina is the true one, moved, so are its fields."""
    size, rng = (24, 32), np.random.default_rng(0)
    y, x = np.mgrid[: size[0], : size[1]]
    envelope = np.exp(-((x - 18) ** 2 + (y - 10) ** 2) / (2 * 3.0**2))
    field = (envelope * np.cos(0.7 * (x - 18)))[None, None].repeat(2, 1)
    waves = rng.normal(size=(20, 3)) * [0.4, 0.4, 3]
    scenes = np.stack([np.cos(a * x + b * y + c) for a, b, c in waves])[:, None]
    retina = torch.from_numpy(scenes).float()
    by = torch.tensor([movement]).expand(len(retina), -1)
    encoders = warp_frames(retina, by, rotation_center(size)).numpy()[:, 0]
    moved = moved_fields(field, movement[:2], movement[2])[0, 0]
    saw, sees = (scenes[:, 0] * field[0, 0]).sum((1, 2)), (encoders * moved).sum((1, 2))
    assert np.corrcoef(saw, sees)[0, 1] > 0.99
    away = moved_fields(field, (-movement[0], -movement[1]), -movement[2])[0, 0]
    assert np.corrcoef(saw, (encoders * away).sum((1, 2)))[0, 1] < 0.9


@pytest.fixture(scope="module")
def session() -> tuple[object, Truth]:
    config = SimulationConfig(minutes=0.5, n_neurons=10, seed=1, frame_size=(24, 32))
    return simulate(config)


def test_fields_that_are_the_truth_moved_agree_with_it(session) -> None:
    recording, truth = session
    made = make_explanation(recording, methods=("gradient",), frame_size=(24, 32))
    shift, turn = (2.0, -1.0), 8.0
    moved = moved_fields(truth.receptive_field, shift, turn)
    fields = np.stack([0.3 * moved[:, 0], moved[:, 0], -0.1 * moved[:, 0]], 1)
    table = made.receptive_fields.copy()
    energies, envelopes = energy_middle(moved), true_envelopes(truth, shift, turn)
    table["energy_x_px"], table["energy_y_px"] = energies[:, 0], energies[:, 1] + 0.5
    table["center_x_px"], table["center_y_px"] = envelopes[:, 0] - 0.3, envelopes[:, 1]
    found = compare_fields(
        replace(
            made,
            fields={"gradient": fields.astype(np.float32)},
            pairs={"gradient": moved[:, ::-1].astype(np.float32)},
            receptive_fields=table,
        ),
        truth,
        shift,
        turn,
    )
    sees = ~np.isin(truth.modulation, ["behavior_only", "untuned"])
    assert found["unit_id"].tolist() == [u for u, s in zip(made.unit_ids, sees, strict=True) if s]
    np.testing.assert_allclose(found["correlation"], 1.0, atol=1e-5)
    np.testing.assert_allclose(found["distance_px"], 0.5, atol=1e-6)
    np.testing.assert_allclose(found["envelope_distance_px"], 0.3, atol=1e-6)


def test_true_envelopes_are_the_middles_of_envelopes_and_move_with_the_fields() -> None:
    """Of a pair in quadrature the energy is the squared envelope, wherever its waves are."""
    config = SimulationConfig(minutes=0.5, n_neurons=24, seed=2, frame_size=(60, 80))
    truth = simulate(config)[1]
    sees = ~np.isin(truth.modulation, ["behavior_only", "untuned"])
    shift, turn = (3.0, -2.0), 10.0
    centers = true_envelopes(truth, shift, turn)
    np.testing.assert_array_equal(np.isfinite(centers).all(1), sees)
    middle = energy_middle(moved_fields(truth.receptive_field, shift, turn))
    gaps = np.hypot(*(centers - middle).T)
    assert gaps[sees & (truth.kind == "complex")].max() < 0.2  # what the edge of the frame cuts
    # A simple cell's energy lies at its strongest lobe, which is not where its envelope is.
    assert 1 < gaps[sees & (truth.kind == "simple")].max() < 8
