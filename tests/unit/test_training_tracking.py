"""Trackers of a fit, read back by their own libraries."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from freegaze.cli.app import app
from freegaze.config import build_config
from freegaze.errors import ConfigError, DataWarning, StopRequestError
from freegaze.runs.config import RunConfig, resolve_config
from freegaze.runs.recordings import open_source
from freegaze.runs.run_folder import RunFolder
from freegaze.simulation import SimulationConfig, simulate
from freegaze.sources.simulation import write_simulation
from freegaze.training import tracking as module
from freegaze.training.fit import resume, train
from freegaze.training.tracking import tracking

LOGGED = ("train_loss", "validation_loss", "validation_correlation", "seconds")


@pytest.fixture(scope="module")
def mouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = SimulationConfig(minutes=1.2, n_neurons=3, frame_size=(12, 16), session_id="mouse")
    folder = tmp_path_factory.mktemp("sessions")
    write_simulation(*simulate(config), folder)
    return folder / "mouse"


def config_of(mouse: Path, **changes: Any) -> RunConfig:
    values = {
        "source": {"name": "simulation", "path": mouse},
        "model": {"name": "behavior_only"},
        "data": {"min_rate_hz": 0},
        "split": {"gap_s": 0.5},
        "training": {"max_passes": 3, "device": "cpu"},
    }
    return resolve_config(build_config(RunConfig, values | changes, where="test"))


def stop_in_pass(number: int) -> Any:
    def progress(what: str, done: int, total: int) -> None:
        if what.startswith(f"pass {number}"):
            raise StopRequestError("a test")

    return progress


def fit_half(mouse: Path, folder: Path, *names: str) -> RunConfig:
    """Stop a fit in its third pass."""
    config = config_of(mouse)
    with pytest.raises(StopRequestError), tracking(names, folder, config) as on_pass:
        train(open_source(config.source), config, folder, stop_in_pass(3), on_pass)
    return config


def values_of(run: RunFolder, name: str) -> dict[int, float]:
    """Values of each pass, but of those without one."""
    return {line["pass"]: line[name] for line in run.metrics() if line.get(name) is not None}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the library
def test_tensorboard_reads_every_pass_once(mouse: Path, tmp_path: Path) -> None:
    """Also those from before the fit was stopped, and the settings."""
    pytest.importorskip("tensorboard", reason="tracking needs the extra `tensorboard`")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = RunFolder(tmp_path / "run")
    fit_half(mouse, run.path, "tensorboard")
    words = ["train", "--resume", str(run.path), "--track", "tensorboard", "--quiet"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert len(run.metrics()) == 3
    read = EventAccumulator(str(run.path / "tracking" / "tensorboard"))
    read.Reload()
    for name in LOGGED:
        found = read.Scalars(name)
        expected = values_of(run, name)
        assert [event.step for event in found] == list(expected)
        np.testing.assert_array_equal(
            np.float32([event.value for event in found]), np.float32(list(expected.values()))
        )
    files = sorted((run.path / "tracking").rglob("hparams.yml"))
    assert "training.max_passes: 3" in files[0].read_text()


@pytest.mark.filterwarnings("ignore")  # of the library
def test_mlflow_reads_every_pass(
    mouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fit that is continued is a second run of MLflow, with all passes."""
    mlflow = pytest.importorskip("mlflow", reason="tracking needs the extra `mlflow`")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    run = RunFolder(tmp_path / "run")
    config = fit_half(mouse, run.path, "mlflow")
    with tracking(["mlflow"], run.path, config) as on_pass:
        resume(run.path, open_source(config.source), on_pass=on_pass)
    client = mlflow.MlflowClient()
    (experiment,) = [e for e in client.search_experiments() if e.name == "freegaze"]
    first, last = client.search_runs([experiment.experiment_id], order_by=["start_time ASC"])
    assert (first.info.run_name, last.info.run_name) == ("run", "run")
    assert last.info.status == "FINISHED"
    assert last.data.params["training.max_passes"] == "3"
    for name in LOGGED:
        expected = values_of(run, name)
        found = {m.step: m.value for m in client.get_metric_history(last.info.run_id, name)}
        assert found == expected
        earlier = {m.step: m.value for m in client.get_metric_history(first.info.run_id, name)}
        assert earlier == {number: v for number, v in expected.items() if number < 3}


class Broken:
    """A tracker whose server is lost after the first pass."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        assert values["training.max_passes"] == 3

    def log(self, values: Mapping[str, float], step: int) -> None:
        if self.steps:
            raise OSError("no route to host")
        self.steps.append(step)

    def finish(self) -> None:
        raise AssertionError("it was left out")


def test_a_tracker_that_fails_changes_no_weight(
    mouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, config = Broken(), config_of(mouse)
    monkeypatch.setattr(module, "_start", lambda name, run: broken)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    recordings = open_source(config.source)
    with (
        pytest.warns(DataWarning, match="wandb failed .OSError: no route to host.; the fit"),
        tracking(["wandb"], tmp_path / "tracked", config) as on_pass,
    ):
        tracked = train(recordings, config, tmp_path / "tracked", on_pass=on_pass)
    alone = train(recordings, config, tmp_path / "alone")
    assert broken.steps == [1]
    assert tracked.encoder.read_bytes() == alone.encoder.read_bytes()


def test_nothing_is_tracked_unless_it_is_named(mouse: Path, tmp_path: Path) -> None:
    with tracking((), tmp_path, config_of(mouse)) as on_pass:
        assert on_pass is None


def test_a_tracker_is_refused_before_the_fit(
    mouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, several = config_of(mouse), config_of(mouse, training={"seeds": 2})
    searched = config_of(mouse, search={"data.history": [1, 2]})
    with pytest.raises(ConfigError, match="--track names no tracker"):
        tracking(["tensorbord"], tmp_path, one).__enter__()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    for config in (several, searched):
        with pytest.raises(ConfigError, match="passes of one fit"):
            tracking(["mlflow"], tmp_path, config).__enter__()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install freegaze\[wandb\]"):
        tracking(["wandb"], tmp_path, one).__enter__()
    assert list(tmp_path.iterdir()) == []
