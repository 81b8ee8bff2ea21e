"""A fitted encoder: which recordings it takes, and what broken files say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from builders import make_recording
from fake_encoder import fake_fit
from freegaze import fit, load_encoder
from freegaze.errors import CheckpointError, DataError, ShapeError
from freegaze.runs.checkpoint import load_tensors, save_tensors
from freegaze.weights import load_weights


@pytest.fixture(scope="module")
def recording():
    return make_recording()


@pytest.fixture(scope="module")
def encoder(recording):
    return fake_fit([recording])


@pytest.fixture(scope="module")
def run(recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, whose encoder file tests copy and break."""
    path = tmp_path_factory.mktemp("run") / "run"
    settings = {"split.gap_s": 0.1, "data.min_rate_hz": 0, "training.max_passes": 1}
    fit(recording, path, model="behavior_only", settings=settings)
    return path


def test_neurons_are_found_by_name_in_any_order(encoder, recording):
    shuffled = recording.select_neurons([2, 0, 3, 1])
    a, b = encoder.predict(recording), encoder.predict(shuffled)
    np.testing.assert_array_equal(a.rates, b.rates)
    assert b.unit_ids == recording.unit_ids
    matched = encoder.match_neurons(shuffled)
    np.testing.assert_array_equal(matched.responses, recording.responses)


def test_recordings_it_was_not_fitted_on_are_refused(encoder, recording):
    with pytest.raises(DataError, match="lacks the fitted neuron 'unit_1' .and 1 others"):
        encoder.predict(recording.select_neurons([0, 3]))
    with pytest.raises(DataError, match="fitted on s, not on 'other'"):
        encoder.predict(replace(recording, session_id="other"))
    with pytest.raises(ShapeError, match=r"frames of \(7, 8\) px.*\(6, 8\); resize"):
        encoder.predict(make_recording(frame_size=(7, 8)))
    with pytest.raises(DataError, match="unknown role 'tests'"):
        encoder.predict(recording, "tests")


def test_windows_of_roles_part_the_windows_of_all(encoder, recording):
    roles = [encoder.targets(recording, role) for role in ("train", "validation", "test")]
    assert len(np.unique(np.concatenate(roles))) == sum(map(len, roles))
    assert np.isin(np.concatenate(roles), encoder.targets(recording, None)).all()


def test_predicting_some_bins_gives_what_predicting_all_gives(encoder, recording):
    everything = encoder.predict(recording)
    some = everything.targets[[3, 4, 5, 200, 390 - 12]]
    picked = encoder.predict(recording, targets=some)
    place = np.searchsorted(everything.targets, some)
    np.testing.assert_allclose(picked.rates, everything.rates[place], rtol=1e-6)


def test_weights_of_another_model_are_refused(run: Path):
    weights, _ = load_tensors(run / "encoder.safetensors")
    module = load_encoder(run).encoder
    name = next(iter(weights))
    missing = {k: v for k, v in weights.items() if k != name}
    with pytest.raises(CheckpointError, match=f"here lacks the weight '{name}'"):
        load_weights(module, missing, "here")
    with pytest.raises(CheckpointError, match="here has the unknown weight 'more'"):
        load_weights(module, {**weights, "more": torch.zeros(1)}, "here")
    with pytest.raises(CheckpointError, match=rf"weight '{name}' has shape \(9,\), expected"):
        load_weights(module, {**weights, name: torch.zeros(9)}, "here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("sessions"), "does not describe an encoder .KeyError"),
        (lambda state: state["model"].update(name="gone"), "unknown model 'gone'"),
        (lambda state: state["model"].update(colour=1), "unknown key 'colour'"),
        (lambda state: state["data"].update(history="many"), "history"),
        (lambda state: state.update(sessions=[1]), "does not describe an encoder"),
    ],
)
def test_an_encoder_file_with_another_meaning_is_one_clear_error(
    run: Path, tmp_path: Path, change, message
):
    weights, state = load_tensors(run / "encoder.safetensors")
    change(state)
    copy = tmp_path / "run"
    copy.mkdir()
    for name in ("config.yaml", "manifest.json"):
        (copy / name).write_bytes((run / name).read_bytes())
    save_tensors(copy / "encoder.safetensors", weights, state)
    with pytest.raises(CheckpointError, match=message):
        load_encoder(copy)


def test_a_missing_checkpoint_says_so(tmp_path: Path):
    with pytest.raises(CheckpointError, match="was the run started"):
        load_tensors(tmp_path / "none.safetensors")
