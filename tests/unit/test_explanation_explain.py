"""Explaining encoders and recordings of every kind, to the end and from where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from builders import make_recording
from fake_encoder import built_fit, fake_fit
from figure_runs import make_behaving
from freegaze.errors import ConfigError, DataError
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.explain import (
    DEFAULT,
    PARTS,
    _fingerprint,
    explain,
    missing_parts,
    named_parts,
)
from freegaze.explanation.fields.fields import METHODS
from freegaze.explanation.fields.gabor import Gabor
from freegaze.explanation.result import (
    CLASSES,
    LATER,
    TABLES,
    SessionExplanation,
    load_explanations,
    session_folder,
    settings_of,
)
from freegaze.recording.recording import Recording, ResponseKind

QUICK = ExplainConfig(n_windows=6, n_starts=2, ascent_steps=2, n_saliency_windows=6, n_shifts=4)
CORE = {"core": {"channels": [4], "kernels": [5], "strides": [2]}}
STILL = {**CORE, "shifter": {"kind": "none"}}
READOUT = {**CORE, "readout": {"kind": "gaussian"}, "shifter": {"kind": "readout"}}


@pytest.fixture(autouse=True)
def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a Gabor function on the strongest pixel: the search for the best has tests of its own."""

    def guess(pictures: np.ndarray) -> Gabor:
        if not pictures.any():
            raise DataError("a flat picture has no Gabor function")
        y, x = np.unravel_index(np.abs(pictures[0]).argmax(), pictures[0].shape)
        return Gabor((float(x), float(y)), (2.0, 2.0), 0.0, 0.1, 0.0, 0.5, pictures)

    monkeypatch.setattr("freegaze.explanation.fields.gabor.fit_gabor", guess)


def check(found: SessionExplanation, recording: Recording) -> None:
    """Check what is true of every explanation."""
    n = recording.n_neurons
    for name in TABLES:
        units = getattr(found, name)["unit_id"]
        assert set(units) <= set(recording.unit_ids), name
    assert found.neurons["unit_id"].tolist() == list(recording.unit_ids)
    assert set(found.neurons["class"]) <= set(CLASSES)
    assert len(found.receptive_fields) == n * len(found.fields)
    for method, field in found.fields.items():
        assert field.shape == (n, 3, *recording.frame_size), method
        assert field.dtype == np.float32, method
        assert np.isfinite(field).all(), method
    for pair in found.pairs.values():
        assert pair.shape == (n, 2, *recording.frame_size)
    assert (
        found.contributions.groupby("unit_id").size() == found.contributions["group"].nunique()
    ).all()


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("cnn", STILL),
        ("cnn", READOUT),
        ("cnn_gru", CORE),
        ("glm", {"downsample": 2}),
        ("behavior_only", {}),
        ("mean_rate", {}),
    ],
    ids=["still", "readout", "cnn_gru", "glm", "behavior_only", "mean_rate"],
)
def test_every_kind_of_encoder_is_explained(
    tmp_path: Path, model: str, options: Mapping[str, Any]
) -> None:
    recording = make_behaving("s", n_neurons=2)
    encoder = built_fit([recording], model, options)
    module = encoder.encoder.train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    wanted = [p.requires_grad for p in module.parameters()]
    found = explain(encoder, recording, tmp_path, QUICK)
    check(found, recording)
    looks = module.inputs in ("video", "both")
    assert ("gradient" in found.fields) == ("ascent" in found.fields) == looks
    assert len(found.fields) == len(METHODS) - 2 * (not looks)
    assert found.neurons["invariance"].notna().all() == looks
    n_signals = len(encoder.sessions["s"].preparation.behavior.signal_names)
    assert len(found.saliency) == 2 * n_signals
    assert found.saliency["absolute"].notna().all()
    # It is left as it was found.
    assert module.training
    assert [p.requires_grad for p in module.parameters()] == wanted
    assert all(p.grad is None for p in module.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


def silent(recording: Recording) -> Recording:
    responses = recording.responses.copy()
    responses[:, 1] = 0
    return replace(recording, responses=responses)


def without_behavior(recording: Recording) -> Recording:
    nothing = recording.behavior[:, :0]
    return replace(recording, behavior=nothing, behavior_names=(), behavior_units=())


ODD: dict[str, Callable[[Recording], Recording]] = {
    "a silent neuron": silent,
    "a black video": lambda r: replace(r, frames=np.zeros_like(r.frames)),
    "no behavior": without_behavior,
    "one neuron": lambda r: r.select_neurons([1]),
    "odd columns": lambda r: replace(
        r, behavior_names=("vision", "theta", "eye", "pitch", "none", "scene")
    ),
    "fluorescence": lambda r: replace(
        r, responses=r.responses - 0.5, response_kind=ResponseKind.FLUORESCENCE
    ),
    "calibrated": lambda r: replace(r, deg_per_px=1.5),
}


@pytest.mark.parametrize("name", list(ODD))
def test_every_kind_of_recording_is_explained(tmp_path: Path, name: str) -> None:
    recording = ODD[name](make_behaving("s", n_neurons=2))
    found = explain(built_fit([recording], "cnn", STILL), recording, tmp_path, QUICK)
    check(found, recording)
    (read,) = load_explanations(tmp_path)
    check(read, recording)
    assert ("center_x_deg" in found.receptive_fields) == (name == "calibrated")
    if name == "a silent neuron":
        table = found.receptive_fields.set_index(["method", "unit_id"])
        nothing = table.loc[[("linear", "unit_1"), ("triggered", "unit_1")]]
        assert nothing.isna().all(axis=None)
        assert table.loc[("linear", "unit_0"), "delay_s"] in (0.05, 0.1, pytest.approx(0.15))
    if name == "fluorescence":
        assert found.neurons["multiplicative_bits"].isna().all()


def test_fingerprints_tell_weights_and_data_apart() -> None:
    recording = make_recording(n_bins=300)
    encoder = fake_fit([recording])
    marks = [_fingerprint(encoder, recording)]
    assert _fingerprint(fake_fit([recording]), make_recording(n_bins=300)) == marks[0]
    for name in ("behavior", "responses", "frames"):
        array = getattr(recording, name).copy()
        array[-1] += 1
        marks.append(_fingerprint(encoder, replace(recording, **{name: array})))
    with torch.no_grad():
        next(iter(encoder.encoder.parameters()))[0] += 1e-6
    marks.append(_fingerprint(encoder, recording))
    assert len(set(marks)) == len(marks)


class StoppedError(Exception):
    """Stands for whatever ends a process."""


def stopped_after(n: int) -> Callable[[str, int, int], None]:
    told: list[str] = []

    def progress(what: str, *_: int) -> None:
        told.append(what)
        if len(told) > n:
            raise StoppedError

    return progress


def test_pieces_of_other_settings_are_not_taken_and_go_at_the_end(tmp_path: Path) -> None:
    recording = make_behaving("s", n_neurons=2)
    encoder = built_fit([recording], "cnn", STILL)
    other = QUICK.model_copy(update={"seed": 5, "blur_px": 3.0})
    with pytest.raises(StoppedError):
        explain(encoder, recording, tmp_path / "a", other, stopped_after(6))
    pieces = session_folder(tmp_path / "a", "s") / "pieces"
    assert len(list(pieces.rglob("*.npz"))) >= 3
    found = explain(encoder, recording, tmp_path / "a", QUICK)
    clean = explain(encoder, recording, tmp_path / "b", QUICK)
    for method, field in clean.fields.items():
        np.testing.assert_array_equal(found.fields[method], field)
    assert not pieces.exists()
    assert settings_of(tmp_path / "a", "s") == settings_of(tmp_path / "b", "s")


def test_what_another_version_computed_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = make_recording(n_bins=400, n_neurons=2)
    encoder = fake_fit([recording])
    with pytest.raises(StoppedError):
        explain(encoder, recording, tmp_path, QUICK, stopped_after(6))
    before = set(session_folder(tmp_path, "s").glob("pieces/*/*.npz"))
    assert before
    monkeypatch.setattr("freegaze.explanation.explain.version", lambda _: "9.9.9")
    with pytest.raises(StoppedError):
        explain(encoder, recording, tmp_path, QUICK, stopped_after(6))
    after = set(session_folder(tmp_path, "s").glob("pieces/*/*.npz"))
    assert len(after) == 2 * len(before)
    explain(encoder, recording, tmp_path, QUICK)
    settings = settings_of(tmp_path, "s")
    assert settings is not None
    assert settings["version"] == "9.9.9"
    monkeypatch.undo()
    told: list[str] = []
    explain(encoder, recording, tmp_path, QUICK, lambda what, *_: told.append(what))
    assert told  # a whole explanation of another version is not believed either


def test_a_fuller_explanation_replaces_the_first_only_when_it_is_whole(tmp_path: Path) -> None:
    recording = make_recording(n_bins=600, n_neurons=2)
    encoder = fake_fit([recording])
    explain(encoder, recording, tmp_path, QUICK)
    changes = {"n_saliency_windows": 9, "n_shifts": 6}
    other = QUICK.model_copy(update=changes)
    with pytest.raises(StoppedError):
        explain(encoder, recording, tmp_path, other, stopped_after(2))
    before = settings_of(tmp_path, "s")
    assert before is not None
    assert before["n_saliency_windows"] == 6
    explain(encoder, recording, tmp_path, other)
    after = settings_of(tmp_path, "s")
    assert after == {**before, **changes}


def test_parts_computed_one_by_one_are_those_computed_together(tmp_path: Path) -> None:
    recording = make_behaving("s", n_neurons=2)
    encoder = built_fit([recording], "cnn", STILL)
    whole = explain(encoder, recording, tmp_path / "whole", QUICK)
    assert list(whole.parts) == list(DEFAULT)
    probes = set(PARTS) - set(DEFAULT)
    assert set(missing_parts(whole)) == probes
    folder, done = tmp_path / "parts", set()
    steps = [
        (["tuning"], "tuning", set()),
        (["fields.linear"], "fields.linear", {"linear"}),
        (["fields.ascent", "saliency"], "saliency", {"linear", "ascent", "gradient"}),
        (["fields"], "fields.gabor", set(METHODS)),
        (["contributions", "tuning"], "contributions", set(METHODS)),
    ]
    for only, part, methods in steps:
        found = explain(encoder, recording, folder, QUICK, only=only)
        done |= set(named_parts(only))
        assert set(found.parts) == done
        assert part in done
        assert set(missing_parts(found)) == set(PARTS) - done
        assert set(found.fields) == methods
        assert set(found.receptive_fields["method"]) == methods
        assert bool(len(found.contributions)) == ("contributions" in done)
        assert ("class" in found.neurons) == ("contributions" in done)
        assert not (session_folder(folder, "s") / "pieces").exists()
        (read,) = load_explanations(folder)
        assert read.parts == found.parts
    probed = explain(encoder, recording, folder, QUICK, only=["probes"])
    assert missing_parts(probed) == []
    assert probed.gratings["unit_id"].tolist() == list(recording.unit_ids)
    assert set(probed.grating_curves["axis"]) == {"direction", "frequency", "temporal"}
    assert probed.gratings["osi"].between(0, 1).all()
    for name in ("squares", "patches", "scrambled"):
        assert getattr(probed, name)["unit_id"].tolist() == list(recording.unit_ids)
    assert set(probed.patch_curves["axis"]) == {"size", "contrast"}
    (read,) = load_explanations(folder)
    pd.testing.assert_frame_equal(read.gratings, probed.gratings)
    for name in set(TABLES) - set(LATER):
        files = [session_folder(tmp_path / k, "s") / f"{name}.csv" for k in ("whole", "parts")]
        assert files[0].read_bytes() == files[1].read_bytes(), name
    for method, field in whole.fields.items():
        np.testing.assert_array_equal(read.fields[method], field)
        np.testing.assert_array_equal(read.pairs.get(method), whole.pairs.get(method))


def test_only_parts_with_changed_settings_are_computed_again(tmp_path: Path) -> None:
    recording = make_recording(n_bins=600, n_neurons=2)
    encoder = fake_fit([recording])
    explain(encoder, recording, tmp_path, QUICK)
    told: list[str] = []

    def progress(what: str, *_: int) -> None:
        told.append(what)

    other = QUICK.model_copy(update={"n_saliency_windows": 9})
    explain(encoder, recording, tmp_path, other, progress, only=["tuning"])
    assert told == []
    found = explain(encoder, recording, tmp_path, other, progress)
    assert set(told) == {"saliency", "visual drive", "tests of signals"}
    tests = {"n_shifts": 4, "false_discovery_rate": 0.02}
    assert found.parts["saliency"] == {"seed": 0, "n_saliency_windows": 9, **tests}


def test_parts_are_not_added_to_those_of_other_weights(tmp_path: Path) -> None:
    recording = make_recording(n_bins=400, n_neurons=2)
    explain(fake_fit([recording]), recording, tmp_path, QUICK, only=["tuning"])
    other = fake_fit([recording], seed=1)
    with pytest.raises(DataError, match="other weights, data or another version.*anew"):
        explain(other, recording, tmp_path, QUICK, only=["saliency"])
    (kept,) = load_explanations(tmp_path)
    assert list(kept.parts) == ["tuning"]
    assert list(explain(other, recording, tmp_path, QUICK).parts) == list(DEFAULT)


def test_an_unknown_part_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'fields\.gradients'.*fields\.gradient"):
        named_parts(["fields.gradients"])


def test_sessions_of_one_encoder_are_explained_each_by_itself(tmp_path: Path) -> None:
    two = [
        make_recording(session_id="b", n_neurons=3, n_bins=600, seed=1),
        make_recording(session_id="a", n_neurons=2, n_bins=700, seed=2),
    ]
    encoder = fake_fit(two)
    found = {r.session_id: explain(encoder, r, tmp_path, QUICK) for r in two}
    for recording in two:
        check(found[recording.session_id], recording)
    assert [e.session_id for e in load_explanations(tmp_path)] == ["a", "b"]
    again = explain(encoder, two[1], tmp_path / "alone", QUICK)
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(found["a"], name))


def test_neurons_are_those_that_were_fitted_in_their_order(tmp_path: Path) -> None:
    recording = make_recording(n_bins=600, n_neurons=4)
    fitted = recording.select_neurons([2, 0])
    encoder = fake_fit([fitted])
    found = explain(encoder, recording, tmp_path / "all", QUICK)
    assert found.unit_ids == ("unit_2", "unit_0")
    same = explain(encoder, fitted, tmp_path / "fitted", QUICK)
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(found, name), getattr(same, name))


def test_a_session_that_was_not_fitted_leaves_nothing_behind(tmp_path: Path) -> None:
    recording = make_recording(n_bins=400)
    encoder = fake_fit([recording])
    with pytest.raises(DataError, match="fitted on s, not on"):
        explain(encoder, replace(recording, session_id="t"), tmp_path, QUICK)
    assert not list(tmp_path.rglob("*.npz"))
