"""What the data of a session cost in memory; tracemalloc counts every array of numpy."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from builders import make_recording
from freegaze.config import build_config
from freegaze.recording.recording import Recording, Segment
from freegaze.recording.store import open_store, save_store
from freegaze.runs.config import RunConfig, resolve_config
from freegaze.sources.arrays.layout import write_arrays
from freegaze.sources.source import open_recordings
from freegaze.sources.xu2023.layout import write_xu2023
from freegaze.training.fit import prepare_sessions

HOUR_BINS = 75_000  # of 48 ms
SHORT, LONG = 20_000, 40_000  # bins; what reads in pieces of 16 MiB does so in both
PICTURE = (60, 80)
Opener = Callable[[Path], Recording]


def write_session(root: Path, n_bins: int) -> Path:
    """Write a session of the size of the paper's, with 68 neurons, in three layouts."""
    cut = [0, n_bins // 2, n_bins * 6 // 10, n_bins * 9 // 10, n_bins]
    roles = ("train", "test", "train", "test")
    segments = [Segment(a, b, r) for a, b, r in zip(cut, cut[1:], roles, strict=False)]
    recording = make_recording(
        n_bins=n_bins, n_neurons=68, bin_width_s=0.048, segments=segments, frame_size=PICTURE
    )
    names = ("speed", "pitch", "roll", "phi", "theta", "pupil_radius")
    recording = replace(
        recording,
        reference_rates={},
        behavior=np.tile(recording.behavior, 2),
        behavior_names=names,
        behavior_units=("cm/s", "deg", "deg", "deg", "deg", "px"),
    )
    root.mkdir()
    write_arrays(recording, root / "plain.npz")
    write_xu2023(recording, root / "xu")
    save_store(recording, root / "store")
    return root


@pytest.fixture(scope="module")
def sessions(tmp_path_factory) -> dict[int, Path]:
    root = tmp_path_factory.mktemp("sessions")
    return {n: write_session(root / str(n), n) for n in (SHORT, LONG)}


def peak_bytes(root: Path, open_one: Opener, video: str) -> int:
    """Return the most that opening, preparing and gathering ever held at once."""
    prepare_and_gather(root, open_one, video)  # what is imported at first need shall not count
    tracemalloc.start()
    try:
        prepare_and_gather(root, open_one, video)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def prepare_and_gather(root: Path, open_one: Opener, video: str) -> None:
    (session,) = prepare_sessions([open_one(root)], run_config(video)).values()
    tensors = session.tensors("cpu")
    tensors.gather(torch.from_numpy(session.targets("train")[:64].copy()), n_windows=1)


def run_config(video: str) -> RunConfig:
    """Return the features of the paper, which are the most that any encoder reads."""
    values = {
        "data": {"video": video, "min_rate_hz": 0.1},
        "model": {"name": "cnn_gru", "features": "all_prod"},
    }
    return resolve_config(build_config(RunConfig, values, where="test"))


def open_arrays(root: Path) -> Recording:
    return open_recordings("arrays", root / "plain.npz")[0]


def open_xu2023(root: Path) -> Recording:
    return open_recordings("xu2023", root / "xu", units="all")[0]


def open_mapped(root: Path) -> Recording:
    return open_store(root / "store")


@pytest.mark.parametrize("open_one", [open_arrays, open_xu2023])
@pytest.mark.parametrize("video", ["standardize", "minmax_segment"])
def test_an_hour_of_data_fits_into_450_megabytes(open_one: Opener, video: str, sessions):
    short, long = (peak_bytes(sessions[n], open_one, video) for n in (SHORT, LONG))
    bytes_a_bin = (long - short) / (LONG - SHORT)
    assert bytes_a_bin >= 0.99 * np.prod(PICTURE), "the video lies in memory once"
    assert long + bytes_a_bin * (HOUR_BINS - LONG) <= 0.45e9


@pytest.mark.parametrize("video", ["standardize", "minmax_segment"])
def test_a_longer_store_costs_less_than_a_twentieth_of_its_video(video: str, sessions):
    short, long = (peak_bytes(sessions[n], open_mapped, video) for n in (SHORT, LONG))
    assert (long - short) / (LONG - SHORT) <= np.prod(PICTURE) / 20


def test_tensors_share_the_pages_of_a_store(sessions):
    recording = open_mapped(sessions[SHORT])
    (session,) = prepare_sessions([recording], run_config("standardize")).values()
    tensors = session.tensors("cpu")
    assert tensors.frames.data_ptr() == recording.frames.ctypes.data
    assert tensors.responses.data_ptr() == recording.responses.ctypes.data
