"""Values and times that no mouse and no clock has are graded, and good ones are green."""

from dataclasses import replace

import numpy as np
import pytest

from builders import make_recording
from freegaze.quality.checks import check_quality
from freegaze.quality.plausibility import (
    check_ended_trains,
    check_eye_angles,
    check_speed,
    check_stream_spans,
    check_time_resolution,
)
from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.reports import write_quality_page
from freegaze.sources.alignment.assembly import Streams, align_streams
from freegaze.sources.alignment.streams import EventStream, make_samples


def record(counts: np.ndarray, unit: str = "deg", **columns: np.ndarray) -> Recording:
    n_bins = len(counts)
    return Recording(
        session_id="s",
        bin_width_s=0.05,
        frames=np.zeros((1, 1, 1), np.uint8),
        frame_index=np.zeros(n_bins, np.int64),
        behavior=np.stack(list(columns.values()), axis=1).astype(np.float32),
        behavior_names=tuple(columns),
        behavior_units=(unit,) * len(columns),
        responses=counts.astype(np.float32),
        response_kind=ResponseKind.SPIKE_COUNTS,
        unit_ids=tuple(f"u{i}" for i in range(counts.shape[1])),
        segments=(Segment(0, n_bins),),
    )


COUNTS = np.random.default_rng(0).poisson(0.5, (2000, 4))


@pytest.mark.parametrize(
    ("largest", "unit", "status"),
    [(25, "deg", "green"), (61, "deg", "amber"), (200, "deg", "red"), (1.6, "rad", "red")],
)
def test_angles_beyond_those_of_eyes(largest, unit, status):
    theta = largest * np.sin(np.arange(2000) / 10)
    check = check_eye_angles(record(COUNTS, unit, theta=theta))
    assert check.status == status
    assert check.value == pytest.approx(largest * (180 / np.pi if unit == "rad" else 1), rel=0.01)


@pytest.mark.parametrize(
    ("largest", "unit", "status"),
    [(60, "cm/s", "green"), (250, "cm/s", "red"), (2.5, "m/s", "red"), (600, "mm/s", "green")],
)
def test_speeds_beyond_those_of_mice(largest, unit, status):
    speed = largest * np.abs(np.sin(np.arange(2000) / 10))
    assert check_speed(record(COUNTS, unit, speed=speed)).status == status


def test_trains_that_end_early():
    counts = COUNTS.copy()
    assert check_ended_trains(record(counts, speed=np.arange(2000.0))).status == "green"
    counts[1200:, 1] = 0
    check = check_ended_trains(record(counts, speed=np.arange(2000.0)))
    assert (check.status, check.value) == ("amber", 1)
    assert "unit u1 for 40" in check.sentence
    assert check.data["silent_s"][1] == pytest.approx(40, abs=0.5)


def aligned(spikes: np.ndarray, wheel_s: float = 60.0) -> Recording:
    stamps = np.arange(0, wheel_s, 0.01)
    wheel = make_samples("wheel", stamps, np.abs(np.sin(stamps)), ["speed"], ["cm/s"])
    events = EventStream("spikes", [spikes], ("a",), (0.0, 60.0))
    return align_streams(Streams(events, [wheel], None), "s", 0.05)


@pytest.mark.parametrize(
    ("step_s", "status"), [(1 / 30_000, "green"), (0.03, "amber"), (0.1, "red"), (1.0, "red")]
)
def test_times_coarser_than_a_bin(step_s, status):
    exact = np.random.default_rng(0).uniform(0, 60, 2000)
    check = check_time_resolution(aligned(np.round(exact / step_s) * step_s))
    assert check.status == status
    if status != "green":
        assert check.value == pytest.approx(step_s / 0.05)


@pytest.mark.parametrize(("wheel_s", "status"), [(60.0, "green"), (50.0, "amber"), (20.0, "red")])
def test_spans_that_disagree(wheel_s, status, tmp_path):
    spikes = np.random.default_rng(0).uniform(0, 60, 2000)
    found = aligned(spikes, wheel_s)
    check = check_stream_spans(found)
    assert check.status == status
    assert check.value == pytest.approx(1 - wheel_s / 60, abs=0.001)
    page = write_quality_page(found, check_quality(found), tmp_path / "q.html").read_text()
    assert "When each stream was recorded" in page


def test_recordings_without_times_are_not_graded():
    for check in (check_stream_spans, check_time_resolution):
        assert check(make_recording()).status == "not available"
        odd = replace(make_recording(), provenance={"alignment": {"streams": [{"name": "a"}]}})
        assert check(odd).status == "not available"
