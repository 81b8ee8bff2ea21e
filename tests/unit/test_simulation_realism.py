"""The realism card: every row measured, compared and written down."""

from pathlib import Path

import numpy as np
import pytest

from freegaze.errors import DataError
from freegaze.simulation import SimulationConfig, realism_card, realism_card_markdown, simulate
from freegaze.simulation.realism import CardRow, noise_correlation, spectrum_slope
from freegaze.simulation.targets import TARGETS, Target

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "realism_card.md"


@pytest.fixture(scope="module")
def session():
    return simulate(SimulationConfig(minutes=3.0, n_neurons=30, seed=2, frame_size=(30, 40)))


@pytest.fixture(scope="module")
def card(session):
    return realism_card([session[0]], [session[1]], {"CNN without shifter": 0.47})


def test_every_row_is_measured_but_models_not_handed_in(card):
    assert list(card) == [t.name for t in TARGETS]
    for row in card.values():
        if row.target.section == "models":
            assert len(row.simulated) == (row.target.name == "CNN without shifter")
        else:
            assert np.isfinite(row.value), row.target.name


def test_neurons_and_image_are_like_the_real_ones(card):
    for name in (
        "slope of the power spectrum",
        "share of neurons above 3 Hz",
        "oracle single-bin correlation, median",
        "CNN without shifter",
    ):
        assert card[name].is_within, (name, card[name].value)
    assert card["Fano factor in 48 ms, median"].value == pytest.approx(1.1, abs=0.1)
    assert 0.01 < card["pairwise noise correlation in 1 s, mean"].value < 0.2


def test_several_sessions_are_averaged(session):
    card = realism_card([session[0]] * 2, [session[1]] * 2)
    assert len(card["theta, sd"].simulated) == 2
    assert card["theta, sd"].value == pytest.approx(card["theta, sd"].simulated[0])


def test_without_a_latent_there_is_no_noise_correlation():
    recording, truth = simulate(
        SimulationConfig(minutes=3.0, n_neurons=20, track="affine", frame_size=(12, 16))
    )
    # 187 windows and 190 pairs: the standard error of the mean is about 0.007.
    assert abs(noise_correlation(recording, truth)) < 0.03
    alone = recording.select_neurons([0])
    assert np.isnan(noise_correlation(alone, truth.select_neurons(np.array([0]))))


def test_affine_retinas_have_natural_spectra_too():
    truth = simulate(SimulationConfig(minutes=0.5, n_neurons=1, track="affine", n_segments=1))[1]
    assert -2.8 < spectrum_slope(truth) < -1.4


def test_verdicts():
    target = Target("body", "x", "deg", "1", (0.5, 1.5))
    assert CardRow(target, (1.0, 1.9)).is_within
    assert CardRow(target, (1.0, 2.9)).is_within is False
    assert CardRow(target, ()).is_within is None
    assert CardRow(Target("body", "y", "", None, None), (1.0,)).is_within is None


def test_the_card_as_markdown(card):
    text = realism_card_markdown(card)
    assert text.startswith("## Body\n")
    assert text.count("## ") == 4
    assert "| CNN without shifter |  | 0.48 | 0.43 .. 0.53 | 0.47 | within |" in text
    assert "| gain by shifter |  | 0.04 | -0.01 .. 0.09 | not measured |  |" in text
    assert sum(line.startswith("| ") for line in text.splitlines()) == len(TARGETS) + 4


def test_wrong_input_is_refused(session):
    recording, truth = session
    with pytest.raises(DataError, match="as many truths as recordings"):
        realism_card([recording], [])
    with pytest.raises(DataError, match="unknown model score"):
        realism_card([recording], [truth], {"resnet": 0.5})


def test_the_page_in_the_docs_has_every_row():
    text = PAGE.read_text(encoding="utf-8")
    missing = [t.name for t in TARGETS if f"| {t.name} |" not in text]
    assert not missing
