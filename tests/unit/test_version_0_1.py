"""Folders that version 0.1.0 wrote are read by the present code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from freegaze.errors import CheckpointError
from freegaze.evaluation.compare import compare
from freegaze.evaluation.evaluate import evaluate
from freegaze.evaluation.score_predictions import score_predictions
from freegaze.evaluation.storage import load_evaluation
from freegaze.explanation.fields.against import load_comparison
from freegaze.explanation.result import (
    LATER,
    TABLES,
    load_explanation,
    load_explanations,
    settings_of,
)
from freegaze.files.pieces import Pieces
from freegaze.fitted.storage import load_encoder
from freegaze.paper.ascent import PaperAscent, load_most_exciting
from freegaze.recording.store import open_store
from freegaze.recording.verification import verify_files
from freegaze.runs.checkpoint import load_tensors
from freegaze.runs.run_folder import RunFolder, recording_checksum
from freegaze.sources.fetching.datasets import FetchConfig, fetch

WRITTEN = Path(__file__).parents[1] / "data" / "run_of_version_0_1"
SESSION = "mouse 1"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of what was written; the runs' configurations name the recording beside it."""
    shutil.copytree(WRITTEN, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


def arrays_in(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def assert_same_table(read: pd.DataFrame, csv: Path) -> None:
    """Compare with the CSV that was written beside it, which pandas reads by itself."""
    plain = pd.read_csv(csv, dtype={"unit_id": str, "session_id": str})
    pd.testing.assert_frame_equal(read, plain, check_dtype=False, rtol=1e-12)


def test_every_checksum_agrees(old: Path) -> None:
    checks = list(verify_files(old))
    assert not [check for check in checks if check.is_damaged]
    assert sum(check.verdict == "ok" for check in checks) == 53


def test_the_recording_is_read(old: Path) -> None:
    recording = open_store(old / "recording", verify=True)
    assert (recording.session_id, recording.n_bins, recording.n_neurons) == (SESSION, 360, 3)
    assert [segment.role for segment in recording.segments] == ["train", "validation", "test"]
    for name in ("frames", "frame_index", "behavior", "responses"):
        plain = np.load(old / "recording" / f"{name}.npy")
        np.testing.assert_array_equal(getattr(recording, name), plain)
    np.testing.assert_array_equal(recording.annotations["light"], np.arange(360) % 2)
    assert list(recording.reference_rates) == ["oracle"]


def test_the_run_predicts_what_it_predicted(old: Path) -> None:
    run, recording = RunFolder(old / "run"), open_store(old / "recording")
    assert run.is_finished
    assert run.is_sealed
    assert run.config().model["name"] == "cnn_gru"
    assert [line["pass"] for line in run.metrics()] == [1, 2]
    assert run.kept_pass()["pass"] == 2
    assert run.manifest()["data"] == {SESSION: recording_checksum(recording)}
    run.check_data([recording])
    assert load_tensors(run.checkpoint, needs_sum=True)[0]
    written = arrays_in(old / "predictions.npz")
    predicted = load_encoder(run.path).predict(recording, targets=written["targets"])
    np.testing.assert_allclose(predicted.rates, written["rates"], rtol=1e-5)


@pytest.mark.parametrize("name", ["run", "baseline"])
def test_the_evaluation_is_read_and_made_again(old: Path, name: str) -> None:
    read, folder = load_evaluation(old / name), old / name / "evaluation"
    assert_same_table(read.table, folder / "scores.csv")
    written = arrays_in(folder / "predictions.npz")
    (session,) = read.sessions
    for field in ("rates", "observed", "targets", "is_tracked"):
        np.testing.assert_array_equal(getattr(session, field), written[f"{SESSION}/{field}"])
    chance = json.loads(json.dumps(session.chance.to_dict()).replace("NaN", "null"))
    before = json.loads(written[f"{SESSION}/chance"].item())
    assert {key: chance[key] for key in before} == before
    assert chance["least_p"] is None  # version 0.1 did not write it
    plain = json.loads((folder / "summary.json").read_text())
    assert read.summary["sessions"][SESSION]["n_bins"] == plain["sessions"][SESSION]["n_bins"]
    again = evaluate(load_encoder(old / name), open_store(old / "recording"), draws=20)
    columns = ["unit_id", "correlation", "bits_per_spike"]
    pd.testing.assert_frame_equal(again.table[columns], read.table[columns], rtol=1e-5)


def test_the_explanation_is_read(old: Path) -> None:
    read, folder = load_explanation(old / "run", SESSION), old / "run" / "explanation" / SESSION
    (same,) = load_explanations(old / "run")
    assert same.session_id == read.session_id == SESSION
    about = json.loads((folder / "about.json").read_text())
    assert settings_of(old / "run", SESSION) == about["settings"]
    assert (read.lag, read.deg_per_px, list(read.unit_ids)) == (1, 2.0, about["unit_ids"])
    assert not any(len(getattr(read, name)) for name in LATER)
    for name in set(TABLES) - set(LATER):
        assert_same_table(getattr(read, name), folder / f"{name}.csv")
    written = arrays_in(folder / "fields.npz")
    found = {f"fields/{name}": field for name, field in read.fields.items()}
    found |= {f"pairs/{name}": pair for name, pair in read.pairs.items()}
    assert set(found) == set(written)
    assert len(found) == 10
    for name, array in found.items():
        np.testing.assert_array_equal(array, written[name])


def test_the_comparison_with_another_recording_is_read(old: Path) -> None:
    read, folder = load_comparison(old / "run", SESSION), old / "run" / "explanation" / SESSION
    assert read is not None
    assert_same_table(read.table, folder / "against.csv")
    assert read.about == json.loads((folder / "against.json").read_text())
    for method, pair in arrays_in(folder / "against.npz").items():
        np.testing.assert_array_equal(read.fields[method], pair)


def test_runs_are_compared_as_they_were(old: Path) -> None:
    table = compare([old / "baseline", old / "run"]).table
    assert table.pop("stimuli_seen").isna().all()  # version 0.1 did not count them
    assert_same_table(table, old / "differences.csv")


def test_predictions_are_scored(old: Path) -> None:
    recording = open_store(old / "recording")
    scored = score_predictions(old / "predictions.npz", recording, draws=5)
    assert scored.table["unit_id"].tolist() == list(recording.unit_ids)


def test_pieces_of_a_stopped_explanation_and_images_are_read(old: Path) -> None:
    def compute() -> dict[str, np.ndarray]:
        raise AssertionError("what is kept is not computed again")

    kept = Pieces(old / "pieces" / "mark").get("gradients", compute)
    np.testing.assert_array_equal(kept["field"], np.arange(12).reshape(3, 4))
    image = load_most_exciting(old / "run", "unit_0", PaperAscent(1, 1, 1), 1)
    assert (image.start, image.end) == (0.5, 2.0)
    np.testing.assert_array_equal(image.video, np.full((1, 6, 8), 0.25))


def test_fetched_data_are_verified_without_a_server(old: Path) -> None:
    records = json.loads((old / "fetched" / "checksums.json").read_text())
    files = [{"name": name, "url": record["url"]} for name, record in records.items()]
    config = FetchConfig.model_validate({"files": files, "timeout_s": 0.1, "attempts": 1})
    assert [found.what for found in fetch(config, old / "fetched")] == ["verified", "verified"]


@pytest.mark.parametrize("folder", ["run/evaluation", f"run/explanation/{SESSION}"])
def test_tables_of_a_time_before_checksums_are_read(old: Path, folder: str) -> None:
    (old / folder / "checksums.sha256").unlink()
    assert load_evaluation(old / "run").table["unit_id"].tolist() == ["unit_0", "unit_1", "unit_2"]
    assert load_explanation(old / "run", SESSION).unit_ids == ("unit_0", "unit_1", "unit_2")


def test_a_changed_byte_is_named(old: Path) -> None:
    file = old / "run" / "evaluation" / "scores.parquet"
    content = bytearray(file.read_bytes())
    content[100] ^= 8
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"scores\.parquet has changed.*evaluate"):
        load_evaluation(old / "run")
