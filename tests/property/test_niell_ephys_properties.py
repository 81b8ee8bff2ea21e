"""Raw ephys folders with gaps, lost values, wild clocks and orders."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_laboratory_sources import QUIET

from freegaze.sources.alignment.clock import ClockConfig
from freegaze.sources.niell.ephys_tiny import START_S, write_session
from freegaze.sources.source import open_recordings
from freegaze.sources.tiny import make_tiny_streams

pytestmark = pytest.mark.filterwarnings("ignore")  # numpy comments on odd values


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
    starts = centers - 0.025 - 1e-6  # a time less than 1 us before an edge is on the edge
    for unit, times in enumerate(streams.spike_times):
        inside = (times[:, None] >= starts) & (times[:, None] < starts + 0.05)
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
