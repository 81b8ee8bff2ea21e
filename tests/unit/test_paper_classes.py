"""The original's rule of modulation, on numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from freegaze.dataset.features import FEATURE_SETS
from freegaze.errors import ShapeError
from freegaze.paper.classes import count_modulated, modulation
from type_checks import unchecked

NAMES = ("speed", "roll", "d_roll", "speed*roll")
SALIENCY = np.array(
    [  # mean 0, sd over neurons 1 in each of the first three columns
        [2.0, 0.0, 0.0, 90.0],
        [-1.0, 0.0, 0.0, -90.0],
        [-1.0, 2.0, 0.0, 0.0],
        [0.0, -2.0, 0.5, 0.0],
        [0.0, 0.0, -0.5, 0.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
)


def test_a_value_or_a_derivative_one_sd_off_is_enough() -> None:
    found = modulation(SALIENCY, NAMES)
    assert found.variables == ("speed", "roll")
    assert found.names == ("speed", "roll", "d_roll")
    np.testing.assert_allclose(found.z[:, 0], SALIENCY[:, 0])  # sd = sqrt(6 / 6)
    np.testing.assert_allclose(found.z[:, 1], SALIENCY[:, 1] / np.sqrt(8 / 6))
    np.testing.assert_allclose(found.z[:, 2], SALIENCY[:, 2] / np.sqrt(0.5 / 6))
    assert found.is_modulated[:, 0].tolist() == [True, True, True, False, False, False]
    assert found.is_modulated[:, 1].tolist() == [False, False, True, True, True, False]


def test_products_are_ignored() -> None:
    changed = SALIENCY.copy()
    changed[:, 3] = 1e6 * np.arange(6)
    before, after = modulation(SALIENCY, NAMES), modulation(changed, NAMES)
    np.testing.assert_array_equal(before.is_modulated, after.is_modulated)


def test_the_originals_66_features_are_six_variables() -> None:
    names = FEATURE_SETS["all_prod"]
    found = modulation(np.random.default_rng(0).normal(size=(5, len(names))), names)
    assert found.variables == FEATURE_SETS["orig"]
    assert len(found.names) == 11


def test_velocities_without_their_columns_are_variables() -> None:
    found = modulation(np.eye(3), ("speed", "d_roll", "d_theta"))
    assert found.variables == ("speed", "d_roll", "d_theta")


def test_neurons_that_are_all_the_same_are_not_modulated() -> None:
    assert not modulation(np.ones((4, 2)), ("speed", "roll")).is_modulated.any()


def test_counts_are_of_all_neurons_and_of_good_ones() -> None:
    correlation = np.array([0.5, 0.25, 0.1, 0.3, np.nan, 0.0])  # good: 0, 1 and 3
    counts = count_modulated(modulation(SALIENCY, NAMES), correlation).set_index("variable")
    assert counts.loc["speed"].to_dict() == pytest.approx(
        {
            "n_modulated": 3,
            "n_modulated_good": 2,
            "n_unique": 2,  # neuron 2 is modulated by both
            "n_unique_good": 2,
            "n_neurons": 6,
            "n_good": 3,
            "share": 3 / 6,
            "share_good": 2 / 3,
            "share_good_of_all": 2 / 6,
            "expected_share": 0.31731,  # 2 (1 - Phi(1))
        },
        abs=1e-5,
    )
    assert counts.loc["roll", "n_unique"] == 2
    assert counts.loc["roll", "expected_share"] == pytest.approx(1 - 0.68269**2, abs=1e-4)


def test_no_good_neuron_is_no_share_of_good_ones() -> None:
    counts = count_modulated(modulation(SALIENCY, NAMES), np.zeros(6))
    assert counts["share_good"].isna().all()


@unchecked()
def test_a_missing_name_is_an_error() -> None:
    with pytest.raises(ShapeError, match="expected 4 names"):
        modulation(SALIENCY, NAMES[:3])
