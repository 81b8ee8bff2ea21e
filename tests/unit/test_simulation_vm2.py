"""The second virtual mouse: its switches, its averages in closed form, and its instruments."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch

from freegaze.errors import DataError
from freegaze.recording.recording import Recording
from freegaze.simulation import (
    VIOLATIONS,
    SimulationConfig,
    Truth,
    affine_of_gaze,
    retinal_pictures,
    show_white_noise,
    simulate,
    warp,
)
from freegaze.simulation.body import make_body
from freegaze.simulation.camera import Renderer, deg_per_px, pixel_grid
from freegaze.simulation.eye import make_eye
from freegaze.simulation.group_shares import group_shares, signal_groups, true_saliency
from freegaze.simulation.processes import STEPS_PER_BIN
from freegaze.simulation.rotation import camera_rotation
from freegaze.simulation.streams import random_streams
from freegaze.simulation.vm2.behavior import gain_and_position
from freegaze.simulation.vm2.gaze_shifts import GAZE_EVENTS, draw_gain, find_turns, read_events
from freegaze.simulation.vm2.history import History, average_counts, simulate_spikes
from freegaze.simulation.vm2.instruments import (
    EYE_DRIFT_SD_DEG,
    EYE_SCALES,
    HeadCamera,
    distorted,
    exposed,
    misread_eye,
)
from freegaze.simulation.vm2.latents import draw_latents
from freegaze.simulation.vm2.neurons import BEHAVIOR_DELAYS_S, TAPS, make_neurons
from freegaze.simulation.vm2.rates import recorded_counts, true_rates
from freegaze.simulation.vm2.scene_fields import place_patch, scene_basis
from freegaze.simulation.vm2.visual import LitDrives, low_pass_each, visual_part
from freegaze.simulation.white_noise import SCREEN_ROLL_DEG
from freegaze.simulation.world import make_world, world_from_faces

SIZE = (12, 16)
SMALL = SimulationConfig(
    minutes=0.6, n_neurons=24, seed=5, frame_size=SIZE, n_segments=2, mouse="VM-2"
)


@pytest.fixture(scope="module")
def small() -> tuple[Recording, Truth]:
    return simulate(SMALL)


@lru_cache
def neurons(n: int = 200, violations=tuple(VIOLATIONS), seed: int = 0):
    return make_neurons(n, SIZE, violations, np.random.default_rng(seed))


def test_a_session_is_a_recording_with_its_truth(small):
    recording, truth = small
    assert (recording.n_bins, recording.n_neurons) == (750, 24)
    assert truth.version == "VM-2"
    assert truth.spiking == "history"
    assert recording.session_id == "VM-2_standard_0.6min_24n_seed5"
    assert set(truth.traits["family"]) == {"simple", "complex", "natural", "direction"}
    again = Truth.from_arrays(truth.to_arrays())
    for name, array in again.to_arrays().items():
        np.testing.assert_array_equal(array, truth.to_arrays()[name], err_msg=name)
    few = truth.select_neurons(np.array([3, 1]))
    assert few.traits["family"].tolist() == truth.traits["family"][[3, 1]].tolist()


def test_the_same_seed_gives_the_same_session_whatever_the_threads(small, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    recording, truth = simulate(SMALL)
    np.testing.assert_array_equal(recording.frames, small[0].frames)
    np.testing.assert_array_equal(recording.responses, small[0].responses)
    np.testing.assert_array_equal(truth.attainable, small[1].attainable)


def test_both_mice_differ_with_the_same_seed(small):
    other, _ = simulate(replace(SMALL, mouse="VM-1", violations=None, session_id=""))
    assert (other.frames != small[0].frames).mean() > 0.5


@pytest.mark.parametrize("violation", ["eye_drift", "history", "lens"])
def test_a_switch_changes_only_what_it_names(violation: str):
    config = replace(SMALL, minutes=0.5, session_id="", violations=())
    plain, plain_truth = simulate(config)
    assert plain.session_id.endswith("_plain")
    changed, truth = simulate(replace(config, session_id="", violations=(violation,)))
    assert changed.session_id.endswith(f"_{violation}")
    same_video = violation != "lens"
    assert (changed.frames == plain.frames).all() == same_video
    known = plain_truth.is_tracked
    theta = changed.column("theta")[known], plain.column("theta")[known]
    assert np.array_equal(*theta) == (violation != "eye_drift")
    np.testing.assert_array_equal(truth.receptive_field, plain_truth.receptive_field)
    same_oracle = violation != "history"
    assert np.array_equal(truth.oracle, plain_truth.oracle) == same_oracle
    assert (truth.spiking == "poisson") == same_oracle


def test_names_of_sessions_say_which_violations_they_have():
    names = tuple(VIOLATIONS)
    assert replace(SMALL, session_id="", violations=names).session_id == SMALL.session_id
    some = replace(SMALL, session_id="", violations=names[:5])
    assert some.session_id.endswith("_natural_fields-direction-normalization-more")


def test_retinal_frames_are_seen_again_from_the_truth(small):
    _, truth = small
    pictures = retinal_pictures(truth, np.arange(0, 700, 100))
    assert pictures.shape == (7, *SIZE)
    assert 0.1 < pictures.mean() < 0.9


# ---------------------------------------------------------------- averages in closed form


def test_spikes_with_a_dead_time_have_the_rate_of_a_renewal_process():
    """One part of 4 ms in which a neuron fires by 1 - exp(-rate), then one without."""
    one = np.ones(2)
    rate = np.tile(np.array([0.08, 0.4]), (12_000, 1))
    history = History(refractory=one, burst=0 * one, adaptation=0 * one)
    hazard = 1 - np.exp(-rate[0] / 4)
    expected = STEPS_PER_BIN * 4 * hazard / (1 + hazard)
    mean = average_counts([rate] * 4, history, np.random.default_rng(0)).mean(axis=0)
    np.testing.assert_allclose(mean, expected, rtol=0.004)
    counts, _ = simulate_spikes(rate, history, np.random.default_rng(1))
    # 4,000 bins of a variance below the mean: three standard errors.
    assert (np.abs(counts.mean(axis=0) - expected) < 3 * np.sqrt(expected / 4000)).all()


def test_the_average_over_latents_and_drift_is_that_of_log_normal_factors():
    """Without an effect of spikes the expected count is rate * exp(variance / 2)."""
    chosen = neurons(3, ("latents",), seed=1)
    n_steps = 30_000
    flat = np.ones((n_steps, 3), dtype=np.float32)
    drives = LitDrives(flat, flat, flat, flat)
    signals = still(n_steps)
    rate, scale = true_rates(chosen, drives, signals, 0 * flat, np.random.default_rng(0))
    counts = recorded_counts(chosen, scale, drives, signals, np.random.default_rng(2), 2)
    variance = sum(
        c**2
        for c in (
            chosen.latent_coefficient,
            chosen.slow_latent_coefficient,
            chosen.drift_coefficient,
        )
    )
    expected = STEPS_PER_BIN * rate[0] * np.exp(variance / 2)
    wanted = chosen.mean_rate_hz * 0.048 * np.exp(variance / 2)
    np.testing.assert_allclose(expected, wanted, rtol=1e-3)  # a float32 sum over 30,000 steps
    # Standardized latents have the variance exactly. Fourth moments of slow ones differ by draw: of
    # coefficients up to .35 that is 1.5 % of the mean / 24, times a few units, over 8 pairs.
    np.testing.assert_allclose(counts.mean(axis=0), expected, rtol=0.008)


def test_an_average_does_not_depend_on_workers_and_needs_a_draw():
    one = np.ones(3)
    rate = np.full((600, 3), 0.2)
    history = History(one, 2 * one, 0.3 * one)
    one_worker, two = (
        average_counts([rate] * 4, history, np.random.default_rng(0), n) for n in (1, 2)
    )
    np.testing.assert_array_equal(one_worker, two)
    with pytest.raises(DataError, match="at least one draw"):
        average_counts([], history, np.random.default_rng(0))


def test_bursts_make_counts_more_variable_and_adaptation_less():
    one = np.ones(1)
    rate = np.full((60_000, 1), 0.15)
    fano = {}
    for name, burst, adaptation in (("burst", 4.0, 0.0), ("none", 0.0, 0.0), ("adapts", 0.0, 2.0)):
        history = History(one, burst * one, adaptation * one)
        counts, _ = simulate_spikes(rate, history, np.random.default_rng(0))
        seconds = counts[: 20_000 - 20_000 % 20].reshape(-1, 20).sum(axis=1)
        fano[name] = seconds.var() / seconds.mean()
    assert fano["burst"] > 1.1 * fano["none"]
    assert fano["adapts"] < 0.8 * fano["none"]


def test_mean_rates_are_those_of_the_neurons_with_an_effect_of_spikes(small):
    _, truth = small
    np.testing.assert_allclose(truth.oracle.mean(axis=0) / 0.048, truth.mean_rate_hz, rtol=0.05)


# ---------------------------------------------------------------- neurons


def still(n_steps: int) -> dict[str, np.ndarray]:
    names = ("speed", "pupil_radius", "pitch", "roll", "theta", "phi", "gz", *GAZE_EVENTS)
    return {name: np.zeros(n_steps) for name in names}


def test_without_violations_neurons_are_gabor_simple_and_complex():
    plain, full = neurons(violations=()), neurons()
    assert set(plain.family) == {"simple", "complex"}
    assert (full.family == "direction").sum() == 24
    assert not plain.pool_strength.any()
    assert not plain.traits["luminance_adaptation"].any()
    assert not any(plain.behavior_coefficients[name].any() for name in GAZE_EVENTS)
    assert History.from_traits(plain.traits).is_none
    assert (plain.traits["behavior_delay_s"] == BEHAVIOR_DELAYS_S[0]).all()
    gabor = (full.family != "natural") & (full.family == plain.family)
    np.testing.assert_array_equal(full.receptive_field[gabor], plain.receptive_field[gabor])
    changed = full.family == "natural"
    visual = full.receptive_field.any(axis=(1, 2, 3))
    assert (
        (full.receptive_field[changed & visual] != plain.receptive_field[changed & visual])
        .any(axis=(1, 2, 3))
        .all()
    )


def test_long_kernels_go_on_beyond_half_a_second():
    def late(n):
        power = np.abs(n.temporal_kernel)
        return power[:, 32:].sum(axis=1) / power.sum(axis=1)

    assert neurons().temporal_kernel.shape[1] == TAPS
    assert late(neurons(violations=())).max() < 0.01
    assert np.median(late(neurons())) > 0.02
    assert neurons().latency_s.min() < 0.04
    assert neurons().latency_s.max() > 0.19


def test_learned_fields_are_local_oriented_and_always_the_same():
    basis = scene_basis()
    np.testing.assert_array_equal(basis, scene_basis())
    np.testing.assert_allclose((basis**2).sum(axis=(1, 2)), 1)
    # Edges of scenes: more energy in few pixels than noise has (kurtosis 3).
    flat = basis.reshape(len(basis), -1)
    kurtosis = (flat**4).mean(axis=1) / (flat**2).mean(axis=1) ** 2
    assert np.median(kurtosis) > 5
    points = pixel_grid((60, 80)) * 1.5
    placed = place_patch(basis[0], points, (10.0, -6.0), 40.0, 0.7)
    middle = (placed[:, None] ** 2 * points).sum(axis=0) / (placed**2).sum()
    np.testing.assert_allclose(middle, (10.0, -6.0), atol=2.0)


def test_a_direction_selective_neuron_prefers_one_direction():
    """A drifting grating: both phases of a quadrature pair, in time."""
    full = neurons(60)
    n_steps, moving = 400, full.family == "direction"
    wave = 2 * np.pi * 4.0 * 0.016 * np.arange(n_steps)[:, None] * np.ones(60)
    flat = np.zeros_like(wave, dtype=np.float32)
    rates = []
    scale = None
    for sign in (1, -1):
        drives = LitDrives(np.cos(wave), sign * np.sin(wave), flat, flat)
        if scale is None:
            both = np.concatenate([np.cos(wave), np.cos(wave)])
            sines = np.concatenate([np.sin(wave), -np.sin(wave)])
            twice = np.zeros_like(both, dtype=np.float32)
            scale = visual_part(full, LitDrives(both, sines, twice, twice))[1]
        rates.append(visual_part(full, drives, scale)[0][200:].mean(axis=0))
    index = np.abs(rates[0] - rates[1]) / (rates[0] + rates[1])
    assert np.median(index[moving]) > 0.3
    assert index[full.family == "complex"].max() < 0.02


def test_adaptation_follows_brightness_over_seconds():
    adapting = neurons(40, ("adaptation",))
    n_steps = 3000
    step = np.repeat([0.0, 0.2], n_steps // 2).astype(np.float32)[:, None] * np.ones(40)
    total = adapting.receptive_field[:, 0].sum(axis=(1, 2))
    drives = LitDrives((step * total).astype(np.float32), 0 * step, 0 * step, step)
    rate, _ = visual_part(adapting, drives)
    simple = (adapting.kind == "simple") & adapting.receptive_field.any(axis=(1, 2, 3))
    before, early, late = rate[1400], rate[1600], rate[2950]
    onset, sustained = (np.abs(x - before)[simple] for x in (early, late))
    assert (sustained < onset).mean() > 0.8
    both = low_pass_each(step, adapting.traits["luminance_adaptation_s"])
    assert len(np.unique(both[1600].round(6))) == 3


def test_gain_is_peaked_and_delayed_where_tuning_is_curved():
    full, plain = neurons(), neurons(violations=())
    signals = still(300)
    signals["pitch"] = np.linspace(-80, 50, 300)
    gain, position = gain_and_position(full.behavior_coefficients, full.traits, signals)
    assert gain.shape == position.shape == (300, 200)
    depends = full.behavior_coefficients["pitch"] != 0
    peaked = np.isfinite(full.traits["peak_pitch"]) & depends
    turns = np.sign(np.diff(position, axis=0))
    is_monotonic = (turns[30:] == turns[30]).all(axis=0)
    assert 0.2 < peaked[depends].mean() < 0.8
    assert not is_monotonic[peaked].all()
    _, linear = gain_and_position(plain.behavior_coefficients, plain.traits, signals)
    turns = np.sign(np.diff(linear[30:], axis=0))
    assert (turns == turns[0])[:, depends].all()


# ---------------------------------------------------------------- gaze shifts


def test_four_kinds_of_gaze_shift_happen_and_most_turns_are_countered(small):
    _, truth = small
    per_minute = {name: truth.path[f"true_{name}"].sum() / 0.6 for name in GAZE_EVENTS}
    assert all(count > 0 for count in per_minute.values())
    assert per_minute["compensatory"] > per_minute["head_only"]


def test_the_eye_hardly_counters_turns_of_the_head_alone():
    time = np.arange(3000) * 0.016
    yaw = 40 * np.sin(2 * np.pi * 0.5 * time)
    gain, is_alone = draw_gain(yaw, np.random.default_rng(1))
    turns = find_turns(yaw)
    alone = [is_alone[start:stop].all() for start, stop in turns]
    assert 0 < sum(alone) < len(turns) / 2
    assert set(np.unique(gain)) == {0.1, 0.77}


def test_gaze_shifts_are_read_off_recorded_angles():
    gz = np.zeros(40)
    gz[5:8], gz[20:23] = 150.0, 150.0
    turned = gz * 0.048
    theta = 9.0 - 0.77 * np.cumsum(np.where(np.arange(40) < 15, turned, 0.0))
    theta[30:] -= 12.0
    events = read_events(theta, gz, 0.048)
    found = {name: np.flatnonzero(event).tolist() for name, event in events.items()}
    assert found == {
        "gaze_shift_left": [20],  # yaw of 7 degrees per bin that the eye does not counter
        "gaze_shift_right": [30],
        "compensatory": [5],
        "head_only": [],
    }
    gz[20:23] = 80.0
    assert np.flatnonzero(read_events(theta, gz, 0.048)["head_only"]).tolist() == [20]


# ---------------------------------------------------------------- instruments


def test_eye_angles_are_misread_by_scale_offset_and_drift():
    path = {"theta": np.linspace(-10, 30, 5000), "phi": np.full(5000, 7.0)}

    def read(*violations):
        return misread_eye(path, violations, np.random.default_rng(3))

    np.testing.assert_allclose(read()["theta"], path["theta"])
    slope = np.polyfit(path["theta"], read("eye_scale")["theta"], 1)[0]
    assert slope in [pytest.approx(pair[0]) for pair in EYE_SCALES]
    offset = read("eye_offset")["theta"] - path["theta"]
    assert np.ptp(offset) < 1e-9
    assert offset[0] != 0
    drift = read("eye_drift")["phi"] - path["phi"]
    assert drift.std() == pytest.approx(EYE_DRIFT_SD_DEG)
    assert np.abs(np.diff(drift)).max() < 0.2


def test_exposure_makes_brightness_more_even():
    frames = np.repeat(np.array([51, 153], np.uint8), 200)[:, None, None] * np.ones(
        (1, 3, 4), np.uint8
    )
    out = exposed(frames)
    assert out.dtype == np.uint8
    before, after = (x[[150, 350], 0, 0].astype(float) for x in (frames, out))
    assert after[1] / after[0] == pytest.approx((before[1] / before[0]) ** 0.4, rel=0.03)


def test_a_lens_leaves_the_middle_and_moves_the_edge():
    points = pixel_grid(SIZE)
    moved = distorted(points, deg_per_px(SIZE)) / points
    radius = np.hypot(*points.T)
    assert np.abs(moved[radius < 1] - 1).max() < 0.005
    edge = np.abs(radius * deg_per_px(SIZE) - 45).argmin()
    np.testing.assert_allclose(moved[edge], 1.12, atol=0.02)


def test_rows_of_a_rolling_shutter_turn_with_the_head():
    world = make_world(np.random.default_rng(0))
    renderer = Renderer(world, (24, 32))
    place = np.array([[20.0, 18.0, 5.0]])
    start, end = (camera_rotation(*np.array([[yaw], [0.0], [0.0]])) for yaw in (0.0, 6.0))
    rolled = renderer.render(place, start, end)[0]
    first, last = (renderer.render(place, axes)[0] for axes in (start, end))
    assert (rolled[0] - first[0]).abs().max() < 1e-4
    assert (rolled[-1] - last[-1]).abs().mean() < 0.25 * (rolled[-1] - first[-1]).abs().mean()


def test_the_camera_is_mounted_higher_and_the_affine_shows_it():
    faces = [np.full((150, 240), 0.5)] * 6
    faces[5] = np.full((150, 240), 1.0)  # the ceiling
    world = world_from_faces(faces, (48.0, 37.0, 30.0))
    config = replace(SMALL, violations=())
    streams = random_streams(config.seed, "VM-2")
    body = make_body(60, streams["walk"], streams["head"])
    eye = make_eye(body, streams["eye"])
    views = [
        HeadCamera(world, (24, 32), v).glance(body, eye, slice(0, 60))
        for v in ((), ("camera_pitch",))
    ]
    assert views[1].camera.mean() > views[0].camera.mean()  # more of the ceiling
    np.testing.assert_array_equal(views[1].retina, views[0].retina)  # the eye sees the same
    shift = (views[1].affine - views[0].affine)[:, 1] * deg_per_px((24, 32))
    # What it sees lies higher, by 8 degrees less what torsion and near walls change.
    assert (shift < -5).all()
    assert shift.mean() == pytest.approx(-8, abs=1.5)


def test_tracking_is_lost_most_while_running(small):
    _, truth = small
    lost, speed = np.isnan(truth.path["theta"]), truth.path["true_speed"]
    assert 0.04 < lost.mean() < 0.25
    if (speed > 5).any():
        assert lost[speed > 5].mean() > lost[speed < 1].mean()


# ---------------------------------------------------------------- truth of explanations


def test_shares_of_groups_are_of_neurons_that_depend_on_them(small):
    recording, truth = small
    bins = recording.bins_of("test")
    shares = group_shares(truth, bins)
    groups = signal_groups(truth)
    assert set(shares) == set(groups) == {"eye", "head", "speed", "pupil"}
    assert "gaze_shift_left" in groups["eye"]
    assert "gaze_shift_left" in groups["head"]
    for group, names in groups.items():
        depends = np.any([truth.behavior_coefficients[s] != 0 for s in names], axis=0)
        assert (shares[group][~depends] == 0).all()
        assert depends.any()
        assert (shares[group][depends] > 0).mean() > 0.8
    effect = true_saliency(truth, bins, "speed", 5.0)
    none = truth.behavior_coefficients["speed"] == 0
    assert np.abs(effect[none]).max() < 1e-9
    assert effect[~none].any()


def test_latents_are_of_the_size_of_their_coefficients():
    full = neurons(50)
    log_latents, fast = draw_latents(full, 20_000, np.random.default_rng(0))
    variance = full.latent_coefficient**2 + full.slow_latent_coefficient**2
    variance = variance + full.drift_coefficient**2
    np.testing.assert_allclose(log_latents.var(axis=0), variance, rtol=0.6)
    assert fast.std() == pytest.approx(1)


def test_white_noise_is_seen_by_a_moving_eye_on_a_rolled_screen():
    config = replace(SMALL, n_neurons=30, frame_size=(24, 32), session_id="", violations=())
    rolled = replace(config, session_id="", violations=("camera_pitch",))
    straight, turned = (show_white_noise(c, minutes=8) for c in (config, rolled))
    np.testing.assert_array_equal(straight.behavior, turned.behavior)
    assert straight.column("theta").std() == pytest.approx(np.hypot(3.0, 1.0), rel=0.3)
    simple = make_neurons(30, (24, 32), (), random_streams(5, "VM-2")["population"])
    theta, phi = (straight.column(name) for name in ("theta", "phi"))
    scores = {}
    for name, recording in (("straight", straight), ("turned", turned)):
        for roll in (0.0, SCREEN_ROLL_DEG):
            # Fields on the screen are those on the retina, moved back by gaze and roll.
            gaze = affine_of_gaze(theta, phi, np.full(len(theta), roll), 90 / 24)
            seen = warp(torch.from_numpy(recording.frames / np.float32(255) - 0.5), gaze)
            match = np.einsum("thw,nhw->tn", seen.numpy(), simple.receptive_field[:, 0])
            one = (simple.kind == "simple") & simple.receptive_field.any(axis=(1, 2, 3))
            lagged = [
                np.mean(
                    [
                        np.corrcoef(match[:-lag, i], recording.responses[lag:, i])[0, 1]
                        for i in np.flatnonzero(one)
                    ]
                )
                for lag in (2, 3)
            ]
            scores[name, roll] = max(lagged)
    assert scores["straight", 0.0] > scores["straight", SCREEN_ROLL_DEG]
    assert scores["turned", SCREEN_ROLL_DEG] > scores["turned", 0.0]
