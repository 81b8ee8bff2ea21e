"""From raw sensors to columns: closed forms, plain loops, and the virtual mouse's truth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from freegaze.errors import DataError, ShapeError
from freegaze.sources.alignment.readers import ArrayFrames
from freegaze.sources.sensors.eye import (
    EyeCalibration,
    calibrate_eye,
    ellipses_of_gaze,
    eye_angles,
)
from freegaze.sources.sensors.head import head_posture
from freegaze.sources.sensors.lens import Lens, UndistortedFrames, rays_of_frame
from freegaze.sources.sensors.pulses import clock_of_pulses
from freegaze.sources.sensors.pupil import fit_pupil
from freegaze.sources.sensors.top_view import heading, running_speed

CENTER, SCALE, RADIUS = (170.0, 115.0), 80.0, 20.0


def edge_points(gaze_deg: np.ndarray, n_points: int = 8) -> np.ndarray:
    """Points on the pupil's edge by rotating a circle in space, (time, point, 2)."""
    theta, phi = np.deg2rad(gaze_deg).T
    angle = np.linspace(0, 2 * np.pi, n_points, endpoint=False) + 0.3
    circle = np.stack(
        [RADIUS * np.cos(angle), RADIUS * np.sin(angle), np.full(n_points, SCALE)], -1
    )
    out = np.empty((len(gaze_deg), n_points, 2))
    for i in range(len(gaze_deg)):
        # theta about the vertical in the eye, then phi about the camera's horizontal
        turn = Rotation.from_euler("x", -phi[i]) * Rotation.from_euler("y", theta[i])
        out[i] = turn.apply(circle)[:, :2] + CENTER
    return out


def test_axes_of_an_ellipse_and_their_direction():
    angle = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    for turn in np.deg2rad([-80, -45, -10, 0, 25, 60, 88]):
        x, y = 6 * np.cos(angle), 4 * np.sin(angle)
        points = np.stack(
            [x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)]
        )
        fitted = fit_pupil(points.T[None] + [50, 30], np.ones((1, 9), bool), "ellipse")
        np.testing.assert_allclose(fitted[0], [50, 30, 6, 4, turn], atol=1e-9)


def test_ellipses_of_a_turned_circle_give_center_scale_and_angles():
    gaze = np.random.default_rng(1).uniform(-35, 35, (400, 2))
    points = edge_points(gaze)
    ellipses = fit_pupil(points, np.ones(points.shape[:2], bool), "ellipse")
    np.testing.assert_allclose(
        ellipses, ellipses_of_gaze(np.deg2rad(gaze), CENTER, SCALE, RADIUS), atol=1e-6
    )
    found = calibrate_eye(ellipses)
    np.testing.assert_allclose([*found.center_px, found.scale_px], [*CENTER, SCALE], atol=1e-6)
    assert found.r == pytest.approx(1.0)
    theta, phi = eye_angles(ellipses[:, 0], ellipses[:, 1], found)
    np.testing.assert_allclose(np.stack([theta, phi], -1), gaze, atol=1e-6)


def test_noise_of_tracking_leaves_angles_within_a_degree():
    rng = np.random.default_rng(2)
    gaze = np.clip(rng.normal([9.0, 7.0], [12.0, 10.0], (8000, 2)), -40, 45)
    points = edge_points(gaze) + rng.normal(0, 0.3, (8000, 8, 2))
    ellipses = fit_pupil(points, np.ones(points.shape[:2], bool), "ellipse")
    found = calibrate_eye(ellipses)
    angles = np.stack(eye_angles(ellipses[:, 0], ellipses[:, 1], found), -1)
    assert found.r > 0.5
    assert np.nanmedian(np.abs(angles - gaze), axis=0).max() < 1.0


def test_calibration_is_refused_where_it_is_undetermined():
    near = ellipses_of_gaze(np.full((200, 2), 0.1), CENTER, SCALE, RADIUS)
    with pytest.raises(DataError, match=r"0 frames .* `center_px` and `scale_px`"):
        calibrate_eye(near)
    sideways = np.deg2rad(np.stack([np.linspace(30, 50, 200), np.zeros(200)], -1))
    with pytest.raises(DataError, match="point the same way"):
        calibrate_eye(ellipses_of_gaze(sideways, CENTER, SCALE, RADIUS))


def test_a_pupil_beyond_the_sphere_is_lost():
    theta, phi = eye_angles(np.array([10.0, 200.0]), np.zeros(2), EyeCalibration((0.0, 0.0), 100.0))
    assert np.isfinite(theta[0])
    assert np.isnan([theta[1], phi[1]]).all()


def inertial(attitude: Rotation, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """What ideal sensors measure of a turning head: acceleration in g, rotation in deg/s."""
    steps = attitude[:-1].inv() * attitude[1:]
    rotation = np.rad2deg(steps.as_rotvec()) * rate_hz
    rotation = np.concatenate([rotation, rotation[-1:]])
    # rates belong to the middle of a step; move them to the samples
    rotation[1:-1] = (rotation[:-2] + rotation[1:-1]) / 2
    return attitude.inv().apply([0.0, 0.0, 1.0]), rotation


def swinging(n: int, rate_hz: float, seed: int) -> tuple[np.ndarray, Rotation]:
    """Yaw, pitch and roll (deg) that swing, and the attitude they make."""
    rng = np.random.default_rng(seed)
    times = np.arange(n) / rate_hz
    tones = rng.uniform(0.1, 2, (3, 3, 2))  # axis, tone, frequency and phase
    waves = np.sin(2 * np.pi * times[:, None, None] * tones[..., 0] + tones[..., 1]).sum(-1)
    angles = waves * [40, 12, 8] + [0, -18, 5]
    yaw, pitch, roll = angles.T
    attitude = (
        Rotation.from_rotvec(yaw[:, None] * [0, 0, 1], degrees=True)
        * Rotation.from_rotvec(-pitch[:, None] * [0, 1, 0], degrees=True)
        * Rotation.from_rotvec(roll[:, None] * [1, 0, 0], degrees=True)
    )
    return angles, attitude


def test_posture_of_a_swinging_head():
    n = 60_000
    angles, attitude = swinging(n, 200.0, 3)
    acceleration, rotation = inertial(attitude, 200.0)
    # Forces of the movement: averaged over 1 s (700 samples of equal weight) an sd of 0.22 deg.
    push = 0.1 * np.random.default_rng(0).standard_normal((n, 3))
    bias = [2.0, -1.5, 1.0]
    found = head_posture(np.arange(n) / 200.0, acceleration + push, rotation + bias)
    for estimate, true in ((found.pitch_deg, angles[:, 1]), (found.roll_deg, angles[:, 2])):
        error = np.abs(estimate - true)
        assert np.median(error) < 0.25
        assert error.max() < 1.5
    turning = np.gradient(angles[:, 0], 1 / 200.0)
    flat = (np.abs(angles[:, 1:]) < 10).all(1)  # about the vertical it is the change of heading
    assert np.corrcoef(found.yaw_velocity_deg_s[flat], turning[flat])[0, 1] > 0.9
    assert found.quality["gravity_g"] == pytest.approx(1.0, abs=0.05)
    for axis in ("forward", "left", "up"):
        assert found.quality[f"gain_{axis}"] == pytest.approx(1.0, abs=0.1)
    assert found.quality["bias_forward_deg_s"] == pytest.approx(2.0, abs=1.0)
    assert found.quality["bias_left_deg_s"] == pytest.approx(-1.5, abs=1.0)


def test_static_postures_have_stated_signs():
    still = np.zeros((100, 3))
    times = np.arange(100) / 100.0
    for up, pitch, roll in (
        ([0.0, 0.0, 1.0], 0, 0),
        ([np.sin(0.5), 0.0, np.cos(0.5)], np.rad2deg(0.5), 0),  # nose up: forward reads +
        ([0.0, np.sin(0.5), np.cos(0.5)], 0, np.rad2deg(0.5)),  # right side down: left reads +
    ):
        found = head_posture(times, np.tile(up, (100, 1)), still)
        np.testing.assert_allclose(found.pitch_deg, pitch, atol=1e-9)
        np.testing.assert_allclose(found.roll_deg, roll, atol=1e-9)


def test_turned_axes_and_wrong_units_are_refused():
    _, attitude = swinging(6000, 200.0, 4)
    acceleration, rotation = inertial(attitude, 200.0)
    times = np.arange(6000) / 200.0
    with pytest.raises(DataError, match=r"median acceleration is 9\.8"):
        head_posture(times, 9.80665 * acceleration, rotation)
    with pytest.raises(DataError, match="reads \\+1 g"):
        head_posture(times, -acceleration, rotation)
    for k, name in enumerate(("forward", "left")):
        flipped = rotation.copy()
        flipped[:, k] *= -1
        with pytest.raises(DataError, match=f"about `{name}` turns against gravity"):
            head_posture(times, acceleration, flipped)


def test_posture_is_lost_where_samples_are():
    angles, attitude = swinging(4000, 200.0, 5)
    acceleration, rotation = inertial(attitude, 200.0)
    acceleration[1000:1400] = np.nan
    found = head_posture(np.arange(4000) / 200.0, acceleration, rotation)
    assert np.isnan(found.pitch_deg[1000:1400]).all()
    known = np.isfinite(found.pitch_deg)
    assert known.sum() == 3600
    assert np.abs(found.pitch_deg - angles[:, 1])[known].max() < 0.5


def test_speed_of_circles_and_jumps():
    times = np.arange(2000) / 60.0
    angle = times  # 1 rad/s on a circle of 20 cm
    position = 4.0 * 20 * np.stack([np.cos(angle), np.sin(angle)], -1)
    position[300:330] = np.nan
    position[700] = 1e4
    speed, quality = running_speed(times, position, px_per_cm=4.0)
    assert np.isnan(speed[300:330]).all()
    assert np.isnan(speed[700])
    known = np.isfinite(speed)
    assert known.sum() == 2000 - 31
    np.testing.assert_allclose(speed[known], 20.0, rtol=0.01)
    assert quality["share_jumps"] == pytest.approx(1 / 2000)


def test_speed_agrees_with_a_plain_loop():
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.01, 0.05, 200))
    position = np.cumsum(rng.normal(0, 1, (200, 2)), 0)
    speed, _ = running_speed(times, position, 2.0, smoothing_s=0.1, max_speed_cm_s=1e9)
    for i in range(0, 200, 17):
        near = np.abs(times - times[i]) <= 0.1
        slopes = [np.polyfit(times[near], position[near, k] / 2.0, 1)[0] for k in range(2)]
        assert speed[i] == pytest.approx(np.hypot(*slopes), rel=1e-6)


def test_heading_from_above_and_from_below():
    back = np.zeros((4, 2))
    front = np.array([[1.0, 0.0], [0.0, -1.0], [-1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(heading(front, back), [0, 90, 180, np.nan])
    below = heading(front, back, is_from_below=True)
    np.testing.assert_allclose(below, [0, -90, 180, np.nan])


def brown_loop(lens: Lens, ray: np.ndarray) -> np.ndarray:
    """OpenCV's documented formula, for one direction."""
    k1, k2, p1, p2, k3 = lens.coefficients
    x, y = ray[0] / ray[2], ray[1] / ray[2]
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    xd = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    yd = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return np.array(
        [lens.focal_px[0] * xd + lens.center_px[0], lens.focal_px[1] * yd + lens.center_px[1]]
    )


def test_lens_models_as_documented():
    lens = Lens("pinhole", (60.0, 62.0), (40.0, 29.0), (-0.2, 0.05, 0.001, -0.002, 0.01))
    rays = np.random.default_rng(0).uniform([-0.5, -0.4, 1], [0.5, 0.4, 1.5], (20, 3))
    expected = np.stack([brown_loop(lens, ray) for ray in rays])
    np.testing.assert_allclose(lens.project(rays), expected, atol=1e-9)
    fisheye = Lens("fisheye", (40.0, 40.0), (39.5, 29.5), (0.02, -0.01, 0.0, 0.0))
    angle = 0.7
    ray = np.array([[np.sin(angle) * 0.6, np.sin(angle) * 0.8, np.cos(angle)]])
    radius = 40 * angle * (1 + 0.02 * angle**2 - 0.01 * angle**4)
    np.testing.assert_allclose(fisheye.project(ray), [[39.5 + 0.6 * radius, 29.5 + 0.8 * radius]])
    assert np.isnan(lens.project(np.array([[0.0, 0.1, -1.0]]))).all()


def test_undistorted_frames_show_each_direction_where_it_belongs():
    """The world's brightness is a smooth function of direction; both frames sample it."""

    def world(rays: np.ndarray) -> np.ndarray:
        return 128 + 60 * np.sin(6 * rays[..., 0]) + 50 * np.cos(5 * rays[..., 1])

    size = (90, 120)
    lens = Lens("fisheye", (60.0, 60.0), (58.0, 46.0), (0.05, -0.02))
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    offset = np.stack([(x - 58.0) / 60.0, (y - 46.0) / 60.0], -1)
    distorted = np.hypot(offset[..., 0], offset[..., 1])
    angles = np.linspace(0, 1.6, 4000)
    spread = angles * (1 + 0.05 * angles**2 - 0.02 * angles**4)
    angle = np.interp(distorted, spread, angles)
    side = offset / np.maximum(distorted, 1e-12)[..., None] * np.sin(angle)[..., None]
    camera = np.floor(world(np.concatenate([side, np.cos(angle)[..., None]], -1)) + 0.5)
    reader = ArrayFrames(np.stack([camera] * 2).astype(np.uint8), "camera")
    frames = UndistortedFrames(reader, lens)
    for number, frame in frames.read(np.array([0, 1])):
        expected = world(rays_of_frame(size, "equidistant", 60.0))
        seen = frame > 0
        assert seen.mean() > 0.9
        assert np.abs(frame[seen] - expected[seen]).max() < 3
        assert number in (0, 1)
    assert frames.quality()["share_seen"] == pytest.approx(seen.mean(), abs=0.01)
    assert frames.deg_per_px == pytest.approx(np.rad2deg(1 / 60))


def test_a_lens_of_another_size_is_refused():
    reader = ArrayFrames(np.ones((1, 9, 12), np.uint8), "camera")
    lens = Lens("pinhole", (10.0, 10.0), (5.5, 4.0))
    with pytest.raises(ShapeError, match="calibrated for"):
        list(UndistortedFrames(reader, lens, calibrated_size=(480, 640)).read(np.array([0])))
    far = Lens("pinhole", (10.0, 10.0), (9000.0, 4.0))
    with pytest.raises(DataError, match="no pixel lies in the frame"):
        list(UndistortedFrames(reader, far).read(np.array([0])))


def trains(seed: int) -> Iterator[tuple[np.ndarray, np.ndarray, float, float]]:
    """Pulses of both clocks, of which some are missing, and the truth."""
    rng = np.random.default_rng(seed)
    for offset, drift in ((0.2, 5e-5), (-1234.5, -8e-5), (1.6e9, 2e-4)):
        true = np.cumsum(rng.uniform(0.5, 1.5, 1500))
        session = true[rng.random(1500) > 0.05][20:]
        own = (true[rng.random(1500) > 0.05][:-100] - offset) / (1 + drift)
        own = own + rng.normal(0, 2e-4, len(own))
        yield own, session, offset, drift


@pytest.mark.parametrize("seed", range(4))
def test_pulses_with_missing_ones_give_offset_and_drift(seed: int):
    for own, session, offset, drift in trains(seed):
        found = clock_of_pulses(own, session)
        at = np.array([own[0], own[-1]])
        error = found.offset_s + (1 + found.drift) * at - (offset + (1 + drift) * at)
        assert np.abs(error).max() < 3e-4
        assert found.drift == pytest.approx(drift, abs=1e-6)
        assert found.n_missing_own > 0
        assert found.n_missing_session > 0
        assert found.residual_ms < 0.5


def test_pulses_at_equal_intervals_need_an_offset_nearby():
    session = np.arange(600.0)
    own = (np.delete(session, [3, 100, 101]) - 0.2) / (1 + 5e-5)
    with pytest.raises(DataError, match=r"several offsets .*`near_offset_s`"):
        clock_of_pulses(own, session)
    found = clock_of_pulses(own, session, near_offset_s=0.0)
    assert (found.offset_s, found.drift) == pytest.approx((0.2, 5e-5), abs=1e-7)
    assert found.n_missing_own == 3
    complete = clock_of_pulses((session - 7.2) / (1 + 5e-5), session)
    assert complete.offset_s == pytest.approx(7.2, abs=1e-6)


def test_pulses_of_another_train_are_refused():
    rng = np.random.default_rng(0)
    a, b = (np.cumsum(rng.uniform(0.5, 1.5, 300)) for _ in range(2))
    with pytest.raises(DataError, match="do not match"):
        clock_of_pulses(a, b)
    with pytest.raises(DataError, match="3 pulses on the clock of the stream"):
        clock_of_pulses(a[:3], b)
