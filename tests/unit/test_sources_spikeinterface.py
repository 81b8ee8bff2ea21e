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


HEADER = """######## Neuralynx Data File Header
## File Name C:\\CheetahData\\{name}
## Time Opened (m/d/y): 11/28/2016  (h:m:s.ms) 21:50:33.322
## Time Closed (m/d/y): 11/28/2016  (h:m:s.ms) 22:44:41.145
-CheetahRev 5.7.4
-FileType {kind}
-HardwareSubSystemName AcqSystem1
-HardwareSubSystemType DigitalLynx
-AcqEntName {entity}
-ADBitVolts 0.000000036621093749997
-ADMaxValue 32767
-NumADChannels 1
-ADChannel {channel}
-InputRange 1200
-InputInverted True
-SamplingFrequency 32000
"""
"""Text at the beginning of files of Cheetah 5.7, the program of Neuralynx."""
START_US, NLX_HZ, RECORD = 10_000_000, 32_000, 512
"""Time stamp of the first sample; rate of samples; samples of a record."""


def write_neuralynx(folder: Path, spikes_us: dict[int, np.ndarray]) -> None:
    """Write 2 s of one channel, and spikes of units beside it."""
    folder.mkdir()

    def save(name: str, kind: str, channel: int, records: np.ndarray) -> None:
        text = HEADER.format(name=name, kind=kind, entity=Path(name).stem, channel=channel)
        (folder / name).write_bytes(text.encode().ljust(2**14, b"\0") + records.tobytes())

    fields = [("t", "<u8"), ("channel", "<u4"), ("rate", "<u4"), ("n", "<u4")]
    signal = np.zeros(2 * NLX_HZ // RECORD, [*fields, ("samples", "<i2", RECORD)])
    signal["t"] = START_US + np.arange(len(signal)) * (RECORD * 1_000_000 // NLX_HZ)
    signal["rate"], signal["n"] = NLX_HZ, RECORD
    save("CSC1.ncs", "CSC", 0, signal)
    fields = [("t", "<u8"), ("channel", "<u4"), ("unit", "<u4"), ("features", "<i4", 8)]
    spikes = np.zeros(sum(map(len, spikes_us.values())), [*fields, ("samples", "<i2", 32)])
    spikes["t"] = np.concatenate(list(spikes_us.values()))
    spikes["unit"] = np.repeat(list(spikes_us), [len(t) for t in spikes_us.values()])
    save("SE1.nse", "Spike", 1, spikes[np.argsort(spikes["t"], kind="stable")])


@pytest.mark.parametrize("first_us", [START_US + 100_000, START_US - 250_000])
def test_spikes_of_neuralynx_are_on_the_clock_of_the_recording(first_us: int, tmp_path: Path):
    """Also where the first spike is before the first sample, and the clock begins with it."""
    extractors = pytest.importorskip("spikeinterface.extractors")
    samples = np.array([8_000, 16_000, 32_000])
    later = START_US + samples * 1_000_000 // NLX_HZ
    write_neuralynx(tmp_path / "nlx", {1: np.r_[first_us, later], 2: later[1:]})
    stream = read(tmp_path / "nlx", format="neuralynx")
    clock = extractors.read_neuralynx(tmp_path / "nlx").get_times()
    assert stream.unit_ids == ("0", "1")
    np.testing.assert_allclose(stream.times[0][1:], clock[samples], atol=1e-6)
    np.testing.assert_allclose(stream.times[1], clock[samples[1:]], atol=1e-6)
    before = (first_us - START_US) / 1e6
    np.testing.assert_allclose(stream.times[0][0], clock[0] + before, atol=1e-6)
