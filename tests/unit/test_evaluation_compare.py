"""Paired differences on bins and neurons that all runs share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from builders import make_recording
from freegaze.config import dump_yaml
from freegaze.errors import CheckpointError, ConfigError, DataError, ShapeError
from freegaze.evaluation.compare import compare, group_runs, to_markdown
from freegaze.evaluation.evaluate import score_sessions
from freegaze.evaluation.prediction_files import save_predictions
from freegaze.evaluation.scored_session import scored_session
from freegaze.evaluation.shared_sessions import share_sessions
from freegaze.evaluation.storage import load_evaluation, save_evaluation
from freegaze.fitted.encoder import Prediction
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.recording.recording import Segment
from freegaze.runs.config import RunConfig, TrainingConfig

SEGMENTS = [Segment(0, 1500, "train"), Segment(1500, 5500, "test")]


def model(
    noise, *, seed=0, session_id="s", bins=(1500, 5500), neurons=(0, 1, 2, 3), change=None, n=4
):
    """Evaluate the true rates times log-normal noise, on some bins and neurons."""
    recording = make_recording(n_bins=5500, segments=SEGMENTS, session_id=session_id, n_neurons=n)
    recording = recording.select_neurons(list(neurons))
    if change is not None:
        recording = change(recording)
    targets = np.arange(*bins)
    rng = np.random.default_rng(seed)
    rates = recording.reference_rates["oracle"][targets]
    rates = rates * np.exp(noise * rng.normal(size=rates.shape))
    prediction = Prediction(session_id, targets, rates, recording.unit_ids)
    session = scored_session(recording, prediction, recording.responses[:1500].mean(0))
    return score_sessions([session], draws=10)


def row_of(comparison, metric, session="s"):
    table = comparison.table
    return table[(table["metric"] == metric) & (table["session_id"] == session)].iloc[0]


def test_differences_are_second_minus_first_on_shared_bins_and_neurons():
    a = model(1.0, bins=(1500, 5000), neurons=(0, 1, 2))
    b = model(0.0, bins=(1700, 5500), neurons=(3, 2, 1))
    found = compare({"a": [a], "b": [b]}, draws=200)
    row = row_of(found, "correlation")
    assert (row["n_bins"], row["n_neurons"]) == (3300, 2)
    recording = make_recording(n_bins=5500, segments=SEGMENTS).select_neurons([1, 2])
    observed = recording.responses[1700:5000]
    first = single_bin_correlation(a.sessions[0].rates[200:, 1:], observed)
    second = single_bin_correlation(b.sessions[0].rates[:3300, [2, 1]], observed)
    assert row["first_mean"] == pytest.approx(first.mean())
    assert row["second_mean"] == pytest.approx(second.mean())
    assert row["difference"] == pytest.approx((second - first).mean())
    assert row["difference_low"] < row["difference"] < row["difference_high"]
    neurons = found.neurons[found.neurons["metric"] == "correlation"]
    assert list(neurons["unit_id"]) == ["unit_1", "unit_2"]
    np.testing.assert_allclose(neurons["difference"], second - first)


def test_lower_errors_are_better():
    noisy, true = (model(noise, neurons=range(16), n=16) for noise in (1.0, 0.0))
    found = compare({"noisy": [noisy], "true": [true]}, draws=200)
    assert row_of(found, "mse")["difference"] < 0
    assert bool(row_of(found, "mse")["is_second_better"])
    assert bool(row_of(found, "correlation")["is_second_better"])
    back = compare({"true": [true], "noisy": [noisy]}, draws=200)
    assert not back.table["is_second_better"].any()


def test_every_pair_is_compared_on_the_same_bins():
    models = {"a": [model(0.0)], "b": [model(0.5)], "c": [model(1.0, bins=(1500, 4000))]}
    table = compare(models, metrics=["correlation"], draws=50).table
    pairs = list(zip(table["first"], table["second"], strict=True))
    assert pairs == [("a", "b"), ("a", "c"), ("b", "c")]
    assert set(table["n_bins"]) == {2500}


def test_seeds_of_a_model_are_averaged():
    seeds = [model(1.0, seed=s) for s in (1, 2)]
    found = compare({"true": [model(0.0)], "noisy": seeds}, metrics=["correlation"], draws=50)
    row = row_of(found, "correlation")
    assert (row["n_seeds_first"], row["n_seeds_second"]) == (1, 2)
    each = [e.table["correlation"].mean() for e in seeds]
    assert row["second_mean"] == pytest.approx(np.mean(each))


def test_several_sessions_count_the_same():
    def both(noise):
        return score_sessions(
            [model(noise, session_id=k, bins=b).sessions[0] for k, b in SESSIONS.items()], draws=10
        )

    table = compare({"n": [both(1.0)], "t": [both(0.0)]}, metrics=["correlation"], draws=50).table
    assert list(table["session_id"]) == ["s1", "s2", "all"]
    assert table["difference"][2] == pytest.approx(table["difference"][:2].mean())
    assert table["n_bins"][2] == table["n_bins"][:2].sum()


SESSIONS = {"s1": (1500, 5500), "s2": (1500, 4000)}


def test_a_constant_prediction_has_no_correlation_to_compare():
    flat = model(0.0)
    session = replace(flat.sessions[0], rates=np.ones_like(flat.sessions[0].rates))
    flat = score_sessions([session], draws=10)
    found = compare({"flat": [flat], "true": [model(0.0)]}, draws=50)
    row = row_of(found, "correlation")
    assert row["n_neurons"] == 0
    assert np.isnan(row["difference"])
    assert row_of(found, "bits_per_spike")["n_neurons"] == 4


def test_only_tracked_bins_may_be_compared():
    def lose(recording):
        behavior = recording.behavior.copy()
        behavior[2000:2500] = np.nan
        return replace(recording, behavior=behavior)

    models = {"a": [model(0.0, change=lose)], "b": [model(1.0, change=lose)]}
    found = compare(models, metrics=["mse"], only_tracked=True, draws=50)
    assert set(found.table["n_bins"]) == {3500}


def test_other_recorded_responses_are_refused():
    def alter(recording):
        responses = recording.responses.copy()
        responses[3000, 2] += 1
        return replace(recording, responses=responses)

    with pytest.raises(DataError, match="neuron 'unit_2' in bin 3000"):
        compare({"a": [model(0.0)], "b": [model(0.0, change=alter)]})


def test_other_bin_widths_are_refused():
    wide = model(0.0, change=lambda r: replace(r, bin_width_s=0.1))
    with pytest.raises(DataError, match=r"bins of 0\.1 s, the first run .* bins of 0\.05 s"):
        compare({"a": [model(0.0)], "b": [wide]})


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"session_id": "t"}, r"share no session \(a: s; b: t\)"),
        ({"bins": (4000, 5500)}, "share 0 scored bins and 4 neurons"),
        ({"neurons": (3,)}, "share 1500 scored bins and 0 neurons"),
    ],
)
def test_runs_that_share_nothing_are_refused(other, message):
    a = model(0.0, bins=(1500, 4000), neurons=(0, 1)) if "neurons" in other else None
    a = a or model(0.0, bins=(1500, 4000))
    if "neurons" in other:
        other = {**other, "bins": (2500, 5500)}
    with pytest.raises(DataError, match=message):
        share_sessions({"a": [a], "b": [model(0.0, **other)]})


def test_one_model_cannot_be_compared():
    with pytest.raises(ConfigError, match="two models or more"):
        compare({"a": [model(0.0)]})


def write_run(folder, noise, seed, name="glm"):
    folder.mkdir()
    config = RunConfig(model={"name": name}, training=TrainingConfig(seed=seed))
    (folder / "config.yaml").write_text(dump_yaml(config))
    save_evaluation(folder, model(noise, seed=seed))
    return folder


def test_runs_that_differ_in_the_seed_alone_are_one_model(tmp_path):
    runs = [
        write_run(tmp_path / "a0", 0.5, 0),
        write_run(tmp_path / "b0", 1.0, 0, name="cnn_gru"),
        write_run(tmp_path / "a1", 0.5, 1),
    ]
    assert {k: len(v) for k, v in group_runs(runs).items()} == {"a0+a1": 2, "b0": 1}
    found = compare(runs, metrics=["correlation"], draws=50)
    row = row_of(found, "correlation")
    assert (row["first"], row["second"], row["n_seeds_first"]) == ("a0+a1", "b0", 2)


def test_folders_of_equal_name_are_told_apart(tmp_path):
    runs = []
    for i, part in enumerate(("x", "y")):
        (tmp_path / part).mkdir()
        runs.append(write_run(tmp_path / part / "run", 0.5 * i, 0, name=f"m{i}"))
    assert list(group_runs(runs)) == [str(run) for run in runs]


def test_evaluations_without_a_configuration_are_models_of_their_own(tmp_path):
    for name in "ab":
        save_evaluation(tmp_path / name, model(0.0))
    assert list(group_runs([tmp_path / "a", tmp_path / "b"])) == ["a", "b"]


def test_a_run_given_twice_or_never_evaluated_is_refused(tmp_path):
    run = write_run(tmp_path / "a", 0.0, 0)
    with pytest.raises(ConfigError, match="twice"):
        compare([run, tmp_path / "." / "a"])
    with pytest.raises(CheckpointError, match="freegaze evaluate"):
        compare([run, tmp_path / "b"])


def test_tables_render_in_markdown_and_headlines_stay_narrow():
    table = pd.DataFrame({"name": ["a"], "value": [0.123456], "n": [3]})
    assert to_markdown(table) == "| name | value | n |\n| --- | --- | --- |\n| a | 0.123 | 3 |\n"
    found = compare({"a": [model(0.0)], "b": [model(1.0)]}, metrics=["mse"], draws=50)
    assert found.markdown().startswith("| first | second |")
    line = found.headline.iloc[0]
    assert (line["models"], line["metric"]) == ("b - a", "mse")
    assert line["interval"].count(" to ") == 1


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    save_evaluation(folder, model(1.0, neurons=(0, 1, 2)))
    return folder


def test_a_prediction_file_is_compared_like_an_evaluation_of_the_same_rates(run, tmp_path):
    other = model(0.0, bins=(1700, 5500), neurons=(2, 1))
    save_predictions(tmp_path / "mine.npz", other.predictions)
    found = compare([run, tmp_path / "mine.npz"], draws=50)
    expected = compare({"run": [load_evaluation(run)], "mine.npz": [other]}, draws=50)
    pd.testing.assert_frame_equal(found.table, expected.table)
    pd.testing.assert_frame_equal(found.neurons, expected.neurons)
    assert row_of(found, "correlation")["n_bins"] == 3800
    back = compare([str(tmp_path / "mine.npz"), run], metrics=["mse"], draws=50).table
    assert list(back["second"]) == ["run"]


def test_rows_of_a_file_without_targets_are_the_scored_bins(run, tmp_path):
    rates = model(0.0, neurons=(0, 1, 2)).sessions[0].rates
    np.savez(tmp_path / "mine.npz", rates=rates)
    found = compare([run, tmp_path / "mine.npz"], metrics=["mse"], draws=50)
    assert row_of(found, "mse")["n_bins"] == 4000
    np.savez(tmp_path / "mine.npz", rates=rates[1:])
    with pytest.raises(ShapeError, match="3999 rows, but the recording has 4000 test bins"):
        compare([run, tmp_path / "mine.npz"])


def test_prediction_files_that_do_not_fit_are_refused(run, tmp_path):
    path = tmp_path / "mine.npz"
    with pytest.raises(DataError, match=r"mine\.npz"):
        compare([run, path])
    save_predictions(path, model(0.0, session_id="other").predictions)
    with pytest.raises(DataError, match="predicts session 'other', the recordings are s"):
        compare([run, path])
    save_predictions(path, model(0.0, neurons=(3,)).predictions)
    with pytest.raises(DataError, match="'unit_3', which the recording lacks"):
        compare([run, path])
    (prediction,) = model(0.0, neurons=(0, 1)).predictions
    save_predictions(path, [replace(prediction, targets=prediction.targets - 4100)])
    with pytest.raises(DataError, match="`targets` runs from -2600"):
        compare([run, path])
    save_predictions(path, [replace(prediction, targets=prediction.targets + 9000)])
    with pytest.raises(DataError, match="none of the predicted bins is a test bin"):
        compare([run, path])
    with pytest.raises(ConfigError, match="add the folder of an evaluated run"):
        compare([path, tmp_path / "theirs.npz"])
