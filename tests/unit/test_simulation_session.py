"""Whole sessions: what comes out is valid, reproducible, and as hard as its track says."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from freegaze.errors import ConfigError, DataError
from freegaze.recording.recording import ResponseKind
from freegaze.simulation import (
    BIN_S,
    STANDARD_SESSIONS,
    TRACKS,
    SimulationConfig,
    Truth,
    make_segments,
    retinal_pictures,
    simulate,
    warp,
)
from type_checks import unchecked

SMALL = SimulationConfig(minutes=1.0, n_neurons=12, seed=5, frame_size=(12, 16), n_segments=4)


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation column by column; zero where a column is constant."""
    a, b = a - a.mean(axis=0, dtype=np.float64), b - b.mean(axis=0, dtype=np.float64)
    spread = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return (a * b).sum(axis=0) / np.where(spread > 1e-9, spread, np.inf)


@pytest.fixture(scope="module")
def small():
    return simulate(SMALL)


@pytest.fixture(scope="module", params=["standard", "affine"])
def full(request):
    """Two minutes of forty neurons at full resolution."""
    return simulate(SimulationConfig(minutes=2.0, n_neurons=40, seed=1, track=request.param))


def test_a_session_is_a_valid_recording(small):
    recording, truth = small
    assert recording.n_bins == 1250
    assert recording.bin_width_s == BIN_S
    assert recording.frames.shape == (1250, 12, 16)
    assert recording.behavior_names == (
        *("speed", "gz", "pitch", "roll", "phi", "theta", "pupil_radius"),
    )
    assert recording.response_kind is ResponseKind.SPIKE_COUNTS
    assert recording.deg_per_px == 7.5
    assert recording.reference_rates["oracle"] is truth.oracle
    lost = ~truth.is_tracked
    assert lost.any()
    for name in recording.behavior_names:
        eye = name in ("phi", "theta", "pupil_radius")
        assert (np.isnan(recording.column(name)) == (lost & eye)).all()


def test_segments_are_70_percent_training_then_30_percent_test():
    segments = make_segments(1003, 4)
    assert [s.role for s in segments] == ["train", "test"] * 4
    assert segments[0].start == 0
    assert segments[-1].stop == 1003
    train = sum(s.n_bins for s in segments if s.role == "train")
    assert train == pytest.approx(0.7 * 1003, abs=4)


@pytest.mark.parametrize("track", list(TRACKS))
def test_the_same_seed_gives_the_same_session(track):
    config = replace(SMALL, minutes=0.5, track=track, n_segments=2)
    one, two = simulate(config), simulate(config)
    for name, array in one[1].to_arrays().items():
        np.testing.assert_array_equal(array, two[1].to_arrays()[name], err_msg=name)
    np.testing.assert_array_equal(one[0].responses, two[0].responses)
    np.testing.assert_array_equal(one[0].frames, two[0].frames)
    other, _ = simulate(replace(config, seed=6))
    assert (other.frames != one[0].frames).mean() > 0.5


def test_the_number_of_neurons_does_not_change_path_or_video(small):
    recording, truth = small
    fewer, fewer_truth = simulate(replace(SMALL, n_neurons=3))
    np.testing.assert_array_equal(fewer.frames, recording.frames)
    np.testing.assert_array_equal(fewer.behavior, recording.behavior)
    np.testing.assert_array_equal(fewer_truth.best_affine, truth.best_affine)


def test_the_number_of_threads_does_not_change_the_session(small):
    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 if n_threads != 3 else 2)
        recording, truth = simulate(SMALL)
        assert torch.get_num_threads() == (3 if n_threads != 3 else 2), "left as it was found"
    finally:
        torch.set_num_threads(n_threads)
    np.testing.assert_array_equal(recording.responses, small[0].responses)
    np.testing.assert_array_equal(truth.oracle, small[1].oracle)
    np.testing.assert_array_equal(truth.attainable, small[1].attainable)


def test_both_ways_of_binning_are_kept(small):
    recording, truth = small
    assert truth.alternative_binning == "middle"
    assert (truth.alternative_frames != recording.frames).any()
    again, again_truth = simulate(replace(SMALL, frame_binning="middle"))
    assert again_truth.alternative_binning == "mean"
    np.testing.assert_array_equal(again.frames, truth.alternative_frames)
    np.testing.assert_array_equal(again_truth.alternative_frames, recording.frames)
    np.testing.assert_array_equal(again_truth.oracle, truth.oracle)


def test_motion_blur_is_in_the_mean_frames_only(small):
    recording, truth = small
    sharpness = [
        np.abs(np.diff(frames.astype(float), axis=2)).mean()
        for frames in (recording.frames, truth.alternative_frames)
    ]
    assert sharpness[0] < sharpness[1]


def test_redraws_have_the_same_rates_and_new_spikes(small):
    recording, truth = small
    draws = simulate(replace(SMALL, redraws=20))[1].redraws
    assert draws.shape == (20, *truth.oracle.shape)
    assert (draws[0] != recording.responses).any()
    assert (draws[0] != draws[1]).any()
    np.testing.assert_array_equal(draws[:2], simulate(replace(SMALL, redraws=2))[1].redraws)
    # 20 x 1,250 draws of a mean of 0.02 or more: a standard error of at most 4 %.
    np.testing.assert_allclose(draws.mean(axis=(0, 1)), truth.oracle.mean(axis=0), rtol=0.18)


def test_truth_survives_as_plain_arrays(small):
    truth = small[1]
    arrays = truth.to_arrays()
    assert all(isinstance(a, np.ndarray) and a.dtype != object for a in arrays.values())
    again = Truth.from_arrays(arrays)
    assert again.track == "standard"
    assert again.seed == 5
    assert set(again.path) == set(truth.path)
    for name, array in again.to_arrays().items():
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)
    del arrays["kind"]
    with pytest.raises(DataError, match="'kind' is missing"):
        Truth.from_arrays(arrays)


def test_truth_of_some_neurons(small):
    truth = small[1].select_neurons(np.array([3, 1]))
    assert truth.kind.tolist() == small[1].kind[[3, 1]].tolist()
    np.testing.assert_array_equal(truth.attainable, small[1].attainable[:, [3, 1]])
    np.testing.assert_array_equal(
        truth.behavior_coefficients["speed"], small[1].behavior_coefficients["speed"][[3, 1]]
    )
    assert truth.oracle.shape[1] == truth.redraws.shape[2] == 2


def test_progress_is_reported(small):
    seen = []
    simulate(replace(SMALL, minutes=0.5), lambda *report: seen.append(report))
    assert seen[-1] == ("rates", 1, 1)
    renders = [(done, total) for stage, done, total in seen if stage == "render"]
    assert renders[-1] == (625, 625)
    assert all(a[0] < b[0] for a, b in pairwise(renders))


def test_attainable_never_beats_oracle_on_average(full):
    recording, truth = full
    test = recording.bins_of("test")
    active = recording.rates_hz("train") >= 3
    counts = recording.responses[test][:, active]
    oracle = correlation(truth.oracle[test][:, active], counts)
    attainable = correlation(truth.attainable[test][:, active], counts)
    assert oracle.mean() >= attainable.mean() - 0.01
    # Close to the oracle where an affine undoes the gaze, some way below where it cannot.
    share = attainable.mean() / oracle.mean()
    assert share > 0.9 if truth.track == "affine" else 0.55 < share < 0.95


def test_attainable_has_no_bias_on_training_bins(full):
    recording, truth = full
    train = recording.bins_of("train")
    np.testing.assert_allclose(
        truth.attainable[train].mean(axis=0), truth.oracle[train].mean(axis=0), rtol=0.05
    )
    assert (truth.attainable > 0).all()


def test_single_bin_oracle_correlation_is_between_0_2_and_0_35(full):
    recording, truth = full
    if truth.track == "standard":
        value = np.median(correlation(truth.oracle, recording.responses.astype(float)))
        assert 0.2 <= value <= 0.35


def test_the_best_affine_follows_the_gaze(full):
    _, truth = full
    theta, phi, torsion = truth.retinal_rotation_deg.T
    for angle, moved, per_px in zip(
        (theta, phi, torsion), truth.best_affine.T, (1.5, 1.5, 1.0), strict=True
    ):
        slope = np.polyfit(angle, moved * per_px, 1)[0]
        assert 0.7 < slope < 1.15
        assert np.corrcoef(angle, moved)[0, 1] > 0.9


def test_drives_are_those_of_the_retinal_pictures(full):
    """A visual-only simple cell without contrast gain fires more when its field is matched."""
    _, truth = full
    bins = np.arange(600, 1600)
    pictures = retinal_pictures(truth, bins)
    picked = np.flatnonzero((truth.kind == "simple") & (truth.modulation == "visual_only"))
    assert len(picked)
    for n in picked:
        match = np.einsum("thw,hw->t", pictures - 0.42, truth.receptive_field[n, 0])
        lagged = [
            np.corrcoef(match[: len(bins) - lag], truth.oracle[bins[lag:], n])[0, 1]
            for lag in range(4)
        ]
        assert max(lagged[1:]) > 0.3


def test_in_the_affine_retina_the_camera_picture_moved_by_the_truth_is_the_retinal_one():
    config = SimulationConfig(minutes=0.5, n_neurons=2, track="affine", n_segments=2)
    recording, truth = simulate(replace(config, frame_binning="middle"))
    bins = np.arange(100, 300)
    moved = warp(torch.from_numpy(recording.frames[bins]).float() / 255, truth.best_affine[bins])
    expected = retinal_pictures(truth, bins)
    # The affine of a bin is the mean of its three steps: where the eye is slow they agree.
    angles = np.stack([truth.path[f"true_{a}"].reshape(-1, 3)[bins] for a in ("theta", "phi")])
    still = (np.ptp(angles, axis=2) < 1.0).all(axis=0)
    assert still.sum() > 10
    inner = (slice(None), slice(20, 40), slice(25, 55))
    assert np.abs(moved.numpy()[still][inner] - expected[still][inner]).mean() < 0.01


def test_null_neurons_see_only_while_behavior_tells_of_the_scene():
    recording, truth = simulate(
        replace(SMALL, minutes=2.0, track="null", frame_size=(30, 40), n_neurons=20)
    )
    assert set(truth.modulation) == {"visual_only"}
    assert all(not c.any() for c in truth.behavior_coefficients.values())
    brightness = recording.frames.mean(axis=(1, 2))
    known = truth.is_tracked
    r = np.corrcoef(brightness[known], recording.column("pupil_radius")[known])[0, 1]
    assert r < -0.4
    # Posture predicts the rates of cells that know nothing of posture.
    posture = np.column_stack(
        [recording.column("pitch"), recording.column("roll"), brightness * 0 + 1]
    )
    fitted = posture @ np.linalg.lstsq(posture, truth.oracle, rcond=None)[0]
    explained = 1 - (truth.oracle - fitted).var(axis=0) / truth.oracle.var(axis=0)
    assert explained.max() > 0.1


def test_hard_is_harder_than_standard():
    hard = TRACKS["hard"]
    standard = TRACKS["standard"]
    assert hard.torsion_gain > standard.torsion_gain
    assert hard.latent_strength > standard.latent_strength > 0
    assert hard.drift_strength > standard.drift_strength > 0
    assert hard.loss_share == 0.12


def test_the_latent_is_shared_in_standard_and_absent_in_affine(full):
    _, truth = full
    log_rate = np.log(truth.oracle[:, truth.modulation == "untuned"])
    if truth.track == "affine":
        assert log_rate.std(axis=0).max() < 1e-3
    else:
        residual = log_rate - log_rate.mean(axis=0)
        assert np.corrcoef(residual.mean(axis=1), truth.latent)[0, 1] > 0.5


def test_standard_sessions_are_as_long_and_large_as_the_real_ones():
    sizes = [(c.n_neurons, c.minutes, c.n_segments) for c in STANDARD_SESSIONS.values()]
    assert sizes == [(108, 43.0, 10), (52, 47.0, 10), (63, 61.0, 10)]
    assert len({c.session_id for c in STANDARD_SESSIONS.values()}) == 3
    small = STANDARD_SESSIONS["standard_2"].scaled(minutes=5, n_neurons=7)
    assert (small.minutes, small.n_neurons) == (5, 7)
    assert small.seed == STANDARD_SESSIONS["standard_2"].seed
    assert small.scaled() == small


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"minutes": 0.1}, "`minutes` must be between"),
        ({"n_neurons": 0}, "`n_neurons` must be at least 1"),
        ({"seed": -1}, "`seed` must be"),
        ({"track": "easy"}, "unknown simulation track 'easy'"),
        ({"frame_size": (60, 60)}, "ratio 3 : 4"),
        ({"frame_binning": "last"}, "'mean' or 'middle'"),
        ({"redraws": -1}, "at least 0"),
        ({"n_segments": 0}, "at least 1"),
        ({"minutes": 0.5, "n_segments": 100}, "10 bins or more"),
        ({"spiking": "bursty"}, "'poisson', 'refractory'"),
        ({"mouse": "VM-3"}, "'VM-1' or 'VM-2'"),
        ({"violations": ("history",)}, "`violations` must be empty for VM-1"),
        ({"mouse": "VM-2", "track": "hard"}, "'standard' for VM-2"),
        ({"mouse": "VM-2", "spiking": "refractory"}, "'poisson' for VM-2"),
        ({"mouse": "VM-2", "violations": ("histry",)}, "unknown violation 'histry'"),
    ],
)
@unchecked()
def test_impossible_configurations_say_what_is_wrong(wrong, message):
    with pytest.raises(ConfigError, match=message):
        SimulationConfig(**wrong)


@pytest.mark.parametrize("spiking", ["refractory", "gamma_poisson"])
def test_other_kinds_of_spiking_keep_the_rates(spiking):
    config = replace(SMALL, minutes=0.5, n_segments=2, spiking=spiking)
    recording, truth = simulate(config)
    assert (truth.oracle == simulate(replace(config, spiking="poisson"))[1].oracle).all()
    assert recording.responses.mean() == pytest.approx(truth.oracle.mean(), rel=0.1)
