"""Sorted units in folders that SpikeInterface wrote."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from freegaze.config import build_config
from freegaze.errors import DataError
from freegaze.sources.lab_files.config_responses import SpikeInterfaceConfig
from freegaze.sources.lab_files.sorted_units import read_sorted_units

pytestmark = pytest.mark.filterwarnings("ignore")  # SpikeInterface comments freely
core = pytest.importorskip("spikeinterface.core", reason="needs the extra spikeinterface")

RATE_HZ = 30_000.0
LABELS = ["good", "mua", "good"]


def truth() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"u{i}": np.sort(rng.choice(300_000, 200 + i, replace=False)) for i in range(3)}


def make_sorting(n_segments: int = 1):
    sorting = core.NumpySorting.from_unit_dict([truth()] * n_segments, sampling_frequency=RATE_HZ)
    sorting.set_property("quality", np.array(LABELS))
    return sorting


def read(folder: Path, **more):
    config = build_config(SpikeInterfaceConfig, {"folder": folder.name, **more}, where="test")
    return read_sorted_units(config, folder.parent)


def save(folder: Path, kind: str) -> Path:
    sorting = make_sorting()
    if kind == "numpy_folder":
        sorting.save(folder=folder, format="numpy_folder")
    elif kind == "zarr":
        sorting.save(folder=folder, format="zarr")
        folder = folder.with_name(f"{folder.name}.zarr") if not folder.exists() else folder
    else:
        recording = core.generate_recording(
            num_channels=4, durations=[12.0], sampling_frequency=RATE_HZ, seed=0
        )
        recording = recording.save(folder=folder.with_name("recording"), format="binary")
        core.create_sorting_analyzer(
            sorting, recording, format="binary_folder", folder=folder, sparse=False
        )
    return folder


@pytest.mark.parametrize("kind", ["numpy_folder", "zarr", "analyzer"])
def test_spikes_of_saved_folders_are_exact(kind: str, tmp_path: Path):
    stream = read(save(tmp_path / "sorted", kind))
    for name, samples, times in zip(stream.unit_ids, truth().values(), stream.times, strict=True):
        np.testing.assert_allclose(times, samples / RATE_HZ, atol=1e-9)
        assert name in truth()
    if kind == "analyzer":
        assert stream.extent == pytest.approx((0.0, 12.0))


def test_a_reader_is_named_and_given_its_options(tmp_path: Path):
    core.NpzSortingExtractor.write_sorting(make_sorting(), tmp_path / "sorted.npz")
    stream = read(tmp_path / "sorted.npz", format="npz")
    np.testing.assert_allclose(stream.times[1], truth()["u1"] / RATE_HZ, atol=1e-9)


def test_units_are_chosen_by_property_and_put_on_the_session_clock(tmp_path: Path):
    folder = save(tmp_path / "sorted", "numpy_folder")
    stream = read(folder, keep_units={"quality": ["good"]}, clock={"offset_s": 2.0})
    assert stream.unit_ids == ("u0", "u2")
    np.testing.assert_allclose(stream.times[1], truth()["u2"] / RATE_HZ + 2.0, atol=1e-9)


def test_what_cannot_be_read_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = save(tmp_path / "sorted", "numpy_folder")
    with pytest.raises(DataError, match=r"no reader of sorted units called 'phyy' \(.*phy"):
        read(folder, format="phyy")
    with pytest.raises(DataError, match=r"no property 'qualty' of units \(.*quality"):
        read(folder, keep_units={"qualty": ["good"]})
    with pytest.raises(DataError, match="no unit is left; quality of .* holds good, mua"):
        read(folder, keep_units={"quality": ["best"]})
    with pytest.raises(DataError, match="does not exist; correct `folder`"):
        read(tmp_path / "nothing")
    (folder / "cached.pkl").write_bytes(b"")
    with pytest.raises(DataError, match=r"pickle cached\.pkl, which would run code"):
        read(folder)
    make_sorting(2).save(folder=tmp_path / "two", format="numpy_folder")
    with pytest.raises(DataError, match="holds 2 segments.*choose one with `segment`"):
        read(tmp_path / "two")
    assert len(read(tmp_path / "two", segment=1).times) == 3
    monkeypatch.setitem(sys.modules, "spikeinterface", None)
    with pytest.raises(DataError, match=r"pip install freegaze\[spikeinterface\]"):
        read(folder)
