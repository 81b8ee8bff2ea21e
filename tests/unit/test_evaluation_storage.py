"""An evaluation on disk comes back as it was, and half of one never looks whole."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from builders import make_recording, make_trial_recording
from fake_encoder import fake_fit
from freegaze.errors import CheckpointError
from freegaze.evaluation.evaluate import evaluate
from freegaze.evaluation.storage import load_evaluation, save_evaluation
from freegaze.recording.recording import ResponseKind


@pytest.fixture(scope="module")
def evaluation():
    a = make_recording(n_bins=900, lost_share=0.1, session_id="mouse/1")
    b = make_recording(n_bins=900, session_id="b", n_neurons=3)
    return evaluate(fake_fit([a, b]), [a, b], draws=10)


def test_everything_comes_back(evaluation, tmp_path):
    folder = save_evaluation(tmp_path, evaluation)
    again = load_evaluation(tmp_path)
    assert sorted(p.name for p in folder.iterdir()) == [
        "checksums.sha256",
        "predictions.npz",
        "scores.csv",
        "scores.parquet",
        "summary.json",
    ]
    pd.testing.assert_frame_equal(again.table, evaluation.table)
    np.testing.assert_equal(dict(again.summary), dict(evaluation.summary))
    for old, new in zip(evaluation.sessions, again.sessions, strict=True):
        assert (old.session_id, old.unit_ids) == (new.session_id, new.unit_ids)
        for name in ("targets", "rates", "observed", "baseline", "is_tracked", "repeat_cells"):
            np.testing.assert_array_equal(getattr(old, name), getattr(new, name))
        np.testing.assert_array_equal(old.references["oracle"], new.references["oracle"])
        np.testing.assert_array_equal(old.chance.p, new.chance.p)


def test_the_csv_holds_the_same_numbers(evaluation, tmp_path):
    folder = save_evaluation(tmp_path, evaluation)
    csv = pd.read_csv(folder / "scores.csv", dtype={"session_id": str, "unit_id": str})
    assert list(csv.columns) == list(evaluation.table.columns)
    np.testing.assert_array_equal(csv["correlation"], evaluation.table["correlation"])


def test_the_summary_is_strict_json(tmp_path):
    recording = make_trial_recording()  # too few blocks for intervals: NaN
    save_evaluation(tmp_path, evaluate(fake_fit([recording]), recording, draws=10))

    def refuse(name):
        raise AssertionError(name)

    text = (tmp_path / "evaluation" / "summary.json").read_text()
    assert json.loads(text, parse_constant=refuse)["role"] == "test"


def test_an_earlier_evaluation_is_replaced(evaluation, tmp_path):
    save_evaluation(tmp_path, evaluation)
    other = make_recording(n_bins=900, kind=ResponseKind.FLUORESCENCE)
    save_evaluation(tmp_path, evaluate(fake_fit([other]), other, draws=10))
    assert set(load_evaluation(tmp_path).table["session_id"]) == {"s"}


def test_a_run_without_evaluation_says_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match="freegaze evaluate"):
        load_evaluation(tmp_path)


@pytest.mark.parametrize("name", ["scores.parquet", "predictions.npz", "summary.json"])
def test_a_broken_file_says_what_to_do(evaluation, tmp_path, name):
    folder = save_evaluation(tmp_path, evaluation)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError):
        load_evaluation(tmp_path)
