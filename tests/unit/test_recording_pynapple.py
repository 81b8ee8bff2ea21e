"""Recordings as pynapple objects, and back."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from freegaze.errors import DataError, ShapeError
from freegaze.recording.pynapple_objects import from_pynapple, to_pynapple
from freegaze.recording.recording import Recording
from freegaze.sources.tiny import make_tiny_recording

nap = pytest.importorskip("pynapple")
pytestmark = pytest.mark.filterwarnings("ignore")  # pynapple comments freely


def test_a_recording_comes_back_from_pynapple():
    recording = make_tiny_recording(seed=0)
    objects = recording.to_pynapple()
    again = Recording.from_pynapple(**objects, response_kind="spike_counts")
    np.testing.assert_array_equal(again.responses, recording.responses)
    np.testing.assert_array_equal(again.behavior, recording.behavior)
    np.testing.assert_array_equal(again.video(), recording.video())
    assert again.segments == recording.segments
    assert again.behavior_units == recording.behavior_units
    assert again.unit_ids == recording.unit_ids
    assert again.bin_width_s == pytest.approx(recording.bin_width_s)


def test_spikes_that_pynapple_counted():
    rng = np.random.default_rng(0)
    spikes = {k: nap.Ts(np.sort(rng.uniform(0, 60, 300))) for k in range(3)}
    group = nap.TsGroup(spikes, time_support=nap.IntervalSet(0, 60))
    counts = group.count(0.05)
    found = from_pynapple(counts, response_kind="spike_counts")
    assert found.responses.sum() == 900
    for k in range(3):
        expected = np.histogram(spikes[k].t, np.arange(0, 60.001, 0.05))[0]
        assert np.abs(found.responses[:, k] - expected).sum() <= 2  # a spike on an edge
    part = from_pynapple(
        counts, response_kind="spike_counts", segments=nap.IntervalSet([0, 30], [10, 40])
    )
    assert len(part.segments) == 2
    assert part.n_bins == 400


def test_times_must_be_shared():
    objects = to_pynapple(make_tiny_recording(seed=0))
    late = nap.TsdFrame(objects["behavior"].t + 1.0, objects["behavior"].d)
    with pytest.raises(ShapeError, match=r"behavior.interpolate\(responses\)"):
        from_pynapple(objects["responses"], response_kind="spike_counts", behavior=late)


def test_a_missing_pynapple_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynapple", None)
    with pytest.raises(DataError, match=r"pip install freegaze\[pynapple\]"):
        to_pynapple(make_tiny_recording(seed=0))
