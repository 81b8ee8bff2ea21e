"""Opening by name, finding out the source, and turning foreign arrays into ours."""

from pathlib import Path

import numpy as np
import pytest

from freegaze.errors import DataError, RegistryError, ShapeError
from freegaze.sources.conversion import (
    errors_name,
    to_column,
    to_float32,
    to_gray,
    to_index,
    to_names,
    to_scalar,
)
from freegaze.sources.source import detect_source, open_recordings, write_example


def test_unknown_sources_name_the_nearest(tmp_path: Path):
    with pytest.raises(RegistryError, match="unknown source 'array' .nearest: arrays"):
        open_recordings("array", tmp_path)


@pytest.mark.parametrize("source", ["arrays", "auto"])
def test_a_missing_path_is_one_line(source: str, tmp_path: Path):
    with pytest.raises(DataError, match="nowhere does not exist; give the path"):
        open_recordings(source, tmp_path / "nowhere")


def test_a_path_may_be_text_and_start_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DataError, match=f"{tmp_path}/nowhere"):
        open_recordings("arrays", "~/nowhere")


def test_what_no_source_knows_lists_the_sources(tmp_path: Path):
    with pytest.raises(DataError, match="of no known format; name the source .known: arrays"):
        detect_source(tmp_path)


def test_a_session_that_is_there_twice(tmp_path: Path):
    from freegaze.sources.arrays.source import ArraysSource

    ArraysSource().write_tiny(tmp_path, 0)
    with pytest.raises(DataError, match="session 'tiny' is there twice"):
        open_recordings("arrays", tmp_path, sessions=["tiny", "tiny"])


def test_an_example_is_written_into_a_new_folder_and_opens(tmp_path: Path):
    path = write_example("xu2023", tmp_path / "example")
    assert [r.session_id for r in open_recordings("auto", path)] == ["tiny"]
    with pytest.raises(DataError, match="example.*choose a new folder"):
        write_example("xu2023", tmp_path / "example")
    with pytest.raises(RegistryError, match="nearest: xu2023"):
        write_example("xu203", tmp_path / "other")
    assert [p.name for p in tmp_path.iterdir()] == ["example"]


def test_gray_keeps_values():
    frames = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    for dtype in (np.uint8, np.int16, np.float32, np.float64):
        gray = to_gray(frames.astype(dtype), "v")
        assert gray.dtype == np.uint8
        np.testing.assert_array_equal(gray, frames)


@pytest.mark.parametrize(
    "frames",
    [np.full((1, 2, 2), v) for v in (-1, 256, 0.5, np.nan, np.inf)]
    + [np.full((1, 2, 2), True), np.full((1, 2, 2), "a"), np.zeros((0, 2, 2))],
    ids=["negative", "above", "fraction", "nan", "inf", "bool", "text", "none"],
)
def test_gray_refuses_what_would_change(frames: np.ndarray):
    with pytest.raises(DataError, match=r"^v: expected gray values 0\.\.255"):
        to_gray(frames, "v")


@pytest.mark.parametrize("shape", [(4,), (2, 2), (1, 2, 2, 1), (3, 0, 2)])
def test_gray_refuses_other_shapes(shape: tuple[int, ...]):
    with pytest.raises(ShapeError, match="expected .time, height, width."):
        to_gray(np.zeros(shape, np.uint8), "v")


def test_columns_may_have_a_second_axis_of_one():
    np.testing.assert_array_equal(to_column(np.ones((3, 1), int), "x"), np.ones(3, np.float32))
    with pytest.raises(ShapeError, match="expected one number per bin"):
        to_column(np.ones((3, 2)), "x")


def test_numbers_too_large_become_infinite_without_a_warning():
    assert np.isinf(to_float32(np.array([1e300]), "x")).all()
    with pytest.raises(DataError, match="expected numbers"):
        to_float32(np.array(["1"]), "x")


def test_index_must_be_whole():
    np.testing.assert_array_equal(to_index(np.array([0.0, 2.0]), "i"), [0, 2])
    for bad in (np.array([0.5]), np.array([np.nan]), np.array([1e30]), np.array(["a"])):
        with pytest.raises(DataError, match="expected whole numbers"):
            to_index(bad, "i")
    with pytest.raises(DataError, match="too large"):
        to_index(np.array([2**63], np.uint64), "i")
    with pytest.raises(ShapeError, match="expected one whole number per bin"):
        to_index(np.zeros((2, 2), int), "i")


def test_scalars_and_names():
    assert to_scalar(np.array([[2]]), "s") == 2.0
    assert to_names(np.array(["a", "b"]), "n") == ("a", "b")
    with pytest.raises(DataError, match="expected one number"):
        to_scalar(np.array("x"), "s")
    with pytest.raises(DataError, match="expected a list of names"):
        to_names(np.arange(2), "n")


def test_errors_get_the_file_name_once():
    for inner in ("wrong", "file.npz: wrong"):
        with pytest.raises(ShapeError, match=r"^file\.npz: wrong$"), errors_name("file.npz"):
            raise ShapeError(inner)


@pytest.mark.parametrize("name", ["eyeDLC.csv", "world.mp4", "F.npy", "sorted", "suite2p"])
def test_parts_of_a_recording_ask_for_a_yaml(name: str, tmp_path: Path):
    place = tmp_path / name
    if place.suffix:
        place.write_bytes(b"x")
    else:
        (place / {"sorted": "spike_times.npy", "suite2p": "plane0"}[name]).mkdir(parents=True)
    with pytest.raises(DataError, match="one part of a recording.*a YAML for the source `files`"):
        detect_source(place)
