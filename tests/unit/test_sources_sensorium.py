"""Sensorium folders: images and videos, tiers as roles, ends of trials, withheld responses."""

from pathlib import Path

import numpy as np
import pytest

from freegaze.dataset.splits import split_recording
from freegaze.errors import ConfigError, DataError, ShapeError
from freegaze.recording.recording import Recording, ResponseKind
from freegaze.sources.sensorium.source import SensoriumSource
from freegaze.sources.source import open_recordings

N_IMAGES = 12
TIERS_2022 = [*["train"] * 6, *["validation"] * 2, *["test"] * 2, "final_test", "final_test"]


def write_images(folder: Path, **trials) -> Path:
    """A session of 2022; ``trials`` are further values of each trial."""
    rng = np.random.default_rng(0)
    for name in ("images", "responses", "behavior", "pupil_center"):
        (folder / "data" / name).mkdir(parents=True)
    (folder / "meta" / "trials").mkdir(parents=True)
    (folder / "meta" / "neurons").mkdir()
    images = rng.integers(0, 256, (N_IMAGES, 1, 9, 16)).astype(np.float32)
    images[9] = images[8]  # a repeated test image
    for i in range(N_IMAGES):
        is_hidden = TIERS_2022[i] == "final_test"
        np.save(folder / "data/images" / f"{i}.npy", images[i])
        np.save(folder / "data/responses" / f"{i}.npy", rng.gamma(1, 1, 4) * (not is_hidden))
        np.save(folder / "data/behavior" / f"{i}.npy", rng.normal(size=(1, 3) if i % 2 else 3))
        np.save(folder / "data/pupil_center" / f"{i}.npy", rng.normal(size=2))
    np.save(folder / "meta/trials/tiers.npy", np.array(TIERS_2022))
    for name, values in {"trial_idx": rng.permutation(N_IMAGES), **trials}.items():
        np.save(folder / f"meta/trials/{name}.npy", values)
    np.save(folder / "meta/neurons/unit_ids.npy", np.arange(10, 14))
    return folder


def tiny(folder: Path) -> Path:
    return SensoriumSource().write_tiny(folder, 0)


def open_one(folder: Path, **options) -> Recording:
    return open_recordings("sensorium", folder, **options)[0]


def test_images_are_trials_of_one_bin(tmp_path: Path):
    folder = write_images(tmp_path / "static1", frame_image_id=np.arange(N_IMAGES))
    r = open_one(folder)
    assert (r.bin_width_s, r.session_id) == (0.5, "static1")
    assert r.response_kind is ResponseKind.INFERRED_SPIKES
    assert r.behavior_names == (
        *("pupil_radius", "pupil_radius_change", "speed", "pupil_x", "pupil_y"),
    )
    assert all(s.trial and s.n_bins == 1 for s in r.segments)
    assert [s.role for s in r.segments] == ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    assert r.unit_ids == ("10", "11", "12", "13")
    for i in range(10):
        image = np.load(folder / f"data/images/{i}.npy")[0]
        np.testing.assert_array_equal(r.video()[i], image)
        response = np.load(folder / f"data/responses/{i}.npy").astype(np.float32)
        np.testing.assert_array_equal(r.responses[i], response)
    assert (
        r.annotations["trial_idx"].tolist()
        == np.load(folder / "meta/trials/trial_idx.npy").tolist()[:10]
    )
    assert r.annotations["tier"].tolist() == TIERS_2022[:10]


def test_repeated_stimuli_share_their_pixels(tmp_path: Path):
    r = open_one(write_images(tmp_path / "s"))
    assert len(r.frames) == 9
    assert r.frame_index[8] == r.frame_index[9]


def test_withheld_tiers_are_left_out_and_told(tmp_path: Path):
    folder = write_images(tmp_path / "s")
    r = open_one(folder)
    assert r.provenance["tiers_withheld"] == ["final_test"]
    kept = open_one(folder, withheld=True)
    assert (kept.n_bins, kept.segments[-1].role) == (N_IMAGES, "test")
    assert not kept.responses[-2:].any()
    with pytest.raises(DataError, match="no trial with responses.*withheld"):
        open_one(folder, tiers=["final_test"])


def test_tiers_can_be_chosen_and_get_other_roles(tmp_path: Path):
    folder = write_images(tmp_path / "s")
    r = open_one(folder, tiers=["train", "validation"], roles={"validation": "test"})
    assert {s.role for s in r.segments} == {"train", "test"}
    assert set(r.annotations["tier"]) == {"train", "validation"}
    with pytest.raises(DataError, match=r"no trial of tier 'live'.*final_test, test"):
        open_one(folder, tiers=["live"])
    with pytest.raises(ConfigError, match="roles"):
        open_one(folder, roles={"train": "learn"})


def test_videos_end_where_the_padding_begins(tmp_path: Path):
    folder = tiny(tmp_path)
    r = open_one(folder)
    assert r.bin_width_s == pytest.approx(1 / 30)
    for segment in r.segments:
        bins = segment.bins()
        number = r.annotations["trial_number"][bins[0]]
        video = np.load(folder / f"data/videos/{number}.npy")
        n_there = int((~np.isnan(video[0, 0])).sum())
        assert segment.n_bins == n_there
        np.testing.assert_array_equal(r.video(bins), np.moveaxis(video, 2, 0)[:n_there])
        responses = np.load(folder / f"data/responses/{number}.npy").T[:n_there]
        np.testing.assert_array_equal(r.responses[bins], responses.astype(np.float32))
        behavior = np.load(folder / f"data/behavior/{number}.npy").T[:n_there]
        np.testing.assert_array_equal(r.behavior[bins, :2], behavior.astype(np.float32))
    assert r.provenance["bins_after_the_end"] == 12 * 20 - r.n_bins
    by_tier = dict(zip(r.annotations["tier"], r.segment_index(), strict=True))
    roles = {tier: r.segments[i].role for tier, i in by_tier.items()}
    assert roles == {
        "train": "train",
        "oracle": "validation",
        "live_test_main": "test",
        "none": None,
    }


def test_the_split_follows_the_tiers(tmp_path: Path):
    r = open_one(tiny(tmp_path))
    split = split_recording(r)
    tiers = r.annotations["tier"]
    assert set(tiers[split.bins("train")]) == {"train"}
    assert set(tiers[split.bins("validation")]) == {"oracle"}
    assert set(tiers[split.bins("test")]) == {"live_test_main"}


def test_fractions_are_rounded_and_told(tmp_path: Path):
    folder = write_images(tmp_path / "s")
    image = np.full((1, 9, 16), 7.25)
    image[0, 0, 0] = -0.3
    np.save(folder / "data/images/3.npy", image)
    r = open_one(folder)
    assert (r.video()[3][0, 0], r.video()[3][1, 1]) == (0, 7)
    assert r.provenance["largest_rounding"] == pytest.approx(0.3)


def test_what_may_be_missing(tmp_path: Path):
    folder = write_images(tmp_path / "s", segment=np.arange(N_IMAGES), odd=np.zeros(3))
    for name in ("behavior", "pupil_center"):
        for file in (folder / "data" / name).iterdir():
            file.unlink()
        (folder / "data" / name).rmdir()
    (folder / "meta/neurons/unit_ids.npy").unlink()
    np.save(folder / "meta/trials/code.npy", np.array([{}] * N_IMAGES), allow_pickle=True)
    r = open_one(folder)
    assert r.behavior.shape == (10, 0)
    assert r.unit_ids == ("0", "1", "2", "3")
    assert "trials_segment" in r.annotations
    assert r.provenance["ignored_files"] == ["meta/trials/code.npy", "meta/trials/odd.npy"]


def test_columns_can_be_left_out(tmp_path: Path):
    folder = write_images(tmp_path / "s")
    assert open_one(folder, leave_out=["speed", "pupil_x"]).behavior_names == (
        *("pupil_radius", "pupil_radius_change", "pupil_y"),
    )
    with pytest.raises(DataError, match="no behavior column 'sped'"):
        open_one(folder, leave_out=["sped"])


@pytest.mark.parametrize(
    ("file", "value", "error", "message"),
    [
        ("data/images/3.npy", np.zeros((2, 9, 16)), ShapeError, r"3\.npy: expected \(1, height"),
        ("data/images/3.npy", np.zeros((1, 9, 15)), ShapeError, "trials must agree"),
        ("data/images/3.npy", np.full((1, 9, 16), 300.0), DataError, "0..255.*to 300"),
        ("data/images/3.npy", np.zeros((1, 9, 16), bool), DataError, "expected gray values"),
        ("data/responses/3.npy", np.zeros(5), ShapeError, "trials must agree"),
        ("data/responses/3.npy", np.zeros(0), ShapeError, "expected .value, time."),
        ("data/responses/3.npy", -np.ones(4), DataError, r"3\.npy: inferred_spikes cannot be neg"),
        ("data/responses/3.npy", np.array(["a"] * 4), DataError, "expected numbers"),
        (
            "data/behavior/3.npy",
            np.zeros(2),
            ShapeError,
            r"3\.npy has 2 values .* has 3; trials must agree",
        ),
        ("data/pupil_center/3.npy", np.zeros(3), ShapeError, "expected x and y, got 3"),
        ("meta/trials/tiers.npy", np.zeros(12), DataError, "list of names"),
        ("meta/trials/tiers.npy", np.zeros(0, "U3"), DataError, "names no trial"),
        ("meta/trials/tiers.npy", np.array(["train"] * 13), DataError, r"12\.npy does not exist"),
        (
            "meta/neurons/unit_ids.npy",
            np.arange(3),
            ShapeError,
            r"unit_ids\.npy has shape \(3,\), expected one name .* for 4",
        ),
    ],
)
def test_faults_name_the_file(tmp_path: Path, file, value, error, message):
    folder = write_images(tmp_path / "s")
    np.save(folder / file, value)
    with pytest.raises(error, match=message):
        open_one(folder)


def test_a_hole_in_a_video_is_refused(tmp_path: Path):
    folder = tiny(tmp_path)
    video = np.load(folder / "data/videos/0.npy")
    video[2, 2, 5] = np.nan
    np.save(folder / "data/videos/0.npy", video)
    with pytest.raises(DataError, match=r"videos/0\.npy.*NaN only after the trial's end"):
        open_one(folder)
    np.save(folder / "data/videos/0.npy", video[:, :, :10])
    with pytest.raises(ShapeError, match=r"responses/0\.npy.*with 10 bins as in videos"):
        open_one(folder)


def test_a_trial_without_data_is_left_out(tmp_path: Path):
    folder = tiny(tmp_path)
    video = np.load(folder / "data/videos/2.npy")
    np.save(folder / "data/videos/2.npy", np.full_like(video, np.nan))
    r = open_one(folder)
    assert r.provenance["empty_trials"] == [2]
    assert 2 not in r.annotations["trial_number"]


def test_images_and_videos_together_are_refused(tmp_path: Path):
    folder = write_images(tmp_path / "s")
    (folder / "data/videos").mkdir()
    with pytest.raises(DataError, match="`images` or `videos`"):
        open_one(folder)


def test_trials_without_a_file_of_responses_are_withheld(tmp_path: Path):
    folder = write_images(tmp_path / "s")
    expected = open_one(folder)
    for i in (10, 11):
        (folder / f"data/responses/{i}.npy").unlink()
    r = open_one(folder)
    assert r.provenance["tiers_withheld"] == ["final_test"]
    np.testing.assert_array_equal(r.responses, expected.responses)


def test_tiers_stored_as_bytes(tmp_path: Path):
    folder = write_images(tmp_path / "s")
    np.save(folder / "meta/trials/tiers.npy", np.array(TIERS_2022, dtype="S"))
    assert open_one(folder).annotations["tier"].tolist() == TIERS_2022[:10]
