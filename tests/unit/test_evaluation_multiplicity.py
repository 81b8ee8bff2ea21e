"""Correction across neurons against the step-up procedure written as a plain loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_recording
from fake_encoder import fake_fit
from freegaze.errors import ConfigError
from freegaze.evaluation.chance import unknown_chance
from freegaze.evaluation.compare import compare
from freegaze.evaluation.evaluate import evaluate
from freegaze.evaluation.multiplicity import (
    chance_in_words,
    correct_comparison,
    correct_evaluation,
)
from freegaze.evaluation.storage import load_evaluation, save_evaluation
from freegaze.metrics.false_discovery import adjust_p
from freegaze.recording.recording import Segment

SEGMENTS = [
    Segment(0, 1500, "train"),
    Segment(1500, 1700, "validation"),
    Segment(1700, 6000, "test"),
]


def step_up(p: list[float], rate: float) -> list[bool]:
    """Return the discoveries: all p up to the largest that lies below its line."""
    known = sorted(value for value in p if value == value)
    below = [value for k, value in enumerate(known, start=1) if value <= rate * k / len(known)]
    return [bool(below) and value <= below[-1] for value in p]


@given(st.lists(st.sampled_from([0.001, 0.01, 0.02, 0.04, 0.2, 0.9, float("nan")]), max_size=12))
def test_adjusted_p_decide_as_the_step_up_procedure(p: list[float]):
    adjusted = adjust_p(np.array(p, dtype=float))
    for rate in (0.011, 0.053, 0.21):
        assert (adjusted <= rate).tolist() == step_up(p, rate)
    assert np.isnan(adjusted).tolist() == np.isnan(np.array(p, dtype=float)).tolist()


@pytest.fixture(scope="module")
def evaluation():
    recordings = [
        make_recording(n_bins=6000, n_neurons=n, segments=SEGMENTS, session_id=name, seed=n)
        for n, name in ((4, "a"), (5, "b"))
    ]
    return evaluate(fake_fit(recordings), recordings, draws=20)


def test_each_session_is_corrected_by_itself(evaluation, tmp_path):
    table = evaluation.table.copy()
    table["correlation_p"] = [0.01, 0.02, np.nan, 0.5, 0.01, 0.02, 0.03, 0.04, 0.05]
    found = correct_evaluation(replace(evaluation, table=table))
    expected = [0.03, 0.03, np.nan, 0.5, 0.05, 0.05, 0.05, 0.05, 0.05]
    np.testing.assert_allclose(found.table["correlation_q"], expected)
    assert found.summary["sessions"]["a"]["above_chance"] == {"n": 2, "n_tested": 3}
    assert found.summary["sessions"]["b"]["above_chance"] == {"n": 5, "n_tested": 5}
    words = chance_in_words(found)
    assert "a: correlation above chance in 2 of 3 tested neurons" in words
    assert "1 not tested" in words.splitlines()[0]
    assert "not tested" not in words.splitlines()[1]
    save_evaluation(tmp_path, found)
    again = load_evaluation(tmp_path)
    np.testing.assert_allclose(again.table["correlation_q"], expected)
    twice = correct_evaluation(found)
    assert list(twice.table.columns) == list(found.table.columns)
    with pytest.raises(ConfigError, match="across neurons, not 'bins'"):
        correct_evaluation(evaluation, "bins")


def test_an_evaluation_says_how_chance_was_tested(evaluation):
    assert "against chance: time shift, p at least 0.00" in repr(evaluation)
    first, second = evaluation.sessions
    unknown = replace(second, chance=unknown_chance(5, "too short"))
    mixed = replace(evaluation, sessions=(first, unknown)).chance_text()
    assert mixed.startswith("correlation against chance: a: time shift, p at least 0.00")
    assert mixed.endswith("; b: not tested (too short)")


def test_comparison_counts_neurons_by_sign_and_corrected_p(evaluation):
    worse = replace(
        evaluation,
        sessions=tuple(
            replace(s, rates=np.full_like(s.rates, s.observed.mean())) for s in evaluation.sessions
        ),
    )
    compared = compare(
        {"a": [worse], "b": [evaluation]}, metrics=["mse", "bits_per_spike"], draws=99
    )
    found = correct_comparison(compared)
    for metric, sign in (("mse", -1), ("bits_per_spike", 1)):
        for session in ("a", "b"):
            is_row = (found.table["metric"] == metric) & (found.table["session_id"] == session)
            row = found.table[is_row].iloc[0]
            is_mine = (found.neurons["metric"] == metric) & (found.neurons["session_id"] == session)
            mine = found.neurons[is_mine]
            is_found = np.array(step_up(list(mine["p"]), 0.05))
            gain = sign * mine["difference"].to_numpy()
            assert row["n_second_better"] == (is_found & (gain > 0)).sum()
            assert row["n_first_better"] == (is_found & (gain < 0)).sum()
            assert row["n_tested"] == len(mine)
        every = found.table[
            (found.table["metric"] == metric) & (found.table["session_id"] == "all")
        ]
        parts = found.table[
            (found.table["metric"] == metric) & (found.table["session_id"] != "all")
        ]
        for name in ("n_second_better", "n_first_better", "n_tested"):
            assert every[name].iloc[0] == parts[name].sum()
    assert "second better in" in found.headline
    assert "second better in" not in compared.headline
