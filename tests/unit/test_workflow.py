"""The three calls for notebooks, and what ties a run to its data and their truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import freegaze
from builders import make_recording
from comparing import assert_same_recording
from fake_encoder import fake_fit
from freegaze.errors import ConfigError, DataError
from freegaze.evaluation.displacement import displacement_against_truth
from freegaze.explanation.truth import load_truth_comparison, moved_fields
from freegaze.recording.store import save_store
from freegaze.runs.recordings import open_run_recordings
from freegaze.runs.run_folder import RunFolder
from freegaze.simulation import SimulationConfig, simulate
from freegaze.sources.nwb.predictions import read_predictions
from freegaze.sources.simulation import write_simulation
from freegaze.workflow import predict

SETTINGS = {
    "data.history": 2,
    "data.min_rate_hz": 0,
    "split.gap_s": 0.1,
    "training.max_passes": 2,
    "training.device": "cpu",
    "training.checkpoint_every_s": 1e-9,
    "training.gradient_clip": None,
    "model.features": ["speed", "theta"],
}


def test_fit_predict_evaluate(tmp_path: Path):
    recording = make_recording()
    told = []
    encoder = freegaze.fit(
        recording,
        tmp_path / "run",
        model="behavior_only",
        settings=SETTINGS,
        progress=lambda what, done, total: told.append((done, total)),
    )
    assert encoder.behavior_names == ("speed", "theta")
    config = RunFolder(tmp_path / "run").config()
    assert config.training.gradient_clip is None
    assert config.training.checkpoint_every_s == 1e-9
    assert told[-1][0] == told[-1][1] == len(told)
    predicted = encoder.predict(recording, "test")
    again = freegaze.load_encoder(tmp_path / "run").predict(recording, "test")
    np.testing.assert_array_equal(predicted.rates, again.rates)
    assert not encoder.encoder.training
    evaluation = freegaze.evaluate(encoder, recording, draws=20)
    assert evaluation.table["unit_id"].tolist() == list(recording.unit_ids)


def test_settings_lie_on_top_of_a_file(tmp_path: Path):
    (tmp_path / "c.yaml").write_text("training:\n  max_passes: 1\n  seed: 7\n")
    freegaze.fit(
        [make_recording()],
        tmp_path / "run",
        model="mean_rate",
        config=tmp_path / "c.yaml",
        settings={k: v for k, v in SETTINGS.items() if k != "model.features"},
    )
    training = RunFolder(tmp_path / "run").config().training
    assert (training.seed, training.max_passes) == (7, 2)


def test_a_run_without_a_path_cannot_open_its_data(tmp_path: Path):
    settings = {k: v for k, v in SETTINGS.items() if k != "model.features"}
    freegaze.fit(make_recording(), tmp_path / "run", model="mean_rate", settings=settings)
    with pytest.raises(ConfigError, match=r"source\.path"):
        open_run_recordings(tmp_path / "run")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory):
    """A short session on the affine track, as read back from its folder, and its truth."""
    folder = tmp_path_factory.mktemp("simulated")
    config = SimulationConfig(
        minutes=0.5, n_neurons=2, frame_size=(12, 16), track="affine", session_id="sim"
    )
    recording, truth = simulate(config)
    write_simulation(recording, truth, folder)
    (recording,) = freegaze.open_recordings("simulation", folder)
    return recording, truth


def test_displacement_is_compared_with_the_truth_of_the_session(simulated, monkeypatch):
    recording, truth = simulated
    encoder = fake_fit([recording])
    assert displacement_against_truth(encoder, [recording]) == {}  # it has no shifter
    shift = torch.from_numpy(truth.best_affine).float()
    monkeypatch.setattr(encoder.encoder, "shift", lambda behavior, session: shift)
    fits = displacement_against_truth(encoder, [recording])
    assert list(fits) == [recording.session_id]
    found = fits[recording.session_id]
    assert found.slope == pytest.approx((1, 1, 1), abs=1e-5)
    assert max(found.rms) < 1e-4
    elsewhere = replace(recording, provenance={})
    assert displacement_against_truth(encoder, [elsewhere]) == {}


def test_explanations_of_simulated_sessions_are_compared_with_the_truth(tmp_path: Path):
    """The truth's neurons are matched by name, whichever were fitted."""
    config = SimulationConfig(
        minutes=2, n_neurons=8, frame_size=(24, 32), track="affine", session_id="sim"
    )
    recording, truth = simulate(config)
    write_simulation(recording, truth, tmp_path / "data")
    (recording,) = freegaze.open_recordings("simulation", tmp_path / "data")
    kept = [6, 5, 4, 2, 0]
    fitted = recording.select_neurons(kept)
    settings = {"training.max_passes": 1, "training.device": "cpu", "data.min_rate_hz": 0}
    settings["split.gap_s"] = 0.5
    encoder = freegaze.fit(fitted, tmp_path / "run", model="glm", settings=settings)
    few = {"n_shifts": 2, "n_windows": 6, "n_starts": 1, "ascent_steps": 1, "n_saliency_windows": 6}
    parts = ["fields.linear", "saliency"]
    (found,) = freegaze.explain(encoder, recording, settings=few, only=parts)
    compared = load_truth_comparison(tmp_path / "run", "sim")
    assert compared is not None
    sees = ~np.isin(truth.modulation[kept], ["behavior_only", "untuned"])
    assert compared.fields["unit_id"].tolist() == list(np.array(fitted.unit_ids)[sees])
    assert set(compared.fields["kind"]) == set(truth.kind[kept][sees])
    assert set(compared.fields["method"]) == {"linear"}
    assert compared.contributions.empty  # it was not computed
    assert set(compared.saliency["unit_id"]) == set(fitted.unit_ids)
    fit = displacement_against_truth(encoder, [recording])["sim"]
    moved = moved_fields(truth.receptive_field[kept], fit.shift_px, fit.rotation_deg)
    np.testing.assert_allclose(compared.true_fields, moved, atol=1e-6)
    freegaze.explain(encoder, recording, settings=few, only=["contributions"])
    again = load_truth_comparison(tmp_path / "run", "sim")
    assert again is not None
    assert set(again.contributions["unit_id"]) == set(fitted.unit_ids)
    freegaze.evaluate(encoder, recording, draws=20)
    page = freegaze.report(encoder, recording).read_text()
    assert "against the truth, one dot per visual neuron; medians: linear" in page
    assert "Not computed: fields.gradient" in page
    assert "--only fields.gradient,fields.gabor,fields.ascent" in page
    assert found.contributions.empty


def test_a_truth_that_is_gone_is_one_clear_error(simulated, tmp_path: Path, monkeypatch):
    recording, truth = simulated
    encoder = fake_fit([recording])
    shift = torch.from_numpy(truth.best_affine).float()
    monkeypatch.setattr(encoder.encoder, "shift", lambda behavior, session: shift)
    moved = replace(recording, provenance={"truth": str(tmp_path / "gone")})
    with pytest.raises(DataError, match="gone"):
        displacement_against_truth(encoder, [moved])


def test_predictions_of_one_session_go_into_a_new_nwb_file(tmp_path: Path):
    sessions = [make_recording(session_id=name) for name in ("a", "b")]
    for recording in sessions:
        save_store(recording, tmp_path / "data" / recording.session_id)
    source = {"source.name": "store", "source.path": str(tmp_path / "data")}
    run, out = tmp_path / "run", tmp_path / "p.nwb"
    settings = {**SETTINGS, **source, "training.max_passes": 1}
    encoder = freegaze.fit(sessions, run, model="behavior_only", settings=settings)
    with pytest.raises(
        ConfigError, match=r"holds one session, and .*run has 2; choose one with --session"
    ):
        predict(run, out=out)
    with pytest.raises(ConfigError, match=r"not fitted on session 'c' \(nearest: a, b"):
        predict(run, out=out, session="c")
    [predicted] = predict(run, out=out, role=None, session="b")
    (recording,) = freegaze.open_recordings("nwb", out)
    assert_same_recording(recording, sessions[1])
    rates, bins, units = read_predictions(out)
    expected = encoder.predict(sessions[1], None)
    np.testing.assert_array_equal(rates, expected.rates)
    np.testing.assert_array_equal(predicted.rates, expected.rates)
    np.testing.assert_array_equal(bins, expected.targets)
    assert units == expected.unit_ids
    before = out.read_bytes()
    with pytest.raises(DataError, match="p.nwb exists already"):
        predict(run, out=out, session="a")
    assert out.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "p.nwb", "run"]
    predict(run, out=tmp_path / "p.npz", session="a")
    with np.load(tmp_path / "p.npz") as plain:
        assert plain["session_id"] == "a"
