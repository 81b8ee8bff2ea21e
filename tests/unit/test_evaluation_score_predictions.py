"""Predictions from elsewhere: read strictly, scored like our own."""

from __future__ import annotations

import numpy as np
import pytest

from builders import make_recording
from fake_encoder import fake_fit
from freegaze.dataset.splits import Split, split_recording
from freegaze.errors import DataError, ShapeError
from freegaze.evaluation.evaluate import evaluate
from freegaze.evaluation.prediction_files import save_predictions
from freegaze.evaluation.score_predictions import score_predictions
from freegaze.evaluation.storage import save_evaluation


@pytest.fixture
def recording():
    return make_recording(n_bins=900, lost_share=0.1)


def test_our_own_predictions_score_as_in_an_evaluation(recording, tmp_path):
    encoder = fake_fit([recording], gap_s=2.0)
    path = tmp_path / "p.npz"
    save_predictions(path, [encoder.predict(recording)])
    split = {"s": encoder.split(recording)}
    ours = evaluate(encoder, recording, draws=20).table
    theirs = score_predictions(path, recording, draws=20, splits=split).table
    np.testing.assert_allclose(theirs["correlation"], ours["correlation"], atol=1e-6)
    np.testing.assert_allclose(theirs["bits_per_spike"], ours["bits_per_spike"], atol=1e-6)


def test_rates_alone_may_cover_all_bins_or_the_test_bins(recording, tmp_path):
    oracle = recording.reference_rates["oracle"]
    test = split_recording(recording).bins("test")
    np.savez(tmp_path / "all.npz", rates=oracle)
    np.savez(tmp_path / "test.npz", rates=oracle[test])
    for name in ("all", "test"):
        evaluation = score_predictions(tmp_path / f"{name}.npz", [recording], draws=20)
        np.testing.assert_array_equal(evaluation.sessions[0].targets, test)
        table = evaluation.table
        np.testing.assert_allclose(table["correlation"], table["oracle_correlation"], rtol=1e-6)


def test_rows_and_columns_may_come_in_any_order(recording, tmp_path):
    oracle = recording.reference_rates["oracle"]
    targets = np.random.default_rng(0).permutation(np.arange(640, 900))
    rates = oracle[targets][:, [3, 1]]
    np.savez(tmp_path / "p.npz", rates=rates, targets=targets, unit_ids=["unit_3", "unit_1"])
    evaluation = score_predictions(tmp_path / "p.npz", recording, draws=20)
    table = evaluation.table
    assert list(table["unit_id"]) == ["unit_3", "unit_1"]
    np.testing.assert_array_equal(evaluation.sessions[0].targets, np.arange(640, 900))
    np.testing.assert_allclose(table["mse"], table["oracle_mse"], rtol=1e-6)


def test_bins_without_prediction_may_be_nan_outside_the_test(recording, tmp_path):
    rates = recording.reference_rates["oracle"].copy()
    rates[:300] = np.nan
    np.savez(tmp_path / "p.npz", rates=rates)
    assert np.isfinite(
        score_predictions(tmp_path / "p.npz", recording, draws=20).table["mse"]
    ).all()


def test_several_sessions_share_a_file(tmp_path):
    a, b = (make_recording(n_bins=900, session_id=k, seed=i) for i, k in enumerate(("x/a", "b")))
    encoder = fake_fit([a, b])
    save_predictions(tmp_path / "p.npz", [encoder.predict(r) for r in (a, b)])
    table = score_predictions(tmp_path / "p.npz", [b, a], draws=20).table
    assert list(dict.fromkeys(table["session_id"])) == ["b", "x/a"]
    folder = save_evaluation(tmp_path, evaluate(encoder, [a, b], draws=20))
    again = score_predictions(folder / "predictions.npz", [a, b], draws=20)
    assert set(again.table["session_id"]) == {"x/a", "b"}


def test_only_predicted_sessions_are_scored(tmp_path):
    a, b = (make_recording(n_bins=900, session_id=k, seed=i) for i, k in enumerate("ab"))
    save_predictions(tmp_path / "p.npz", [fake_fit([a]).predict(a)])
    assert set(score_predictions(tmp_path / "p.npz", [a, b], draws=20).table["session_id"]) == {"a"}


def good(recording):
    return {"rates": recording.reference_rates["oracle"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": None, "rate": np.ones((900, 4))}, "no array `rates`; it holds rate"),
        ({"rates": np.ones((900, 4, 1))}, "must be real numbers"),
        ({"rates": np.full((900, 4), "a")}, "must be real numbers"),
        ({"rates": np.ones((900, 4), dtype=bool)}, "must be real numbers"),
        ({"rates": np.ones((899, 4))}, "899 rows, but the recording has 900 bins"),
        ({"rates": np.ones((900, 3))}, "3 columns, the recording 4"),
        ({"unit_ids": ["a", "b"]}, "must be 4 different names"),
        ({"unit_ids": ["unit_0", "unit_1", "unit_2", "unit_2"]}, "4 \\(3 different\\)"),
        ({"unit_ids": ["unit_0", "unit_1", "unit_2", "x"]}, "names 'x', which the recording lacks"),
        ({"targets": np.arange(900.0)}, "`targets` must be whole numbers"),
        ({"targets": np.arange(899)}, "`targets` must be whole numbers"),
        ({"targets": np.arange(900) + 1}, "from 1 to 900"),
        ({"targets": np.r_[np.arange(899), 0]}, "more than once"),
        ({"session_id": "t"}, "session 't', the recordings are s"),
        ({"rates": np.full((900, 4), np.nan)}, "finite number for every test bin"),
        ({"rates": np.full((900, 4), -1.0)}, "cannot be negative"),
        ({"rates": np.ones((3, 4)), "targets": np.arange(3)}, "is a test bin"),
    ],
)
def test_wrong_contents_are_one_clear_line(recording, tmp_path, change, message):
    arrays = {k: v for k, v in (good(recording) | change).items() if v is not None}
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(DataError, match=message) as error:
        score_predictions(tmp_path / "p.npz", recording, draws=20)
    assert "p.npz" in str(error.value)


def test_pickled_objects_broken_and_missing_files_are_refused(recording, tmp_path):
    np.savez(tmp_path / "pickle.npz", rates=np.array([[object()]]))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    np.save(tmp_path / "one.npy", np.ones(3))
    for name in ("pickle.npz", "broken.npz", "one.npy", "missing.npz"):
        with pytest.raises(DataError, match=name):
            score_predictions(tmp_path / name, recording)


def test_a_session_must_be_named_when_there_are_several(tmp_path):
    a, b = (make_recording(n_bins=900, session_id=k) for k in "ab")
    np.savez(tmp_path / "p.npz", rates=a.reference_rates["oracle"])
    with pytest.raises(DataError, match="several recordings: a, b"):
        score_predictions(tmp_path / "p.npz", [a, b])


def test_shape_errors_are_data_errors():
    assert issubclass(ShapeError, DataError)


def test_a_split_without_training_bins_leaves_no_baseline(recording, tmp_path):
    np.savez(tmp_path / "p.npz", **good(recording))
    split = Split(np.full(900, 2, dtype=np.int8), gap_s=0.0)
    with pytest.raises(DataError, match="no training bins"):
        score_predictions(tmp_path / "p.npz", recording, splits={"s": split})
