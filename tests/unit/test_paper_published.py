"""Weight files that are not what they should be, and runs made of those that are."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
from golden_weights import golden_state_dict

from builders import make_recording
from freegaze.dataset.dims import EncoderDims
from freegaze.dataset.features import FEATURE_SETS
from freegaze.errors import CheckpointError, ConfigError, DataError, RegistryError, ShapeError
from freegaze.evaluation.evaluate import evaluate
from freegaze.fitted.storage import load_encoder
from freegaze.models.encoder import build_encoder
from freegaze.paper.presets import paper_config
from freegaze.paper.published import import_published, load_published, save_published
from freegaze.paper.state_dicts import to_original
from freegaze.runs.config import SourceConfig
from freegaze.sources import open_recordings
from freegaze.weights import read_state_dict

XU_TINY = Path(__file__).parents[1] / "golden" / "xu2023_tiny"


@pytest.fixture(scope="module")
def weights():
    return golden_state_dict("cnn_shifter_on")


def load(path, **options):
    return load_published(path, **{"model": "cnn", "session_id": "s", **options})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("encoder.layers.4.bias"), "lacks the weight 'encoder.layers.4.bias'"),
        (lambda w: w.update(more=torch.ones(1)), "unknown weight 'more'"),
        (
            lambda w: w.update({"encoder.layers.13.weight": torch.ones(5, 481)}),
            r"'encoder.layers.13.weight' has shape \(5, 481\), expected \(5, 480\)",
        ),
        (lambda w: w.pop("encoder.layers.13.bias"), "lacks the weight 'encoder.layers.13.bias'"),
    ],
)
def test_a_wrong_name_or_shape_is_named(weights, tmp_path, change, message):
    changed = dict(weights)
    change(changed)
    torch.save(changed, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "w.pth")


def test_other_models_sessions_and_behavior_are_told_apart(weights, tmp_path):
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"lacks the weight 'fc\.bias'"):
        load(tmp_path / "w.pth", model="autoencoder")
    with pytest.raises(RegistryError, match="nearest: cnn"):
        load(tmp_path / "w.pth", model="cnnn")
    with pytest.raises(ConfigError, match="nearest: orig"):
        load(tmp_path / "w.pth", behavior="origg")
    torch.save(golden_state_dict("sensorium_shifter_on"), tmp_path / "sensorium.pth")
    with pytest.raises(CheckpointError, match=r"readout\.mouse\._mu|readout\.mouse\.bias"):
        load(tmp_path / "sensorium.pth", model="sensorium", session_id="mouse")


def test_a_file_within_an_archive(weights, tmp_path):
    torch.save(weights, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "table_1.zip", "w") as archive:
        archive.write(tmp_path / "a.pth", "table_1/a.pth")
    assert len(load(tmp_path / "table_1.zip").sessions["s"].unit_ids) == 5
    with zipfile.ZipFile(tmp_path / "table_1.zip", "a") as archive:
        archive.write(tmp_path / "a.pth", "table_1/b.pth")
    with pytest.raises(CheckpointError, match="name one of its files: table_1/a.pth"):
        load(tmp_path / "table_1.zip")
    assert load(tmp_path / "table_1.zip", member="table_1/b.pth").model_name == "cnn"
    with pytest.raises(CheckpointError, match="holds no 'c.pth'"):
        load(tmp_path / "table_1.zip", member="c.pth")


class _Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm-was-done",)


def test_a_file_that_would_run_code_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"encoder.layers.13.bias": _Harmful()}, "w.pth")
    with pytest.raises(CheckpointError, match="could run code"):
        read_state_dict(Path("w.pth"))
    assert not Path("harm-was-done").exists()


@pytest.mark.parametrize(
    "content", [b"", b"not weights", b"PK\x03\x04broken", b"\x80\x02}q\x00.", b"\x80\x02]q\x00."]
)
def test_a_broken_file_is_one_clear_error(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"w\.pth"):
        read_state_dict(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="no file"):
        read_state_dict(tmp_path / "nowhere.pth")


def test_every_cut_of_a_file_is_one_clear_error(weights, tmp_path):
    torch.save({k: weights[k] for k in list(weights)[:4]}, tmp_path / "whole.pth")
    content = (tmp_path / "whole.pth").read_bytes()
    for n_bytes in np.linspace(1, len(content) - 1, 20).astype(int):
        (tmp_path / "cut.pth").write_bytes(content[:n_bytes])
        with pytest.raises(CheckpointError, match=r"cut\.pth"):
            read_state_dict(tmp_path / "cut.pth")


def test_a_published_encoder_is_evaluated_and_made_a_run(tmp_path):
    (mouse,) = open_recordings("xu2023", XU_TINY, units="paper")
    published = load(save_cnn(tmp_path, mouse), session_id=mouse.session_id)
    run = import_published(published, tmp_path / "run", SourceConfig(), [mouse])
    direct = evaluate(published, [mouse], draws=20)
    again = evaluate(load_encoder(run.path), [mouse], draws=20)
    assert np.isfinite(direct.table["bits_per_spike"]).any()
    for score in ("correlation", "bits_per_spike"):
        np.testing.assert_allclose(again.table[score], direct.table[score])
    with pytest.raises(CheckpointError, match="already holds a run"):
        import_published(published, tmp_path / "run", SourceConfig())


def save_cnn(folder, mouse):
    """Write weights of the paper's CNN for a session's neurons, as published."""
    dims = EncoderDims(mouse.n_neurons, FEATURE_SETS["orig"], (60, 80), 1)
    encoder = build_encoder("cnn", paper_config("cnn"), {"s": dims}, seed=0)
    save_published(folder / "w.pth", to_original("cnn", encoder.state_dict(), "s"))
    return folder / "w.pth"


def test_weights_of_another_session_are_refused(weights, tmp_path):
    torch.save(weights, tmp_path / "w.pth")
    published = load(tmp_path / "w.pth", session_id="070921_J553RT")
    with pytest.raises(DataError, match="of session '070921_J553RT', the data hold s"):
        import_published(published, tmp_path / "run", SourceConfig(), [make_recording()])
    assert not (tmp_path / "run").exists()


def test_wrong_sizes_are_refused_when_called(weights, tmp_path):
    torch.save(weights, tmp_path / "w.pth")
    encoder = load(tmp_path / "w.pth")
    with pytest.raises(ShapeError, match=r"expected video \(batch, 1, 1, 60, 80\)"):
        encoder(torch.zeros(2, 1, 1, 30, 40), torch.zeros(2, 1, 6))
