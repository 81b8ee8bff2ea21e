"""Kinds of input that users of this field report publicly: read right, or refused with the cure.

Each is a small file. `docs/develop/log.md` lists them with what happened before.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import yaml

from freegaze.errors import DataError, DataWarning, FreegazeError
from freegaze.recording.recording import Recording
from freegaze.sources.alignment.clock import ClockConfig, order_of
from freegaze.sources.alignment.streams import make_samples
from freegaze.sources.lab_files.arrays import read_array
from freegaze.sources.lab_files.config import ArrayConfig, DeepLabCutConfig
from freegaze.sources.lab_files.config_responses import KilosortConfig, Suite2pConfig
from freegaze.sources.lab_files.eye_points import read_points
from freegaze.sources.lab_files.kilosort import read_kilosort
from freegaze.sources.lab_files.matlab import read_mat
from freegaze.sources.lab_files.signals import read_array_stream
from freegaze.sources.lab_files.suite2p import read_suite2p
from freegaze.sources.lab_files.tabular import read_table
from freegaze.sources.lab_files.timed import TableFormat
from freegaze.sources.lab_files.times import read_timestamps
from freegaze.sources.source import open_recordings

N = 5
PLAIN = "t,v\n" + "".join(f"{i / 10},{i + 0.5}\n" for i in range(N))
VALUES = np.arange(N) + 0.5

READ_TABLES: dict[str, tuple[str | bytes, dict[str, Any]]] = {
    "byte order mark": (b"\xef\xbb\xbf" + PLAIN.encode(), {}),
    "UTF-16 with tabs": (PLAIN.replace(",", "\t").encode("utf-16"), {}),
    "lines that end in CR": (PLAIN.replace("\n", "\r").encode(), {}),
    "lines that end in CR LF": (PLAIN.replace("\n", "\r\n").encode(), {}),
    "rows that end in a separator": (PLAIN.replace("\n", ",\n"), {}),
    "quoted numbers": ("t,v\n" + "".join(f'"{i / 10}","{i + 0.5}"\n' for i in range(N)), {}),
    "an index without a name": (
        ",t,v\n" + "".join(f"{i},{i / 10},{i + 0.5}\n" for i in range(N)),
        {},
    ),
    "a comment as the last line": (PLAIN + "# end of recording\n", {}),
    "decimal commas": (PLAIN.replace(",", ";").replace(".", ","), {"decimal": ","}),
}


@pytest.mark.parametrize("kind", READ_TABLES)
def test_tables_that_are_read(kind: str, tmp_path: Path):
    content, layout = READ_TABLES[kind]
    (tmp_path / "a.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    table = read_table(tmp_path / "a.csv", TableFormat(**layout))
    np.testing.assert_array_equal(table.numbers("v"), VALUES)


def test_decimal_commas_without_a_header(tmp_path: Path):
    """As many semicolons as commas: the comma separates nothing."""
    (tmp_path / "a.csv").write_text("".join(f"{i};{i},5\n" for i in range(N)))
    table = read_table(tmp_path / "a.csv", TableFormat(header=False, decimal=","))
    np.testing.assert_array_equal(table.numbers("1"), VALUES)


def test_a_compressed_table(tmp_path: Path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(PLAIN.encode()))
    np.testing.assert_array_equal(read_table(tmp_path / "a.csv.gz").numbers("v"), VALUES)


@pytest.mark.parametrize("text", ["", "NA", "n/a", "NaN", "-", "--", "#N/A", "null"])
def test_fields_without_a_value(text: str, tmp_path: Path):
    (tmp_path / "a.csv").write_text(f"t,v\n0.0,1.0\n0.1,{text}\n0.2,3.0\n")
    np.testing.assert_array_equal(read_table(tmp_path / "a.csv").numbers("v"), [1, np.nan, 3])


REFUSED_TABLES = {
    "a header in the middle": (PLAIN + PLAIN, "row 5 holds 'v'$"),
    "a row of units": (
        "t,v\ns,cm/s\n0.1,2\n",
        "where a row of units.*`header: false`",
    ),
    "signs between thousands": ('t,v\n0.1,"1,000.5"\n', "without a sign between thousands"),
    "decimal commas not stated": ("t;v\n0,1;2,5\n", "'2,5'; where numbers have a comma.*`decimal`"),
    "null bytes at the end": (PLAIN + "\x00" * 64, "ends in null bytes, as after a power cut"),
    "no row": ("", "holds no row"),
}


@pytest.mark.parametrize("kind", REFUSED_TABLES)
def test_tables_that_are_refused(kind: str, tmp_path: Path):
    content, message = REFUSED_TABLES[kind]
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "a.csv").numbers("v")


def test_a_row_of_units_is_skipped_as_the_message_says(tmp_path: Path):
    (tmp_path / "a.csv").write_text("t,v\ns,cm/s\n0.1,2\n0.2,3\n")
    table = read_table(tmp_path / "a.csv", TableFormat(header=False, skip_lines=2))
    np.testing.assert_array_equal(table.numbers("1"), [2, 3])


TIMES = np.array([0.5, 1.25, 2.0])
READ_TIMES: dict[str, tuple[str, int | None]] = {
    "a comment at the end": ("0.5\n1.25\n2.0\n# stopped\n", None),
    "decimal commas beside numbers": ("0;0,5\n1;1,25\n2;2,0\n", 1),
    "decimal commas beside text": ("a\t0,5\nb\t1,25\nc\t2,0\n", 1),
    "a time zone": (
        "".join(f"1970-01-01T02:00:{t:05.2f}+02:00\n" for t in TIMES),
        None,
    ),
}


@pytest.mark.parametrize("kind", READ_TIMES)
def test_timestamps_that_are_read(kind: str, tmp_path: Path):
    content, column = READ_TIMES[kind]
    (tmp_path / "t.csv").write_text(content)
    np.testing.assert_allclose(read_timestamps(tmp_path / "t.csv", column), TIMES)


REFUSED_TIMES = {
    "decimal commas alone": ("0,5\n1,25\n", "where the comma is a decimal sign, write a point"),
    "day or month first": ("09/07/2021 14:00:01.5\n", "which number is the month is open"),
    "day or month first alone": ("09.07.2021\n", "which number is the month is open"),
    "null bytes at the end": ("0.5\n1.25\n" + "\x00" * 64, "ends in null bytes"),
    "text at the end": ("0.5\n1.25\nstopped\n", "row 2 is 'stopped'"),
    "no synchronization": ("-1\n-1\n-1\n", "all 3 times are equal"),
}


@pytest.mark.parametrize("kind", REFUSED_TIMES)
def test_timestamps_that_are_refused(kind: str, tmp_path: Path):
    content, message = REFUSED_TIMES[kind]
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_timestamps(tmp_path / "t.csv", None)


@pytest.mark.parametrize("bits", [16, 32])
def test_a_counter_that_begins_again(bits: int):
    """Two rounds of a counter of microseconds or samples, with one sample lost at the wrap."""
    true = 2**bits - 1000 + 333 * np.delete(np.arange(2 * 2**bits // 333 + 9)[:600], 4)
    counter = (true % 2**bits).astype(np.uint32)
    clock = ClockConfig(scale_to_s=1e-6, wraps_at=2**bits)
    np.testing.assert_allclose(clock.to_session(counter), 1e-6 * true, rtol=0, atol=1e-9)
    with pytest.raises(DataError, match="`wraps_at` of the clock"):
        order_of(ClockConfig().to_session(counter), "camera", is_sorting=False)


def test_an_hour_that_comes_twice():
    times = np.r_[np.arange(0, 10, 0.1), np.arange(10, 20, 0.1) - 3600]
    with pytest.raises(DataError, match="end of daylight saving, write times in UTC"):
        order_of(times, "camera", is_sorting=False)


def test_nanoseconds_since_1970_keep_their_microseconds():
    since = np.arange(10) * 333_000
    clock = ClockConfig(scale_to_s=1e-9, offset_s=-1_700_000_000)
    found = clock.to_session(1_700_000_000_000_000_000 + since)
    np.testing.assert_allclose(found, since * 1e-9, rtol=0, atol=1e-6)


SAMPLES = np.array([10, 500, 30_000, 45_000])


def kilosort(folder: Path, **changes: Any) -> KilosortConfig:
    files: dict[str, Any] = {
        "spike_times": SAMPLES,
        "spike_clusters": np.array([0, 1, 0, 1]),
        "params": "sample_rate = 30000.0\n",
        "cluster_group": "cluster_id\tgroup\n0\tgood\n1\tgood\n",
        **changes,
    }
    for name, content in files.items():
        if isinstance(content, str):
            (folder / f"{name}{'.py' if name == 'params' else '.tsv'}").write_text(content)
        else:
            np.save(folder / f"{name}.npy", content)
    return KilosortConfig(folder=".")


READ_KILOSORT: dict[str, dict[str, Any]] = {
    "a rate as numpy 2 prints it": {"params": "sample_rate = np.float64(30000.0)\n"},
    "a rate with a comment": {"params": "sample_rate = 3e4  # Hz\n"},
    "labels split by commas": {"cluster_group": "cluster_id,group\n0,good\n1,good\n"},
    "labels of Kilosort 2.5": {"cluster_group": "cluster_id\tKSLabel\n0\tgood\n1\tgood\n"},
    "another byte order": {"spike_times": SAMPLES.astype(">i8")},
    "samples as floats": {"spike_times": SAMPLES.astype(np.float64)[:, None]},
    "clusters as floats": {"spike_clusters": np.array([[0.0], [1.0], [0.0], [1.0]])},
}


@pytest.mark.parametrize("kind", READ_KILOSORT)
def test_sorted_spikes_that_are_read(kind: str, tmp_path: Path):
    found = read_kilosort(kilosort(tmp_path, **READ_KILOSORT[kind]), tmp_path)
    np.testing.assert_allclose(found.times[0], SAMPLES[[0, 2]] / 30_000)
    np.testing.assert_allclose(found.times[1], SAMPLES[[1, 3]] / 30_000)


REFUSED_KILOSORT = {
    "seconds instead of samples": (SAMPLES / 30_000, "whole numbers.*`sampling_rate_hz: 1`"),
    "numbers that overflowed": (SAMPLES - 2**31, "as where a number has overflowed.*int64"),
    "a missing time": (np.r_[SAMPLES[:3], np.nan], "row 3 is nan"),
}


@pytest.mark.parametrize("kind", REFUSED_KILOSORT)
def test_sorted_spikes_that_are_refused(kind: str, tmp_path: Path):
    samples, message = REFUSED_KILOSORT[kind]
    with pytest.raises(DataError, match=message):
        read_kilosort(kilosort(tmp_path, spike_times=samples), tmp_path)


def test_seconds_are_read_as_the_message_says(tmp_path: Path):
    config = kilosort(tmp_path, spike_times=SAMPLES / 30_000)
    found = read_kilosort(config.model_copy(update={"sampling_rate_hz": 1.0}), tmp_path)
    np.testing.assert_allclose(found.times[0], SAMPLES[[0, 2]] / 30_000)


def test_spikes_before_the_first_sample_are_named(tmp_path: Path):
    with pytest.warns(DataWarning, match="1 spikes lie before the first sample"):
        read_kilosort(kilosort(tmp_path, spike_times=np.r_[-5, SAMPLES[1:]]), tmp_path)


def dlc_text(likelihood: float = 0.99, lost: tuple[int, ...] = ()) -> str:
    lines = ["scorer" + ",net" * 6, "bodyparts,a,a,a,b,b,b", "coords" + ",x,y,likelihood" * 2]
    for i in range(N):
        xy = ["", ""] if i in lost else [str(1.5 + i), "2.5"]
        lines.append(",".join([str(i), *xy, str(likelihood), "3.5", "4.5", str(likelihood)]))
    return "\n".join(lines) + "\n"


READ_POSES = {
    "byte order mark": b"\xef\xbb\xbf" + dlc_text().encode(),
    "saved again by a spreadsheet": dlc_text().replace(",", ";").replace(".", ",").encode(),
    "saved again with points": dlc_text().replace(",", ";").encode(),
    "names that are numbers": dlc_text().replace(",a,a,a,b,b,b", ",1,1,1,2,2,2").encode(),
}


@pytest.mark.parametrize("kind", READ_POSES)
def test_poses_that_are_read(kind: str, tmp_path: Path):
    (tmp_path / "e.csv").write_bytes(READ_POSES[kind])
    found = read_points(DeepLabCutConfig(file="e.csv"), tmp_path)
    np.testing.assert_array_equal(found.xy[:, 0, 0], 1.5 + np.arange(N))
    np.testing.assert_array_equal(found.likelihood, 0.99)


def test_lost_points_with_a_likelihood_of_1_are_lost(tmp_path: Path):
    (tmp_path / "e.csv").write_text(dlc_text(likelihood=1.0, lost=(1, 3)))
    found = read_points(DeepLabCutConfig(file="e.csv"), tmp_path)
    np.testing.assert_array_equal(found.likelihood[:, 0], [1, 0, 1, 0, 1])


def test_poses_that_are_refused(tmp_path: Path):
    (tmp_path / "e.csv").write_text(dlc_text(likelihood=99.0))
    with pytest.raises(DataError, match="likelihoods go up to 99.*divide percentages by 100"):
        read_points(DeepLabCutConfig(file="e.csv"), tmp_path)
    (tmp_path / "e.pickle").write_bytes(b"\x80\x04]\x94.")
    with pytest.raises(DataError, match="Python pickle, which is not read; export CSV or HDF5"):
        read_points(DeepLabCutConfig(file="e.pickle"), tmp_path)


def test_a_file_of_sleap_read_as_deeplabcut(tmp_path: Path):
    import h5py

    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["tracks"], file["node_names"] = np.zeros((1, 2, 1, N)), np.array(["a"], "S")
    with pytest.raises(DataError, match="analysis file of SLEAP; state `kind: sleap`"):
        read_points(DeepLabCutConfig(file="e.h5"), tmp_path)


READ_ARRAYS = {
    "half precision": VALUES.astype(np.float16),
    "another byte order": VALUES.astype(">f4"),
    "Fortran order": np.asfortranarray(VALUES[:, None]),
    "one row": VALUES[None],
    "one column": VALUES[:, None],
}


@pytest.mark.parametrize("kind", READ_ARRAYS)
def test_arrays_that_are_read(kind: str, tmp_path: Path):
    np.save(tmp_path / "a.npy", READ_ARRAYS[kind])
    config = ArrayConfig(file="a.npy", columns=("v",), rate_hz=10)
    found = read_array_stream("x", config, tmp_path)
    np.testing.assert_array_equal(found.values[:, 0], VALUES)


REFUSED_ARRAYS = {
    "structured": (np.zeros(N, [("a", "i4"), ("b", "f8")]), "fields a, b; save its fields"),
    "long double": (VALUES.astype(np.longdouble), r"got float\d+; save array.astype\(float\)"),
    "complex": (VALUES.astype(complex), "got complex128$"),
    "objects": (np.array([[1, 2], [3]], object), "Python objects, which are not read; write"),
}


@pytest.mark.parametrize("kind", REFUSED_ARRAYS)
def test_arrays_that_are_refused(kind: str, tmp_path: Path):
    array, message = REFUSED_ARRAYS[kind]
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=message) as caught:
        read_array(tmp_path / "a.npy", None)
    assert "is it complete" not in str(caught.value)


def test_nan_that_was_made_an_integer_is_lost():
    values = np.array([1, np.iinfo(np.int32).min, 3], np.int32)
    found = make_samples("x", np.arange(3.0), values, ["v"], [""])
    np.testing.assert_array_equal(found.values[:, 0], [1, np.nan, 3])


def test_structures_and_sparse_matrices_of_matlab(tmp_path: Path):
    trains = np.array([(np.array([0.5, 1.0]), 7), (np.array([2.0]), 9)], [("t", "O"), ("id", "O")])
    dense = np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]])
    variables = {"units": trains, "counts": scipy.sparse.csc_matrix(dense)}
    scipy.io.savemat(tmp_path / "a.mat", variables)
    found = read_mat(tmp_path / "a.mat")
    np.testing.assert_array_equal(found["counts"], dense)
    assert [np.ravel(train).tolist() for train in found["units.t"]] == [[0.5, 1.0], [2.0]]
    huge = scipy.sparse.csc_matrix(([1.0], ([0], [0])), shape=(10**6, 10**6))
    scipy.io.savemat(tmp_path / "b.mat", {"x": huge})
    with pytest.raises(DataError, match="sparse x expands"):
        read_mat(tmp_path / "b.mat")


def test_cells_of_suite2p_that_are_flags(tmp_path: Path):
    np.save(tmp_path / "spks.npy", np.arange(40.0).reshape(4, 10))
    np.save(tmp_path / "iscell.npy", np.array([True, False, True, True]))
    found = read_suite2p(Suite2pConfig(folder=".", rate_hz=10), tmp_path)
    assert found.samples.columns == ("0", "2", "3")
    np.save(tmp_path / "spks.npy", np.zeros((10, 4)))  # (time, region)
    with pytest.raises(FreegazeError, match="expected one row for each of 10 regions"):
        read_suite2p(Suite2pConfig(folder=".", rate_hz=10), tmp_path)


def opened(folder: Path, **config: Any) -> Recording:
    (folder / "spikes.csv").write_text("time,unit\n0.0,a\n1.5,a\n3.0,a\n")
    spikes = {"kind": "spike_table", "file": "spikes.csv", "duration_s": 3.0}
    file = folder / "s.yaml"
    file.write_text(yaml.safe_dump({"bin_width_s": 0.1, "responses": spikes, **config}))
    (recording,) = open_recordings("files", file)
    return recording


FRAMES = np.random.default_rng(0).integers(0, 256, (30, 5, 6)).astype(np.uint8)
REFUSED_VIDEO = {
    "12 bits": (FRAMES.astype(np.uint16) * 16, "uint16 from 0 to 4080; state `gray_range:"),
    "around zero": (FRAMES.astype(np.int16) - 100, "int16 from -100.*state `gray_range:"),
    "NaN": (
        np.where(FRAMES == 3, np.nan, FRAMES.astype(float)),
        "with NaN; leave these",
    ),
    "time as the last axis": (
        np.ascontiguousarray(FRAMES.transpose(1, 2, 0)),
        r"5 frames of 6 x 30 px; state `axes: \[height, width, time\]`",
    ),
}


@pytest.mark.parametrize("kind", REFUSED_VIDEO)
def test_video_that_is_refused(kind: str, tmp_path: Path):
    frames, message = REFUSED_VIDEO[kind]
    np.save(tmp_path / "v.npy", frames)
    with pytest.raises(FreegazeError, match=message):
        opened(tmp_path, video={"kind": "npy", "file": "v.npy", "rate_hz": 10})


def test_video_is_read_as_the_messages_say(tmp_path: Path):
    video = {"kind": "npy", "file": "v.npy", "rate_hz": 10}
    np.save(tmp_path / "v.npy", FRAMES.astype(np.uint16) * 16)
    found = opened(tmp_path, video={**video, "gray_range": [0, 4080]})
    np.testing.assert_array_equal(found.video(), FRAMES)
    np.save(tmp_path / "v.npy", np.ascontiguousarray(FRAMES.transpose(1, 2, 0)))
    found = opened(tmp_path, video={**video, "axes": ["height", "width", "time"]})
    np.testing.assert_array_equal(found.video(), FRAMES)


def test_times_of_a_video_in_milliseconds_are_asked_about(tmp_path: Path):
    np.save(tmp_path / "v.npy", FRAMES)
    np.save(tmp_path / "t.npy", np.arange(30) * 100.0)
    video = {"kind": "npy", "file": "v.npy", "timestamps": "t.npy"}
    with pytest.warns(DataWarning, match="100 s apart.*`scale_to_s`"):
        opened(tmp_path, video=video)
    found = opened(tmp_path, video={**video, "clock": {"scale_to_s": 0.001}})
    np.testing.assert_array_equal(found.video(), FRAMES)


def test_counts_of_other_bins_name_the_bins(tmp_path: Path):
    counts = np.random.default_rng(0).poisson(1, (40, 3))
    np.save(tmp_path / "r.npy", counts)
    responses = {"kind": "npy", "file": "r.npy", "rate_hz": 10, "response_kind": "spike_counts"}
    with pytest.raises(DataError, match="`bin_width_s: 0.1`.*`start_s: -0.05`"):
        opened(tmp_path, responses=responses, start_s=0.0)
    found = opened(tmp_path, responses=responses, start_s=-0.05)
    np.testing.assert_array_equal(found.responses, counts)
