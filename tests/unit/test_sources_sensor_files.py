"""Sensors, clocks and lens of laboratory files: the keys of the YAML, from files to columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from builders import copy_tiny
from freegaze.errors import ConfigError, DataError, FreegazeError
from freegaze.recording.recording import Recording
from freegaze.sources.alignment.assembly import TIME
from freegaze.sources.alignment.bins import interpolate_angle
from freegaze.sources.sensors.eye import ellipses_of_gaze
from freegaze.sources.source import open_recordings


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return copy_tiny("files", tmp_path)


def opened(file: Path, change: Any = None) -> Recording:
    config = yaml.safe_load(file.read_text())
    if change is not None:
        change(config)
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    (recording,) = open_recordings("files", file)
    return recording


def write_points(file: Path, points: dict[str, np.ndarray], likelihood: float = 0.99) -> None:
    """Write points (time, 2) as DeepLabCut's CSV."""
    columns = pd.MultiIndex.from_product(
        [["net"], list(points), ["x", "y", "likelihood"]], names=["scorer", "bodyparts", "coords"]
    )
    n = len(next(iter(points.values())))
    blocks = [np.column_stack([xy, np.full(n, likelihood)]) for xy in points.values()]
    pd.DataFrame(np.column_stack(blocks), columns=columns).to_csv(file)


def pupil_points(gaze_deg: np.ndarray, center: tuple[float, float]) -> dict[str, np.ndarray]:
    seen = ellipses_of_gaze(np.deg2rad(gaze_deg), center, 90.0, 20.0)
    x, y, long_axis, short_axis, direction = seen.T[..., None]
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    a, b = long_axis * np.cos(angle), short_axis * np.sin(angle)
    u = x + a * np.cos(direction) - b * np.sin(direction)
    v = y + a * np.sin(direction) + b * np.cos(direction)
    return {f"p{i}": np.stack([u[:, i], v[:, i]], -1) for i in range(8)}


def slow(seed: int, n: int, sd: float) -> np.ndarray:
    """Two signals that are smooth from sample to sample, (n, 2)."""
    rng = np.random.default_rng(seed)
    tones = rng.uniform(0.2, 1.0, (2, 3)), rng.uniform(0, 6, (2, 3))
    times = np.arange(n)[:, None, None] / 60.0
    return sd * np.sqrt(2 / 3) * np.sin(2 * np.pi * times * tones[0] + tones[1]).sum(-1)


def test_two_eyes_by_the_model_of_the_eye_with_columns_of_their_own(lab: Path):
    gaze = {side: slow(k, 720, 20.0) for k, side in enumerate(("left", "right"))}
    for side in gaze:
        write_points(lab.parent / f"{side}.csv", pupil_points(gaze[side], (160.0, 120.0)))

    def change(config: dict[str, Any], rename: bool = True) -> None:
        config["behavior"].pop("eye", None)
        for side in gaze:
            names = ("theta", "phi", "pupil_x", "pupil_y", "pupil_radius")
            config["behavior"][side] = {
                "kind": "deeplabcut",
                "file": f"{side}.csv",
                "timestamps": "world_times.csv",
                "gaze": {"theta_positive": "left"},
            }
            if rename:
                config["behavior"][side]["rename"] = {n: f"{n}_{side}" for n in names}

    found = opened(lab, change)
    times = (np.arange(720) + 0.5) / 60.0
    for side in gaze:
        for k, (name, sign) in enumerate((("theta", -1), ("phi", 1))):
            true = np.interp(found.annotations[TIME], times, gaze[side][:, k])
            np.testing.assert_allclose(found.column(f"{name}_{side}"), sign * true, atol=0.01)
        quality = found.provenance["alignment"]["quality"][f"behavior.{side}"]
        assert quality["scale_px"] == pytest.approx(90.0, abs=1e-6)
        assert quality["r"] > 0.999
    with pytest.raises(DataError, match=r"left and behavior.right hold .*`rename: \{pupil_x:"):
        opened(lab, lambda config: change(config, rename=False))


def test_stated_calibration_and_median_reference(lab: Path):
    gaze = slow(3, 720, 5.0) + np.array([12.0, -4.0])  # too little for a calibration by axes
    write_points(lab.parent / "eye.csv", pupil_points(gaze, (160.0, 120.0)))
    eye = {"kind": "deeplabcut", "file": "eye.csv", "timestamps": "world_times.csv", "gaze": {}}

    def change(config: dict[str, Any]) -> None:
        config["behavior"]["eye"] = eye

    with pytest.raises(DataError, match="state `center_px` and `scale_px`"):
        opened(lab, change)
    eye["gaze"] = {"center_px": [160.0, 120.0], "scale_px": 90.0, "reference": "median"}
    found = opened(lab, change)
    quality = found.provenance["alignment"]["quality"]["behavior.eye"]
    assert quality["reference_theta_deg"] == pytest.approx(np.median(gaze[:, 0]), abs=1e-4)
    assert np.abs(np.median(found.column("theta"))) < 0.5
    eye["gaze"] = {"center_px": [160.0, 120.0]}
    with pytest.raises(ConfigError, match="both `center_px` and `scale_px`"):
        opened(lab, change)
    eye["gaze"], eye["shape"] = {}, "circle"
    with pytest.raises(ConfigError, match="`gaze` needs `shape: ellipse`"):
        opened(lab, change)


def test_posture_of_a_device_that_is_mounted_sideways(lab: Path):
    times = (np.arange(3600) + 0.5) / 300.0
    pitch = np.deg2rad(20 * np.sin(times))
    # Device axes: x to the right, y forward, z up, in m/s^2 and rad/s.
    up = np.stack([np.zeros_like(pitch), np.sin(pitch), np.cos(pitch)], -1) * 9.80665
    turn = np.stack([np.deg2rad(20 * np.cos(times)), np.zeros(3600), np.zeros(3600)], -1)
    turn += 0.1 * up / 9.80665  # to the left about the vertical
    table = pd.DataFrame(np.column_stack([1000 * times, up, turn]))
    table.columns = ["ms", "ax", "ay", "az", "gx", "gy", "gz"]
    table.to_csv(lab.parent / "raw_imu.csv", index=False)
    imu: dict[str, Any] = {
        "kind": "imu",
        "file": "raw_imu.csv",
        "time": "ms",
        "clock": {"scale_to_s": 0.001},
        "acceleration": ["ax", "ay", "az"],
        "rotation": ["gx", "gy", "gz"],
        "axes": ["y", "-x", "z"],
        "acceleration_unit": "m/s^2",
        "rotation_unit": "rad/s",
    }

    def change(config: dict[str, Any]) -> None:
        config["behavior"]["imu"] = imu

    found = opened(lab, change)
    true = 20 * np.sin(found.annotations[TIME])
    assert np.median(np.abs(found.column("pitch") - true)) < 0.5
    assert np.median(np.abs(found.column("roll"))) < 0.5
    np.testing.assert_allclose(found.column("yaw_velocity"), np.rad2deg(0.1), atol=0.2)
    about_head = np.rad2deg(0.1) * np.cos(np.deg2rad(true))
    np.testing.assert_allclose(found.column("gz"), about_head, atol=0.01)
    units = dict(zip(found.behavior_names, found.behavior_units, strict=True))
    assert (units["pitch"], units["yaw_velocity"]) == ("deg", "deg/s")
    imu["axes"] = ["y", "x", "z"]
    with pytest.raises(ConfigError, match="right-handed"):
        opened(lab, change)
    imu["axes"] = ["y", "-x", "z"]
    imu["rotation_scale"] = -1.0
    with pytest.raises(DataError, match="about `left` turns against gravity"):
        opened(lab, change)


def test_speed_and_heading_from_above(lab: Path):
    times = (np.arange(720) + 0.5) / 60.0
    angle = np.deg2rad(40.0 * times)
    body = 200 + 5 * 15 * np.stack([np.cos(angle), -np.sin(angle)], -1)  # 15 cm, to the left
    ahead = 10 * np.stack([-np.sin(angle), -np.cos(angle)], -1)
    write_points(lab.parent / "top.csv", {"tail": body, "neck": body, "nose": body + ahead})

    def change(config: dict[str, Any]) -> None:
        del config["behavior"]["wheel"]
        config["behavior"]["top"] = {
            "kind": "top_view",
            "file": "top.csv",
            "rate_hz": 60.0,
            "clock": {"offset_s": 0.5 / 60},
            "point": "tail",
            "front": "nose",
            "back": "neck",
            "px_per_cm": 5.0,
        }

    found = opened(lab, change)
    expected = np.deg2rad(40.0) * 15
    np.testing.assert_allclose(found.column("speed"), expected, rtol=0.01)
    true = 90 + 40.0 * found.annotations[TIME]
    wrapped = (found.column("yaw") - true + 180) % 360 - 180
    np.testing.assert_allclose(wrapped, 0, atol=0.1)
    with pytest.raises(DataError, match="no point 'tial'"):
        opened(lab, lambda config: config["behavior"]["top"].update(point="tial"))


def test_headings_are_interpolated_the_short_way_round():
    times, heading = np.arange(4.0), np.array([170.0, -170.0, np.nan, -150.0])
    found = interpolate_angle(times, heading, np.array([0.5, 2.0]), 5.0)
    np.testing.assert_allclose(found, [-180.0, -160.0])


def test_pulses_put_a_stream_onto_the_session_clock(lab: Path):
    rng = np.random.default_rng(0)
    session = np.cumsum(rng.uniform(0.2, 0.6, 30))
    offset, drift = 0.2, 5e-5
    own = (np.delete(session, [4, 20]) - offset) / (1 + drift)
    np.savetxt(lab.parent / "ttl_session.txt", session)
    pd.DataFrame({"ms": 1000 * own}).to_csv(lab.parent / "ttl_imu.csv", index=False)
    table = pd.read_csv(lab.parent / "imu.csv")
    expected = opened(lab).column("pitch")
    table["time"] = 1000 * (table["time"] - offset) / (1 + drift)
    table.to_csv(lab.parent / "imu.csv", index=False)
    clock = {"kind": "pulses", "own": "ttl_imu.csv", "session": "ttl_session.txt"}

    def change(config: dict[str, Any]) -> None:
        config["behavior"]["imu"]["clock"] = {**clock, "scale_to_s": 0.001}

    found = opened(lab, change)
    np.testing.assert_allclose(found.column("pitch"), expected, atol=1e-3)
    quality = found.provenance["clocks"]["behavior.imu"]
    assert (quality["n_matched"], quality["n_missing_own"]) == (28, 2)
    stated = found.provenance["config"]["behavior"]["imu"]["clock"]
    assert stated["offset_s"] == pytest.approx(0.2, abs=1e-6)
    with pytest.raises(ConfigError, match=r"line \d+: .*`drift`; leave it out"):
        opened(lab, lambda c: c["behavior"]["imu"]["clock"].update(drift=0.1))


def test_dates_are_offsets(lab: Path):
    expected = opened(lab)

    def change(config: dict[str, Any]) -> None:
        config["starts_at"] = "2021-07-09T14:03:20"
        config["behavior"]["imu"]["clock"] = {"starts_at": "2021-07-09T14:03:19.9"}

    table = pd.read_csv(lab.parent / "imu.csv")
    table["time"] += 0.1
    table.to_csv(lab.parent / "imu.csv", index=False)
    np.testing.assert_allclose(opened(lab, change).behavior, expected.behavior, atol=1e-3)
    with pytest.raises(ConfigError, match=r"behavior\.imu\.clock\.starts_at .*time zone of both"):
        opened(lab, lambda c: c.update(starts_at="2021-07-09T14:03:20Z"))
    with pytest.raises(ConfigError, match="state `starts_at`"):
        opened(lab, lambda c: c.pop("starts_at"))


def test_clocks_that_do_not_overlap_name_the_offset_that_joins_them(lab: Path):
    start = 1625839400.0  # seconds since 1970

    def change(config: dict[str, Any]) -> None:
        config["video"]["clock"] = {"offset_s": start}

    with pytest.raises(DataError, match=r"1625839400\.000 to 1625839412\.008 s") as caught:
        opened(lab, change)
    wanted = str(caught.value).split("of the video must be ")[1].split(" s")[0]
    joined = opened(lab, lambda c: c["video"]["clock"].update(offset_s=start + float(wanted)))
    assert joined.n_bins > 200


def test_a_lens_calibrates_the_frames(lab: Path):
    plain = opened(lab)
    lens = {"model": "fisheye", "focal_px": [8.0, 8.0], "center_px": [7.5, 5.5]}
    found = opened(lab, lambda config: config["video"].update(lens=lens))
    np.testing.assert_array_equal(found.video(), plain.video())  # the ideal lens changes nothing
    assert found.deg_per_px == pytest.approx(np.rad2deg(1 / 8.0))
    assert found.provenance["alignment"]["quality"]["video"]["share_seen"] == 1.0
    half = opened(lab, lambda config: config["video"].update(frame_size=[6, 8]))
    assert half.deg_per_px == pytest.approx(2 * np.rad2deg(1 / 8.0))
    lens["coefficients"] = [0.1] * 5
    with pytest.raises(FreegazeError, match="at most four coefficients"):
        opened(lab, lambda config: config["video"].update(lens=lens))
