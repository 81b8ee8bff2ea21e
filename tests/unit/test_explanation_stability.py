"""Stability of fields, classes and saliency over refits: cases whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import freegaze
from builders import make_recording
from figure_runs import make_behaving
from freegaze.cli.app import app
from freegaze.errors import CheckpointError, ConfigError
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.fields.gabor_models import GaborModels
from freegaze.explanation.result import SessionExplanation, load_explanation
from freegaze.explanation.stability import (
    NOT_TESTED,
    RELIABLE,
    UNRELIABLE,
    WHOLE,
    Refit,
    compare_refits,
    in_words,
    load_stability,
    save_stability,
)
from freegaze.explanation.truth import moved_fields
from freegaze.recording.store import save_store
from freegaze.runs.run_folder import RunFolder
from freegaze.studies.refits import stability_of
from report_runs import make_explanation

SHIFTER = {"shifter_rms_px": None, "shifter_rms_deg": None}
SETTINGS = {
    "training.max_passes": 1,
    "training.device": "cpu",
    "data.min_rate_hz": 0,
    "data.history": 2,
    "split.gap_s": 0.1,
}


@dataclass(frozen=True)
class Movement:
    shift_px: tuple[float, float]
    rotation_deg: float


@pytest.fixture
def found() -> SessionExplanation:
    made = make_explanation(make_recording(n_neurons=4), methods=("gabor",), frame_size=(24, 32))
    table = made.receptive_fields.assign(
        energy_x_px=made.receptive_fields["center_x_px"],
        energy_y_px=made.receptive_fields["center_y_px"],
    )
    return replace(made, pairs={"gabor": made.pairs["gradient"]}, receptive_fields=table)


def compare(*explanations: SessionExplanation, displacements=None, unit_ids=None, whole=None):
    """Compare refits on halves 0, 1, 0, ..., with the run, by default the same as the first."""
    refits = [Refit(e, i % 2) for i, e in enumerate(explanations)]
    units = unit_ids or explanations[0].unit_ids
    run = whole or explanations[0]
    return compare_refits(run, refits, units, displacements or {}, SHIFTER)


def test_the_same_explanation_twice_is_stable(found: SessionExplanation):
    table = compare(found, found).table
    np.testing.assert_allclose(table["field"], 1, atol=1e-6)
    np.testing.assert_allclose(table["distance_px"], 0)
    np.testing.assert_allclose(table["saliency"], 1)
    assert (table["class"] == 1).all()
    assert set(table["reliability"]) == {RELIABLE}


def test_a_common_displacement_is_taken_out(found: SessionExplanation):
    movement = Movement((3.0, -2.0), 10.0)
    moved = moved_fields(found.pairs["gabor"], movement.shift_px, movement.rotation_deg)
    there = replace(found, pairs={"gabor": moved})
    as_it_is = compare(there, found).table
    known = {(0, 1): movement, (WHOLE, 1): movement}
    table = compare(there, found, displacements=known).table
    assert (table[["field", "halves"]] > 0.99).all(axis=None)
    assert (as_it_is["halves"] < 0.85).all()
    # The first refit is as the run: the mean over refits is that of 1 and of the other's overlap.
    np.testing.assert_allclose(as_it_is["field"], (1 + as_it_is["halves"]) / 2, atol=1e-6)


def test_distance_is_that_of_the_moved_middles(found: SessionExplanation):
    away = found.receptive_fields.assign(
        energy_x_px=found.receptive_fields["energy_x_px"] + 3.0,
        energy_y_px=found.receptive_fields["energy_y_px"] + 4.0,
    )
    other = replace(found, receptive_fields=away)
    there = compare(found, other, other, whole=found).table["distance_px"]
    np.testing.assert_allclose(there, 5)  # the median of 0, 5 and 5
    back = dict.fromkeys([(WHOLE, 0), (WHOLE, 1)], Movement((-3.0, -4.0), 0.0))
    moved = compare(other, other, displacements=back, whole=found).table["distance_px"]
    np.testing.assert_allclose(moved, 0, atol=1e-9)


def test_only_refits_on_different_halves_are_compared(found: SessionExplanation):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=found.pairs["gabor"].shape)
    other = replace(found, pairs={"gabor": noise})
    alike = compare(found, other, found, other)  # each half agrees with itself alone
    assert alike.about["n_pairs"] == 4
    assert (alike.table["halves"] < 0.5).all()
    nobody = compare(found, found, whole=other).table  # refits agree, and not with the run
    np.testing.assert_allclose(nobody["halves"], 1, atol=1e-6)
    assert (nobody["field"] < 0.5).all()
    assert set(nobody["reliability"]) == {UNRELIABLE}


def test_class_and_saliency_by_hand(found: SessionExplanation):
    neurons = found.neurons.copy()
    neurons.loc[0, "class"] = "pupil" if neurons.loc[0, "class"] != "pupil" else "head"
    saliency = found.saliency.assign(signed=-found.saliency["signed"])
    other = replace(found, neurons=neurons, saliency=saliency)
    table = compare(found, other, found, found).table  # half 0 twice, half 1 once changed
    assert table["class"].tolist() == [0.5, 1.0, 1.0, 1.0]
    np.testing.assert_allclose(table["saliency"], 0, atol=1e-12)  # median of -1, -1, 1, 1


def test_a_neuron_that_a_refit_lacks_is_not_tested(found: SessionExplanation):
    stability = compare(found, found, unit_ids=(*found.unit_ids, "silent"))
    assert stability.table["reliability"].tolist() == [RELIABLE] * 4 + [NOT_TESTED]
    assert np.isnan(stability.table.loc[4, "field"])
    assert "4 of 5 neurons" in in_words(stability)
    assert "1 could not be tested" in in_words(stability)
    flat = replace(found, pairs={"gabor": 0 * found.pairs["gabor"]})
    assert set(compare(found, flat).table["reliability"]) == {NOT_TESTED}


def test_stability_is_read_as_it_was_written(found: SessionExplanation, tmp_path: Path):
    stability = compare(found, found)
    assert load_stability(tmp_path, found.session_id) is None
    folder = save_stability(tmp_path, stability)
    again = load_stability(tmp_path, found.session_id)
    assert again is not None
    pd.testing.assert_frame_equal(again.table, stability.table)
    assert again.about == stability.about
    (folder / "stability.csv").write_text("unit_id\n")
    with pytest.raises(CheckpointError, match="--refits 4"):
        load_stability(tmp_path, found.session_id)


@pytest.fixture
def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give noise for Gabor models: the search for the best has tests of its own."""
    rng = np.random.default_rng(0)

    def guess(frames, targets, responses, history, lag, **_) -> GaborModels:
        n, size = responses.shape[1], frames(targets[:1]).shape[1:]
        pair = rng.normal(size=(n, 2, *size)).astype(np.float32)
        field = np.repeat(pair[:, :1], history, axis=1)
        return GaborModels(np.zeros(n, dtype=bool), field, pair)

    monkeypatch.setattr("freegaze.explanation.fields.fields.fit_gabor_models", guess)


@pytest.mark.usefixtures("no_search")
def test_refits_are_fitted_to_halves_and_kept(tmp_path: Path):
    save_store(make_behaving(n_neurons=2), tmp_path / "recording")
    recordings = freegaze.open_recordings("store", tmp_path / "recording")
    model = {
        "model.core": {"channels": [2], "kernels": [5], "strides": [2]},
        "model.n_hidden": 4,
    }
    freegaze.fit(recordings, tmp_path / "run", model="cnn_gru", settings=SETTINGS | model)
    freegaze.evaluate(tmp_path / "run", draws=20)
    quick = ("n_windows=3", "n_shifts=2", "n_saliency_windows=5")
    options = [word for setting in quick for word in ("--set", setting)]
    options += ["--only", "fields.gabor", "--quiet"]
    shown = CliRunner().invoke(app, ["explain", str(tmp_path / "run"), "--refits", "2", *options])
    assert shown.exit_code == 0, shown.output
    stability = load_stability(tmp_path / "run", "s")
    assert stability is not None
    assert in_words(stability).split()[0] in shown.output
    assert stability.about["shifter_rms_px"] >= 0
    encoders = [freegaze.load_encoder(tmp_path / "run" / "refits" / str(i)) for i in range(2)]
    trained = [set(e.targets(recordings[0], "train")) for e in encoders]
    assert not trained[0] & trained[1]
    seeds = [RunFolder(tmp_path / "run" / "refits" / str(i)).config().training.seed for i in (0, 1)]
    assert seeds == [1, 1]
    refits = [
        Refit(load_explanation(tmp_path / "run" / "refits" / str(i), "s"), i) for i in range(2)
    ]
    whole = load_explanation(tmp_path / "run", "s")
    alone = compare_refits(whole, refits, recordings[0].unit_ids, {}, SHIFTER).table
    np.testing.assert_allclose(stability.table["saliency"], alone["saliency"])
    before = (tmp_path / "run" / "refits" / "0" / "encoder.safetensors").stat().st_mtime_ns
    config = ExplainConfig(n_windows=3, n_shifts=2, n_saliency_windows=5)
    (again,) = stability_of(tmp_path / "run", recordings, 2, config)
    after = (tmp_path / "run" / "refits" / "0" / "encoder.safetensors").stat().st_mtime_ns
    assert before == after
    pd.testing.assert_frame_equal(again.table, stability.table)
    page = freegaze.report(tmp_path / "run").read_text()
    assert set(stability.table["reliability"]) == {UNRELIABLE}  # noise agrees with no noise
    assert page.count('class="mark">unreliable') == 2
    with pytest.raises(ConfigError, match="at least 2 refits"):
        stability_of(tmp_path / "run", recordings, 1)
