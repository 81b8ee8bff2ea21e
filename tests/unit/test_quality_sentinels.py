"""Values that stand for lost samples, and spikes that are there twice: found, named, cured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from freegaze.errors import DataError, DataWarning
from freegaze.quality.checks import check_quality
from freegaze.quality.sentinels import Sentinel, find_sentinel
from freegaze.recording.recording import Recording
from freegaze.sources.source import open_recordings

RNG = np.random.default_rng(0)
SPEED = np.abs(RNG.normal(0, 8, 1000))
RADIUS = RNG.uniform(8, 30, 1000)
ANGLES = RNG.normal(0, 12, 1000)


def with_lost(signal: np.ndarray, value: float, n: int = 40) -> np.ndarray:
    out = signal.copy()
    out[100 : 100 + n] = value
    return out


@pytest.mark.parametrize(
    ("signal", "name", "value"),
    [
        (SPEED, "speed", -9999.0),
        (SPEED, "speed", -1.0),
        (RADIUS, "pupil_radius", 65535.0),
        (RADIUS, "pupil_radius", -1.0),
        (RADIUS + 100, "pupil_x", 0.0),
        (ANGLES, "theta", 999.0),
        (ANGLES, "theta", -32768.0),
    ],
)
def test_values_that_stand_for_lost_samples(signal: np.ndarray, name: str, value: float):
    assert find_sentinel(with_lost(signal, value), name) == Sentinel(value, 0.04)


@pytest.mark.parametrize(
    ("signal", "name"),
    [
        (SPEED, "speed"),
        (with_lost(SPEED, 0.0), "speed"),  # stands still
        (with_lost(ANGLES, -1.0), "theta"),  # one angle among others
        (with_lost(SPEED, -9999.0, 2), "speed"),  # two samples are no habit
        (np.minimum(RNG.uniform(0, 300, 1000), 255), "brightness"),  # saturates
        (np.repeat([0.0, 1.0, -1.0], 300), "choice"),  # labels
        (np.full(1000, -1.0), "constant"),
        (with_lost(SPEED, 1000.0 / 3), "speed"),  # no program writes it
    ],
)
def test_values_that_mean_what_they_say(signal: np.ndarray, name: str):
    assert find_sentinel(signal, name) is None


def write_session(folder: Path, speed: np.ndarray, spikes: np.ndarray, **more: Any) -> Path:
    times = np.arange(len(speed)) / 50
    pd.DataFrame({"t": times, "speed": speed}).to_csv(folder / "wheel.csv", index=False)
    pd.DataFrame({"time": spikes, "unit": "a"}).to_csv(folder / "spikes.csv", index=False)
    wheel = {"kind": "table", "file": "wheel.csv", "time": "t", "columns": {"speed": "speed"}}
    wheel |= {"units": {"speed": "cm/s"}, "interpolation": "linear", **more}
    responses = {"kind": "spike_table", "file": "spikes.csv", "duration_s": 19.0}
    file = folder / "s.yaml"
    file.write_text(yaml.safe_dump({"responses": responses, "behavior": {"wheel": wheel}}))
    return file


SPIKES = np.sort(np.random.default_rng(1).uniform(0.1, 18.9, 300))


def open_one(file: Path) -> Recording:
    return open_recordings("files", file)[0]


def test_a_lost_value_is_warned_of_graded_and_cured(tmp_path: Path):
    speed = with_lost(SPEED, -9999.0)
    with pytest.warns(DataWarning, match=r"'speed' is -9999 in 4.0% .* in `lost_values`"):
        found = open_one(write_session(tmp_path, speed, SPIKES))
    check = check_quality(found).check("lost_values")
    assert check.status == "amber"
    assert "speed is -9999 in 4.0%" in check.sentence
    cured = open_one(write_session(tmp_path, speed, SPIKES, lost_values=[-9999]))
    assert check_quality(cured).check("lost_values").status == "green"
    is_lost = np.isnan(cured.column("speed"))
    assert is_lost.mean() == pytest.approx(0.04, abs=0.01)
    assert np.nanmin(cured.column("speed")) >= 0
    with pytest.raises(DataError, match=r"no sample is \[-1\.0\]; leave it out"):
        open_one(write_session(tmp_path, speed, SPIKES, lost_values=[-1]))


def test_spikes_that_are_there_twice_are_graded(tmp_path: Path):
    clean = check_quality(open_one(write_session(tmp_path, SPEED, SPIKES)))
    assert clean.check("doubled_spikes").status == "green"
    doubled = np.sort(np.r_[SPIKES, SPIKES[::10] + 5e-5])
    check = check_quality(open_one(write_session(tmp_path, SPEED, doubled))).check("doubled_spikes")
    assert check.status == "red"
    assert check.value == pytest.approx(30 / 329, abs=0.005)
    coarse = check_quality(open_one(write_session(tmp_path, SPEED, np.round(doubled, 3))))
    assert coarse.check("doubled_spikes").status == "not available"


def test_lost_values_of_an_nwb_series(tmp_path: Path):
    pynwb = pytest.importorskip("pynwb")
    from datetime import UTC, datetime

    root = pynwb.NWBFile("a", "a", datetime(2021, 7, 9, tzinfo=UTC))
    root.add_unit(spike_times=SPIKES)
    data = with_lost(RADIUS, -1.0)
    module = root.create_processing_module("behavior", "a")
    series = {"name": "pupil_radius", "unit": "m", "rate": 50.0, "conversion": 0.5}
    module.add(pynwb.TimeSeries(data=data, **series))
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "w") as io:
        io.write(root)
    options = {"video": "none", "units": {"pupil_radius": "px"}}
    lost = {"pupil_radius": [-1]}
    (found,) = open_recordings("nwb", tmp_path / "a.nwb", lost_values=lost, **options)
    assert np.nanmin(found.column("pupil_radius")) >= 4
    assert np.isnan(found.column("pupil_radius")).any()
    with pytest.raises(DataError, match="lost_values: 'radius' is no series in use"):
        open_recordings("nwb", tmp_path / "a.nwb", lost_values={"radius": [-1]}, **options)
