"""Raw ephys folders with gaps, lost values, wild clocks and orders; and broken ones."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_lab_files_properties import STRANGE, mutate_csv, mutate_hdf5
from test_laboratory_sources import QUIET
from test_sources_properties import damage_bytes, pick

from freegaze.errors import FreegazeError
from freegaze.recording.recording import validate_recording
from freegaze.sources.alignment.clock import ClockConfig
from freegaze.sources.alignment.tiny import make_tiny_streams
from freegaze.sources.niell_ephys import NiellEphysSource
from freegaze.sources.niell_ephys_files.tiny import START_S, TINY_CLOCK, write_session
from freegaze.sources.source import open_recordings

N_MUTANTS = 40

pytestmark = pytest.mark.filterwarnings("ignore")  # numpy comments on odd values


def mutate_json(file: Path, rng: np.random.Generator) -> None:
    table = json.loads(file.read_text())
    column = pick(sorted(table), rng)
    kind = rng.integers(5)
    if kind == 0:
        del table[column]
    elif kind == 1:
        table[column] = STRANGE[int(rng.integers(len(STRANGE)))]
    elif kind == 2:
        table = [table]
    else:
        row = pick(sorted(table[column]), rng)
        table[column][row] = STRANGE[int(rng.integers(len(STRANGE)))]
    file.write_text(json.dumps(table))


@pytest.mark.parametrize("is_valid", [False, True], ids=["damaged", "valid"])
def test_mutants_end_in_an_error_of_ours_or_a_recording(is_valid: bool, tmp_path: Path):
    clean = tmp_path / "clean"
    clean.mkdir()
    NiellEphysSource().write_tiny(clean, 0)
    messages = []
    for seed in range(N_MUTANTS):
        rng = np.random.default_rng([seed, is_valid])
        folder = tmp_path / "mutant"
        shutil.copytree(clean, folder)
        file = pick([p for p in folder.rglob("*") if p.is_file()], rng)
        if not is_valid:
            file.write_bytes(damage_bytes(file.read_bytes(), rng))
        elif file.suffix == ".json":
            mutate_json(file, rng)
        elif file.suffix == ".csv":
            mutate_csv(file, rng)
        else:
            mutate_hdf5(file, rng)
        try:
            for recording in open_recordings("niell_ephys", folder, clock=TINY_CLOCK):
                validate_recording(recording)
        except FreegazeError as error:
            messages.append(str(error))
        shutil.rmtree(folder)
    assert len(messages) >= N_MUTANTS // 8, "mutants that change nothing prove nothing"
    assert not [text for text in messages if "\n" in text]


@QUIET
@given(
    seed=st.integers(0, 10**6),
    offset_s=st.floats(-0.5, 0.5),
    drift=st.floats(-1e-3, 1e-3),
    gap=st.tuples(st.integers(30, 600), st.integers(0, 90)),
    lost=st.floats(0, 0.6),
    is_shuffled=st.booleans(),
    start_s=st.sampled_from([0.0, START_S, 86_390.0]),
)
def test_any_session_comes_back(seed, offset_s, drift, gap, lost, is_shuffled, start_s):
    """Spikes are counted exactly, lost values stay lost, known ones are right, gaps cut."""
    rng = np.random.default_rng(seed)
    streams = make_tiny_streams(seed)
    n = len(streams.frame_times)
    kept = np.r_[0 : gap[0], min(n, gap[0] + gap[1]) : n]
    gaze = streams.gaze.copy()
    gaze[rng.random(n) < lost] = np.nan
    order = rng.permutation(len(kept)) if is_shuffled else np.arange(len(kept))
    kept = kept[order]
    streams = replace(
        streams,
        frames=streams.frames[kept],
        frame_times=streams.frame_times[kept],
        gaze=gaze[kept],
        pupil_radius=streams.pupil_radius[kept],
        speed=streams.speed[kept],
    )
    clock = ClockConfig(offset_s=offset_s, drift=drift)
    with tempfile.TemporaryDirectory() as folder:
        write_session(Path(folder), "s", streams, clock, start_s=start_s)
        options: dict[str, Any] = {"clock": clock, "sort": is_shuffled, "leave_out": ("gz",)}
        (r,) = open_recordings("niell_ephys", folder, **options)
    centers = r.annotations["time_s"]
    for unit, times in enumerate(streams.spike_times):
        inside = (times[:, None] >= centers - 0.025) & (times[:, None] < centers + 0.025)
        np.testing.assert_array_equal(r.responses[:, unit], inside.sum(0))
    theta = r.column("theta")
    by_time = np.argsort(streams.frame_times)
    times, known = streams.frame_times[by_time], streams.gaze[by_time, 0]
    is_known = np.isfinite(known)
    exact = np.interp(centers, times[is_known], known[is_known])
    filled = np.isfinite(theta)
    np.testing.assert_allclose(theta[filled], exact[filled], atol=1e-3)
    near = np.abs(times[is_known][:, None] - centers).min(0)
    assert np.isnan(theta[near > 0.05]).all()  # half of the widest gap filled is 25 ms
    assert len(r.segments) == (2 if gap[1] >= 12 and gap[0] + gap[1] < n - 6 else len(r.segments))
