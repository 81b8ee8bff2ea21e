"""Each quality check sees the fault planted for it, and nothing where there is none."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import pearsonr

from builders import make_recording, make_trial_recording
from freegaze.errors import DataError
from freegaze.quality import video as quality_video
from freegaze.quality.behavior import (
    check_constant_columns,
    check_gaps,
    check_loss_against_behavior,
    check_missing,
)
from freegaze.quality.checks import CHECKS, check_quality
from freegaze.quality.eye_gyroscope import check_eye_gyro
from freegaze.quality.grades import Scale, longest_run, runs
from freegaze.quality.response_lag import check_response_lag
from freegaze.quality.sensors import check_sensors
from freegaze.quality.summary import summarize
from freegaze.quality.units import (
    check_duplicates,
    check_quiet_units,
    check_rate_drift,
)
from freegaze.quality.video import check_freezes
from freegaze.recording.recording import Recording, ResponseKind, Segment

WIDTH_S = 0.05
MINUTE = 1200  # bins


def record(
    n_bins: int = 6 * MINUTE,
    columns: dict[str, np.ndarray] | None = None,
    counts: np.ndarray | None = None,
    segments: tuple[Segment, ...] | None = None,
    frames: np.ndarray | None = None,
) -> Recording:
    """A recording whose behavior, counts, segments and frames can be given."""
    rng = np.random.default_rng(0)
    if columns is None:
        columns = {"speed": rng.gamma(2, 2, n_bins), "theta": rng.normal(0, 10, n_bins)}
    counts = rng.poisson(0.3, (n_bins, 3)) if counts is None else counts
    return Recording(
        session_id="s",
        bin_width_s=WIDTH_S,
        frames=rng.integers(0, 256, (n_bins, 3, 4), dtype=np.uint8) if frames is None else frames,
        frame_index=np.arange(n_bins),
        behavior=np.stack(list(columns.values()), axis=1).astype(np.float32),
        behavior_names=tuple(columns),
        behavior_units=("x",) * len(columns),
        responses=counts.astype(np.float32),
        response_kind=ResponseKind.SPIKE_COUNTS,
        unit_ids=tuple(f"u{i}" for i in range(counts.shape[1])),
        segments=segments or (Segment(0, n_bins),),
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_a_good_recording_is_green(check):
    assert check(record()).status in ("green", "not available")


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("kind", list(ResponseKind))
def test_no_check_fails_on_small_or_odd_recordings(check, kind):
    for recording in (
        make_recording(n_bins=3, kind=kind, roles=("train",), n_neurons=1),
        make_recording(n_bins=40, kind=kind, lost_share=0.5),
        make_trial_recording(kind=kind),
        replace(
            make_recording(n_bins=20, kind=kind),
            behavior=np.zeros((20, 0), np.float32),
            behavior_names=(),
            behavior_units=(),
        ),
    ):
        found = check(recording)
        assert found.status in ("green", "amber", "red", "not available")
        assert found.sentence
        assert np.isnan(found.value) == (found.status == "not available")


def test_status_by_limits():
    scale = Scale("x", "X", "s", 1.0, 2.0)
    statuses = [scale.grade(v, "").status for v in (0.0, 0.99, 1.0, 1.99, 2.0, 3.0)]
    assert statuses == ["green", "green", "amber", "amber", "red", "red"]
    assert scale.judge("amber", "why").status == "amber"
    assert scale.not_available("why").status == "not available"


def test_runs_stay_within_segments():
    flags = np.array([1, 1, 0, 1, 1, 1, 1, 0, 1], bool)
    segment = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1])
    starts, lengths = runs(flags, segment)
    np.testing.assert_array_equal(starts, [0, 3, 5, 8])
    np.testing.assert_array_equal(lengths, [2, 2, 2, 1])
    assert longest_run(flags, np.zeros(9)) == (3, 4)
    assert longest_run(np.zeros(3, bool), np.zeros(3)) == (0, 0)


def test_runs_agree_with_a_plain_loop():
    rng = np.random.default_rng(1)
    for _ in range(50):
        flags, segment = rng.random(30) < 0.6, np.sort(rng.integers(0, 4, 30))
        expected: list[list[int]] = []
        for t in range(30):
            if flags[t]:
                goes_on = t > 0 and flags[t - 1] and segment[t] == segment[t - 1]
                if goes_on:
                    expected[-1][1] += 1
                else:
                    expected.append([t, 1])
        found = [[int(s), int(n)] for s, n in zip(*runs(flags, segment), strict=True)]
        assert found == expected


@pytest.mark.parametrize(("share", "status"), [(0.05, "green"), (0.2, "amber"), (0.5, "red")])
def test_missing_values(share: float, status: str):
    recording = record()
    recording.behavior[: int(share * recording.n_bins), 1] = np.nan
    check = check_missing(recording)
    assert check.status == status
    assert check.value == pytest.approx(share)
    assert "theta" in check.sentence
    np.testing.assert_allclose(check.data["share"], [0, share])
    assert check.data["share_over_time"].shape == (6, 2)
    assert check.data["share_over_time"][:, 1].mean() == pytest.approx(share)
    np.testing.assert_allclose(check.data["time_s"], np.arange(6) * 60)


def test_the_longest_gap_stops_at_segments():
    cut = (Segment(0, 3000), Segment(3000, 6 * MINUTE))
    recording = record(segments=cut)
    recording.behavior[2900:3150, 0] = np.nan
    check = check_gaps(recording)
    assert check.status == "amber"
    assert check.value == pytest.approx(150 * WIDTH_S)
    assert "bin 3000" in check.sentence
    assert check_gaps(record()).value == 0


def test_loss_that_follows_movement():
    rng = np.random.default_rng(2)
    n = 10 * MINUTE
    speed = rng.gamma(2, 2, n)
    theta = rng.normal(size=n)
    is_fast = speed > np.quantile(speed, 0.8)
    theta[is_fast & (rng.random(n) < 0.5)] = np.nan
    check = check_loss_against_behavior(record(n, {"speed": speed, "theta": theta}))
    assert check.status == "red"
    # 2,400 bins in the fifth: the share of lost ones has a standard error of 0.01
    np.testing.assert_allclose(check.data["speed_loss"], [0, 0, 0, 0, 0.5], atol=0.05)
    np.testing.assert_allclose(
        check.data["speed_edges"], np.quantile(speed.astype("f4"), np.linspace(0, 1, 6)), rtol=1e-5
    )


def test_loss_that_follows_turning_either_way():
    rng = np.random.default_rng(3)
    gz = rng.normal(0, 100, 10 * MINUTE)
    phi = np.where(np.abs(gz) > 150, np.nan, 1.0)
    check = check_loss_against_behavior(record(len(gz), {"gz": gz, "phi": phi, "speed": gz}))
    assert check.data["gz_loss"][-1] > 0.5
    assert check.data["gz_loss"][0] == 0


def test_loss_with_a_mouse_that_mostly_stands_still():
    speed = np.zeros(6 * MINUTE)
    speed[-1000:] = 5.0
    theta = np.where(np.arange(len(speed)) % 10 == 0, np.nan, 1.0)
    check = check_loss_against_behavior(record(len(speed), {"speed": speed, "theta": theta}))
    assert check.status == "green"
    assert np.isnan(check.data["speed_loss"]).any()


def test_constant_columns():
    columns = {"speed": np.ones(MINUTE), "theta": np.arange(MINUTE) % 7.0}
    columns["speed"][:5] = np.nan
    check = check_constant_columns(record(MINUTE, columns))
    assert check.status == "red"
    assert check.sentence.startswith("speed never changes")


def eye_and_gyro(lag_bins, n: int, r: float = -0.7, seed: int = 4) -> dict[str, np.ndarray]:
    """Theta whose velocity follows gz by a lag (bins, may vary by bin and be a fraction)."""
    rng = np.random.default_rng(seed)
    fine = np.convolve(rng.normal(size=n + 200), np.hanning(7), "same")
    fine /= fine.std()
    t = np.arange(n) + 100.0
    gz = np.interp(t, np.arange(n + 200), fine)
    followed = np.interp(t - lag_bins, np.arange(n + 200), fine)
    velocity = r * followed + np.sqrt(1 - r**2) * rng.normal(size=n)
    return {"gz": 100 * gz, "theta": np.cumsum(velocity)}


@pytest.mark.parametrize("lag", [-10.0, 0.0, 1.0, 4.0])
def test_eye_gyro_finds_a_planted_lag(lag: float):
    # Summing velocity to an angle and taking central differences delays by half a bin.
    check = check_eye_gyro(record(6 * MINUTE, eye_and_gyro(lag + 0.5, 6 * MINUTE)))
    # The peak of a correlation over 7,200 bins; a tenth of a bin is ten times its standard error.
    assert check.value == pytest.approx(abs(lag), abs=0.2)
    assert check.status == ("red" if abs(lag) > 3 else "green")
    np.testing.assert_allclose(check.data["lag_s"], lag * WIDTH_S, atol=0.5 * WIDTH_S)
    assert (check.data["r"] < -0.3).all()


def test_eye_gyro_finds_a_drifting_clock():
    n = 12 * MINUTE
    drift = np.linspace(-4, 4, n)
    check = check_eye_gyro(record(n, eye_and_gyro(drift, n)))
    assert check.status == "red"
    assert check.value == pytest.approx(8, abs=1.0)
    assert "drifts by" in check.sentence
    steady = check_eye_gyro(record(n, eye_and_gyro(0.5, n)))
    assert steady.status == "green"


def test_eye_gyro_works_with_lost_tracking_and_segments():
    n = 6 * MINUTE
    columns = eye_and_gyro(2.5, n)
    columns["theta"][np.random.default_rng(5).random(n) < 0.1] = np.nan
    segments = tuple(Segment(i * 720, (i + 1) * 720) for i in range(10))
    check = check_eye_gyro(record(n, columns, segments=segments))
    assert check.value == pytest.approx(2, abs=0.3)


def test_eye_gyro_grades_the_sign_of_theta():
    columns = eye_and_gyro(0.5, 6 * MINUTE)
    assert check_eye_gyro(record(6 * MINUTE, columns)).status == "green"
    turned = {**columns, "theta": -columns["theta"]}
    check = check_eye_gyro(record(6 * MINUTE, turned))
    assert check.status == "red"
    assert "opposite sign" in check.sentence
    assert (check.data["r"] > 0.3).all()


def test_eye_gyro_without_a_relation_is_doubtful():
    rng = np.random.default_rng(6)
    columns = {"gz": rng.normal(size=3 * MINUTE), "theta": rng.normal(size=3 * MINUTE)}
    check = check_eye_gyro(record(3 * MINUTE, columns))
    assert check.status == "amber"
    assert np.isnan(check.value)
    assert "hardly correlated" in check.sentence


def test_eye_gyro_needs_both_at_once():
    gz = np.ones(2 * MINUTE)
    theta = np.arange(2.0 * MINUTE)
    gz[MINUTE:], theta[:MINUTE] = np.nan, np.nan
    check = check_eye_gyro(record(2 * MINUTE, {"gz": gz, "theta": theta}))
    assert check.status == "not available"
    missing = check_eye_gyro(record(2 * MINUTE, {"theta": theta}))
    assert missing.sentence == "there is no column gz"


def test_eye_gyro_correlation_agrees_with_scipy():
    columns = eye_and_gyro(0.0, 2 * MINUTE)
    check = check_eye_gyro(record(2 * MINUTE, columns))
    theta, gz = (columns[name].astype(np.float32).astype(float) for name in ("theta", "gz"))
    velocity = (theta[2:] - theta[:-2]) / 2
    lags = np.round(check.data["lags_s"] / WIDTH_S).astype(int)
    for lag in (1, 3):  # eye[t + lag] with gz[t]; velocity[i] belongs to bin i + 1
        expected = pearsonr(velocity[lag - 1 :], gz[: len(gz) - 1 - lag])[0]
        found = check.data["r_by_lag"][lags == lag][0]
        assert found == pytest.approx(expected, abs=1e-9)


def test_quiet_units():
    counts = np.zeros((MINUTE, 4))
    counts[::2, 0] = 1  # 10 Hz
    check = check_quiet_units(record(MINUTE, counts=counts))
    assert check.status == "amber"
    assert check.value == 0.75
    np.testing.assert_allclose(check.data["rate_hz"], [10, 0, 0, 0])
    assert check_quiet_units(record(MINUTE, counts=0 * counts)).status == "red"


def test_rate_drift_of_some_units():
    rng = np.random.default_rng(7)
    n = 20 * MINUTE
    rates = np.full((n, 10), 0.3)
    rates[:, :2] *= np.linspace(1.5, 0.5, n)[:, None]
    check = check_rate_drift(record(n, counts=rng.poisson(rates)))
    assert check.status == "amber"
    assert check.value == pytest.approx(0.2)
    np.testing.assert_allclose(check.data["relative_change"][:2], -1, atol=0.15)
    assert check.data["rate_over_time"].shape == (10, 10)
    assert (check.data["p"][:2] < 1e-3).all()


@pytest.mark.parametrize("memory_s", [1.0, 60.0])
def test_rate_drift_is_not_fooled_by_slow_fluctuation(memory_s: float):
    """Steady units, 40 min: the share of p < 0.01 stays near 0.01."""
    rng = np.random.default_rng(8)
    n_units, n_blocks, block_s = 2000, 120, 20.0
    memory = np.exp(-block_s / memory_s)
    log_rate = rng.normal(size=(n_blocks, n_units))
    log_rate[1:] *= np.sqrt(1 - memory**2)
    for t in range(1, n_blocks):
        log_rate[t] += memory * log_rate[t - 1]
    counts = rng.poisson(20 * np.exp(0.3 * log_rate))
    recording = replace(record(n_blocks, counts=counts), bin_width_s=block_s)
    found = (check_rate_drift(recording).data["p"] < 0.01).mean()
    # The share of 2,000 units has a standard deviation of 0.0022; the correction for
    # autocorrelation from ten numbers is approximate.
    assert 0.002 < found < 0.02


def test_drift_of_fluorescence_is_in_standard_deviations():
    rng = np.random.default_rng(9)
    n = 10 * MINUTE
    traces = rng.normal(size=(n, 2))
    traces[:, 0] += np.linspace(-1, 1, n)
    recording = record(n, counts=np.zeros((n, 2)))
    kind = ResponseKind.FLUORESCENCE
    recording = replace(recording, responses=traces.astype(np.float32), response_kind=kind)
    check = check_rate_drift(recording)
    assert check.value == 0.5
    expected = 2 / np.sqrt(1 + 1 / 3)  # a ramp of 2 over the sd of noise and ramp together
    assert check.data["relative_change"][0] == pytest.approx(expected, abs=0.1)


def test_duplicate_units():
    rng = np.random.default_rng(10)
    counts = rng.poisson(0.4, (5 * MINUTE, 5))
    counts[:, 3] = counts[:, 1]
    check = check_duplicates(record(5 * MINUTE, counts=counts))
    assert check.status == "amber"
    np.testing.assert_array_equal(check.data["pairs"], [[1, 3]])
    assert check.data["r"] == pytest.approx([1.0])
    assert "u1 and u3" in check.sentence


def test_units_that_share_half_of_their_spikes():
    rng = np.random.default_rng(11)
    shared, one, two = rng.poisson(0.2, (3, 5 * MINUTE))
    check = check_duplicates(record(5 * MINUTE, counts=np.stack([shared + one, shared + two], 1)))
    assert len(check.data["pairs"]) == 1
    # Poisson counts of which half are shared correlate by 0.5; 6,000 bins give it to 0.01
    assert check.data["excess"] == pytest.approx([0.5], abs=0.05)


def test_units_that_follow_the_same_slow_state_are_not_duplicates():
    rng = np.random.default_rng(12)
    state = np.repeat(rng.gamma(1, 3, 300), 20)
    counts = rng.poisson(state[:, None] * np.ones(2))
    check = check_duplicates(record(6000, counts=counts))
    correlation = np.corrcoef(counts.T)[0, 1]
    assert correlation > 0.6
    assert check.status == "green"


def test_a_shared_stimulus_in_coarse_bins_is_no_duplicate():
    rng = np.random.default_rng(13)
    shown = rng.integers(0, 40, 3000)
    drive = rng.gamma(0.5, 6, (40, 1)) * np.ones(6)
    counts = rng.poisson(drive[shown])
    counts[:, 5] = counts[:, 4]
    each = tuple(Segment(i, i + 1, None, True) for i in range(3000))
    recording = replace(
        record(3000, counts=counts, segments=each), frame_index=shown, bin_width_s=0.3
    )
    assert np.corrcoef(counts[:, :5].T)[np.triu_indices(5, 1)].min() > 0.7
    check = check_duplicates(recording)
    np.testing.assert_array_equal(check.data["pairs"], [[4, 5]])
    without = check_duplicates(recording.select_neurons(np.arange(5)))
    assert without.status == "not available"
    assert "too coarse to know" in without.sentence


def test_one_neuron_found_twice_is_found_in_slow_states():
    rng = np.random.default_rng(14)
    state = np.repeat(rng.gamma(1, 3, 300), 20)
    counts = rng.poisson(state[:, None] * np.ones(3))
    counts[:, 2] = counts[:, 0]
    check = check_duplicates(record(6000, counts=counts))
    np.testing.assert_array_equal(check.data["pairs"], [[0, 2]])


def follow_video(late_s: float, n: int = 4 * MINUTE) -> Recording:
    """Neurons that follow brightness and speed 0.1 s later, and clocks that are off by more."""
    rng = np.random.default_rng(15)
    shown, speed = (
        lfilter([1], [1, -0.8], rng.normal(size=(n, k)), axis=0) for k in (24, 1)
    )  # autocorrelated over 5 bins
    frames = np.clip(128 + 30 * shown, 0, 255).astype(np.uint8).reshape(n, 4, 6)
    seen = shown @ rng.normal(0, 0.12, (24, 8))
    late = round((0.1 + late_s) / WIDTH_S)
    counts = rng.poisson(np.exp(np.roll(seen + 0.3 * speed, late, axis=0) - 1))
    return record(n, {"speed": speed[:, 0]}, counts, frames=frames)


@pytest.mark.parametrize(("late_s", "status"), [(0.0, "green"), (0.7, "red"), (-0.6, "red")])
def test_spikes_that_come_late_are_found(late_s, status):
    check = check_response_lag(follow_video(late_s))
    assert check.status == status
    for stream in ("video", "behavior"):
        at = check.data[f"{stream}_lags_s"][np.argmax(check.data[f"{stream}_strength"])]
        # A change is between two bins, so that the peak may be at either.
        assert at == pytest.approx(0.1 + late_s, abs=1.01 * WIDTH_S)
        assert f"{stream} by {at * 1e3:.0f} ms" in check.sentence


def test_a_lag_that_cannot_be_known_is_not_checked():
    check = check_response_lag(record(4 * MINUTE))
    assert check.status == "not available"
    assert "neither video nor behavior" in check.sentence
    assert check_response_lag(record(MINUTE)).status == "not available"
    coarse = check_response_lag(replace(follow_video(0.0), bin_width_s=0.3))
    assert "too coarse" in coarse.sentence
    trials = tuple(Segment(i * 40, (i + 1) * 40, None, True) for i in range(4 * MINUTE // 40))
    short = replace(follow_video(0.0), segments=trials)
    assert check_response_lag(short).status == "not available"


def test_what_was_not_checked_is_counted():
    quality = check_quality(record(4 * MINUTE))
    assert quality.n_not_checked == sum(c.status == "not available" for c in quality.checks) > 1


def test_video_freezes(monkeypatch: pytest.MonkeyPatch):
    recording = record()
    recording.frames[100:121] = recording.frames[100]
    recording.frames[500:503] = 7
    check = check_freezes(recording)
    assert check.status == "red"
    np.testing.assert_array_equal(check.data["start_bin"], [101, 501])
    np.testing.assert_allclose(check.data["length_s"], [20 * WIDTH_S, 2 * WIDTH_S])
    assert check.data["is_blank_share"] == pytest.approx(3 / 7200)
    assert "single gray" in check.sentence
    monkeypatch.setattr(quality_video, "CHUNK_BYTES", 12 * 107)  # pieces of 107 frames
    again = check_freezes(recording)
    np.testing.assert_array_equal(check.data["start_bin"], again.data["start_bin"])
    np.testing.assert_array_equal(check.data["length_s"], again.data["length_s"])


def test_a_freeze_does_not_cross_segments():
    recording = record(segments=(Segment(0, 111), Segment(111, 6 * MINUTE)))
    recording.frames[100:121] = recording.frames[100]
    np.testing.assert_array_equal(check_freezes(recording).data["start_bin"], [101, 112])


def test_shared_frames_are_not_graded():
    assert check_freezes(make_trial_recording()).status == "not available"


def test_the_report_is_as_bad_as_its_worst_check():
    recording = record()
    assert check_quality(recording).status == "green"
    recording.behavior[:1200, 1] = np.nan
    report = check_quality(recording)
    assert report.check("gaps").status == "red"
    assert report.status == "red"
    assert len(report.checks) == len(CHECKS)
    with pytest.raises(DataError, match="no quality check 'gap' .nearest: gaps"):
        report.check("gap")


def test_summary_of_a_recording():
    recording = record(segments=(Segment(0, 1200, "train"), Segment(1200, 7200, "test")))
    recording.behavior[10:30, 1] = np.nan
    summary = summarize(recording)
    assert json.loads(json.dumps(summary)) == summary
    assert summary["duration_s"] == pytest.approx(360)
    assert summary["behavior"]["theta"]["missing_share"] == pytest.approx(20 / 7200)
    assert summary["behavior"]["theta"]["longest_gap_s"] == pytest.approx(1.0)
    assert summary["behavior"]["speed"]["unit"] == "x"
    assert summary["segments"]["roles"]["train"] == {
        "n_segments": 1,
        "n_bins": 1200,
        "duration_s": pytest.approx(60),
    }
    rates = recording.rates_hz()
    assert summary["responses"]["median_rate_hz"] == pytest.approx(np.median(rates))
    assert summary["responses"]["n_below_min_rate"] == (rates < 3).sum()
    assert summarize(recording, min_rate_hz=1e3)["responses"]["n_below_min_rate"] == 3
    assert not summary["video"]["is_shared"]


def test_summary_of_trials_of_fluorescence():
    summary = summarize(make_trial_recording())
    assert summary["video"]["is_shared"]
    assert summary["segments"]["n_trials"] == 24
    assert "median_rate_hz" not in summary["responses"]
    assert summary["annotations"]["stimulus_direction_deg"] == {"shape": [480], "dtype": "float64"}
    assert summary["segments"]["roles"].keys() == {"train", "validation", "test"}


def with_alignment(streams: list[dict], **provenance) -> Recording:
    alignment = {"start_s": 0.0, "stop_s": 100.0, "streams": streams, **provenance}
    return replace(record(2000), provenance={"alignment": alignment})


@pytest.mark.parametrize(
    ("quality", "value", "status"),
    [
        ({"gravity_g": 1.05, "gain_up": float("nan"), "bias": 9.0}, 0.5, "green"),
        ({"gravity_g": 1.2}, 1.5, "amber"),
        ({"gravity_g": 0.6}, 2.5, "red"),
        ({"r": 0.97, "share_tracked": 0.5}, 1.5, "amber"),
    ],
)
def test_quality_numbers_of_sensors(quality: dict[str, float], value: float, status: str):
    found = check_sensors(with_alignment([], quality={"behavior.head": quality}))
    assert (found.value, found.status) == (pytest.approx(value), status)
    assert "behavior.head" in found.sentence


def test_residuals_of_sync_pulses():
    recording = record(2000).with_provenance(clocks={"video": {"residual_ms": 11.0}})
    found = check_sensors(recording)
    assert found.status == "red"
    assert "residual_ms of the clock of video" in found.sentence
