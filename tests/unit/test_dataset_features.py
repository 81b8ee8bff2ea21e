"""Feature names and the transform from columns to features."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from builders import make_recording
from freegaze.dataset.behavior import (
    BehaviorTransform,
    fit_behavior_transform,
    tracked_bins,
)
from freegaze.dataset.features import FEATURE_SETS, base_signals, resolve_features
from freegaze.errors import ConfigError, DataError
from freegaze.recording.recording import Segment

RECORDED = ("speed", "pitch", "roll", "phi", "theta", "pupil_radius")


@pytest.mark.parametrize(
    ("name", "size"),
    [("orig", 6), ("velo", 6), ("all", 11), ("orig_prod", 21), ("velo_prod", 21), ("all_prod", 66)],
)
def test_sets_have_the_size_of_the_paper(name, size):
    assert len(resolve_features(name, RECORDED)) == size


def test_products_are_pairs_in_order_without_squares():
    assert FEATURE_SETS["orig_prod"][6:9] == ("speed*pitch", "speed*roll", "speed*phi")
    assert FEATURE_SETS["all_prod"][-1] == "d_theta*d_pupil_radius"
    assert not any(a == b for a, b in (n.split("*") for n in FEATURE_SETS["all_prod"] if "*" in n))


def test_names_and_sets_mix_and_repeat_once():
    assert resolve_features(["S", "speed", "d_theta*roll"], RECORDED) == (
        *("speed", "pupil_radius", "d_pupil_radius"),
        "d_theta*roll",
    )
    assert base_signals(["a*b", "b", "c"]) == ("a", "b", "c")


@pytest.mark.parametrize("wrong", ["sped", "d_gz", "speed*gz", "a*b*c", "speed*", ""])
def test_unknown_features_are_named(wrong):
    with pytest.raises(ConfigError, match="feature"):
        resolve_features([wrong], RECORDED)


def recording_with(columns: dict[str, list[float]], segments=None):
    n_bins = len(next(iter(columns.values())))
    base = make_recording(n_bins=n_bins, segments=segments, roles=("train",), bin_width_s=0.5)
    behavior = np.array(list(columns.values()), dtype=np.float32).T
    return replace(
        base,
        behavior=behavior,
        behavior_names=tuple(columns),
        behavior_units=("deg",) * len(columns),
    )


def raw(recording, names, **options):
    transform = fit_behavior_transform(
        recording, names, np.arange(recording.n_bins), standardize=False, **options
    )
    return transform.features(torch.from_numpy(transform.signals(recording))).numpy()


def test_derivative_is_per_second_and_zero_at_each_segment_start():
    segments = [Segment(0, 3, "train"), Segment(3, 5, "train")]
    recording = recording_with({"x": [1, 2, 4, 9, 10]}, segments)
    assert raw(recording, ["d_x"])[:, 0].tolist() == [0, 2, 4, 0, 2]


def test_paper_derivative_is_per_bin_from_zero():
    segments = [Segment(0, 3, "train"), Segment(3, 5, "train")]
    recording = recording_with({"x": [1, 2, 4, 9, 10]}, segments)
    assert raw(recording, ["d_x"], derivative="paper")[:, 0].tolist() == [1, 1, 2, 9, 1]


def test_gaps_are_interpolated_and_derivatives_do_not_jump():
    recording = recording_with({"x": [np.nan, 2, np.nan, 4, 4, np.nan]})
    assert raw(recording, ["x"])[:, 0].tolist() == [2, 2, 3, 4, 4, 4]
    # Only bins 3 -> 4 have both ends tracked: slope 0 there, and nowhere else anything is known.
    assert raw(recording, ["d_x"])[:, 0].tolist() == [0, 0, 0, 0, 0, 0]


def test_zero_policy_puts_zeros_into_gaps():
    recording = recording_with({"x": [5, np.nan, 7]})
    assert raw(recording, ["x"], nan_policy="zero")[:, 0].tolist() == [5, 0, 7]
    paper = raw(recording, ["d_x"], nan_policy="zero", derivative="paper")[:, 0]
    assert paper.tolist() == [5, -5, 7]


def test_mask_marks_bins_whose_columns_were_lost():
    recording = recording_with({"x": [5, np.nan, 7], "y": [1, 2, np.nan]})
    transform = fit_behavior_transform(recording, ["x"], np.arange(3), nan_policy="mask")
    assert transform.usable(recording).tolist() == [True, False, True]
    assert tracked_bins(recording, ["d_x*y"]).tolist() == [True, False, False]


def test_a_segment_without_tracking_gets_the_training_median():
    segments = [Segment(0, 3, "train"), Segment(3, 5, "test")]
    recording = recording_with({"x": [1, 2, 9, np.nan, np.nan]}, segments)
    transform = fit_behavior_transform(recording, ["x"], np.arange(3), standardize=False)
    assert transform.signals(recording)[3:, 0].tolist() == [2, 2]


def test_a_signal_lost_in_all_training_bins_is_an_error():
    segments = [Segment(0, 2, "train"), Segment(2, 4, "test")]
    recording = recording_with({"x": [np.nan, np.nan, 1, 2]}, segments)
    with pytest.raises(DataError, match="'x' is lost in every training bin"):
        fit_behavior_transform(recording, ["x"], np.arange(2))


def test_features_are_standardized_on_training_bins_alone():
    recording = make_recording(n_bins=300)
    train = np.arange(100)
    transform = fit_behavior_transform(recording, ["speed", "speed*theta"], train)
    features = transform.features(torch.from_numpy(transform.signals(recording))).numpy()
    np.testing.assert_allclose(features[train].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(features[train].std(0), 1, atol=1e-5)
    changed = replace(recording, behavior=recording.behavior.copy())
    changed.behavior[100:] *= 50
    again = fit_behavior_transform(changed, ["speed", "speed*theta"], train)
    assert again == transform


def test_products_multiply_standardized_signals():
    recording = make_recording(n_bins=50)
    transform = fit_behavior_transform(recording, ["speed", "theta", "speed*theta"], np.arange(50))
    speed, theta, product = transform.features(torch.from_numpy(transform.signals(recording))).T
    expected = speed * theta
    expected = (expected - expected.mean()) / expected.std(correction=0)
    torch.testing.assert_close(product, expected, atol=1e-5, rtol=0)


@settings(deadline=None, max_examples=30)
@given(st.permutations(["z", "a", "m", "a*z", "z*m", "d_a"]), st.integers(1, 6))
def test_features_are_products_of_their_columns_in_any_order(names, n_names):
    columns = {name: np.random.default_rng(ord(name)).normal(size=9) for name in "zam"}
    recording = recording_with({name: values.tolist() for name, values in columns.items()})
    signals = columns | {"d_a": np.diff(columns["a"], prepend=columns["a"][0]) / 0.5}
    features = raw(recording, names[:n_names])
    for i, name in enumerate(names[:n_names]):
        expected = np.prod([signals[part] for part in name.split("*")], axis=0)
        np.testing.assert_allclose(features[:, i], expected, rtol=1e-5, err_msg=name)


def test_transform_survives_json():
    recording = make_recording(n_bins=50)
    transform = fit_behavior_transform(recording, ["speed*d_theta"], np.arange(50))
    plain = json.loads(json.dumps(asdict(transform)))
    assert TypeAdapter(BehaviorTransform).validate_python(plain) == transform


def test_no_features_at_all():
    recording = make_recording(n_bins=20)
    transform = fit_behavior_transform(recording, [], np.arange(20))
    assert transform.features(torch.from_numpy(transform.signals(recording))).shape == (20, 0)
    assert transform.usable(recording).all()


def pupil_recording():
    made = make_recording(n_bins=60, segments=[Segment(0, 40, "train"), Segment(40, 60, "test")])
    radius = (5 + made.behavior[:, :1] ** 2).astype(np.float32)
    radius[10:13] = np.nan
    behavior = np.concatenate([made.behavior[:, 1:], radius], 1)
    names = (*made.behavior_names[1:], "pupil_radius")
    return replace(made, behavior=behavior, behavior_names=names)


def test_the_pupil_area_follows_from_its_radius():
    recording = pupil_recording()
    assert resolve_features("pupil_area", recording.behavior_names) == ("pupil_area",)
    transform = fit_behavior_transform(
        recording,
        ["pupil_area", "d_pupil_area"],
        np.arange(40),
        derivative="paper",
        nan_policy="zero",
        standardize=False,
    )
    area = np.pi * np.nan_to_num(recording.column("pupil_radius").astype(float)) ** 2
    signals = transform.signals(recording)
    np.testing.assert_allclose(signals[:, 0], area, rtol=1e-5)
    np.testing.assert_allclose(signals[1:40, 1], np.diff(area[:40]), rtol=1e-4, atol=1e-4)
    assert not tracked_bins(recording, ["pupil_area"])[10:13].any()
    with pytest.raises(ConfigError, match="'pupil_area' needs the column 'pupil_radius'"):
        resolve_features("pupil_area", ["speed"])


def test_segment_sd_divides_by_each_segments_own_sd():
    recording = pupil_recording()
    transform = fit_behavior_transform(
        recording, ["theta"], np.arange(40), nan_policy="zero", standardize="segment_sd"
    )
    signals, raw = transform.signals(recording)[:, 0], recording.column("theta").astype(float)
    for part in (slice(0, 40), slice(40, 60)):
        np.testing.assert_allclose(signals[part], raw[part] / raw[part].std(), rtol=1e-5)
    assert TypeAdapter(BehaviorTransform).validate_python(asdict(transform)) == transform


@pytest.mark.parametrize("n_features", [1, 2, 8, 9, 17])
def test_features_are_standardized_as_all_at_once(n_features):
    recording = make_recording(n_bins=3000)
    names = resolve_features(
        ["speed", "theta", "phi", "d_theta", "d_phi"], recording.behavior_names
    )
    products = [f"{a}*{b}" for a in names for b in names if a < b]
    chosen = [*names, *products, *(f"{name}*speed" for name in names[2:])][:n_features]
    train = recording.bins_of("train")
    fitted = fit_behavior_transform(recording, chosen, train)
    raw = fit_behavior_transform(recording, chosen, train, standardize=False)
    signals = raw.signals(recording)[train].astype(np.float64)
    center, scale = np.array(fitted.signal_center), np.array(fitted.signal_scale)
    features = raw.features(torch.from_numpy((signals - center) / scale)).numpy()
    np.testing.assert_allclose(fitted.feature_center, features.mean(0), atol=1e-6)
    np.testing.assert_allclose(fitted.feature_scale, features.std(0), rtol=1e-5)


def test_a_heading_is_interpolated_the_short_way_and_enters_as_cosine_and_sine():
    recording = recording_with({"yaw": [350, 359, np.nan, 1, 10], "speed": [1, 2, 3, 4, 5]})
    assert resolve_features(["yaw", "speed*yaw"], recording.behavior_names) == (
        *("cos_yaw", "sin_yaw"),
        *("speed*cos_yaw", "speed*sin_yaw"),
    )
    known = np.radians([350, 359, 0, 1, 10])
    found = raw(recording, ["cos_yaw", "sin_yaw", "speed*sin_yaw"])
    np.testing.assert_allclose(found[:, 0], np.cos(known), atol=1e-6)
    np.testing.assert_allclose(found[:, 1], np.sin(known), atol=1e-6)
    np.testing.assert_allclose(found[:, 2], np.arange(1, 6) * np.sin(known), atol=1e-6)


def test_a_heading_turns_the_short_way_per_second():
    recording = recording_with({"yaw": [350, 359, 3, 1, 10]})
    np.testing.assert_allclose(raw(recording, ["d_yaw"])[:, 0], [0, 18, 8, -4, 18])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=30), st.integers(1, 4))
def test_a_heading_means_the_same_a_turn_later(angles, turns):
    one = recording_with({"yaw": angles})
    other = recording_with({"yaw": [a + 360 * turns for a in angles]})
    names = ["cos_yaw", "sin_yaw"]
    np.testing.assert_allclose(raw(one, names), raw(other, names), atol=1e-3)


def test_lost_headings_are_zero_where_that_is_asked_for():
    recording = recording_with({"yaw": [350, np.nan, 10, 20]})
    found = raw(recording, ["cos_yaw", "sin_yaw"], nan_policy="zero")
    assert found[1].tolist() == [0, 0]


def test_a_heading_in_radians_turns_at_two_pi():
    degrees = recording_with({"yaw": [350, 359, np.nan, 1, 10]})
    radians = replace(degrees, behavior=np.radians(degrees.behavior), behavior_units=("rad",))
    np.testing.assert_allclose(
        raw(radians, ["cos_yaw", "sin_yaw"]), raw(degrees, ["cos_yaw", "sin_yaw"]), atol=1e-5
    )


def test_tracked_bins_of_a_heading():
    recording = recording_with({"yaw": [350, np.nan, 10, 20]})
    assert tracked_bins(recording, ["sin_yaw"]).tolist() == [True, False, True, True]
