"""Files of laboratories with gaps, lost values and odd shapes come back as they were written."""

import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comparing import assert_same_recording
from freegaze.errors import DataError
from freegaze.recording.recording import (
    Recording,
    ResponseKind,
    Segment,
)
from freegaze.recording.reshaping import cut_segments, resize_video
from freegaze.recording.store import save_store
from freegaze.sources.gray import find_gray_scale
from freegaze.sources.source import open_recordings
from freegaze.sources.targets import convert

QUIET = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@QUIET
@given(
    seed=st.integers(0, 10**6),
    n_bins=st.integers(1, 60),
    n_units=st.integers(1, 6),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    gaps=st.sets(st.integers(1, 59), max_size=3),
    lost=st.floats(0, 0.9),
    kind=st.sampled_from(["uint8", "levels", "contrast"]),
)
def test_any_block_of_parker_comes_back(seed, n_bins, n_units, size, gaps, lost, kind):
    rng = np.random.default_rng(seed)
    steps = np.full(n_bins, 0.05)
    cuts = sorted(g for g in gaps if g < n_bins)
    steps[cuts] = rng.uniform(0.2, 50, len(cuts))
    theta = np.where(rng.random(n_bins) < lost, np.nan, rng.normal(size=n_bins))
    theta[0] = 1.0
    video = {
        "uint8": rng.integers(0, 256, (n_bins, *size)).astype(np.uint8),
        "levels": rng.integers(0, 256, (n_bins, *size)).astype(float),
        "contrast": rng.normal(size=(n_bins, *size)),
    }[kind]
    counts = rng.poisson(0.5, (n_bins, n_units)).astype(float)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ModelData_all.h5"
        with h5py.File(file, "w") as stream:
            values = {"model_th": theta, "model_nsp": counts, "model_vid_sm": video}
            for key, value in {**values, "model_t": np.cumsum(steps)}.items():
                stream[f"s/fm1/{key}"] = value
        (r,) = open_recordings("niell2022", file)
        gray = r.provenance["gray"]
    np.testing.assert_array_equal(r.responses, counts)
    np.testing.assert_array_equal(r.column("theta"), theta.astype(np.float32))
    if n_bins - len(cuts) > len(cuts) + 1:  # most steps are no gaps
        assert [s.start for s in r.segments] == [0, *cuts]
    if kind != "contrast":
        np.testing.assert_array_equal(r.video(), video)
    else:
        back = gray["black"] + r.video() / 255.0 * (gray["white"] - gray["black"])
        assert np.abs(back - video).max() <= gray["largest_rounding"] * (1 + 1e-9)


TIERS = ["train", "oracle", "validation", "live_test_main", "odd"]


@QUIET
@given(
    seed=st.integers(0, 10**6),
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    n_neurons=st.integers(1, 4),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    columns=st.sampled_from([0, 2, 3]),
    tiers=st.lists(st.sampled_from(TIERS), min_size=5, max_size=5),
)
def test_any_videos_of_sensorium_come_back(seed, lengths, n_neurons, size, columns, tiers):
    rng = np.random.default_rng(seed)
    longest = max(*lengths, 1)
    written = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "mouse"
        (folder / "meta" / "trials").mkdir(parents=True)
        for i, length in enumerate(lengths):
            video = np.full((*size, longest), np.nan)
            video[:, :, :length] = rng.integers(0, 256, (*size, length))
            responses = np.full((n_neurons, longest), np.nan)
            responses[:, :length] = rng.gamma(1, 1, (n_neurons, length))
            behavior = rng.normal(size=(columns, longest))
            behavior[:, rng.random(longest) < 0.3] = np.nan
            behavior[:, 0] = 1
            written.append((video, responses, behavior))
            arrays = {"videos": video, "responses": responses}
            for key, array in (arrays | ({"behavior": behavior} if columns else {})).items():
                (folder / "data" / key).mkdir(parents=True, exist_ok=True)
                np.save(folder / "data" / key / f"{i}.npy", array)
        np.save(folder / "meta/trials/tiers.npy", np.array(tiers[: len(lengths)]))
        if not any(lengths):
            with pytest.raises(DataError, match="no trial with responses"):
                open_recordings("sensorium", folder)
            return
        (r,) = open_recordings("sensorium", folder)
    there = [i for i, length in enumerate(lengths) if length]
    assert [s.n_bins for s in r.segments] == [lengths[i] for i in there]
    assert all(s.trial for s in r.segments)
    for i, segment in zip(there, r.segments, strict=True):
        video, responses, behavior = (array[..., : lengths[i]] for array in written[i])
        np.testing.assert_array_equal(r.video(segment.bins()), np.moveaxis(video, 2, 0))
        bins = segment.bins()
        np.testing.assert_array_equal(r.responses[bins], responses.T.astype(np.float32))
        np.testing.assert_array_equal(r.behavior[bins], behavior.T.astype(np.float32))


ANY_RECORDING = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10**6),
        "lengths": st.lists(st.integers(1, 9), min_size=1, max_size=6),
        "roles": st.lists(st.sampled_from(["train", "test", None]), min_size=6, max_size=6),
        "trial": st.booleans(),
        "session_id": st.sampled_from(["a", "070921_J553RT", "mouse 1", "µ-2"]),
        "bin_width_s": st.sampled_from([0.048, 1 / 30, 0.5]),
        "kind": st.sampled_from(list(ResponseKind)),
        "n_frames": st.integers(1, 5),
        "n_neurons": st.integers(1, 3),
        "n_columns": st.integers(0, 2),
        "deg_per_px": st.sampled_from([None, 0.7]),
    }
)


def build(drawn: dict) -> Recording:
    """Not within the strategy: the checks of types draw random numbers of their own."""
    rng = np.random.default_rng(drawn["seed"])
    ends = np.cumsum([0, *drawn["lengths"]]).tolist()
    n_bins, n_frames = ends[-1], drawn["n_frames"]
    n_neurons, n_columns = drawn["n_neurons"], drawn["n_columns"]
    behavior = rng.normal(size=(n_bins, n_columns)).astype(np.float32)
    behavior[1:, :][rng.random((n_bins - 1, n_columns)) < 0.4] = np.nan
    return Recording(
        session_id=drawn["session_id"],
        bin_width_s=drawn["bin_width_s"],
        frames=rng.integers(0, 256, (n_frames, 2, 3)).astype(np.uint8),
        frame_index=rng.integers(0, n_frames, n_bins),
        behavior=behavior,
        behavior_names=("speed", "lick")[:n_columns],
        behavior_units=("cm/s", "Hz")[:n_columns],
        responses=rng.poisson(1, (n_bins, n_neurons)).astype(np.float32),
        response_kind=drawn["kind"],
        unit_ids=tuple(f"u{i}" for i in range(n_neurons)),
        segments=tuple(
            Segment(a, b, role, drawn["trial"])
            for (a, b), role in zip(pairwise(ends), drawn["roles"], strict=False)
        ),
        annotations={"light": rng.integers(0, 9, (n_bins, 2))} if drawn["trial"] else {},
        reference_rates={"oracle": rng.random((n_bins, n_neurons)).astype(np.float32)},
        deg_per_px=drawn["deg_per_px"],
    )


@settings(QUIET, max_examples=12)  # each writes two whole folders to the disk
@given(ANY_RECORDING)
def test_lossless_targets_lose_nothing(drawn):
    recording = build(drawn)
    for target in ("store", "arrays"):
        with tempfile.TemporaryDirectory() as folder:
            store = save_store(recording, Path(folder) / "in")
            (written,) = convert("store", store, target, Path(folder) / "out")
            (back,) = open_recordings(target, written.path)
            assert_same_recording(recording, back)


@QUIET
@given(ANY_RECORDING, st.integers(1, 12), st.floats(0.05, 0.95))
def test_cut_segments_cover_every_bin_once(drawn, n: int, test: float):
    recording = build(drawn)
    plain = replace(recording, segments=tuple(replace(s, trial=False) for s in recording.segments))
    try:
        cut = cut_segments(plain, n, test)
    except DataError as error:
        if "too few" not in str(error):
            raise
        return
    assert sum(s.n_bins for s in cut.segments) == recording.n_bins
    assert {s.role for s in cut.segments} == {"train", "test"}
    assert len(cut.segments) >= 2 * n


@QUIET
@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([1e-3, 1.0, 300.0]),
    st.floats(0, 0.5),
)
def test_gray_levels_keep_order_and_bounds(seed, size, spread, lost):
    rng = np.random.default_rng(seed)
    frames = rng.normal(scale=spread, size=(6, *size))
    frames[1:][rng.random(5) < lost] = np.nan
    scale = find_gray_scale(lambda: iter([frames]), "video")
    levels = scale.apply(frames)
    known = ~np.isnan(frames)
    order = np.argsort(frames[known], kind="stable")
    assert (np.diff(levels[known][order].astype(int)) >= 0).all()
    back = scale.low + levels[known] * (scale.high - scale.low) / 255
    half_a_step = (scale.high - scale.low) / 255 / 2
    assert np.abs(back - frames[known]).max() <= half_a_step * (1 + 1e-6)


@QUIET
@given(ANY_RECORDING, st.tuples(st.integers(1, 8), st.integers(1, 8)))
def test_resized_frames_stay_within_the_range(drawn, size):
    recording = build(drawn)
    new = resize_video(recording, size).frames
    assert new.shape == (len(recording.frames), *size)
    assert new.min() >= recording.frames.min()
    assert new.max() <= recording.frames.max()
