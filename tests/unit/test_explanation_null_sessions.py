"""Fitted sessions in which vision alone drives the neurons, and one effect that is planted."""

from __future__ import annotations

import runpy
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import freegaze
from fake_encoder import fake_fit
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.contributions.contributions import contribution_tables
from freegaze.explanation.session import ExplainedSession
from freegaze.simulation.tracks import SimulationConfig
from freegaze.sources.simulation import load_truth

BENCHMARK: dict[str, Any] = runpy.run_path(
    str(Path(__file__).parents[2] / "benchmarks" / "null_sessions.py"), run_name="benchmark"
)


def test_a_planted_effect_multiplies_the_rate_of_one_neuron_by_speed(tmp_path: Path) -> None:
    """Poisson counts of a known rate: their sum over many bins is known to its square root."""
    config = SimulationConfig(4.0, 4, 21, "null", frame_size=(12, 16))
    recording = freegaze.simulate(tmp_path, config=config)
    planted, unit, share = BENCHMARK["plant"](recording, 0.8, 21)
    place = recording.unit_ids.index(unit)
    others = np.arange(4) != place
    np.testing.assert_array_equal(planted.responses[:, others], recording.responses[:, others])
    truth = load_truth(recording.provenance["truth"], recording)
    visual = truth.oracle[:, place].astype(np.float64)
    fast = recording.column("speed") > np.median(recording.column("speed"))
    counts = np.array([planted.responses[fast, place].sum(), planted.responses[~fast, place].sum()])
    before = np.array([visual[fast].sum(), visual[~fast].sum()])
    assert counts.sum() == pytest.approx(before.sum(), abs=4 * np.sqrt(before.sum()))
    assert counts[0] / counts[1] > 1.5 * before[0] / before[1]
    assert 0.02 < share < 0.9


def test_given_the_true_drive_the_planted_effect_alone_is_found(tmp_path: Path) -> None:
    """Four neurons and one session: the rate of false discoveries is 2 %."""
    config = SimulationConfig(4.0, 4, 22, "null", frame_size=(12, 16))
    recording = freegaze.simulate(tmp_path, config=config)
    truth = load_truth(recording.provenance["truth"], recording)
    planted, unit, _ = BENCHMARK["plant"](recording, 1.5, 22)
    session = ExplainedSession(fake_fit([planted]), planted)
    session.drive = truth.oracle[session.targets[None]]
    found = contribution_tables(session, ExplainConfig())["contributions"]
    any_behavior = found[found["group"] == "behavior"].set_index("unit_id")["answer"]
    assert any_behavior[unit] == "yes"
    assert any_behavior.drop(unit).eq("no").all()


@pytest.mark.slow
def test_null_sessions_have_no_discovery_and_the_planted_effect_is_found(tmp_path: Path) -> None:
    """At most 2 of 20 sessions with any discovery; the planted effect in at least 80 %."""
    chosen = Namespace(
        out=tmp_path, minutes=6.0, neurons=12, height=30, effect=1.0, model="cnn_gru", passes=None
    )
    found = pd.DataFrame([BENCHMARK["session"](chosen, seed)[0] for seed in range(502, 522)])
    assert (found["n_false"] > 0).sum() <= 2
    assert found["is_found"].mean() >= 0.8
