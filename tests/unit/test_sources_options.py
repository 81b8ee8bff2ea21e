"""Options of sources: each one is read by something, and one that nothing reads is an error."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import freegaze
from config_trees import all_configs
from freegaze.errors import FreegazeError
from freegaze.sources.lab_files.config import SessionConfig
from freegaze.sources.lab_files.tiny import write_tiny_lab_folder
from freegaze.sources.source import SOURCES, open_recordings

SOURCE_FOLDER = Path(freegaze.__file__).parent / "sources"


def attributes_read(folder: Path) -> set[str]:
    """Return the names of attributes that any function outside of the configurations reads."""
    names = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                names.add(node.attr)
    return names


@pytest.mark.parametrize("source", SOURCES.names())
def test_every_option_is_read(source: str):
    options = SOURCES.get(source).Options
    configs = all_configs(options) | (all_configs(SessionConfig) if source == "files" else set())
    read = attributes_read(SOURCE_FOLDER) | {"kind"}  # which pydantic reads, to choose the class
    unread = {f"{c.__name__}.{n}" for c in configs for n in c.model_fields if n not in read}
    assert not unread


def test_an_option_that_nothing_reads_is_found(tmp_path: Path):
    (tmp_path / "a.py").write_text(
        "def f(config):\n    config.unread = 1\n    return config.width\n"
    )
    assert attributes_read(tmp_path) == {"width"}


OF_NAMES = ("leave_out", "leave_out_neurons", "sessions", "tiers", "roles")
"""Options that name columns, neurons, sessions and trials."""


@pytest.mark.parametrize(
    ("source", "option"),
    [(s, o) for s in SOURCES.names() for o in OF_NAMES if o in SOURCES.get(s).Options.model_fields],
)
def test_a_name_that_is_not_there_is_an_error(source: str, option: str, tmp_path: Path):
    kind = SOURCES.get(source)
    path = kind().write_tiny(tmp_path, 0)
    given: Any = {"nothing": "test"} if option == "roles" else ("nothing",)
    with pytest.raises(FreegazeError, match="nothing"):
        open_recordings(source, path, **{**kind.tiny_options, option: given})


def test_neurons_are_left_out_by_every_selection(tmp_path: Path):
    path = SOURCES.get("xu2023")().write_tiny(tmp_path, 0)
    (whole,) = open_recordings("xu2023", path, units="all")
    gone = whole.unit_ids[1]
    (found,) = open_recordings("xu2023", path, units="all", leave_out_neurons=(gone,))
    assert found.unit_ids == tuple(n for n in whole.unit_ids if n != gone)
    with pytest.raises(FreegazeError, match="`min_rate_hz` applies to `units: rate`"):
        open_recordings("xu2023", path, units="all", min_rate_hz=1.0)


def test_a_left_out_neuron_costs_no_bins(tmp_path: Path):
    """Its missing samples are not looked at: it is left out before lost bins are looked for."""
    values = np.random.default_rng(0).normal(size=(100, 3))
    values[40:60, 1] = np.nan
    np.save(tmp_path / "f.npy", values)
    responses = {"kind": "npy", "file": "f.npy", "rate_hz": 20, "response_kind": "fluorescence"}
    file = tmp_path / "s.yaml"
    file.write_text(yaml.safe_dump({"responses": responses}))
    (found,) = open_recordings("files", file, leave_out_neurons=("1",))
    assert found.unit_ids == ("0", "2")
    assert len(found.segments) == 1


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "timestamps_column": ({"behavior.imu.timestamps_column": 1}, "`timestamps_column` applies"),
    "surplus": ({"video.surplus": "last", "video.timestamps": None}, "`surplus` applies"),
    "starts_at": ({"starts_at": "2021-07-09T12:00:00"}, "`starts_at` of the session applies"),
    "neuropil": (
        {"responses": {"kind": "suite2p", "folder": "p", "rate_hz": 10, "neuropil": 0.7}},
        "`neuropil` applies to `signal: F`",
    ),
    "table": ({"behavior.eye.table": "df"}, "`table` applies to an h5"),
    "theta_deg_per_px": (
        {"behavior.eye.shape": "points", "behavior.eye.theta_deg_per_px": 0.5},
        "`shape: points` has no pupil",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_key_that_does_not_apply_is_an_error(name: str, tmp_path: Path):
    changes, message = CHANGES[name]
    file = write_tiny_lab_folder(tmp_path, 0)
    config = yaml.safe_load(file.read_text())
    for path, value in changes.items():
        *parents, key = path.split(".")
        node = config
        for parent in parents:
            node = node[parent]
        if value is None:
            node.pop(key, None)
        else:
            node[key] = value
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.raises(FreegazeError, match=message):
        open_recordings("files", file)


@pytest.mark.parametrize("key", ["separator", "header", "skip_lines", "decimal"])
def test_a_layout_of_text_does_not_apply_to_arrays(key: str, tmp_path: Path):
    np.savez(tmp_path / "a.npz", t=np.arange(90) / 30, speed=np.arange(90.0))
    (tmp_path / "spikes.csv").write_text("time,unit\n0.1,a\n2.9,a\n")
    stream = {"kind": "table", "file": "a.npz", "time": "t", "columns": {"speed": "speed"}}
    stream[key] = {"separator": ",", "header": False, "skip_lines": 1, "decimal": ","}[key]
    config = {
        "responses": {"kind": "spike_table", "file": "spikes.csv"},
        "behavior": {"running": stream},
    }
    file = tmp_path / "s.yaml"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(FreegazeError, match=f"`{key}` describes the layout of text"):
        open_recordings("files", file)
