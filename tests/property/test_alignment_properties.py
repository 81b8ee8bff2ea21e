"""Streams of any times: gaps, lost samples, duplicates and clocks, compared with plain loops."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freegaze.errors import DataError, FreegazeError
from freegaze.recording.recording import Recording, ResponseKind
from freegaze.sources.alignment.assembly import TIME, Streams, align_streams
from freegaze.sources.alignment.bins import Bins, count_events, integrate, interpolate
from freegaze.sources.alignment.clock import ClockConfig
from freegaze.sources.alignment.readers import ArrayFrames
from freegaze.sources.alignment.streams import (
    EventStream,
    ResponseStream,
    make_frames,
    make_samples,
)

quick = settings(max_examples=60, deadline=None, database=None, derandomize=True)
seconds = st.integers(0, 4000).map(lambda n: n / 1000)  # coarse, so that some are equal
times = st.lists(seconds, max_size=40).map(lambda t: np.array(t, np.float64))
value = st.one_of(st.just(np.nan), st.integers(-50, 50).map(float))
bins = st.builds(
    lambda start, width, n: Bins(start / 1000, width / 1000, n),
    *(st.integers(0, 1000), st.integers(7, 400), st.integers(1, 12)),
)


def whole_edges_ms(grid: Bins) -> np.ndarray:
    start, width = round(1000 * grid.start_s), round(1000 * grid.width_s)
    return start + width * np.arange(grid.n_bins + 1)


intervals_ms = st.lists(st.integers(0, 4000), max_size=12, unique=True).map(
    lambda n: np.sort(n)[: len(n) // 2 * 2].reshape(-1, 2)
)


@quick
@given(intervals_ms, bins)
def test_bins_within_intervals_and_bins_that_touch_them(intervals, grid):
    edges = whole_edges_ms(grid)
    within = [any(a <= lo and hi <= b for a, b in intervals) for lo, hi in pairwise(edges)]
    touch = [any(a < hi and lo < b for a, b in intervals) for lo, hi in pairwise(edges)]
    assert grid.are_within(intervals / 1000).tolist() == within
    assert grid.touch(intervals / 1000).tolist() == touch


@quick
@given(
    st.integers(1, 7),
    st.sampled_from([20.0, 24.0, 25.0, 30.0, 50.0, 60.0, 100.0, 29.97]),
    st.sampled_from(["mean", "middle", "nearest"]),
    st.sampled_from([0.0, 0.1, 7.3, 1e5]),
    st.sampled_from([np.float64, np.float32]),
)
def test_frames_on_edges_of_bins_are_in_the_bin_that_begins(n, fps, rule, start_s, kind):
    """Bin k holds frames k * n to k * n + n - 1, whatever the rounding of their times."""
    n_bins = 30
    if kind is np.float32 and (start_s > 10 or fps in (24.0, 30.0, 60.0, 29.97)):
        return  # times that are no short decimals, or finer than 32 bits hold
    pictures = np.arange(n * n_bins, dtype=np.uint8)[:, None, None] * np.ones((2, 2), np.uint8)
    stamps = (start_s + np.arange(n * n_bins) / fps).astype(kind)
    video = make_frames("v", stamps, ArrayFrames(pictures, "v"), rule=rule)
    spikes = EventStream("s", [np.array([start_s])], ("a",), (start_s, start_s + n * n_bins / fps))
    found = align_streams(Streams(spikes, [], video), "s", n / fps, start_s=start_s)
    first = n * np.arange(found.n_bins)
    expected = {
        "mean": np.floor(first + (n - 1) / 2 + 0.5),
        "middle": first + n // 2,
        "nearest": first + n // 2 if n % 2 == 0 else first + (n - 1) // 2,
    }
    np.testing.assert_array_equal(found.video()[:, 0, 0], expected[rule])
    assert found.n_bins >= n_bins - 1


@quick
@given(times, bins)
def test_each_event_is_counted_where_it_is(events, grid):
    found = count_events([events], grid)[:, 0]
    whole_ms = np.round(1000 * events)  # exact, where times and edges in seconds are rounded
    edges = whole_edges_ms(grid)
    expected = [((whole_ms >= a) & (whole_ms < b)).sum() for a, b in pairwise(edges)]
    assert found.tolist() == expected


def plain_interpolation(at, known, max_gap_s):
    """One point at a time, from a list of (time, mean value) in order."""
    for time, level in known:
        if abs(time - at) < 1e-6:
            return level
    before = [k for k in known if k[0] < at]
    after = [k for k in known if k[0] > at]
    if not before or not after or after[0][0] - before[-1][0] > max_gap_s * (1 + 1e-9):
        return np.nan
    (t0, v0), (t1, v1) = before[-1], after[0]
    return v0 + (v1 - v0) * (at - t0) / (t1 - t0)


@quick
@given(st.data(), times, bins, st.integers(1, 2000))
def test_interpolation_is_that_of_a_loop(data, stamps, grid, gap_ms):
    stamps = np.sort(stamps)
    values = np.array([data.draw(value) for _ in stamps])
    known = []
    for time in np.unique(stamps):
        here = values[(stamps == time) & np.isfinite(values)]
        known += [(time, here.mean())] if len(here) else []
    found = interpolate(stamps, values, grid.centers, gap_ms / 1000)
    expected = [plain_interpolation(at, known, gap_ms / 1000) for at in grid.centers]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@quick
@given(st.data(), st.integers(2, 40), st.integers(1, 9))
def test_amounts_are_kept_whatever_the_bins(data, n, step):
    """Inferred spikes sampled evenly, on bins that cover all of them."""
    stamps = (np.arange(n) + 0.5) * step / 10
    amounts = np.array([data.draw(st.integers(0, 20)) for _ in range(n)], np.float64)
    n_bins = data.draw(st.integers(1, 60))
    grid = Bins(0.0, n * step / 10 / n_bins, n_bins)
    found = integrate(stamps, amounts, grid, step)
    assert (found >= -1e-9).all()
    assert found.sum() == pytest.approx(amounts.sum(), abs=1e-6)


@pytest.mark.filterwarnings("ignore:v. its frames are:freegaze.errors.DataWarning")
@quick
@given(
    st.data(),
    times.filter(len),
    st.sampled_from(["mean", "middle", "nearest"]),
    st.integers(20, 400),
    st.integers(50, 1500),
)
def test_pictures_are_those_of_a_loop(data, stamps, rule, width_ms, gap_ms):
    pictures = np.random.default_rng(len(stamps)).integers(0, 256, (len(stamps), 2, 2))
    pictures = pictures.astype(np.uint8)
    options = {"rule": rule, "max_gap_s": gap_ms / 1000, "is_sorting": True}
    stream = make_frames("v", stamps, ArrayFrames(pictures, "v"), **options)
    spikes = EventStream("s", [np.arange(0, 4.2, 0.01)], ("a",))
    streams = Streams(spikes, [], stream)
    grid = Bins(0.0, width_ms / 1000, int(4.2 / (width_ms / 1000) + 1e-6))
    is_near = np.abs(grid.centers[:, None] - stamps) <= gap_ms / 2000 + 5e-7
    if not is_near.any() and not count_events([stamps], grid).any():
        with pytest.raises(DataError, match="no frame lies in any bin"):
            align_streams(streams, "s", width_ms / 1000, start_s=0.0, stop_s=4.2)
        return
    found = align_streams(streams, "s", width_ms / 1000, start_s=0.0, stop_s=4.2)
    order = np.argsort(stamps, kind="stable")
    ordered, shown = stamps[order], pictures[order].astype(float)
    shown_bins = dict(zip(np.round(found.annotations[TIME], 6), found.video(), strict=True))
    for start, stop, center in zip(grid.edges[:-1], grid.edges[1:], grid.centers, strict=True):
        inside = np.flatnonzero((ordered >= start - 5e-7) & (ordered < stop - 5e-7))
        distance = np.abs(ordered - center)
        picture = shown_bins.pop(np.round(center, 6), None)
        if not len(inside) and distance.min() > gap_ms / 2000 + 5e-7:
            assert picture is None
            continue
        near = np.flatnonzero(distance <= distance.min() + 1e-12)
        if rule == "nearest" or not len(inside):
            assert any((picture == shown[i]).all() for i in near)
        elif rule == "middle":
            np.testing.assert_array_equal(picture, shown[inside[len(inside) // 2]])
        else:
            np.testing.assert_array_equal(picture, np.floor(shown[inside].mean(0) + 0.5))
    assert not shown_bins


@quick
@given(
    st.floats(-5, 5), st.floats(-1e-3, 1e-3), st.sampled_from([1.0, 1e-3, 1 / 30_000]), st.data()
)
def test_what_a_clock_did_to_times_is_undone(offset_s, drift, scale, data):
    """The same session, its streams written on clocks of their own, is the same recording."""
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    clock = ClockConfig(offset_s=offset_s, drift=drift, scale_to_s=scale)
    fired = np.sort(rng.uniform(0, 3, 40))
    samples = np.arange(0, 3, 0.013)
    values = rng.normal(size=len(samples))

    def session(of_device, clock):
        spikes = EventStream("s", [clock.to_session(of_device(fired))], ("a",))
        wheel = make_samples("w", of_device(samples), values, ["speed"], ["cm/s"], clock=clock)
        return align_streams(
            Streams(spikes, [wheel], None), "s", 0.0501, start_s=0.0007, stop_s=2.9
        )

    plain = session(lambda t: t, ClockConfig())
    warped = session(lambda t: (t - offset_s) / (1 + drift) / scale, clock)
    np.testing.assert_array_equal(plain.responses, warped.responses)
    np.testing.assert_allclose(plain.behavior, warped.behavior, atol=1e-4)


@quick
@given(st.data(), times, times, times, st.booleans(), st.integers(5, 3000))
def test_any_streams_give_a_recording_or_one_line(
    data, fired, sampled, framed, is_sorting, width_ms
):
    """Empty, unordered, duplicated, apart from each other: never another kind of error."""
    shift = data.draw(st.sampled_from([0.0, 2.0, 100.0]))
    values = np.array([data.draw(value) for _ in sampled])
    kind = data.draw(st.sampled_from(list(ResponseKind)))
    message = ""
    try:
        wheel = make_samples(
            *("w", sampled + shift, values, ["speed"], ["cm/s"]), is_sorting=is_sorting
        )
        pictures = np.zeros((max(len(framed), 1), 1, 2), np.uint8)
        video = make_frames("v", framed, ArrayFrames(pictures, "v"), is_sorting=is_sorting)
        spikes = EventStream("s", [fired, fired[:1]], ("a", "b"))
        responses = spikes if data.draw(st.booleans()) else ResponseStream(wheel, kind)
        found = align_streams(Streams(responses, [wheel], video), "s", width_ms / 1000)
    except FreegazeError as error:
        message = str(error)
    else:
        assert isinstance(found, Recording)
        assert (np.diff(found.annotations[TIME]) > 0).all()
        starts = [s.start for s in found.segments][1:]
        holes = np.flatnonzero(np.diff(found.annotations[TIME]) > width_ms / 1000 * 1.5) + 1
        assert starts == holes.tolist()
    assert "\n" not in message
