"""Files of movement, Anipose, facemap and CaImAn.

Those of movement are written by movement where it is installed, and as it writes them (an xarray
Dataset, `to_netcdf`) everywhere. Those of facemap and CaImAn are written by numpy and h5py after
their documentation, as neither can be installed beside this package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import TypeAdapter

from freegaze.config import build_config
from freegaze.errors import ConfigError, DataError, DataWarning, FreegazeError, ShapeError
from freegaze.recording.recording import Recording
from freegaze.sources.lab_files.config import BehaviorConfig
from freegaze.sources.lab_files.config_points import (
    AniposeConfig,
    DeepLabCutConfig,
    FacemapConfig,
    MovementConfig,
    SleapConfig,
)
from freegaze.sources.lab_files.eye_points import read_points, read_pupil
from freegaze.sources.source import open_recordings

N, POINTS = 40, ("left", "right", "top")
RATE_HZ = 20.0


def positions(n_space: int = 2) -> np.ndarray:
    """(time, space, keypoint, individual), as movement orders them."""
    values = np.random.default_rng(0).uniform(10, 90, (N, n_space, len(POINTS), 2))
    values[5, :, 1, 0] = np.nan
    return values


def confidences() -> np.ndarray:
    return np.random.default_rng(1).uniform(0.5, 1, (N, len(POINTS), 2))


def make_dataset(n_space: int = 2, fps: float | None = RATE_HZ) -> Any:
    xarray = pytest.importorskip("xarray")
    times = np.arange(N) / fps if fps else np.arange(N)
    coordinates = {
        "time": times,
        "space": list("xyz"[:n_space]),
        "keypoints": list(POINTS),
        "individuals": ["mouse", "other"],
    }
    axes = tuple(coordinates)
    attributes = {"ds_type": "poses", "time_unit": "seconds" if fps else "frames"}
    if fps:
        attributes["fps"] = fps
    return xarray.Dataset(
        {
            "position": (axes, positions(n_space)),
            "confidence": ((axes[0], *axes[2:]), confidences()),
        },
        coordinates,
        attributes,
    )


def save(dataset: Any, file: Path, **more: Any) -> Path:
    pytest.importorskip("netCDF4")
    dataset.to_netcdf(file, engine="netcdf4", **more)
    return file


def movement(file: Path, **more: Any) -> MovementConfig:
    return build_config(MovementConfig, {"file": file.name, **more}, where="test")


def test_points_of_movement_come_back(tmp_path: Path):
    file = save(make_dataset(), tmp_path / "a.nc")
    points = read_points(movement(file, individual="other"), tmp_path)
    assert points.names == POINTS
    np.testing.assert_array_equal(points.xy, positions()[..., 1].transpose(0, 2, 1))
    np.testing.assert_array_equal(points.likelihood, confidences()[..., 1])
    np.testing.assert_allclose(points.times, np.arange(N) / RATE_HZ)
    first = read_points(movement(file, individual="mouse"), tmp_path)
    assert first.likelihood[5, 1] == 0


def test_axes_of_movement_may_be_in_any_order(tmp_path: Path):
    turned = make_dataset().transpose("individuals", "keypoints", "time", "space")
    points = read_points(movement(save(turned, tmp_path / "a.nc"), individual="mouse"), tmp_path)
    np.testing.assert_array_equal(points.xy, positions()[..., 0].transpose(0, 2, 1))
    singular = turned.rename(individuals="individual", keypoints="keypoint")
    renamed = read_points(movement(save(singular, tmp_path / "b.nc"), individual="mouse"), tmp_path)
    assert renamed.names == POINTS
    np.testing.assert_array_equal(renamed.xy, points.xy)


def test_packed_numbers_of_netcdf_are_unpacked(tmp_path: Path):
    packing = {"dtype": "int32", "scale_factor": 0.001, "add_offset": 5.0, "_FillValue": -1}
    file = save(make_dataset(), tmp_path / "a.nc", encoding={"position": packing})
    points = read_points(movement(file, individual="mouse"), tmp_path)
    expected = positions()[..., 0].transpose(0, 2, 1)
    np.testing.assert_allclose(points.xy, expected, atol=0.0006)
    assert np.isnan(points.xy[5, 1]).all()


def test_times_of_movement_are_used_unless_others_are_stated(tmp_path: Path):
    file = save(make_dataset(), tmp_path / "a.nc")
    shape = {"individual": "mouse", "shape": "circle", "min_likelihood": 0.0}
    stream = read_pupil("eye", movement(file, **shape), tmp_path)
    np.testing.assert_allclose(stream.times, np.arange(N) / RATE_HZ)
    stream = read_pupil("eye", movement(file, rate_hz=10.0, **shape), tmp_path)
    np.testing.assert_allclose(stream.times, np.arange(N) / 10.0)
    unknown = save(make_dataset(fps=None), tmp_path / "b.nc")
    with pytest.raises(DataError, match="has no times; give `timestamps` or `rate_hz`"):
        read_pupil("eye", movement(unknown, **shape), tmp_path)


def test_points_in_space_and_boxes(tmp_path: Path):
    file = save(make_dataset(n_space=3), tmp_path / "a.nc")
    points = read_points(movement(file, individual="mouse"), tmp_path)
    np.testing.assert_array_equal(points.z, positions(3)[:, 2, :, 0])
    boxes = make_dataset().isel(keypoints=0, drop=True)
    points = read_points(movement(save(boxes, tmp_path / "b.nc"), individual="mouse"), tmp_path)
    assert points.names == ("centroid",)
    np.testing.assert_array_equal(points.xy[:, 0], positions()[:, :, 0, 0])


def test_files_that_are_not_of_movement_are_named(tmp_path: Path):
    file = save(make_dataset(), tmp_path / "a.nc")
    with pytest.raises(DataError, match="has several individuals .mouse, other.; state `individ"):
        read_points(movement(file), tmp_path)
    with pytest.raises(DataError, match=r"has no individual 'mous' \(.*mouse"):
        read_points(movement(file, individual="mous"), tmp_path)
    polar = make_dataset().assign_coords(space=["rho", "phi"])
    with pytest.raises(ShapeError, match="coordinates are rho, phi, expected x, y"):
        read_points(movement(save(polar, tmp_path / "b.nc"), individual="mouse"), tmp_path)
    with h5py.File(tmp_path / "c.nc", "w") as store:
        store["position"] = positions()
    with pytest.raises(ShapeError, match="has an axis without a name"):
        read_points(movement(tmp_path / "c.nc"), tmp_path)
    with h5py.File(tmp_path / "d.nc", "w") as store:
        store["tracks"] = positions()
    with pytest.raises(DataError, match="holds no `position`"):
        read_points(movement(tmp_path / "d.nc"), tmp_path)


@pytest.mark.filterwarnings("ignore")  # movement and what it imports comment freely
@pytest.mark.parametrize("kind", ["netcdf", "DeepLabCut", "LightningPose", "SLEAP"])
def test_files_that_movement_writes(kind: str, tmp_path: Path):
    """Needs movement, as CONTRIBUTING.md says how to install it."""
    pytest.importorskip("movement", reason="movement is not installed")
    from movement.io import load_poses, save_poses  # pyright: ignore[reportMissingImports]

    dataset = load_poses.from_numpy(
        position_array=positions(),
        confidence_array=confidences(),
        individual_names=["mouse", "other"],
        keypoint_names=list(POINTS),
        fps=RATE_HZ,
        source_software="test",
    )
    one = dataset.sel(individuals=["mouse"])
    if kind == "netcdf":
        config: Any = movement(save(dataset, tmp_path / "a.nc"), individual="mouse")
    elif kind == "DeepLabCut":
        save_poses.to_dlc_file(dataset, tmp_path / "a.h5", split_individuals=False)
        config = DeepLabCutConfig(file="a.h5", individual="mouse")
    elif kind == "LightningPose":
        save_poses.to_lp_file(one, tmp_path / "a.csv")
        config = DeepLabCutConfig(
            file="a_mouse.csv" if not (tmp_path / "a.csv").exists() else "a.csv"
        )
    else:
        save_poses.to_sleap_analysis_file(dataset, tmp_path / "a.h5")
        config = SleapConfig(file="a.h5", track="mouse")
    points = read_points(config, tmp_path)
    assert points.names == POINTS
    expected = positions()[..., 0].transpose(0, 2, 1)
    np.testing.assert_allclose(points.xy, expected, rtol=1e-5)
    known = np.isfinite(expected).all(axis=-1)
    np.testing.assert_allclose(points.likelihood[known], confidences()[..., 0][known], rtol=1e-5)


def write_anipose(file: Path) -> np.ndarray:
    values = positions(3)[..., 0]  # (time, space, keypoint)
    columns: dict[str, Any] = {}
    for k, name in enumerate(POINTS):
        columns |= {f"{name}_{axis}": values[:, i, k] for i, axis in enumerate("xyz")}
        columns |= {f"{name}_error": np.ones(N), f"{name}_ncams": np.full(N, 2.0)}
        columns[f"{name}_score"] = confidences()[:, k, 0]
    columns["M_00"] = np.ones(N)
    columns["fnum"] = np.arange(N) + 10
    pd.DataFrame(columns).to_csv(file, index=False)
    return values


def test_points_of_anipose(tmp_path: Path):
    values = write_anipose(tmp_path / "a.csv")
    points = read_points(AniposeConfig(file="a.csv"), tmp_path)
    assert points.names == POINTS
    np.testing.assert_allclose(points.xy, values[:, :2].transpose(0, 2, 1))
    np.testing.assert_allclose(points.z, values[:, 2])
    np.testing.assert_array_equal(points.frames, np.arange(N) + 10)
    stream = read_pupil(
        "top", AniposeConfig(file="a.csv", rate_hz=RATE_HZ, min_likelihood=0), tmp_path
    )
    assert stream.columns[:3] == ("left_x", "left_y", "left_z")
    assert stream.times[0] == pytest.approx(10 / RATE_HZ)
    (tmp_path / "b.csv").write_text("a_x,a_y\n1,2\n")
    with pytest.raises(DataError, match="no column POINT_x with POINT_y and POINT_z"):
        read_points(AniposeConfig(file="b.csv"), tmp_path)
    with pytest.raises(ConfigError, match="shape"):
        build_config(AniposeConfig, {"file": "a.csv", "shape": "ellipse"}, where="test")


def make_proc(n: int = N) -> dict[str, Any]:
    """What facemap saves of one pupil and one face: centers are (row, column) in the region."""
    rng = np.random.default_rng(2)
    half = rng.uniform(5, 9, (n, 2))
    pupil = {
        "com": rng.uniform(10, 30, (n, 2)),
        "area": np.pi * half.prod(axis=1),
        "axlen": half**2,
        "axdir": rng.normal(size=(n, 2, 2)),
    }
    pupil["area"][7] = pupil["com"][7] = pupil["axlen"][7] = np.nan
    pupil["area_smooth"] = np.nan_to_num(pupil["area"], nan=100.0)
    return {
        "filenames": [["/data/face.avi"]],
        "Ly": [120],
        "rois": [
            {"rind": 0, "rtype": "pupil", "yrange": np.arange(20, 60), "xrange": np.arange(9)}
        ],
        "motSVD": [np.zeros((0, 1), np.float32), rng.normal(size=(n, 5)).astype(np.float32)],
        "pupil": [pupil],
        "blink": [rng.uniform(0, 9, n)],
        "running": [],
    }


def facemap(folder: Path, proc: Any, **more: Any) -> Any:
    from freegaze.sources.lab_files.facemap import read_facemap

    np.save(folder / "face_proc.npy", proc)
    given = {"kind": "facemap", "file": "face_proc.npy", "rate_hz": RATE_HZ, **more}
    config = TypeAdapter(BehaviorConfig).validate_python(given)
    return read_facemap("face", config, folder)


def test_the_pupil_of_facemap(tmp_path: Path):
    proc = make_proc()
    stream = facemap(tmp_path, proc, theta_deg_per_px=0.5, components=2)
    assert stream.columns[:4] == ("pupil_x", "pupil_y", "pupil_radius", "pupil_area")
    assert stream.columns[4:] == ("theta", "blink", "motion_0", "motion_1")
    found = dict(zip(stream.columns, stream.values.T, strict=True))
    pupil = proc["pupil"][0]
    np.testing.assert_array_equal(found["pupil_x"], pupil["com"][:, 1])
    np.testing.assert_array_equal(found["pupil_y"], pupil["com"][:, 0])
    np.testing.assert_allclose(found["pupil_radius"], np.sqrt(pupil["axlen"].max(axis=1)))
    assert np.isnan(found["pupil_area"][7])
    across = pupil["com"][:, 1]
    np.testing.assert_allclose(found["theta"], 0.5 * (across - np.nanmedian(across)))
    np.testing.assert_array_equal(found["motion_1"], proc["motSVD"][1][:, 1])


def test_regions_of_facemap_are_chosen(tmp_path: Path):
    proc = make_proc()
    other = {**proc["pupil"][0], "com": proc["pupil"][0]["com"] + 100}
    two = {**proc, "pupil": [proc["pupil"][0], other], "motSVD": proc["motSVD"] + [np.ones((N, 3))]}
    with pytest.raises(DataError, match=r"state `pupil`, the number of one \(there are 0, 1\)"):
        facemap(tmp_path, two)
    with pytest.raises(DataError, match=r"state `region`, the number of one \(there are 1, 2\)"):
        facemap(tmp_path, two, pupil=1, components=1)
    stream = facemap(tmp_path, two, pupil=1, components=1, region=2)
    np.testing.assert_array_equal(stream.values[:, 0], other["com"][:, 1])
    assert (stream.values[:, stream.columns.index("motion_0")] == 1).all()
    with pytest.raises(DataError, match="has 3 `components`, 4 asked"):
        facemap(tmp_path, two, pupil=0, components=4, region=2)
    with pytest.raises(DataError, match="holds no pupil and no blink; state `components`"):
        facemap(tmp_path, {"motSVD": proc["motSVD"]})
    with pytest.raises(DataError, match="no output of facemap"):
        facemap(tmp_path, {"fs": 30.0})
    with pytest.raises(ShapeError, match="different numbers of frames"):
        facemap(tmp_path, {**proc, "blink": [np.zeros(N - 1)]})


def write_caiman(file: Path, **more: Any) -> np.ndarray:
    """Write what `CNMF.save` does: attributes as data sets, `NoneType` where there is none."""
    traces = np.random.default_rng(3).gamma(1.0, 1.0, (5, N))
    with h5py.File(file, "w") as store:
        given = {"C": traces + 1, "S": traces, "F_dff": "NoneType", "idx_components": [0, 2, 4]}
        for name, value in {**given, **more}.items():
            store[f"estimates/{name}"] = value
        for name, value in (("data", [1.0]), ("indices", [0]), ("indptr", [0, 1])):
            store[f"estimates/A/{name}"] = value
        store["params/data/fr"] = RATE_HZ
        store["dview"] = "NoneType"
    return traces


def open_caiman(file: Path, **more: Any) -> Recording:
    responses = {"kind": "caiman", "file": file.name, "rate_hz": RATE_HZ, **more}
    session = file.with_suffix(".yaml")
    session.write_text(yaml.safe_dump({"bin_width_s": 0.1, "responses": responses}))
    return open_recordings("files", session)[0]


def test_accepted_components_of_caiman(tmp_path: Path):
    traces = write_caiman(tmp_path / "a.hdf5")
    found = open_caiman(tmp_path / "a.hdf5")
    assert found.unit_ids == ("0", "2", "4")
    assert found.response_kind.value == "inferred_spikes"
    # bins of 0.1 s hold two samples; the first bin begins half a sample before the first of them
    expected = traces[[0, 2, 4]].reshape(3, -1, 2).sum(axis=-1).T
    np.testing.assert_allclose(found.responses, expected, rtol=1e-5)
    every = open_caiman(tmp_path / "a.hdf5", only_accepted=False, signal="C")
    assert every.n_neurons == 5
    assert every.response_kind.value == "fluorescence"


def test_files_of_caiman_without_what_is_asked_for(tmp_path: Path):
    write_caiman(tmp_path / "a.hdf5")
    with pytest.raises(DataError, match="'F_dff' was not computed; choose another `signal`"):
        open_caiman(tmp_path / "a.hdf5", signal="F_dff")
    with pytest.warns(DataWarning, match="`rate_hz` is 60 but its own parameters state 20 Hz"):
        open_caiman(tmp_path / "a.hdf5", rate_hz=60.0)
    write_caiman(tmp_path / "b.hdf5", idx_components="NoneType")
    with pytest.raises(DataError, match="state `only_accepted: false` to take all 5"):
        open_caiman(tmp_path / "b.hdf5")
    assert open_caiman(tmp_path / "b.hdf5", only_accepted=False).n_neurons == 5
    write_caiman(tmp_path / "c.hdf5", idx_components=[7])
    with pytest.raises(ShapeError, match=r"`idx_components` are \[7\], expected numbers below 5"):
        open_caiman(tmp_path / "c.hdf5")
    with h5py.File(tmp_path / "d.hdf5", "w") as store:
        store["C"] = np.zeros((3, N))
    with pytest.raises(DataError, match="no group `estimates`"):
        open_caiman(tmp_path / "d.hdf5")


def write_suite2p(folder: Path, settings: dict[str, Any]) -> np.ndarray:
    plane = folder / "suite2p" / "plane0"
    plane.mkdir(parents=True)
    traces = np.random.default_rng(4).gamma(1.0, 1.0, (3, N)).astype(np.float32)
    np.save(plane / "spks.npy", traces)
    np.save(plane / "iscell.npy", np.ones((3, 2)))
    np.save(plane / "ops.npy", settings)  # pyright: ignore[reportArgumentType]
    return traces


def open_suite2p(folder: Path, **more: Any) -> Recording:
    responses = {"kind": "suite2p", "folder": "suite2p", "rate_hz": 10.0, **more}
    file = folder / "s.yaml"
    file.write_text(yaml.safe_dump({"bin_width_s": 0.1, "responses": responses}))
    return open_recordings("files", file)[0]


def test_bad_frames_of_suite2p_are_lost(tmp_path: Path):
    bad = np.zeros(N, bool)
    bad[10:13] = True
    traces = write_suite2p(tmp_path, {"fs": 10.0, "badframes": bad, "save_path": tmp_path})
    with pytest.warns(DataWarning, match=r"3 of 40 samples are marked in suite2p's `badframes`"):
        found = open_suite2p(tmp_path)
    np.testing.assert_allclose(found.responses, traces[:, ~bad].T, rtol=1e-5)
    assert [s.n_bins for s in found.segments] == [10, N - 13]
    kept = open_suite2p(tmp_path, bad_frames="kept")
    np.testing.assert_allclose(kept.responses, traces.T, rtol=1e-5)


def test_settings_of_suite2p_that_do_not_fit_are_named(tmp_path: Path):
    write_suite2p(tmp_path, {"fs": 5.0, "badframes": np.ones(3, bool)})
    with (
        pytest.warns(DataWarning),
        pytest.raises(ShapeError, match=r"`bad_frames: kept` to ignore"),
    ):
        open_suite2p(tmp_path)
    with pytest.warns(DataWarning, match="`rate_hz` is 10 but its own parameters state 5 Hz"):
        open_suite2p(tmp_path, bad_frames="kept")


def test_configurations_refuse_what_does_not_apply():
    with pytest.raises(FreegazeError, match="`region` applies to `components`"):
        build_config(FacemapConfig, {"file": "a.npy", "region": 1}, where="test")
