"""The three calls for notebooks, and what ties a run to its data and their truth."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

import freegaze
from builders import make_recording
from comparing import assert_same_recording
from fake_encoder import fake_fit
from freegaze.cli.app import app, run
from freegaze.config import read_config
from freegaze.errors import ConfigError, DataError
from freegaze.evaluation.displacement import displacement_against_truth
from freegaze.evaluation.storage import load_evaluation
from freegaze.explanation.truth import load_truth_comparison, moved_fields
from freegaze.recording.store import save_store
from freegaze.runs.config import RunConfig
from freegaze.runs.recordings import open_run_recordings
from freegaze.runs.run_folder import RunFolder
from freegaze.simulation import SimulationConfig, simulate
from freegaze.sources.arrays.layout import write_arrays
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


PUBLIC = {
    *(
        "FreegazeError",
        "Recording",
        "bench",
        "compare",
        "evaluate",
        "explain",
        "fit",
        "load_encoder",
    ),
    *("open_recordings", "plot", "predict", "report", "simulate"),
}


def test_tab_completion_offers_the_public_names_and_no_others():
    assert set(dir(freegaze)) == PUBLIC == set(freegaze.__all__)
    for name in PUBLIC:
        assert getattr(freegaze, name).__doc__


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two stores, and a run that was fitted in Python on one of them."""
    folder = tmp_path_factory.mktemp("fitted")
    for name in ("a", "b"):
        save_store(make_recording(session_id=name), folder / "data" / name)
    (first, _) = freegaze.open_recordings("store", folder / "data")
    freegaze.fit(first, folder / "run", model="behavior_only", settings=SETTINGS)
    return folder


def test_a_run_made_in_python_can_be_opened_by_its_folder_alone(fitted: Path):
    assert RunFolder(fitted / "run").config().source.path == fitted / "data"
    assert [r.session_id for r in open_run_recordings(fitted / "run")] == ["a"]


def test_python_writes_the_files_that_the_shell_writes(fitted: Path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["freegaze", "evaluate", str(fitted / "run"), "--draws", "20"])
    with pytest.raises(SystemExit) as end:
        run()
    assert end.value.code == 0
    folder = fitted / "run" / "evaluation"
    of_shell = {file.name: file.read_bytes() for file in folder.iterdir()}
    shutil.rmtree(folder)
    evaluation = freegaze.evaluate(fitted / "run", draws=20)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == of_shell
    assert evaluation.table.equals(load_evaluation(fitted / "run").table)


def test_only_scores_of_test_bins_are_written(fitted: Path, tmp_path: Path):
    run = shutil.copytree(fitted / "run", tmp_path / "run")
    shutil.rmtree(run / "evaluation", ignore_errors=True)
    encoder = freegaze.load_encoder(run)
    assert len(freegaze.evaluate(encoder, draws=20, role="validation").table) == 4
    assert not (run / "evaluation").exists()
    encoder.run = None  # such as weights that came without a run
    with pytest.raises(ConfigError, match="no run folder; give the folder"):
        freegaze.evaluate(encoder)
    assert len(freegaze.evaluate(encoder, make_recording(session_id="a"), draws=20).table) == 4


def test_a_configuration_names_the_model_and_arguments_override_it(tmp_path: Path):
    config = read_config(RunConfig, None, ["model.name=mean_rate", "training.max_passes=3"])
    settings = {"data.min_rate_hz": 0, "split.gap_s": 0.1, "training.max_passes": 1}
    run = tmp_path / "run"
    encoder = freegaze.fit(make_recording(), run, config=config, settings=settings, device="cpu")
    assert encoder.model_name == "mean_rate"
    training = RunFolder(run).config().training
    assert (training.max_passes, training.device) == (1, "cpu")


def test_a_device_that_is_not_there_is_one_clear_error(fitted: Path):
    with pytest.raises(ConfigError, match=r"no device 'cuda:77' .*choose auto, cpu or cuda"):
        freegaze.load_encoder(fitted / "run", "cuda:77")


def test_results_print_as_a_few_lines(fitted: Path):
    encoder = freegaze.load_encoder(fitted / "run")
    (recording, _) = freegaze.open_recordings("store", fitted / "data")
    shown = {
        repr(recording): ("'a'", "400 bins of 50 ms", "train 0.111 min", "4 neurons, spike_counts"),
        repr(encoder): ("'behavior_only'", "run", "windows of 2 bins", "4 neurons"),
        repr(freegaze.evaluate(encoder, draws=20)): ("4 neurons", "test bins", "correlation"),
    }
    for text, parts in shown.items():
        assert 3 <= len(text.splitlines()) <= 40
        for part in parts:
            assert part in text


VERBS = typer.main.get_command(app).commands
SHORT = {
    *("models", "sources", "targets", "metrics", "doctor", "schema", "cite"),
    *("import-weights", "export-weights"),
    "verify",  # which prints each file when it is compared
    "watch",  # whose table is the progress itself
}


@pytest.mark.parametrize("verb", sorted(set(VERBS) - SHORT))
def test_every_verb_that_takes_time_can_be_quiet(verb: str):
    (quiet,) = [p for p in VERBS[verb].params if p.name == "quiet"]
    assert (quiet.opts, quiet.help) == (["--quiet", "-q"], "Show no progress bar.")


def test_the_device_has_one_default():
    defaults = {
        verb: parameter.show_default if parameter.default is None else parameter.default
        for verb, command in VERBS.items()
        for parameter in command.params
        if parameter.name == "device"
    }
    assert set(defaults) >= {"train", "evaluate", "explain", "predict", "report"}
    assert set(defaults.values()) == {"auto"}


def shell(monkeypatch, capsys, *words: object) -> tuple[int, str, str]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.argv", ["freegaze", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        run()
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_train_names_the_neurons_that_it_leaves_out(tmp_path: Path, monkeypatch, capsys):
    recording = make_recording()
    responses = recording.responses.copy()
    responses[:, 1] = 0
    write_arrays(replace(recording, responses=responses), tmp_path / "mouse.npz")
    options = ["--model", "mean_rate", "--set", "split.gap_s=0.1", "-q"]
    words = ["train", tmp_path / "mouse.npz", *options, "--set", "data.min_rate_hz=0.5"]
    status, out, _ = shell(monkeypatch, capsys, *words, "--out", tmp_path / "run")
    assert status == 0
    assert "1 of 4 neurons were left out" in out
    assert "data.min_rate_hz = 0.5; --set data.min_rate_hz=0 keeps all" in out


def test_a_shifter_without_eye_columns_names_the_setting(tmp_path: Path, monkeypatch, capsys):
    recording = make_recording()
    names = {"behavior_names": ("speed",), "behavior_units": ("cm/s",)}
    blind = replace(recording, behavior=recording.behavior[:, :1], **names)
    write_arrays(blind, tmp_path / "mouse.npz")
    words = ["train", tmp_path / "mouse.npz", "--set", "data.min_rate_hz=0", "-q"]
    for model in ("cnn_gru", "glm", "autoencoder", "sensorium"):
        given = ["--model", model, "--out", tmp_path / model]
        status, _, err = shell(monkeypatch, capsys, *words, *given)
        assert status == 2
        assert "needs the column 'theta', which was not recorded" in err
        assert "--set model.shifter=none" in err
    kept = [*words, "--model", "glm", "--set", "model.shifter=none", "--set", "split.gap_s=0.1"]
    short = ["--set", "training.max_passes=1", "--out", tmp_path / "run"]
    assert shell(monkeypatch, capsys, *kept, *short)[0] == 0


@pytest.mark.parametrize(("width", "is_refused"), [(4.9, 0), (5.0, 1), (48.0, 1), (1000.5, 0)])
def test_a_bin_width_in_milliseconds_is_asked_about(tmp_path: Path, width: float, is_refused: bool):
    file = write_arrays(make_recording(bin_width_s=width), tmp_path / "mouse.npz")
    if is_refused:
        asked = rf"bin_width_s = {width:g}.*for {width:g} ms write {width / 1000:g}.*slow_bins=true"
        with pytest.raises(DataError, match=asked):
            freegaze.open_recordings("arrays", file)
    (recording,) = freegaze.open_recordings("arrays", file, slow_bins=is_refused)
    assert recording.bin_width_s == width


def test_inspect_shows_quality_first_and_provenance_if_asked(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_arrays(make_recording(), tmp_path / "mouse.npz")
    status, out, _ = shell(monkeypatch, capsys, "inspect", "mouse.npz", "-q")
    assert status == 0
    assert out.index("Quality of session mouse") < out.index("Contents of session mouse")
    assert "Provenance" not in out
    assert "quality check written to mouse_quality.html" in out
    assert (tmp_path / "mouse_quality.html").is_file()
    assert "Provenance" in shell(monkeypatch, capsys, "inspect", "mouse.npz", "-q", "--verbose")[1]
