"""A small project folder that examples in docstrings work in, made once."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
from golden_weights import golden_state_dict

import freegaze
from freegaze.simulation import SimulationConfig
from freegaze.sources.arrays.layout import write_arrays
from freegaze.sources.nwb.writing import write_nwb

SETTINGS = {"data.min_rate_hz": 0, "training.max_passes": 1}


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of six simulated neurons in three formats, two evaluated runs, one weight file."""
    folder = tmp_path_factory.mktemp("project")
    config = SimulationConfig(minutes=2.0, n_neurons=6, frame_size=(12, 16), n_segments=4)
    recordings = [freegaze.simulate(folder / "data" / "mouse", config=config)]
    for model in ("glm", "behavior_only"):
        encoder = freegaze.fit(recordings, folder / "runs" / model, model=model, settings=SETTINGS)
        freegaze.evaluate(encoder, recordings, draws=20)
    write_arrays(recordings[0], folder / "mouse.npz")
    write_nwb(recordings[0], folder / "session.nwb")
    torch.save(golden_state_dict("cnn_shifter_on"), folder / "cnn.pth")
    return folder


@pytest.fixture
def in_project(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Work in a copy of the project; return the names that examples may use."""
    copy = tmp_path / "project"
    shutil.copytree(project, copy)
    monkeypatch.chdir(copy)
    recordings = freegaze.open_recordings("simulation", "data/mouse")
    encoder = freegaze.load_encoder("runs/glm")
    names = {"freegaze": freegaze, "encoder": encoder, "recordings": recordings}
    return {**names, "recording": recordings[0]}
