"""Tables, times, arrays, events, spikes and movies as laboratories really have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import yaml

from freegaze.errors import DataError, DataWarning, ShapeError
from freegaze.recording.recording import Recording
from freegaze.sources.alignment.readers import ArrayFrames, scan_movie
from freegaze.sources.lab_files.tabular import read_table
from freegaze.sources.lab_files.timed import TableFormat
from freegaze.sources.lab_files.times import read_timestamps
from freegaze.sources.lab_files.tiny import write_movie
from freegaze.sources.source import open_recordings

RATE_HZ, DURATION_S = 20.0, 4.0
SPIKES = {"kind": "spike_table", "file": "spikes.csv", "duration_s": DURATION_S}


def opened(folder: Path, **parts: Any) -> Recording:
    times = np.linspace(0, DURATION_S, 41)
    pd.DataFrame({"time": times, "unit": 3.0}).to_csv(folder / "spikes.csv", index=False)
    config = {"bin_width_s": 0.1, "responses": SPIKES, **parts}
    (folder / "s.yaml").write_text(yaml.safe_dump(config))
    (recording,) = open_recordings("files", folder / "s.yaml")
    return recording


@pytest.mark.parametrize(
    ("name", "text", "layout"),
    [
        ("a.csv", "t,v\n0,1.5\n1,2.5\n", {}),
        ("a.csv", "t;v\n0;1,5\n1;2,5\n", {"decimal": ","}),
        ("a.tsv", "t\tv\n0\t1.5\n1\t2.5\n", {}),
        ("a.ssv", "t v \n0 1.5 \n1 2.5 \n", {}),
        ("a.csv", "# t,v\n0,1.5\n1,2.5\n", {}),
        ("a.csv", "rig 2\nmouse,b,c\nt,v\n0,1.5\n1,2.5\n", {"skip_lines": 2}),
        ("a.csv", "\ufefft,v,\n0,1.5,\n1,2.5,\n", {}),
    ],
)
def test_layouts_of_text(name: str, text: str, layout: dict, tmp_path: Path):
    (tmp_path / name).write_text(text, encoding="utf-8")
    table = read_table(tmp_path / name, TableFormat(**layout))
    assert table.names == ("t", "v")
    np.testing.assert_array_equal(table.numbers("t"), [0, 1])
    np.testing.assert_array_equal(table.numbers("v"), [1.5, 2.5])


def test_a_table_without_a_header_is_not_robbed_of_its_first_row(tmp_path: Path):
    (tmp_path / "a.ssv").write_text("0 1.5 \n1 2.5 \n")
    with pytest.raises(DataError, match="holds numbers; state `header: false`"):
        read_table(tmp_path / "a.ssv")
    table = read_table(tmp_path / "a.ssv", TableFormat(header=False))
    np.testing.assert_array_equal(table.numbers("1"), [1.5, 2.5])


def test_columns_of_equal_names_are_refused(tmp_path: Path):
    (tmp_path / "a.csv").write_text("v,v\n1,2\n")
    with pytest.raises(DataError, match="several columns 'v'"):
        read_table(tmp_path / "a.csv").numbers("v")


def test_tables_of_matlab_and_parquet(tmp_path: Path):
    v = np.array([1.5, 2.5, 3.5])
    pos = np.column_stack([v, v + 1])
    scipy.io.savemat(tmp_path / "old.mat", {"imu": {"v": v[:, None]}, "pos": pos, "rate": 30.0})
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["imu/v"], file["pos"] = v[None], pos.T
    with (tmp_path / "new.mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(128))
    for name in ("old.mat", "new.mat"):
        table = read_table(tmp_path / name)
        np.testing.assert_array_equal(table.numbers("imu.v"), v)
        np.testing.assert_array_equal(table.numbers("pos[1]"), v + 1)
    pd.DataFrame({"v": v}).to_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(read_table(tmp_path / "a.parquet").numbers("v"), v)


def test_times_of_day_pass_midnight_and_columns_are_split_by_blanks(tmp_path: Path):
    file = tmp_path / "t.ssv"
    file.write_text("23:59:59.5\n00:00:00.0\n00:00:00.5\n")
    np.testing.assert_allclose(np.diff(read_timestamps(file, None)), 0.5)
    for gap in ("T", " "):
        file.write_text("".join(f"1970-01-01{gap}00:00:0{i}.5 {900 + i} \n" for i in range(3)))
        np.testing.assert_allclose(read_timestamps(file, 0), [0.5, 1.5, 2.5])
        np.testing.assert_allclose(read_timestamps(file, 1), [900, 901, 902])
    file.write_text("2021-01-01\n" * 3)
    with pytest.raises(DataError, match="all 3 times are equal"):
        read_timestamps(file, None)


@pytest.mark.parametrize("which", ["last", "first"])
def test_surplus_times_are_left_out_if_asked_for(which: str, tmp_path: Path):
    np.save(tmp_path / "v.npy", np.arange(80.0))
    np.savetxt(tmp_path / "t.csv", np.arange(81) / RATE_HZ)
    stream = {"kind": "npy", "file": "v.npy", "columns": ["v"], "timestamps": "t.csv"}
    with pytest.raises(DataError, match="80 rows or frames but .*81 times.*`surplus: last`"):
        opened(tmp_path, behavior={"x": stream})
    with pytest.warns(DataWarning, match=f"the {which} 1 are left out"):
        found = opened(tmp_path, behavior={"x": {**stream, "surplus": which}})
    at = found.annotations["time_s"] * RATE_HZ - (which == "first")
    known = np.isfinite(found.column("v"))
    np.testing.assert_allclose(found.column("v")[known], at[known], atol=1e-4)


def test_times_in_a_column_of_an_array(tmp_path: Path):
    t = np.arange(80) / RATE_HZ
    np.save(tmp_path / "v.npy", np.column_stack([t, 2 * t]))
    stream = {"kind": "npy", "file": "v.npy", "columns": ["t", "v"], "time": "t"}
    found = opened(tmp_path, behavior={"x": stream})
    assert found.behavior_names == ("v",)
    np.testing.assert_allclose(found.column("v")[:-1], 2 * found.annotations["time_s"][:-1])


def test_events_are_steps(tmp_path: Path):
    rows = [(0.5, 1.5, "light"), (2.0, 2.5, "sound"), (3.0, 3.2, "light")]
    pd.DataFrame(rows, columns=["on", "off", "what"]).to_csv(tmp_path / "e.csv", index=False)
    stream = {
        "kind": "events",
        "file": "e.csv",
        "start": "on",
        "stop": "off",
        "label": "what",
        "columns": {"light": "light", "tone": "sound"},
    }
    found = opened(tmp_path, behavior={"x": stream})
    at = found.annotations["time_s"]
    light = ((at > 0.5) & (at < 1.5)) | ((at > 3.0) & (at < 3.2))
    np.testing.assert_array_equal(found.column("light"), light)
    np.testing.assert_array_equal(found.column("tone"), (at > 2.0) & (at < 2.5))


def test_blank_rows_of_spikes_are_named_and_whole_ids_stay_whole(tmp_path: Path):
    assert opened(tmp_path).unit_ids == ("3",)
    (tmp_path / "b.csv").write_text("time,unit\n0.5,a\n,\n3.5,a\n")
    spikes = {**SPIKES, "file": "b.csv"}
    with pytest.warns(DataWarning, match=r"1 empty rows are left out \(row 1\)"):
        assert opened(tmp_path, responses=spikes).responses.sum() == 2
    (tmp_path / "b.csv").write_text("time,unit\n0.5,a\n1.0,\n3.5,a\n")
    with pytest.raises(DataError, match="column 'unit': row 1 is empty"):
        opened(tmp_path, responses=spikes)


def test_kilosort_before_phy_and_phy_with_blank_rows(tmp_path: Path):
    ks = tmp_path / "ks"
    ks.mkdir()
    np.save(ks / "spike_times.npy", np.arange(60) * 2000)
    np.save(ks / "spike_templates.npy", np.repeat([0, 1], [20, 40]).astype(np.uint32)[:, None])
    (ks / "params.py").write_text("sample_rate = 30000.\n")
    responses = {"kind": "kilosort", "folder": "ks", "duration_s": DURATION_S}
    with pytest.raises(DataError, match=r"state `groups: \[\]`"):
        opened(tmp_path, responses=responses)
    found = opened(tmp_path, responses={**responses, "groups": []})
    assert found.responses.sum(0).tolist() == [20, 40]
    text = "cluster_id\tgroup\n0\t\n\tgood\n1\tgood\n9\tgood\n"
    (ks / "cluster_info.tsv").write_text(text)
    with pytest.warns(DataWarning) as told:
        assert opened(tmp_path, responses=responses).unit_ids == ("1",)
    assert any("without a spike are left out: 9" in str(w.message) for w in told)


def test_planes_of_suite2p_side_by_side(tmp_path: Path):
    rng = np.random.default_rng(0)
    for plane, n in ((0, 3), (1, 2)):
        folder = tmp_path / f"suite2p/plane{plane}"
        folder.mkdir(parents=True)
        np.save(folder / "spks.npy", rng.exponential(1, (n, 60 - plane)))
        np.save(folder / "iscell.npy", np.ones((n, 2)))
    responses = {"kind": "suite2p", "folder": "suite2p", "rate_hz": 10.0}
    with pytest.warns(DataWarning, match="last volume is incomplete"):
        found = opened(tmp_path, responses=responses)
    assert found.unit_ids == ("plane0_0", "plane0_1", "plane0_2", "plane1_0", "plane1_1")
    assert opened(tmp_path, responses={**responses, "plane": 1}).unit_ids == ("0", "1")


def test_more_neurons_than_samples_are_asked_about(tmp_path: Path):
    np.save(tmp_path / "F.npy", np.random.default_rng(0).normal(size=(5, 80)))
    responses = {"kind": "npy", "file": "F.npy", "rate_hz": 20, "response_kind": "fluorescence"}
    with pytest.raises(ShapeError, match="80 neurons of 5 samples; state `axes: neuron_time`"):
        opened(tmp_path, responses=responses)
    assert opened(tmp_path, responses={**responses, "axes": "neuron_time"}).n_neurons == 5


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, bool])
def test_video_of_zeros_and_ones_asks_for_its_range(dtype: type, tmp_path: Path):
    video = (np.random.default_rng(0).random((80, 4, 5)) < 0.3).astype(dtype)
    with pytest.raises(DataError, match=r"state `gray_range: \[0, 1\]`"):
        ArrayFrames(video, "v")
    shown = np.stack([f for _, f in ArrayFrames(video, "v", (0, 1)).read(np.arange(80))])
    np.testing.assert_array_equal(shown, 255 * video.astype(int))


def test_channels_of_a_video():
    gray = np.arange(2 * 6 * 7, dtype=np.uint8).reshape(2, 6, 7)
    for n, axis in ((1, 3), (3, 3), (4, 3), (1, 1), (3, 1), (4, 1)):
        video = np.stack([gray] * n, axis)
        if n == 4:
            np.moveaxis(video, axis, 3)[..., 3] = 255
        shown = np.stack([f for _, f in ArrayFrames(video, "v").read(np.arange(2))])
        np.testing.assert_array_equal(shown, gray)


def test_raw_streams_need_only_a_rate(tmp_path: Path):
    frames = np.repeat(np.arange(0, 240, 3, dtype=np.uint8), 16 * 16).reshape(80, 16, 16)
    write_movie(tmp_path / "a.h264", frames, RATE_HZ, "libx264", "yuv420p")
    scan = scan_movie(tmp_path / "a.h264")
    assert (scan.n_frames, scan.times) == (80, None)
    video = {"kind": "movie", "file": "a.h264", "frames": "nearest"}
    with pytest.raises(DataError, match="no times; give `timestamps` or `rate_hz`"):
        opened(tmp_path, video=video)
    assert opened(tmp_path, video={**video, "rate_hz": RATE_HZ}).n_bins >= 39


def test_pointers_and_pages_are_named(tmp_path: Path):
    (tmp_path / "a.mp4").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(DataError, match=r"a\.mp4 is a Git LFS pointer.*`git lfs pull`"):
        scan_movie(tmp_path / "a.mp4")


def test_text_stored_as_bytes(tmp_path: Path):
    from freegaze.files.arrays import map_npy, read_npy

    np.save(tmp_path / "a.npy", np.array([b"train", "été".encode()]))
    assert read_npy(tmp_path / "a.npy").tolist() == ["train", "été"]
    assert map_npy(tmp_path / "a.npy").tolist() == ["train", "été"]
    np.save(tmp_path / "o.npy", np.array(["train", None], dtype=object))
    with pytest.raises(DataError, match=r"Python objects.*astype\(str\)"):
        read_npy(tmp_path / "o.npy")
