"""Explaining a session: what explainers are given, what is kept, what comes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from builders import make_recording
from fake_encoder import fake_fit
from figure_runs import make_behaving, paper_fit
from freegaze.errors import CheckpointError, DataError
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.contributions.contributions import contribution_tables
from freegaze.explanation.contributions.groups import class_of, grouped_columns
from freegaze.explanation.contributions.predictors import Predictors
from freegaze.explanation.explain import explain
from freegaze.explanation.fields.fields import METHODS
from freegaze.explanation.result import (
    EXPLANATION,
    is_explained,
    load_explanation,
    load_explanations,
    session_folder,
)
from freegaze.explanation.session import ExplainedSession
from freegaze.explanation.tuning.tuning import tuning_tables
from freegaze.files.pieces import Pieces
from freegaze.models.callables import seen_by_retina
from freegaze.recording.recording import Recording, ResponseKind, Segment

QUICK = ExplainConfig(n_windows=6, n_starts=2, ascent_steps=2, n_saliency_windows=6, n_shifts=4)


@pytest.fixture(scope="module")
def seeing() -> ExplainedSession:
    recording = make_behaving("s")
    return ExplainedSession(paper_fit(recording), recording)


def test_retinal_frames_are_moved_by_the_encoders_own_shift(seeing: ExplainedSession) -> None:
    bins = seeing.bins(seeing.sample("test", 5, seed=0))
    features = seeing.behavior.features(seeing.signals(bins))
    encoder = seeing.encoder.encoder
    with torch.no_grad():
        direct = encoder(seeing.video(bins), features, seeing.session_id)
        retinal = seeing.retinal_video(bins)
        with seen_by_retina(encoder):
            moved = encoder(retinal, features, seeing.session_id)
    torch.testing.assert_close(moved, direct)
    assert (seeing.retinal_video(bins) - seeing.video(bins)).abs().max() > 1e-3


def test_the_visual_drive_is_the_rate_at_median_behavior(seeing: ExplainedSession) -> None:
    drive = seeing.visual_drive()
    targets = seeing.targets[None]
    assert drive.shape == (len(targets), seeing.recording.n_neurons)
    some = np.array([0, 7, len(targets) - 1])
    encoder, retinal = seeing.encoder.encoder, seeing.retinal_video(seeing.bins(targets[some]))
    with torch.no_grad(), seen_by_retina(encoder):
        plain = encoder(retinal, seeing.still(3), seeing.session_id)
    np.testing.assert_allclose(drive[some], plain.numpy(), rtol=1e-4, atol=1e-6)


def test_samples_are_of_the_role_in_order_and_fixed_by_the_seed(seeing: ExplainedSession) -> None:
    first, again = (seeing.sample("train", 9, seed=3) for _ in range(2))
    assert (first == again).all()
    assert len(first) == 9
    assert (np.diff(first) > 0).all()
    assert np.isin(first, seeing.targets["train"]).all()
    assert not (first == seeing.sample("train", 9, seed=4)).all()
    everything = seeing.sample("test", 10**6, seed=0)
    assert (everything == seeing.targets["test"]).all()


def test_columns_fall_into_groups_and_groups_into_classes() -> None:
    columns = ("speed", "gz", "pitch", "theta", "whisking")
    groups = grouped_columns(columns)
    assert list(groups) == ["eye", "head", "speed", "whisking"]
    assert sorted(sum(groups.values(), ())) == sorted(columns)
    assert [class_of(g) for g in ([], ["pupil"], ["whisking"], ["eye", "head"])] == [
        *("undecided", "pupil", "mixed", "mixed")
    ]


def modulated(n_bins: int = 12000, kind: ResponseKind = ResponseKind.SPIKE_COUNTS) -> Recording:
    """One neuron follows the logarithm of its rate by speed, the others nothing at all."""
    recording = make_recording(n_bins=n_bins, n_neurons=3, kind=kind, seed=2, roles=ROLES)
    rng = np.random.default_rng(1)
    rate = np.full((n_bins, 3), 0.5)
    rate[:, 0] = 0.5 * np.exp(0.8 * np.roll(recording.behavior[:, 0], 1))
    is_counts = kind is ResponseKind.SPIKE_COUNTS
    drawn = rng.poisson(rate) if is_counts else rate + rng.normal(size=rate.shape)
    return replace(recording, responses=drawn.astype(np.float32), reference_rates={})


ROLES = ("train", "validation", "test", "train", "test")


@pytest.mark.parametrize("kind", [ResponseKind.SPIKE_COUNTS, ResponseKind.FLUORESCENCE])
def test_who_follows_speed_is_found_and_who_follows_nothing_is_not(kind: ResponseKind) -> None:
    recording = modulated(kind=kind)
    session = ExplainedSession(fake_fit([recording]), recording)
    session.drive = np.ones((len(session.targets[None]), 3))
    found = contribution_tables(session, ExplainConfig(n_shifts=400, false_discovery_rate=0.05))
    table = found["contributions"]
    assert found["neurons"]["class"].tolist() == ["speed", "none", "none"]
    speed = table[table["group"] == "speed"].set_index("unit_id")
    assert speed["deviance"].iloc[0] > 0.05
    assert abs(speed["deviance"].iloc[1]) < 0.02
    assert list(table["group"].unique()) == ["vision", "behavior", "eye", "speed"]


def test_recent_means_do_not_cross_segments() -> None:
    edges = {"train": (0, 200), "validation": (200, 300), "test": (300, 400)}
    segments = [Segment(*bins, role) for role, bins in edges.items()]
    recording = make_recording(segments=segments)
    session = ExplainedSession(fake_fit([recording], history=1), recording)
    session.drive = np.ones((len(session.targets[None]), 4))
    source = Predictors(session)
    signal = np.where(np.arange(400) < 200, 100.0, np.arange(400) % 7)
    recent = source.recent(signal, 3)
    first = int(np.flatnonzero(source.seen == 200)[0])
    assert recent[first] == signal[200]
    assert recent[first + 1] == pytest.approx((2 * signal[200] + signal[201]) / 3)
    assert recent[first + 5] == pytest.approx(signal[203:206].mean())


def test_tuning_is_a_mean_over_alike_bins() -> None:
    recording = make_recording(n_bins=900, n_neurons=2)
    session = ExplainedSession(fake_fit([recording]), recording)
    prediction = session.encoder.predict(recording, targets=session.targets["test"])
    table = tuning_tables(session)["tuning"]
    seen = recording.column("speed")[prediction.targets - 1]
    one = table[(table["signal"] == "speed") & (table["unit_id"] == "unit_1")]
    assert one["n_bins"].sum() == len(seen)
    slowest = np.argsort(seen, kind="stable")[: int(one["n_bins"].iloc[0])]
    assert one["level"].iloc[0] == pytest.approx(seen[slowest].mean(), rel=1e-5)
    expected = recording.responses[prediction.targets][slowest, 1].mean()
    assert one["observed"].iloc[0] == pytest.approx(expected, rel=1e-5)
    assert one["unit"].unique().tolist() == ["cm/s"]


def test_gaze_shifts_to_either_side_are_told_apart() -> None:
    base = make_recording(n_bins=600, n_neurons=1, roles=("train", "validation", "test"))
    eye = np.zeros(600)
    eye[450:] += 30.0  # to the left, where angles are positive
    eye[500:] -= 30.0
    behavior = np.column_stack([base.behavior[:, 0], eye, np.zeros(600)]).astype(np.float32)
    responses = np.zeros((600, 1), np.float32)
    responses[451], responses[503] = 4, 7
    names, units = ("speed", "theta", "gz"), ("cm/s", "deg", "deg/s")
    recording = replace(
        base, behavior=behavior, behavior_names=names, behavior_units=units, responses=responses
    )
    session = ExplainedSession(fake_fit([recording]), recording)
    table = tuning_tables(session)["gaze_shifts"].set_index("direction")
    for direction, after, size in (("left", 1, 4), ("right", 3, 7)):
        part = table.loc[direction]
        assert (part["n_events"] == 1).all()
        top = part.iloc[int(part["observed"].to_numpy().argmax())]
        assert top["offset_s"] == pytest.approx(after * 0.05)
        assert top["observed"] == size
    without = tuning_tables(ExplainedSession(fake_fit([base]), base))
    assert not len(without["gaze_shifts"])


def test_an_explanation_is_kept_whole_and_read_again(tmp_path: Path) -> None:
    recording = make_behaving("odd/name & more")
    encoder = paper_fit(recording)
    told: list[str] = []
    found = explain(encoder, recording, tmp_path, QUICK, lambda what, *_: told.append(what))
    assert set(found.fields) == set(METHODS)
    n, size = recording.n_neurons, recording.frame_size
    for field in found.fields.values():
        assert field.shape == (n, encoder.data.history, *size)
        assert np.isfinite(field).all()
    assert len(found.receptive_fields) == n * len(METHODS)
    assert {"gradients", "ascent", "contribution", "saliency"} <= set(told)
    signals = ExplainedSession(encoder, recording).behavior.signal_names
    assert len(found.saliency) == n * len(signals)
    assert is_explained(tmp_path)
    (again,) = load_explanations(tmp_path)
    assert again.session_id == found.session_id
    for name in ("neurons", "receptive_fields", "saliency", "contributions", "tuning"):
        pd.testing.assert_frame_equal(
            getattr(again, name), getattr(found, name), check_dtype=False, rtol=1e-6
        )
    for method, field in found.fields.items():
        np.testing.assert_array_equal(again.fields[method], field)
    assert not (session_folder(tmp_path, recording.session_id) / "pieces").exists()
    told.clear()
    explain(encoder, recording, tmp_path, QUICK, lambda what, *_: told.append(what))
    assert told == []  # it was read


def test_other_weights_or_settings_are_explained_anew(tmp_path: Path) -> None:
    recording = make_behaving("s")
    encoder, parts = paper_fit(recording), ("fields.gradient", "fields.ascent")
    first = explain(encoder, recording, tmp_path, QUICK, only=parts)
    other = QUICK.model_copy(update={"seed": 1})
    second = explain(encoder, recording, tmp_path, other, only=parts)
    assert not np.array_equal(first.fields["ascent"], second.fields["ascent"])
    with torch.no_grad():
        next(iter(encoder.encoder.parameters())).add_(0.1)
    with pytest.raises(DataError, match="belongs to other weights.*explain all of it anew"):
        explain(encoder, recording, tmp_path, other, only=parts)
    third = explain(encoder, recording, tmp_path, other)
    assert not np.array_equal(second.fields["gradient"], third.fields["gradient"])


def test_a_stopped_explanation_goes_on_to_the_same_end(tmp_path: Path) -> None:
    recording = make_behaving("s")
    encoder = paper_fit(recording)
    whole = explain(encoder, recording, tmp_path / "whole", QUICK)

    class StoppedError(Exception):
        pass

    for limit in (3, 9):
        count = 0

        def stop(what: str, done: int, total: int, limit: int = limit) -> None:
            nonlocal count
            count += 1
            if count == limit:
                raise StoppedError

        with pytest.raises(StoppedError):
            explain(encoder, recording, tmp_path / "stopped", QUICK, stop)
        assert not is_explained(tmp_path / "stopped")
    broken = next((tmp_path / "stopped").rglob("ascent_*.npz"))
    broken.write_bytes(broken.read_bytes()[:40])
    explain(encoder, recording, tmp_path / "stopped", QUICK)
    for name in ("neurons", "receptive_fields", "saliency", "contributions", "tuning"):
        files = [session_folder(tmp_path / k, "s") / f"{name}.csv" for k in ("whole", "stopped")]
        assert files[0].read_bytes() == files[1].read_bytes(), name
    again = load_explanation(tmp_path / "stopped", "s")
    for method, field in whole.fields.items():
        np.testing.assert_array_equal(again.fields[method], field)


def test_an_encoder_that_does_not_look_is_explained_too(tmp_path: Path) -> None:
    recording = make_recording(n_bins=900)
    found = explain(fake_fit([recording]), recording, tmp_path, QUICK)
    assert "gradient" not in found.fields
    assert found.neurons["invariance"].isna().all()
    assert not found.neurons["is_invariant"].any()
    partial = found.saliency.set_index(["unit_id", "signal"])
    assert (partial["absolute"] > 0).all()
    assert (partial["via_gaze"] == 0).all()


def test_what_is_not_there_or_broken_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no explanation in.*freegaze explain"):
        load_explanations(tmp_path)
    with pytest.raises(CheckpointError, match="no explanation in"):
        load_explanation(tmp_path, "s")
    recording = make_recording(n_bins=900)
    explain(fake_fit([recording]), recording, tmp_path, QUICK)
    fields = session_folder(tmp_path, "s") / "fields.npz"
    fields.write_bytes(fields.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="is broken"):
        load_explanation(tmp_path, "s")
    (session_folder(tmp_path, "s") / EXPLANATION.about).unlink()
    assert not is_explained(tmp_path)


def test_a_piece_is_computed_once(tmp_path: Path) -> None:
    pieces, calls = Pieces(tmp_path / "pieces" / "mark"), []

    def compute() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"a": np.arange(3.0)}

    for _ in range(3):
        np.testing.assert_array_equal(pieces.get("one", compute)["a"], np.arange(3.0))
    assert len(calls) == 1
    Pieces(tmp_path / "pieces" / "other").get("one", compute)
    assert len(calls) == 2
    pieces.remove()
    assert not (tmp_path / "pieces").exists()
