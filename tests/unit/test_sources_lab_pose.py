"""Tracked points: frame numbers, points placed by hand, animals by name, every order of axes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from freegaze.errors import DataError, DataWarning, ShapeError
from freegaze.sources.alignment.streams import SampleStream
from freegaze.sources.lab_files.config import DeepLabCutConfig, SleapConfig
from freegaze.sources.lab_files.eye_points import read_pupil, times_of_frames
from freegaze.sources.lab_files.pose.points import Points

N_FRAMES, N_POINTS, RATE_HZ = 40, 6, 20.0
NAMES = [f"p{i}" for i in range(N_POINTS)]


def circle(frames: np.ndarray, x: float = 50.0) -> np.ndarray:
    """Points around (x + frame, 40) with a radius of 8, (frame, point, 2)."""
    angle = np.linspace(0, 2 * np.pi, N_POINTS, endpoint=False)
    edge = np.stack([8 * np.cos(angle), 40 + 8 * np.sin(angle)], axis=-1)
    return edge + np.stack([x + frames, 0 * frames], axis=-1)[:, None]


def deeplabcut(frames: np.ndarray, animals: tuple[str, ...] = (), x: float = 50.0) -> pd.DataFrame:
    """A table of DeepLabCut; each further animal is 100 px to the right of the one before."""
    tables = []
    for i, animal in enumerate(animals or ("",)):
        values = np.concatenate(
            [circle(frames, x + 100 * i), np.full((len(frames), 6, 1), 0.99)], -1
        )
        levels = [["DLC"], *([[animal]] if animal else []), NAMES, ["x", "y", "likelihood"]]
        names = ["scorer", *(["individuals"] if animal else []), "bodyparts", "coords"]
        columns = pd.MultiIndex.from_product(levels, names=names)
        tables.append(pd.DataFrame(values.reshape(len(frames), -1), frames, columns))
    return pd.concat(tables, axis=1)


def write(table: pd.DataFrame, folder: Path, layout: str) -> str:
    if layout == "csv":
        table.to_csv(folder / "eye.csv")
        return "eye.csv"
    table.to_hdf(folder / "eye.h5", key="df_with_missing", format=layout, mode="w")
    return "eye.h5"


def read(folder: Path, file: str, kind: type = DeepLabCutConfig, **options: Any) -> SampleStream:
    options = {"rate_hz": RATE_HZ, "shape": "circle", **options}
    if "timestamps" in options:
        del options["rate_hz"]
    return read_pupil("eye", kind(file=file, **options), folder)


def check(found: SampleStream, frames: np.ndarray, x: float = 50.0) -> None:
    np.testing.assert_allclose(found.times, frames / RATE_HZ)
    np.testing.assert_allclose(found.values[:, 0], x + frames)
    np.testing.assert_allclose(found.values[:, 2], 8)


@pytest.mark.parametrize("layout", ["csv", "table", "fixed"])
@pytest.mark.parametrize("animals", [(), ("mouse",)], ids=["3 rows", "4 rows"])
def test_frames_are_placed_by_their_number(layout: str, animals: tuple[str, ...], tmp_path: Path):
    frames = np.r_[7:15, 30:40]
    file = write(deeplabcut(frames, animals), tmp_path, layout)
    check(read(tmp_path, file), frames)
    consecutive = read(tmp_path, file, frame_numbers=False)
    np.testing.assert_allclose(consecutive.times, np.arange(18) / RATE_HZ)
    np.savetxt(tmp_path / "t.csv", 3 + np.arange(40) / RATE_HZ)
    np.testing.assert_allclose(read(tmp_path, file, timestamps="t.csv").times, 3 + frames / RATE_HZ)
    np.savetxt(tmp_path / "t.csv", np.arange(39))
    with pytest.raises(DataError, match="frame numbers go to 39 but .* has 39 times"):
        read(tmp_path, file, timestamps="t.csv")
    np.savetxt(tmp_path / "t.csv", np.arange(42))
    with pytest.warns(DataWarning, match="the last 2 frames count as lost"):
        read(tmp_path, file, timestamps="t.csv")


@pytest.mark.parametrize("layout", ["csv", "table", "fixed"])
def test_one_animal_of_several_by_name(layout: str, tmp_path: Path):
    frames = np.arange(N_FRAMES)
    file = write(deeplabcut(frames, ("white", "black")), tmp_path, layout)
    check(read(tmp_path, file, individual="black"), frames, x=150)
    with pytest.raises(
        DataError, match=r"several individuals \(white, black\); state `individual`"
    ):
        read(tmp_path, file)
    with pytest.raises(DataError, match=r"no individual 'blck' \(nearest: black"):
        read(tmp_path, file, individual="blck")


def test_points_of_no_animal_are_no_second_animal(tmp_path: Path):
    table = deeplabcut(np.arange(N_FRAMES), ("mouse",))
    for axis, value in (("x", 5.0), ("y", 6.0), ("likelihood", 1.0)):
        table["DLC", "single", "corner", axis] = value
    file = write(table, tmp_path, "csv")
    check(read(tmp_path, file), np.arange(N_FRAMES))
    corner = read(tmp_path, file, individual="single", shape="points")
    assert corner.columns == ("corner_x", "corner_y")
    np.testing.assert_array_equal(corner.values, np.full((N_FRAMES, 2), [5, 6]))


@pytest.mark.parametrize("layout", ["csv", "table", "fixed"])
def test_points_placed_by_hand_are_certain(layout: str, tmp_path: Path):
    frames = np.arange(N_FRAMES)
    without = deeplabcut(frames).drop(columns="likelihood", level=2)
    check(read(tmp_path, write(without, tmp_path, layout)), frames)
    some = deeplabcut(frames)
    likelihood = some.columns.get_level_values(2) == "likelihood"
    some.loc[10:19, likelihood] = np.nan
    some.loc[20:29, likelihood] = 0.1
    found = read(tmp_path, write(some, tmp_path, layout))
    np.testing.assert_array_equal(np.isnan(found.values[:, 0]), (frames >= 20) & (frames < 30))


def test_the_usual_table_of_several_is_taken(tmp_path: Path):
    frames = np.arange(N_FRAMES)
    file = write(deeplabcut(frames), tmp_path, "table")
    other = deeplabcut(frames, x=90)
    other.to_hdf(tmp_path / file, key="machinelabels", format="table", mode="a")
    check(read(tmp_path, file), frames)
    check(read(tmp_path, file, table="machinelabels"), frames, x=90)
    with pytest.raises(DataError, match=r"got df_with_missing, machinelabels; state `table`"):
        read(tmp_path, file, table="none")


def test_points_in_space(tmp_path: Path):
    columns = pd.MultiIndex.from_product(
        [["DLC_3D"], ["nose", "ear"], ["x", "y", "z"]], names=["scorer", "bodyparts", "coords"]
    )
    values = np.arange(60.0).reshape(10, 6)
    file = write(pd.DataFrame(values, columns=columns), tmp_path, "csv")
    found = read(tmp_path, file, shape="points")
    assert found.columns == ("nose_x", "nose_y", "nose_z", "ear_x", "ear_y", "ear_z")
    np.testing.assert_array_equal(found.values, values)
    with pytest.raises(DataError, match="three coordinates.*`shape: points`"):
        read(tmp_path, file)


def test_labels_for_training_are_no_movie(tmp_path: Path):
    table = deeplabcut(np.arange(3))
    table.index = pd.Index([f"labeled-data/a/img{i}.png" for i in range(3)])
    with pytest.raises(DataError, match="rows are named 'labeled-data/a/img0.png'.*frame numbers"):
        read(tmp_path, write(table, tmp_path, "csv"))


@pytest.mark.parametrize(
    ("n_sure", "options", "cure"),
    [
        (
            2,
            {"shape": "circle"},
            r"lower `min_likelihood` to at most 0\.5, or choose `shape: center`",
        ),
        (4, {"shape": "ellipse"}, r"choose `shape: circle` \(3\) or `shape: center` \(1\)"),
        (4, {"shape": "ellipse", "points": NAMES[:4]}, r"ellipse needs 5, 4 are there; choose `sh"),
    ],
)
def test_why_no_frame_has_a_pupil(n_sure: int, options: dict, cure: str, tmp_path: Path):
    table = deeplabcut(np.arange(N_FRAMES))
    for name in NAMES[n_sure:]:
        table["DLC", name, "likelihood"] = 0.5
    with pytest.raises(DataError, match=cure):
        read(tmp_path, write(table, tmp_path, "csv"), **options)
    found = read(tmp_path, "eye.csv", **{**options, "shape": "center"})
    assert np.isfinite(found.values).all()


def write_sleap(file: Path, tracks: np.ndarray, names: list[str], **options: Any) -> None:
    """``tracks`` (track, frame, point, 2) in SLEAP's order of axes, or another."""
    axes = options.get("axes", ("track", "xy", "node", "frame"))
    ours = ("track", "frame", "node", "xy")
    scores = options.get("scores", np.where(np.isfinite(tracks[..., 0]), 0.95, np.nan))
    with h5py.File(file, "w") as store:
        store["tracks"] = tracks.transpose([ours.index(a) for a in axes])
        order = [ours.index(a) for a in axes if a != "xy"]
        store["point_scores"] = scores.transpose(order)
        store["node_names"] = np.array(NAMES, "S")
        store["track_names"] = np.array(names, "S")
        if options.get("dims"):
            store["tracks"].attrs["dims"] = json.dumps(axes)
            store["point_scores"].attrs["dims"] = json.dumps([a for a in axes if a != "xy"])


@pytest.mark.parametrize("axes", list(itertools.permutations(("track", "xy", "node", "frame"))))
def test_sleap_in_every_order_of_axes(axes: tuple[str, ...], tmp_path: Path):
    frames = np.arange(N_FRAMES)
    write_sleap(tmp_path / "a.h5", circle(frames)[None], ["mouse"], axes=axes)
    check(read(tmp_path, "a.h5", SleapConfig), frames)


def test_sleap_orders_that_cannot_be_told_apart(tmp_path: Path):
    frames = np.arange(2)
    both = np.stack([circle(frames), circle(frames, 150)])[:, :, :2]
    for dims in (False, True):
        axes = ("frame", "track", "node", "xy")
        write_sleap(tmp_path / "a.h5", both, ["a", "b"], axes=axes, dims=dims)
        with h5py.File(tmp_path / "a.h5", "a") as store:
            del store["node_names"]
            store["node_names"] = np.array(NAMES[:2], "S")
        options = {"track": "b", "shape": "points"}
        if not dims:
            with pytest.raises(ShapeError, match="state `axes`"):
                read(tmp_path, "a.h5", SleapConfig, **options)
            options["axes"] = axes
        found = read(tmp_path, "a.h5", SleapConfig, **options)
        np.testing.assert_allclose(found.values, both[1].reshape(2, 4))


@pytest.mark.parametrize("is_csv", [False, True], ids=["h5", "csv"])
def test_a_track_that_changes_its_name_is_one_animal(is_csv: bool, tmp_path: Path):
    frames = np.arange(N_FRAMES)
    points = circle(frames)
    tracks = np.full((2, N_FRAMES, N_POINTS, 2), np.nan)
    tracks[0, :25], tracks[1, 25:] = points[:25], points[25:]
    file = "a.csv" if is_csv else "a.h5"

    def save() -> None:
        if not is_csv:
            write_sleap(tmp_path / file, tracks, ["one", "two"])
            return
        rows = []
        for track, frame in np.argwhere(np.isfinite(tracks[..., 0, 0])).tolist():
            row = {"track": ("one", "two")[track], "frame_idx": frame, "instance.score": 0.9}
            for i, name in enumerate(NAMES):
                row |= dict(zip((f"{name}.x", f"{name}.y"), tracks[track, frame, i], strict=True))
                row[f"{name}.score"] = 0.95
            rows.append(row)
        pd.DataFrame(rows).sort_values("frame_idx").to_csv(tmp_path / file, index=False)

    save()
    check(read(tmp_path, file, SleapConfig), frames)
    tracks[1, 20:25] = points[20:25] + 500
    save()
    with pytest.raises(
        DataError, match=r"\(one, two\) that overlap in 5 frames, first in frame 20"
    ):
        read(tmp_path, file, SleapConfig)
    check(read(tmp_path, file, SleapConfig, track=["one", "two"]), frames)
    two = read(tmp_path, file, SleapConfig, track="two")
    np.testing.assert_allclose(two.values[np.round(two.times * RATE_HZ) == 22, 0], 50 + 22 + 500)


def test_frames_that_a_person_corrected_in_sleap(tmp_path: Path):
    frames = np.arange(N_FRAMES)
    for by_hand in (frames < 0, (frames > 9) & (frames < 20), frames >= 0):
        scores = np.where(by_hand[:, None], np.nan, np.full((N_FRAMES, N_POINTS), 0.95))[None]
        write_sleap(tmp_path / "a.h5", circle(frames)[None], ["mouse"], scores=scores)
        check(read(tmp_path, "a.h5", SleapConfig), frames)


def test_a_sleap_file_may_begin_with_a_later_frame(tmp_path: Path):
    frames = np.arange(12, N_FRAMES)
    write_sleap(tmp_path / "a.h5", circle(frames)[None], ["mouse"])
    check(read(tmp_path, "a.h5", SleapConfig, first_frame=12), frames)


@pytest.mark.parametrize("surplus", ["last", "first"])
def test_numbered_frames_without_a_time(surplus: str, tmp_path: Path):
    """Frames 0..9 without 4 and 5; the movie's times lack two at one end."""
    frames = np.r_[0:4, 6:10]
    points = Points(("p",), frames, np.zeros((8, 1, 2)), np.ones((8, 1)))
    config = {"file": "eye.csv", "timestamps": "t.txt", "surplus": surplus}
    stream = DeepLabCutConfig(**config)
    times = np.arange(8) / 10
    np.savetxt(tmp_path / "t.txt", times)
    with pytest.warns(DataWarning, match="2 are left out"):
        found, rows = times_of_frames(stream, points, tmp_path, tmp_path / "eye.csv")
    taken = frames[rows]
    first = 2 if surplus == "first" else 0
    assert taken.tolist() == [f for f in frames if first <= f < first + 8]
    np.testing.assert_allclose(found, times[taken - first])
