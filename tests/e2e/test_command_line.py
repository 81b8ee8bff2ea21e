"""Everything a newcomer does, through the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from freegaze import load_encoder, open_recordings
from freegaze.dataset.dims import EncoderDims
from freegaze.models.encoder import build_encoder
from freegaze.paper.presets import paper_config
from freegaze.paper.published import save_published
from freegaze.paper.state_dicts import to_original
from freegaze.sources.nwb.predictions import read_predictions
from type_checks import unchecked

XU_TINY = Path(__file__).parents[1] / "golden" / "xu2023_tiny"
GAP = ("--set", "split.gap_s=0.5")
VERBS = (
    *("simulate", "inspect", "train", "evaluate", "compare", "predict", "score", "report"),
    *("models", "sources", "metrics", "doctor", "import-weights", "export-weights"),
    *("convert", "verify", "targets"),
)


def test_help_names_every_verb_and_gives_examples(freegaze):
    text = freegaze("--help").stdout
    for verb in VERBS:
        assert verb in text
    assert "freegaze train data/mouse" in freegaze("train", "--help").stdout
    assert "0.1.0" in freegaze("--version").stdout


def test_a_run_folder_holds_what_it_promises(runs):
    run = runs["cnn_gru"]
    for name in ("config.yaml", "manifest.json", "metrics.jsonl", "encoder.safetensors"):
        assert (run / name).stat().st_size > 0
    manifest = json.loads((run / "manifest.json").read_text())
    assert len(manifest["config_hash"]) == 16
    table = pd.read_csv(run / "evaluation" / "scores.csv")
    assert len(table) == 5
    assert {"unit_id", "bits_per_spike", "correlation_low", "attainable_correlation"} <= set(table)
    parquet = pd.read_parquet(run / "evaluation" / "scores.parquet")
    assert parquet["unit_id"].tolist() == table["unit_id"].tolist()


def test_python_in_three_lines(runs, mouse):
    recordings = open_recordings("simulation", mouse, min_rate_hz=0)
    encoder = load_encoder(runs["cnn_gru"])
    prediction = encoder.predict(recordings[0])
    assert prediction.rates.shape == (len(prediction.targets), 5)
    assert (prediction.rates >= 0).all()


def test_compare_predict_score_and_report(freegaze, runs, mouse, tmp_path):
    table = tmp_path / "differences.csv"
    freegaze("compare", *runs.values(), "--out", table)
    assert "difference" in pd.read_csv(table).columns
    freegaze("predict", runs["cnn_gru"], "--out", tmp_path / "p.npz")
    file = tmp_path / "p.nwb"
    assert freegaze("predict", runs["cnn_gru"], "--out", file).stdout.strip() == str(file)
    with np.load(tmp_path / "p.npz") as plain:
        rates, bins, units = read_predictions(file)
        np.testing.assert_array_equal(rates, plain["rates"])
        np.testing.assert_array_equal(bins, plain["targets"])
        assert list(units) == plain["unit_ids"].tolist()
    assert open_recordings("nwb", file)[0].n_neurons == 5
    again = freegaze("predict", runs["cnn_gru"], "--out", file, status=2).stderr
    assert "p.nwb exists already" in again
    beside = tmp_path / "beside.csv"
    freegaze("compare", runs["behavior"], tmp_path / "p.npz", "--out", beside)
    freegaze("compare", runs["behavior"], runs["cnn_gru"], "--out", table)
    columns = ["difference", "difference_low", "difference_high"]
    np.testing.assert_allclose(
        pd.read_csv(beside)[columns], pd.read_csv(table)[columns], rtol=1e-3, atol=1e-6
    )
    scored = tmp_path / "scores.csv"
    freegaze("score", tmp_path / "p.npz", mouse, "--out", scored)
    own = pd.read_csv(runs["cnn_gru"] / "evaluation" / "scores.csv").set_index("unit_id")
    theirs = pd.read_csv(scored).set_index("unit_id")
    both = theirs.index.intersection(own.index)
    assert len(both)
    np.testing.assert_allclose(theirs.loc[both, "mse"], own.loc[both, "mse"], rtol=1e-4)
    page = Path(freegaze("report", runs["cnn_gru"], "--against", runs["behavior"]).stdout.strip())
    text = page.read_text()
    assert "unit_000" in text
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_inspect_prints_and_draws(freegaze, mouse, tmp_path):
    page = tmp_path / "quality.html"
    text = freegaze("inspect", mouse, "--out", page).stdout
    assert "theta" in text
    assert page.stat().st_size > 1000


def test_models_sources_and_metrics_are_listed(freegaze):
    assert "cnn_gru" in freegaze("models").stdout
    assert "xu2023" in freegaze("sources").stdout
    assert "bits_per_spike" in freegaze("metrics").stdout


def test_the_program_starts_from_a_shell():
    command = [sys.executable, "-c", "from freegaze.cli.app import run; run()", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("freegaze ")


def test_doctor_finds_this_machine_ready(freegaze):
    assert "all good" in freegaze("doctor").stdout


def test_doctor_names_what_is_missing(freegaze, monkeypatch):
    packages = {"": ["torch", "no-such-package"], "nwb": ["no-such-extra"]}
    monkeypatch.setattr("freegaze.cli.doctor._dependencies", packages.copy)
    result = freegaze("doctor", status=2)
    assert "not installed: no-such-package;" in result.stderr
    assert "pip install '.[nwb]'" in result.stdout
    monkeypatch.setattr(
        "freegaze.cli.doctor._dependencies", lambda: {"": ["torch"], "nwb": ["no-such-extra"]}
    )
    assert "all good" in freegaze("doctor").stdout  # an extra may be missing


def test_the_originals_layout_reads_back(freegaze, tmp_path):
    freegaze(
        *("simulate", "--minutes", 0.5, "--neurons", 3, "--seed", 1, "--out", tmp_path / "xu"),
        *("--layout", "xu2023", "--quiet"),
    )
    recording = open_recordings("xu2023", tmp_path / "xu", units="all")[0]
    assert recording.n_neurons == 3
    assert [s.role for s in recording.segments[:2]] == ["train", "test"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere", "--out", "x"], "nowhere does not exist"),
        (["train", "--resume", "nowhere"], "holds no run"),
        (["evaluate", "nowhere"], "holds no run"),
        (["report", "nowhere"], "holds no run"),
        (["inspect", "nowhere"], "nowhere does not exist"),
        (["train", "{mouse}", "--out", "x", "--model", "cnn_gro"], "nearest: cnn_gru"),
        (["train", "{mouse}", "--out", "x", "--set", "training.sed=1"], "nearest: seed"),
        (["train", "{mouse}", "--out", "x", "--set", "model.cor=1"], "unknown key"),
        (["train", "{mouse}", "--out", "x", "--source", "arays"], "nearest: arrays"),
        (["train", "{mouse}", "--out", "x", *GAP, "--set", "data.history=5000"], "window"),
        (["train", "{mouse}", "--out", "x", *GAP, "--set", "model.features=gsr"], "gsr"),
        (["train", "{mouse}", "--out", "x", "--config", "no.yaml"], "no configuration file"),
        (["train", "{mouse}"], "--out"),
        (["simulate", "--out", "x", "--track", "easy"], "easy"),
        (["simulate", "--out", "x", "--layout", "zip"], "zip"),
        (["score", "nowhere.npz", "{mouse}"], "nowhere.npz"),
    ],
)
@unchecked()
def test_a_users_mistake_is_one_line_and_status_2(
    freegaze, mouse, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    result = freegaze(*(a.format(mouse=mouse) for a in arguments), status=2)
    lines = result.stderr.strip().splitlines()
    assert message in lines[-1]
    assert len([line for line in lines if line.startswith("freegaze:")]) == 1
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "x").exists()


def test_damaged_files_are_one_line(freegaze, mouse, tmp_path):
    copy = tmp_path / "mouse"
    shutil.copytree(mouse, copy)
    frames = next(copy.rglob("frames.npy"))
    frames.write_bytes(frames.read_bytes()[:1000])
    result = freegaze("train", copy, "--out", tmp_path / "run", status=2)
    assert "frames.npy" in result.stderr
    assert not (tmp_path / "run").exists()


def test_weights_come_from_the_original_and_go_back(freegaze, tmp_path):
    (recording,) = open_recordings("xu2023", XU_TINY, units="paper")
    session = recording.session_id
    dims = EncoderDims(recording.n_neurons, ("theta", "phi"), (60, 80), 1)
    encoder = build_encoder("sensorium", paper_config("sensorium"), {session: dims}, seed=0)
    original = to_original("sensorium", encoder.state_dict(), session)
    save_published(tmp_path / "original.pth", original)
    run = tmp_path / "run"
    told = freegaze(
        *("import-weights", tmp_path / "original.pth", "--model", "sensorium"),
        *("--session", session, "--data", XU_TINY, "--out", run),
    )
    assert f"freegaze evaluate {run}" in told.stdout
    freegaze("evaluate", run, "--paper", "--draws", 20)
    assert len(pd.read_csv(run / "evaluation" / "scores.csv")) == 68
    freegaze("export-weights", run, "--layout", "xu2023", "--out", tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert back.keys() == original.keys()
    assert all(torch.equal(back[key], original[key]) for key in original)


def test_weights_of_a_default_encoder_do_not_fit_the_original(freegaze, runs, tmp_path):
    refused = freegaze("export-weights", runs["cnn_gru"], "--out", tmp_path / "x.pth", status=2)
    assert "the original" in refused.stderr
    assert not (tmp_path / "x.pth").exists()
