"""NWB files in Zarr, written by hdmf-zarr, are read as those in HDF5."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freegaze.errors import DataError
from freegaze.recording.recording import Recording
from freegaze.sources.nwb.predictions import write_predictions
from freegaze.sources.nwb.tiny import write_tiny_nwb
from freegaze.sources.nwb.writing import write_nwb
from freegaze.sources.source import detect_source, open_recordings
from freegaze.sources.tiny import make_tiny_recording

pytestmark = pytest.mark.filterwarnings("ignore")  # hdmf-zarr and zarr comment freely
pytest.importorskip("pynwb")
hdmf_zarr = pytest.importorskip("hdmf_zarr", reason="needs the extra nwb-zarr")


def to_zarr(file: Path, folder: Path) -> Path:
    import pynwb

    with (
        pynwb.NWBHDF5IO(str(file), "r") as read,
        hdmf_zarr.NWBZarrIO(str(folder), mode="w") as written,
    ):
        written.export(src_io=read, write_args={"link_data": False})
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("nwb")
    (folder / "hdf5").mkdir()
    file = write_tiny_nwb(folder / "hdf5" / "tiny.nwb", 0)
    return file, to_zarr(file, folder / "tiny.nwb.zarr")


def same(a: Recording, b: Recording) -> None:
    np.testing.assert_array_equal(a.responses, b.responses)
    np.testing.assert_array_equal(a.behavior, b.behavior)
    np.testing.assert_array_equal(a.video(), b.video())
    assert (a.unit_ids, a.behavior_names, a.session_id) == (
        b.unit_ids,
        b.behavior_names,
        b.session_id,
    )


def test_zarr_is_read_as_hdf5_is(pair: tuple[Path, Path], tmp_path: Path):
    file, folder = pair
    assert detect_source(folder) == "nwb"
    same(*(open_recordings("nwb", path)[0] for path in (file, folder)))
    (found,) = open_recordings(
        "nwb", shutil.copytree(folder, tmp_path / "all" / "sub-1" / folder.name).parents[1]
    )
    assert found.session_id == "tiny"


def test_a_recording_of_ours_comes_back(tmp_path: Path):
    recording = make_tiny_recording(seed=0)
    folder = to_zarr(write_nwb(recording, tmp_path / "own.nwb"), tmp_path / "own.nwb.zarr")
    (found,) = open_recordings("nwb", folder)
    same(found, recording)
    bins = recording.bins_of("test")
    rates = np.ones((len(bins), recording.n_neurons))
    with pytest.raises(DataError, match=r"the name must end in \.nwb"):
        write_predictions(folder, recording, rates, bins, recording.unit_ids, description="a")


class Call:
    def __reduce__(self) -> Any:
        return os.mkdir, ("made",)


def test_objects_that_were_pickled_are_read_without_running_them(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As earlier versions of hdmf-zarr keep text and references."""
    import numcodecs
    import zarr  # pyright: ignore[reportMissingImports]

    folder = shutil.copytree(pair[1], tmp_path / "tiny.zarr")
    units: Any = zarr.open_group(str(folder))["units"]
    values, attributes = units["quality"][:], dict(units["quality"].attrs)
    pickled = units.create_dataset(
        "quality", data=values, dtype=object, object_codec=numcodecs.Pickle(), overwrite=True
    )
    pickled.attrs.update(attributes)
    zarr.consolidate_metadata(str(folder))
    wanted = {"keep_units": {"quality": ["good"]}}
    same(*(open_recordings("nwb", path, **wanted)[0] for path in (pair[0], folder)))
    monkeypatch.chdir(tmp_path)
    calls = pickle.dumps(np.array([Call()] * len(values), object))
    (folder / "units" / "quality" / "0").write_bytes(numcodecs.Blosc().encode(calls))
    with pytest.raises(DataError):
        open_recordings("nwb", folder, **wanted)
    assert not (tmp_path / "made").exists()


def test_folders_that_are_damaged_or_lead_elsewhere_are_refused(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = shutil.copytree(pair[1], tmp_path / "a.zarr")
    header = next(folder.rglob("pupil_radius/data/.zarray"))
    whole = header.read_text()
    header.write_text(whole[:40])
    with pytest.raises(DataError, match=r"\.zarray is damaged; copy the folder again"):
        open_recordings("nwb", folder)
    header.write_text(json.dumps({**json.loads(whole), "shape": [10**12]}))
    with pytest.raises(DataError, match="expands from"):
        open_recordings("nwb", folder)
    header.write_text(whole)
    attributes = folder / "acquisition" / ".zattrs"
    link = {"zarr_link": [{"name": "x", "path": "/acquisition", "source": "/other.zarr"}]}
    attributes.write_text(json.dumps(link))
    with pytest.raises(DataError, match="a part lies in another file"):
        open_recordings("nwb", folder)
    (folder / "zarr.json").write_text("{}")
    with pytest.raises(DataError, match="written in Zarr 3"):
        open_recordings("nwb", folder)
    monkeypatch.setitem(sys.modules, "hdmf_zarr", None)
    with pytest.raises(DataError, match=r"pip install freegaze\[nwb-zarr\]"):
        open_recordings("nwb", pair[1])
