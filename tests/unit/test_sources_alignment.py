"""Streams on bins: values worked by hand, and what is refused."""

import numpy as np
import pytest

from freegaze.errors import DataError
from freegaze.files import arrays as array_files
from freegaze.recording.recording import ResponseKind
from freegaze.sources.alignment.assembly import (
    TIME,
    SegmentConfig,
    Streams,
    align_streams,
)
from freegaze.sources.alignment.bins import count_events, integrate, interpolate, make_bins
from freegaze.sources.alignment.clock import ClockConfig
from freegaze.sources.alignment.readers import ArrayFrames
from freegaze.sources.alignment.streams import (
    EventStream,
    ResponseStream,
    make_frames,
    make_samples,
)

BINS = make_bins(0.0, 1.0, 0.25)


def spikes(*times: float) -> EventStream:
    return EventStream("spikes", [np.array(times), np.array([])], ("a", "silent"))


def video(times: np.ndarray, **options) -> object:
    pictures = np.arange(len(times), dtype=np.uint8)[:, None, None] * np.ones((2, 3), np.uint8)
    return make_frames("video", times, ArrayFrames(pictures, "video"), **options)


def speed(times: np.ndarray, **options) -> object:
    return make_samples("wheel", times, 10 * np.asarray(times), ["speed"], ["cm/s"], **options)


def align(video_times, wheel_times=None, spike_times=(0.0, 1.0), width=0.25, **options):
    wheel = np.linspace(0, 1, 21) if wheel_times is None else wheel_times
    rule = options.pop("rule", "mean")
    streams = Streams(spikes(*spike_times), [speed(wheel)], video(video_times, rule=rule))
    return align_streams(streams, "s", width, **options)


def test_spikes_are_counted_from_edge_to_edge():
    counts = count_events([np.array([0.25, 0.0, 0.2499, 0.9, 1.0, -1.0])], BINS)
    assert counts[:, 0].tolist() == [2, 1, 0, 1]


def test_samples_are_interpolated_at_centers_and_lost_in_gaps():
    times, values = np.array([0.0, 0.2, 0.8, 1.0]), np.array([0.0, 2.0, 8.0, 10.0])
    at = np.array([-0.1, 0.1, 0.2, 0.5, 0.9, 1.1])
    found = interpolate(times, values, at, 0.3)
    np.testing.assert_allclose(found, [np.nan, 1, 2, np.nan, 9, np.nan])
    np.testing.assert_allclose(interpolate(times, values, at[1:5], 0.6), [1, 2, 5, 9])


def test_lost_samples_are_a_gap_only_when_they_last():
    times = np.arange(6) * 0.1
    values = np.array([0.0, 1.0, np.nan, 3.0, 4.0, 5.0])
    assert interpolate(times, values, np.array([0.2]), 0.25)[0] == pytest.approx(2.0)
    assert np.isnan(interpolate(times, values, np.array([0.2]), 0.15)[0])


def test_samples_at_the_same_time_are_averaged():
    times = np.array([0.0, 0.5, 0.5, 0.5, 1.0])
    values = np.array([0.0, 4.0, 6.0, np.nan, 10.0])
    assert interpolate(times, values, np.array([0.5]), 1.0)[0] == 5.0


def test_inferred_spikes_keep_their_sum():
    times, amounts = np.arange(10) * 0.1 + 0.05, np.arange(10.0)
    assert integrate(times, amounts, make_bins(0.0, 1.0, 0.2), 0.2).tolist() == pytest.approx(
        [1, 5, 9, 13, 17]
    )
    halves = integrate(times, amounts, make_bins(0.0, 1.0, 0.05), 0.2)
    np.testing.assert_allclose(halves, np.repeat(amounts, 2) / 2, atol=1e-12)
    holed = np.delete(np.arange(10), [4, 5])
    found = integrate(times[holed], amounts[holed], make_bins(0.0, 1.0, 0.2), 0.15)
    assert np.isnan(found).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("rule", "expected"), [("mean", [1, 4, 7, 10]), ("middle", [1, 4, 7, 10]), ("nearest", None)]
)
def test_three_frames_a_bin(rule, expected):
    times = (np.arange(12) + 0.5) / 12
    shown = align(times, rule=rule).video()[:, 0, 0]
    assert shown.tolist() == (expected or [1, 4, 7, 10])


def test_means_are_rounded_and_the_middle_of_two_is_the_later():
    times = (np.arange(8) + 0.5) / 8  # two frames a bin: 0 1, 2 3, ...
    assert align(times).video()[:, 0, 0].tolist() == [1, 3, 5, 7]
    assert align(times, rule="middle").video()[:, 0, 0].tolist() == [1, 3, 5, 7]
    assert align(times, rule="nearest").video()[:, 0, 0].tolist() == [0, 2, 4, 6]


def test_bins_between_frames_share_the_nearest_picture():
    found = align(np.array([0.1, 0.4, 0.7, 1.0]), width=0.05)
    assert len(found.frames) == 4
    nearest = np.abs(found.annotations[TIME][:, None] - [0.1, 0.4, 0.7, 1.0]).argmin(1)
    assert found.video()[:, 0, 0].tolist() == nearest.tolist()


def test_bins_without_video_are_left_out_and_cut_the_session():
    times = np.delete((np.arange(40) + 0.5) / 40, slice(12, 26))
    found = align(times, width=0.05)
    centers = found.annotations[TIME]
    assert [s.n_bins for s in found.segments] == [7, 8]  # one beside the gap shows its neighbour
    np.testing.assert_allclose(centers[[6, 7]], [0.325, 0.625])
    assert found.provenance["alignment"]["n_without_video"] == 5


def test_a_clock_is_scaled_then_drifts_then_is_shifted():
    clock = ClockConfig(scale_to_s=0.001, offset_s=0.1, drift=1e-4)
    np.testing.assert_allclose(clock.to_session(np.array([0, 1000])), [0.1, 1.1001])


def test_frames_out_of_order_are_refused_or_sorted():
    times = (np.arange(12) + 0.5) / 12
    times[[3, 4]] = times[[4, 3]]
    with pytest.raises(DataError, match=r"video: time goes back 1 times.*row 4.*`sort`"):
        video(times)
    shuffled = np.random.default_rng(0).permutation(12)
    for rule in ("mean", "middle", "nearest"):
        in_order = align((np.arange(12) + 0.5) / 12, rule=rule)
        pictures = np.arange(12, dtype=np.uint8)[shuffled, None, None] * np.ones((2, 3), np.uint8)
        mixed = make_frames(
            "video",
            ((np.arange(12) + 0.5) / 12)[shuffled],
            ArrayFrames(pictures, "video"),
            rule=rule,
            is_sorting=True,
        )
        streams = Streams(spikes(0.0, 1.0), [speed(np.linspace(0, 1, 21))], mixed)
        found = align_streams(streams, "s", 0.25)
        np.testing.assert_array_equal(found.video(), in_order.video())


def test_stretches_become_segments():
    wanted = [
        SegmentConfig(start_s=0.05, stop_s=0.5, role="train"),
        SegmentConfig(start_s=0.5, stop_s=0.81, role="test", trial=True),
    ]
    found = align((np.arange(40) + 0.5) / 40, width=0.1, wanted=wanted)
    assert [(s.start, s.stop, s.role, s.trial) for s in found.segments] == [
        (0, 4, "train", False),
        (4, 7, "test", True),
    ]
    more = SegmentConfig(start_s=0.4, stop_s=0.7)
    with pytest.raises(DataError, match="overlaps another"):
        align((np.arange(40) + 0.5) / 40, width=0.1, wanted=[*wanted, more])


def test_areas_are_averaged_when_frames_are_scaled():
    picture = np.arange(24, dtype=np.uint8).reshape(1, 4, 6)
    frames = make_frames(
        "v", np.array([0.5]), ArrayFrames(picture, "v"), frame_size=(2, 3), max_gap_s=9.0
    )
    streams = Streams(spikes(0.0, 1.0), [speed(np.linspace(0, 1, 21))], frames)
    found = align_streams(streams, "s", 0.25, start_s=0, stop_s=1)
    blocks = picture[0].reshape(2, 2, 3, 2).mean((1, 3))
    np.testing.assert_array_equal(found.frames[0], np.floor(blocks + 0.5))


def test_pictures_beyond_memory_lie_in_a_file(monkeypatch):
    monkeypatch.setattr(array_files, "IN_MEMORY_BYTES", 10)
    times = (np.arange(12) + 0.5) / 12
    found = align(times)
    assert isinstance(found.frames.base, np.memmap)
    monkeypatch.undo()
    np.testing.assert_array_equal(found.frames, align(times).frames)


def test_a_disk_without_room_says_so(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(array_files, "IN_MEMORY_BYTES", 10)
    monkeypatch.setattr(array_files.os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"no room.*No space left.*frame_size"):
        align((np.arange(12) + 0.5) / 12)


def test_only_wanted_frames_are_held(monkeypatch):
    """A thousand frames are read one after the other; never more than a bin's sum is kept."""
    most = 0

    class Watched(ArrayFrames):
        def read(self, wanted):
            nonlocal most
            for number, frame in super().read(wanted):
                yield number, frame
                assert np.all(np.diff(wanted) > 0)
                most = max(most, number)

    pictures = np.random.default_rng(0).integers(0, 256, (1000, 4, 5)).astype(np.uint8)
    stream = make_frames("v", (np.arange(1000) + 0.5) / 1000, Watched(pictures, "v"))
    found = align_streams(Streams(spikes(0.0, 1.0), [], stream), "s", 0.01)
    mean = pictures.reshape(100, 10, 4, 5).mean(1)
    np.testing.assert_array_equal(found.frames, np.floor(mean + 0.5))
    assert most == 999


def test_gray_values_are_scaled_or_refused():
    values = np.linspace(0, 1, 12)[:, None, None] * np.ones((2, 3))
    with pytest.raises(DataError, match=r"v: expected gray values 0\.\.255"):
        list(ArrayFrames(values, "v").read(np.arange(12)))
    scaled = dict(ArrayFrames(values, "v", (0.0, 1.0)).read(np.arange(12)))
    assert scaled[0].max() == 0
    assert scaled[11].min() == 255
    colors = np.zeros((1, 2, 3, 3), np.uint8)
    colors[..., 1] = 100
    assert next(ArrayFrames(colors, "v").read(np.array([0])))[1][0, 0] == 59


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (np.array([0.0, np.nan, 1.0]), "time of row 1 is nan"),
        (np.array([]), "is empty"),
        (np.array(["a"]), "expected times as numbers"),
        (np.zeros((3, 2)), "one time a row"),
    ],
)
def test_impossible_times_are_refused_by_name(times, message):
    with pytest.raises(DataError, match=f"wheel: .*{message}"):
        make_samples("wheel", times, np.zeros(len(times)), ["speed"], ["cm/s"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video_times": np.arange(5) + 100.0}, "responses and video do not overlap.*offset_s"),
        ({"wheel_times": np.arange(5) + 100.0}, "'speed' is lost in every bin.*its clock"),
        ({"spike_times": (50.0, 60.0)}, "do not overlap"),
        ({"spike_times": ()}, "no unit has any spike"),
        ({"start_s": 0.9, "stop_s": 0.8}, "do not overlap"),
        ({"width": 5.0}, "no bin of 5 s fits"),
        ({"width": 1e-9}, r"1e\+09 bins; are all times in seconds"),
        (
            {"wanted": [SegmentConfig(start_s=5.0, stop_s=6.0)]},
            "no bin of 0.25 s lies inside the segments",
        ),
    ],
)
def test_streams_that_do_not_meet_are_refused_in_one_line(change, message):
    with pytest.raises(DataError, match=message) as caught:
        align(**{"video_times": (np.arange(12) + 0.5) / 12, **change})
    assert "\n" not in str(caught.value)


def test_fluorescence_is_interpolated_and_its_gaps_left_out():
    times = np.delete(np.arange(21) / 20, slice(8, 12))
    traces = make_samples("F", times, np.stack([times, -times], 1), ["a", "b"], ["", ""])
    stream = ResponseStream(traces, ResponseKind.FLUORESCENCE)
    found = align_streams(Streams(stream, [], None), "s", 0.05)
    np.testing.assert_allclose(found.responses[:, 0], found.annotations[TIME], atol=1e-6)
    assert len(found.segments) == 2
    assert found.frame_size == (1, 1)


def test_counts_that_were_binned_stay_whole():
    counts = np.random.default_rng(0).poisson(1.0, (200, 2))
    times = (np.arange(200) + 0.5) * 0.05
    samples = make_samples("n", times, counts, ["a", "b"], ["", ""])
    stream = ResponseStream(samples, ResponseKind.SPIKE_COUNTS)
    found = align_streams(Streams(stream, [], None), "s", 0.05)
    np.testing.assert_array_equal(found.responses, counts)
    coarse = align_streams(Streams(stream, [], None), "s", 0.1)
    np.testing.assert_array_equal(coarse.responses, counts.reshape(100, 2, 2).sum(1))
    with pytest.raises(DataError, match="of 0.05 s each.*`bin_width_s: 0.05`.*`start_s: 0`"):
        align_streams(Streams(stream, [], None), "s", 0.07)
