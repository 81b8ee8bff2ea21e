"""Contributions laid out: which tests are corrected together, and what class follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from builders import make_recording
from fake_encoder import fake_fit
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.contributions.answers import count_answers, explain_answers
from freegaze.explanation.contributions.contributions import (
    NUMBERS,
    _fit,
    contribution_tables,
)
from freegaze.explanation.contributions.groups import class_of, grouped_columns, join_collinear
from freegaze.explanation.contributions.predictors import Predictors
from freegaze.explanation.contributions.regression import (
    ContributionData,
    NeuronContributions,
    neuron_contributions,
)
from freegaze.explanation.session import ExplainedSession
from freegaze.recording.recording import Recording, Segment

FIVE = ("train", "validation", "test", "train", "test")


def session_of(recording: Recording) -> ExplainedSession:
    return ExplainedSession(fake_fit([recording]), recording)


def laid_out(
    session: ExplainedSession, p: np.ndarray, rate: float = 0.05
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of made-up p, (neuron, group): vision, behavior, groups; other numbers count up."""
    neurons: list[Mapping[str, np.ndarray]] = []
    for row in p:
        numbers = np.arange(len(row) * len(NUMBERS), dtype=float).reshape(len(row), -1)
        numbers[:, NUMBERS.index("p")] = row
        untested = np.where(np.isnan(row), "too short", "")
        whole = np.array([0.1, 0.2, 0.3])
        neurons.append({"numbers": numbers, "untested": untested, "whole": whole})
    session.keep_by_neuron = lambda *_: neurons
    return tables_of(session, ExplainConfig(false_discovery_rate=rate))


def tables_of(session: ExplainedSession, config: ExplainConfig) -> tuple[pd.DataFrame, ...]:
    found = contribution_tables(session, config)
    return found["contributions"], found["neurons"]


def test_vision_does_not_make_the_tests_of_behavior_lenient() -> None:
    session = session_of(make_recording(n_neurons=10))
    p = np.full((10, 4), 0.9)
    p[:, 0] = 0.001  # every neuron sees
    p[4, 1:3] = 0.006  # of 10 neurons the limit of the first is .05 / 10 = .005;
    table, about = laid_out(session, p)  # of all 20 tests it would be .05 * 11 / 20 = .028
    by_group = table.groupby("group")["is_significant"].sum().to_dict()
    assert by_group == {"vision": 10, "behavior": 0, "eye": 0, "speed": 0}
    assert about["class"].eq("none").all()


def test_groups_are_selected_within_neurons_that_behavior_adds_to() -> None:
    session = session_of(make_recording(n_neurons=10))
    p = np.full((10, 4), 0.9)
    p[4, 1] = p[7, 1] = 0.01  # two of ten: groups at .05 * 2 / 10 = .01, the first of two at .005
    p[4, 2] = 0.005
    p[7, 3] = 0.006
    p[1, 2] = 0.001  # not looked at: behavior adds nothing
    table, about = laid_out(session, p)
    classes = dict.fromkeys(about["unit_id"], "none") | {"unit_4": "eye", "unit_7": "undecided"}
    assert about["class"].tolist() == list(classes.values())
    found = table[table["answer"] == "yes"]
    assert found[["unit_id", "group"]].to_numpy().tolist() == [
        *(["unit_4", "behavior"], ["unit_4", "eye"], ["unit_7", "behavior"])
    ]
    assert (table["is_significant"] == (table["answer"] == "yes")).all()


def test_rows_keep_neuron_and_group() -> None:
    session = session_of(make_recording(n_neurons=2))
    table, about = laid_out(session, np.array([[0.1, 0.25, 0.2, 0.3], [0.4, 0.45, 0.5, 0.6]]))
    assert table["unit_id"].tolist() == ["unit_0"] * 4 + ["unit_1"] * 4
    assert table["group"].tolist() == ["vision", "behavior", "eye", "speed"] * 2
    assert table["p"].tolist() == [0.1, 0.25, 0.2, 0.3, 0.4, 0.45, 0.5, 0.6]
    assert table["correlation"].tolist() == [1.0, 9.0, 17.0, 25.0] * 2
    assert about.iloc[1].tolist() == ["unit_1", 0.1, 0.2, 0.3, "none"]


def test_no_p_is_no_answer() -> None:
    session = session_of(make_recording(n_neurons=2))
    table, about = laid_out(session, np.full((2, 4), np.nan))
    assert not table["is_significant"].any()
    assert table["answer"].eq("not tested").all()
    assert table["reason"].eq("too short").all()
    assert about["class"].tolist() == ["not tested"] * 2
    counts = count_answers(table)
    assert counts["tested"].tolist() == [0] * 4
    assert counts["not_tested"].tolist() == [2] * 4
    assert explain_answers(table) == ["Not tested in 2 neurons (all groups): too short."]


def test_a_column_of_no_group_is_tested_by_itself_and_has_no_class_of_its_own() -> None:
    base = make_recording(n_neurons=2)
    recording = replace(base, behavior_names=("speed", "theta", "whisking"))
    p = np.array([[0.9, 0.001, 0.9, 0.9, 0.001], [0.9, 0.001, 0.9, 0.001, 0.9]])
    table, about = laid_out(session_of(recording), p)
    assert about["class"].tolist() == ["mixed", "speed"]
    found = table[table["is_significant"] & (table["group"] != "behavior")]
    assert found[["unit_id", "group"]].to_numpy().tolist() == [
        ["unit_0", "whisking"],
        ["unit_1", "speed"],
    ]


def test_copies_share_the_group_of_what_they_copy() -> None:
    names = ("theta", "phi", "pupil_x", "pupil_y", "gaze_x")
    assert grouped_columns(names) == {"eye": names}


def test_groups_that_cannot_be_separated_are_judged_together() -> None:
    rng = np.random.default_rng(3)
    a, b, c, noise = rng.normal(size=(4, 2000))
    signals = {"speed": a, "pupil_radius": a + 0.25 * noise, "theta": b, "phi": c, "still": 0 * a}
    groups = {"eye": ("theta", "phi"), "speed": ("speed",), "pupil": ("pupil_radius",)}
    groups["still"] = ("still",)
    joined = {"eye": ("theta", "phi"), "speed + pupil": ("speed", "pupil_radius")}
    assert join_collinear(groups, signals) == joined | {"still": ("still",)}  # r = .97
    signals["pupil_radius"] = a + 0.4 * noise  # r = .93, of the variance .86
    assert join_collinear(groups, signals) == groups
    signals["phi"] = b + 0.1 * c  # two columns of one signal explain no other
    assert join_collinear(groups, signals) == groups
    signals["speed"] = b - c  # explained by the eye's columns together, not by one
    assert list(join_collinear(groups, signals)) == ["eye + speed", "pupil", "still"]
    assert class_of(["speed + pupil"]) == "undecided"
    assert class_of(["speed + pupil", "eye"]) == "mixed"


def test_a_joint_group_is_named_in_the_table_and_in_words() -> None:
    base = make_recording(n_bins=900, n_neurons=2, roles=FIVE)
    names = ("speed", "theta", "wheel")
    behavior = np.column_stack([base.behavior[:, :2], 3 * base.behavior[:, 0] + 1])
    recording = replace(base, behavior_names=names, behavior=behavior.astype(np.float32))
    session = session_of(recording)
    session.drive = np.ones((len(session.targets[None]), 2))
    table, about = tables_of(session, ExplainConfig(n_shifts=40))
    assert list(table["group"].unique()) == ["vision", "behavior", "eye", "speed + wheel"]
    assert "speed + wheel: nearly collinear, judged together." in explain_answers(table)
    assert set(about["class"]) <= {"none", "not tested", "eye", "mixed", "undecided"}


def test_columns_that_are_called_as_groups_take_nothing_away() -> None:
    columns = ("theta", "eye", "vision", "pupil_radius", "pupil", "behavior")
    groups = grouped_columns(columns)
    assert groups == {
        "eye": ("theta", "eye"),
        "pupil": ("pupil_radius", "pupil"),
        "vision column": ("vision",),
        "behavior column": ("behavior",),
    }
    assert grouped_columns(()) == {}
    assert class_of(["none"]) == "mixed"  # a column may be called anything


@pytest.mark.parametrize("bins", [1, 3, 20])
def test_trailing_means_are_plain_means_within_segments(bins: int) -> None:
    edges = [(0, 130), (130, 137), (137, 200), (200, 300)]
    roles = ("train", "train", "validation", "test")
    segments = [Segment(*e, role) for e, role in zip(edges, roles, strict=True)]
    session = session_of(make_recording(n_bins=300, segments=segments))
    session.drive = np.ones((len(session.targets[None]), 4))
    source = Predictors(session)
    signal = np.random.default_rng(0).normal(size=300)
    recent = source.recent(signal, bins)
    for seen, value in zip(source.seen, recent, strict=True):
        start = max(a for a, _ in edges if a <= seen)
        before = [signal[max(seen - k, start)] for k in range(bins)]
        assert value == pytest.approx(np.mean(before), abs=1e-9)


def test_a_product_of_speed_and_vision_is_of_class_speed_and_multiplicative() -> None:
    base = make_recording(n_bins=12000, n_neurons=3, seed=2, roles=FIVE)
    rng = np.random.default_rng(1)
    vision = np.exp(0.5 * rng.normal(size=(12000, 3)))  # counts a bin, known without error
    gain = np.roll(np.convolve(base.behavior[:, 0], np.ones(3) / 3)[:12000], 1)
    rate = 0.5 * vision
    rate[:, 0] *= np.exp(0.8 * gain)
    recording = replace(base, responses=rng.poisson(rate).astype(np.float32))
    session = session_of(recording)
    session.drive = vision[session.targets[None]]
    table, about = tables_of(session, ExplainConfig(n_shifts=400, false_discovery_rate=0.05))
    assert about["class"].tolist() == ["speed", "none", "none"]
    assert about["multiplicative_bits"].iloc[0] > 0.005
    seen = table[table["group"] == "vision"]
    assert seen["is_significant"].all()
    # The bound on p cannot be lower than 1 / (1 + n / 2).
    assert table["p"].min() == table["least_p"].min() == pytest.approx(1 / 200)


def test_models_are_fitted_on_training_and_validation_bins_and_scored_on_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = session_of(make_recording(n_bins=900, roles=FIVE))
    drive = np.random.default_rng(0).gamma(1.0, size=(len(session.targets[None]), 4))
    given: list[ContributionData] = []

    def watched(data: ContributionData, **options: int) -> NeuronContributions:
        given.append(data)
        return neuron_contributions(data, **options)

    monkeypatch.setattr(
        "freegaze.explanation.contributions.contributions.neuron_contributions", watched
    )
    session.drive = drive
    _fit(Predictors(session), 2, n_shifts=4)
    (data,) = given
    targets = session.targets
    fitted = np.concatenate([targets["train"], targets["validation"]])
    assert set(targets[None][data.is_training]) == set(fitted)
    assert set(targets[None][data.is_test]) == set(targets["test"])
    np.testing.assert_array_equal(data.responses, session.recording.responses[targets[None], 2])
    np.testing.assert_array_equal(data.drive, drive[:, 2])
    assert list(data.groups) == ["eye", "speed"]
    assert data.groups["eye"].shape == (len(drive), 4)  # two columns and their squares


def test_bins_know_their_trial_where_segments_are_trials() -> None:
    edges = [(0, 130), (130, 180), (180, 230), (230, 300)]
    roles = ("train", "train", "validation", "test")
    for trial in (True, False):
        segments = [Segment(*e, role, trial) for e, role in zip(edges, roles, strict=True)]
        session = session_of(make_recording(n_bins=300, segments=segments))
        session.drive = np.ones((len(session.targets[None]), 4))
        source = Predictors(session)
        if not trial:
            assert source.trials is None
            continue
        assert source.trials is not None
        for target, number in zip(source.targets, source.trials, strict=True):
            assert edges[number][0] <= target < edges[number][1]


def test_a_neuron_that_never_fires_adds_nothing() -> None:
    base = make_recording(n_bins=12000, n_neurons=2, roles=FIVE)
    responses = base.responses.copy()
    responses[:, 1] = 0
    session = session_of(replace(base, responses=responses))
    session.drive = np.ones((len(session.targets[None]), 2))
    table, about = tables_of(session, ExplainConfig(n_shifts=40))
    silent = table[table["unit_id"] == "unit_1"]
    assert silent["deviance"].isna().all()
    assert not silent["is_significant"].any()
    assert about["class"].iloc[1] == "not tested"
    assert set(silent["reason"]) == {"the responses are constant"}
