"""Cross-validation: every bin tested once, by a fit that did not see it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import freegaze
from builders import make_recording, make_trial_recording
from freegaze.cli.app import app
from freegaze.dataset.config import DataConfig, SplitConfig
from freegaze.dataset.folds import split_fold
from freegaze.dataset.sessions import split_of
from freegaze.dataset.splits import ROLES
from freegaze.dataset.windows import check_leaks, input_bins, window_targets
from freegaze.errors import CheckpointError, ConfigError, DataError
from freegaze.evaluation.compare import compare
from freegaze.evaluation.storage import load_evaluation
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.recording.recording import Segment
from freegaze.recording.store import save_store
from freegaze.runs.run_folder import RunFolder

SETTINGS = {
    "training.max_passes": 2,
    "training.device": "cpu",
    "data.min_rate_hz": 0,
    "data.history": 3,
    "split.gap_s": 0.2,
}


@settings(max_examples=30, deadline=None)
@given(
    n_folds=st.integers(2, 6),
    history=st.integers(1, 6),
    lag=st.integers(-2, 3),
    gap_s=st.sampled_from([0.0, 0.1, 0.4]),
    lengths=st.lists(st.integers(400, 700), min_size=1, max_size=4),
)
def test_every_bin_with_a_full_window_is_tested_exactly_once(n_folds, history, lag, gap_s, lengths):
    edges = np.cumsum([0, *lengths])
    segments = [Segment(int(a), int(b), None) for a, b in itertools.pairwise(edges)]
    recording = make_recording(n_bins=int(edges[-1]), segments=segments)
    tested = []
    for fold in range(n_folds):
        split = split_fold(
            recording, n_folds=n_folds, fold=fold, gap_s=gap_s, history=history, lag=lag
        )
        by_role = {
            role: window_targets(segments, history, lag, split=split, role=role)
            for role in ("train", "validation", "test")
        }
        check_leaks(recording.segments, split, history, lag, recording.bin_width_s)
        touched = {
            role: np.unique([input_bins(t, history, lag).ravel(), np.repeat(t, history)])
            for role, t in by_role.items()
        }
        assert not np.intersect1d(touched["validation"], touched["test"]).size
        assert all(len(targets) for targets in by_role.values())
        tested.append(by_role["test"])
    together = np.sort(np.concatenate(tested))
    np.testing.assert_array_equal(together, window_targets(segments, history, lag))


def test_trials_stay_whole_and_fold_roles_ignore_those_of_the_recording():
    recording = make_trial_recording(n_trials=24, n_bins=20)
    n_test = np.zeros(24, dtype=int)
    for fold in range(4):
        split = split_fold(recording, n_folds=4, fold=fold, history=3, gap_s=2.0)
        codes = split.codes.reshape(24, 20)
        assert (codes == codes[:, :1]).all()
        n_test += codes[:, 0] == 2
        assert np.count_nonzero(codes[:, 0] == 1) in (
            2,
            3,
            4,
            5,
        )  # near a fifth of the 18 others, in whole blocks
    assert (n_test == 1).all()


def test_repeated_stimuli_are_held_out_with_their_trials():
    recording = make_trial_recording(n_trials=48, n_bins=20, n_conditions=8)
    n_test = np.zeros(48, dtype=int)
    for fold in range(3):
        split = split_fold(recording, n_folds=3, fold=fold, history=3)
        shown = [set(recording.frame_index[split.bins(role)]) for role in ROLES]
        assert not shown[0] & shown[1]
        assert not (shown[0] | shown[1]) & shown[2]
        assert all(shown)
        codes = split.codes.reshape(48, 20)
        n_test += codes[:, 0] == 2
    assert (n_test == 1).all()
    few = make_trial_recording(n_trials=48, n_bins=20, n_conditions=3)  # too few stimuli
    split = split_fold(few, n_folds=3, fold=0, history=3)
    assert np.isin(few.frame_index[split.bins("test")], few.frame_index[split.bins("train")]).any()


def test_scores_say_how_many_stimuli_training_has_seen(tmp_path: Path):
    for n_conditions, expected in ((8, 0.0), (2, 1.0)):
        recording = make_trial_recording(n_trials=48, n_conditions=n_conditions)
        place = tmp_path / str(n_conditions)
        encoder = freegaze.fit(recording, place, model="mean_rate", settings=SETTINGS)
        found = freegaze.evaluate(encoder, recording, folds=3, draws=20)
        assert found.sessions[0].seen.frames == expected


def test_validation_takes_its_share():
    recording = make_recording(n_bins=24_000)
    for n_folds in (2, 5, 10):
        split = split_fold(recording, n_folds=n_folds, fold=0, gap_s=0.0)
        rest = split.codes != 2
        assert (split.codes[rest] == 1).mean() == pytest.approx(0.2, abs=0.06)
        assert rest.mean() == pytest.approx(1 - 1 / n_folds, abs=0.01)


def test_the_configuration_names_the_fold():
    recording = make_recording()
    config = SplitConfig(method="folds", n_folds=3, fold=1, gap_s=0.1)
    found = split_of(recording, config, DataConfig(history=4))
    expected = split_fold(recording, n_folds=3, fold=1, gap_s=0.1, history=4)
    np.testing.assert_array_equal(found.codes, expected.codes)


def test_impossible_folds_are_refused():
    recording = make_trial_recording(n_trials=4)
    with pytest.raises(DataError, match="4 blocks or trials cannot be shared by 5 folds"):
        split_fold(recording, n_folds=5, fold=0)
    with pytest.raises(DataError, match="fold 3 of 3 does not exist"):
        split_fold(recording, n_folds=3, fold=3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("cross_validation")
    save_store(make_recording(n_bins=1500), place / "recording")
    recordings = freegaze.open_recordings("store", place / "recording")
    for name in ("mean_rate", "behavior_only"):
        model = {"model.features": ["speed", "theta"]} if name == "behavior_only" else {}
        freegaze.fit(recordings, place / name, model=name, settings=SETTINGS | model)
        freegaze.evaluate(place / name, folds=3, draws=20)
    return place / "behavior_only"


def test_scores_are_those_of_predictions_by_the_fit_without_the_bin(run: Path):
    (recording,) = freegaze.open_recordings("store", run.parent / "recording")
    found = load_evaluation(run, is_cross_validated=True)
    (session,) = found.sessions
    np.testing.assert_array_equal(session.targets, window_targets(recording.segments, 3, 1))
    for fold in range(3):
        encoder = freegaze.load_encoder(run / "folds" / str(fold))
        alone = encoder.predict(recording, "test")
        place = np.searchsorted(session.targets, alone.targets)
        np.testing.assert_array_equal(session.rates[place], alone.rates)
        assert RunFolder(run / "folds" / str(fold)).is_sealed
    expected = single_bin_correlation(session.rates, recording.responses[session.targets])
    np.testing.assert_allclose(found.table["correlation"], expected)
    assert found.summary["folds"] == {"n": 3, "n_left_out": {"s": 0}}
    with pytest.raises(CheckpointError, match="no evaluation"):
        load_evaluation(run)  # the run's own test bins were not scored


def test_comparison_of_folds(run: Path):
    runs = [run.parent / "mean_rate", run]
    found = compare(runs, metrics=["bits_per_spike"], is_cross_validated=True, draws=20)
    row = found.table.iloc[0]
    first, second = (load_evaluation(r, is_cross_validated=True).table for r in runs)
    expected = (second["bits_per_spike"] - first["bits_per_spike"]).mean()
    assert row["difference"] == pytest.approx(expected)
    assert row["n_bins"] == 1500 - 3 * 3
    with pytest.raises(CheckpointError, match="freegaze evaluate .* --folds 5"):
        compare([run, run / "folds" / "0"], is_cross_validated=True)


def test_folds_that_are_done_are_kept_and_others_refused(run: Path):
    before = (run / "folds" / "1" / "encoder.safetensors").stat().st_mtime_ns
    told: list[str] = []
    freegaze.evaluate(run, folds=3, draws=20, progress=lambda what, done, total: told.append(what))
    assert (run / "folds" / "1" / "encoder.safetensors").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="other settings than asked for now; give --folds 3"):
        freegaze.evaluate(run, folds=4)
    with pytest.raises(ConfigError, match="at least 2 folds"):
        freegaze.evaluate(run, folds=1)
    with pytest.raises(ConfigError, match="leave out `role`"):
        freegaze.evaluate(run, folds=3, role="validation")


def test_a_stopped_fold_goes_on(tmp_path: Path):
    recording = make_recording(n_bins=900)
    options = SETTINGS | {"model.features": ["speed", "theta"]}
    freegaze.fit(recording, tmp_path / "run", model="behavior_only", settings=options)

    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("fold 2 of 3"):
            raise KeyboardInterrupt

    encoder = freegaze.load_encoder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        freegaze.evaluate(encoder, recording, folds=3, draws=20, progress=stop)
    assert not (tmp_path / "run" / "folds" / "evaluation").exists()
    found = freegaze.evaluate(encoder, recording, folds=3, draws=20)
    undisturbed = freegaze.fit(recording, tmp_path / "new", model="behavior_only", settings=options)
    expected = freegaze.evaluate(undisturbed, recording, folds=3, draws=20)
    np.testing.assert_array_equal(found.sessions[0].rates, expected.sessions[0].rates)


def test_options_are_chosen_in_each_fold(tmp_path: Path):
    recording = make_recording(n_bins=900)
    encoder = freegaze.fit(
        recording,
        tmp_path / "run",
        model="mean_rate",
        settings=SETTINGS | {"search": {"training.learning_rate": [0.001, 0.1]}},
    )
    freegaze.evaluate(encoder, recording, folds=2, draws=20)
    for fold in range(2):
        folder = RunFolder(tmp_path / "run" / "folds" / str(fold))
        trials = [RunFolder(folder.path / "search" / f"{i:03d}") for i in range(2)]
        losses = [trial.kept_pass()["validation_loss"] for trial in trials]
        best = trials[int(np.argmin(losses))]
        assert folder.encoder.read_bytes() == best.encoder.read_bytes()
        assert all(trial.config().split.fold == fold for trial in trials)


def test_command_line(run: Path):
    options = ["--folds", "3", "--draws", "20", "--quiet"]
    shown = CliRunner().invoke(app, ["evaluate", str(run), *options])
    assert shown.exit_code == 0, shown.output
    assert "scores.csv" in shown.output
    others = [str(run.parent / "mean_rate"), str(run)]
    shown = CliRunner().invoke(app, ["compare", *others, "--folds", "--quiet"])
    assert shown.exit_code == 0, shown.output
    assert "behavior_only - mean_rate" in shown.output
