"""From one format to another: the same where it can be, a sentence where it cannot."""

import contextlib
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from builders import make_trial_recording
from comparing import assert_same_recording
from freegaze.errors import ConfigError, DataError, RegistryError
from freegaze.recording.recording import Recording, Segment
from freegaze.recording.store import open_store, save_store
from freegaze.sources.nwb.predictions import read_predictions, write_predictions
from freegaze.sources.source import SOURCES, open_recordings
from freegaze.sources.targets import TARGETS, ConversionConfig, Target, convert
from freegaze.sources.tiny import make_tiny_recording
from interrupted_commands import start_command


@pytest.fixture(params=SOURCES.names(), scope="module")
def tiny(request, tmp_path_factory) -> tuple[str, Path, dict]:
    source = SOURCES.get(request.param)
    path = source().write_tiny(tmp_path_factory.mktemp(request.param), 1)
    return request.param, path, dict(source.tiny_options)


@pytest.mark.parametrize("target", ["store", "arrays", "nwb"])
def test_every_source_survives_the_lossless_targets(tiny, target: str, tmp_path: Path):
    name, path, options = tiny
    originals = open_recordings(name, path, **options)
    written = convert(name, path, target, tmp_path, options)
    assert [w.session_id for w in written] == [r.session_id for r in originals]
    for original, session in zip(originals, written, strict=True):
        (back,) = open_recordings(target, session.path)
        losses = " ".join(session.losses)
        is_shown = len(np.unique(original.frame_index)) == len(original.frames)
        assert ("frames that no bin shows" in losses) == (target == "nwb" and not is_shown)
        packed = () if target != "nwb" or is_shown else ("frames", "frame_index")
        assert_same_recording(original, back, but=packed)
        np.testing.assert_array_equal(original.video(), back.video())
        if target != "arrays":
            origin = {k: v for k, v in original.provenance.items() if not k.startswith("opened")}
            assert origin.items() <= back.provenance.items()
        assert ("provenance" in losses) == (target == "arrays")
        assert ("truth" in losses) == (name == "simulation")
    assert all(s.is_relative_to(tmp_path) for s in (w.path for w in written))


def test_what_was_changed_is_in_the_manifest(tmp_path: Path):
    source = SOURCES.get("niell2022")().write_tiny(tmp_path, 0)
    config = ConversionConfig(resize=(6, 8), segments=4, test=0.25)
    told = []
    (written,) = convert(
        "niell2022", source, "store", tmp_path / "out", config=config,
        progress=lambda *step: told.append(step),
    )  # fmt: skip
    r = open_store(written.path, verify=True)
    assert r.frame_size == (6, 8)
    assert [(s.n_bins, s.role) for s in r.segments] == [(45, "train"), (15, "test")] * 4
    conversion = r.provenance["conversion"]
    assert conversion["resize"] == {"from": [12, 16], "to": [6, 8]}
    assert (conversion["segments"], conversion["test"]) == (4, 0.25)
    assert r.provenance["source"] == "niell2022"
    assert told[-1] == ("writing 070921_TINY", 1, 1)
    assert ("resizing 070921_TINY", 240, 240) in told


def save(recording: Recording, folder: Path) -> Path:
    return save_store(recording, folder / "in")


def test_the_originals_layout_holds_what_it_can(tmp_path: Path):
    tiny = make_tiny_recording(0)
    units = ("cm/s", "raw", *tiny.behavior_units[2:])
    r = replace(tiny, behavior_units=units)
    (written,) = convert("store", save(r, tmp_path), "xu2023", tmp_path / "out")
    assert len(written.losses) == 1
    (back,) = open_recordings("xu2023", tmp_path / "out", units="all")
    assert_same_recording(r, back)


def test_the_originals_layout_says_what_it_cannot_hold(tmp_path: Path):
    r = make_tiny_recording(0)
    rich = replace(
        r,
        behavior=np.concatenate([r.behavior[:, 1:], r.behavior[:, :1]], axis=1),
        behavior_names=(*r.behavior_names[1:], "lick"),
        behavior_units=("deg/s", *r.behavior_units[2:], "Hz"),
        unit_ids=tuple("abcde"),
        annotations={"light": np.arange(240)},
        reference_rates={"oracle": r.responses},
        deg_per_px=1.0,
        frames=r.frames[:5],
        frame_index=np.arange(240) % 5,
        segments=tuple(replace(s, trial=True) for s in r.segments),
    )
    (written,) = convert("store", save(rich, tmp_path), "xu2023", tmp_path / "out")
    told = "\n".join(written.losses)
    for word in ("unit ids", "lick", "gz in deg/s", "leave_out: ['speed']", "light", "oracle"):
        assert word in told
    for word in ("deg_per_px", "trials", "share frames", "provenance"):
        assert word in told
    (back,) = open_recordings("xu2023", tmp_path / "out", units="all", leave_out=["speed"])
    np.testing.assert_array_equal(back.video(), rich.video())
    np.testing.assert_array_equal(back.responses, rich.responses)


def test_the_way_to_the_originals_layout_is_shown(tmp_path: Path):
    whole = replace(make_tiny_recording(0), segments=(Segment(0, 240),))
    store = save(whole, tmp_path)
    with pytest.raises(DataError, match=r"cut it with --segments 10 --test 0\.3"):
        convert("store", store, "xu2023", tmp_path / "out")
    config = ConversionConfig(segments=10, test=0.3)
    convert("store", store, "xu2023", tmp_path / "out", config=config)
    (back,) = open_recordings("xu2023", tmp_path / "out", units="all")
    assert [s.role for s in back.segments] == ["train", "test"] * 10
    with pytest.raises(DataError, match="spike counts"):
        convert(
            "auto", SOURCES.get("sensorium")().write_tiny(tmp_path, 0), "xu2023", tmp_path / "o"
        )


@pytest.mark.parametrize("target", TARGETS.names())
def test_nothing_is_replaced(target: str, tmp_path: Path):
    store = save(make_tiny_recording(0), tmp_path)
    (first,) = convert("store", store, target, tmp_path / "out")
    assert not first.was_there
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    (again,) = convert("store", store, target, tmp_path / "out")
    assert again.was_there
    other = save(make_tiny_recording(1), tmp_path / "b")
    with pytest.raises(DataError, match="exists already and holds something else"):
        convert("store", other, target, tmp_path / "out")
    assert before == {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_place_that_is_taken_is_found_before_anything_is_written(tmp_path: Path):
    for name in ("a", "b"):
        save_store(make_tiny_recording(0, session_id=name), tmp_path / "in" / name)
    taken = tmp_path / "out" / "b.npz"
    taken.parent.mkdir()
    taken.write_text("mine")
    with pytest.raises(DataError, match=r"b\.npz exists already"):
        convert("store", tmp_path / "in", "arrays", tmp_path / "out")
    assert [p.name for p in taken.parent.iterdir()] == ["b.npz"]
    taken.unlink()
    taken.symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"b\.npz exists already"):
        convert("store", tmp_path / "in", "arrays", tmp_path / "out")


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    }


def contents(target: str, folder: Path) -> dict[str, bytes]:
    """The bytes of each file; of NWB, in which ids and dates are new each time, what it holds."""
    if target != "nwb":
        return tree(folder)
    found = {}
    for name in tree(folder):
        (recording,) = open_recordings("nwb", folder / name)
        origin = {k: v for k, v in recording.provenance.items() if not k.startswith("opened")}
        with tempfile.TemporaryDirectory() as place:
            store = save_store(replace(recording, provenance=origin), Path(place) / "store")
            found[name] = b"".join(file for _, file in sorted(tree(store).items()))
    return found


@pytest.mark.parametrize("target", TARGETS.names())
def test_a_killed_conversion_is_gone_on_with(target: str, tmp_path: Path):
    """Killed at some flush to the disk, the same call ends as an undisturbed one does."""
    for name in ("a", "b"):
        save_store(make_tiny_recording(0, session_id=name), tmp_path / "in" / name)
    convert("store", tmp_path / "in", target, tmp_path / "whole")
    moments = {"arrays": (1, 2, 3), "nwb": (1, 2, 4), "store": (5, 7, 13), "xu2023": (3, 42)}
    for at in moments[target]:
        out = tmp_path / f"{target}{at}"
        words = ["convert", "store", tmp_path / "in", "--to", target, "--out", out]
        process = start_command(words, killed_at_flush=at)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        if out.exists():  # what is visible is whole
            assert contents(target, out).items() <= contents(target, tmp_path / "whole").items()
            with contextlib.suppress(DataError):
                for recording in open_recordings(target, out):
                    assert recording.session_id in ("a", "b")
        convert("store", tmp_path / "in", target, out)
        assert contents(target, out) == contents(target, tmp_path / "whole")


def test_nwb_that_holds_anything_else_is_never_taken_for_the_same(tmp_path: Path):
    r = replace(make_tiny_recording(0), annotations={"light": np.arange(240)})
    convert("store", save(r, tmp_path), "nwb", tmp_path / "out")
    changes = (
        {"responses": r.responses + 1},
        {"annotations": {"light": np.arange(240.0)}},
        {"unit_ids": tuple("abcde")},
        {"behavior_units": ("m/s", *r.behavior_units[1:])},
        {"deg_per_px": 2.0},
        {"segments": (Segment(0, 240),)},
        {"provenance": {"source": "elsewhere"}},
    )
    for i, change in enumerate(changes):
        other = save(replace(r, **change), tmp_path / str(i))
        with pytest.raises(DataError, match="exists already and holds something else"):
            convert("store", other, "nwb", tmp_path / "out")
    place = tmp_path / "out" / f"{r.session_id}.nwb"
    rates, units = np.ones((240, 5)), r.unit_ids
    write_predictions(place, r, rates, np.arange(240), units)  # more beside it is no harm
    (again,) = convert("store", tmp_path / "in", "nwb", tmp_path / "out")
    assert again.was_there
    np.testing.assert_array_equal(read_predictions(place)[0], rates)
    SOURCES.get("nwb")().write_tiny(tmp_path, 0).replace(place)
    with pytest.raises(DataError, match="exists already and holds something else"):
        convert("store", tmp_path / "in", "nwb", tmp_path / "out")


def test_nwb_says_which_frames_and_axes_it_cannot_hold(tmp_path: Path):
    r = make_tiny_recording(0)
    deep = {"deep": np.zeros((240, 1, 1, 1, 1)), "flat": np.zeros(240)}
    r = replace(r, frame_index=np.arange(240) // 2, annotations=deep)
    (written,) = convert("store", save(r, tmp_path), "nwb", tmp_path / "out")
    assert written.losses == (
        "120 frames that no bin shows",
        "annotation deep: more axes than NWB has",
    )
    (back,) = open_recordings("nwb", written.path)
    assert list(back.annotations) == ["flat"]


@pytest.mark.parametrize("source", ["nwb", "files"])
def test_the_originals_preprocessing_is_one_call(source: str, tmp_path: Path):
    """Bins of 48 ms, frames of 60 x 80, 10 segments of which the last 30 % test."""
    path = SOURCES.get(source)().write_tiny(tmp_path, 0)
    config = ConversionConfig(bin_ms=48, resize=(60, 80), segments=10, test=0.3)
    (written,) = convert(source, path, "store", tmp_path / "out", config=config)
    r = open_store(written.path)
    (direct,) = open_recordings(source, path, bin_width_s=0.048)
    np.testing.assert_array_equal(r.responses, direct.responses)
    assert r.bin_width_s == 0.048
    assert r.frame_size == (60, 80)
    assert [s.role for s in r.segments] == ["train", "test"] * 10
    share = len(r.bins_of("test")) / r.n_bins
    assert abs(share - 0.3) < 0.5 * 10 / r.n_bins  # each border is rounded to a bin
    told = r.provenance["conversion"]
    assert (told["bin_ms"], told["segments"], told["test"]) == (48, 10, 0.3)
    assert told["resize"]["to"] == [60, 80]
    assert r.provenance["options"]["bin_width_s"] == 0.048


def test_bins_that_exist_are_not_made_again(tmp_path: Path):
    config = ConversionConfig(bin_ms=48)
    store = save(make_tiny_recording(0), tmp_path)
    with pytest.raises(
        ConfigError, match=r"'store' holds bins already.*raw files: files, niell_ephys, nwb"
    ):
        convert("auto", store, "arrays", tmp_path / "out", config=config)
    (own,) = convert("store", store, "nwb", tmp_path / "out")
    with pytest.raises(ConfigError, match="so that `bin_width_s` cannot be chosen"):
        convert("nwb", own.path, "arrays", tmp_path / "out", config=config)
    raw = SOURCES.get("nwb")().write_tiny(tmp_path, 0)
    with pytest.raises(ConfigError, match="give one of them"):
        convert("auto", raw, "arrays", tmp_path / "out", {"bin_width_s": 0.05}, config)


@pytest.mark.parametrize("name", ["../out", "a/b", "..", "", "a\\b", "x" * 300])
def test_a_session_never_leads_out_of_the_folder(name: str, tmp_path: Path):
    store = save(replace(make_tiny_recording(0), session_id=name), tmp_path)
    for target in TARGETS:
        with pytest.raises(DataError, match="cannot name a file"):
            convert("store", store, target, tmp_path / "out" / "deep")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_trials_that_are_none_stay_none_in_arrays(tmp_path: Path):
    """Short equal segments are guessed to be trials only where the file does not say."""
    trials = make_trial_recording(n_trials=4, n_bins=20)
    none = trials.with_segments([replace(s, trial=False) for s in trials.segments])
    for recording in (trials, none):
        folder = tmp_path / str(recording.segments[0].trial)
        (written,) = convert("store", save(recording, folder), "arrays", folder)
        assert_same_recording(recording, open_recordings("arrays", written.path)[0])


def test_a_target_is_one_row(tmp_path: Path):
    row = Target("text", lambda out, name: out / name, lambda r, out: out, lambda r: ["all"])
    TARGETS.register("text")(row)
    try:
        assert "text" in TARGETS
        store = save(make_tiny_recording(0), tmp_path)
        assert convert("store", store, "text", tmp_path / "out")[0].losses == ("all",)
    finally:
        del TARGETS._things["text"]
    with pytest.raises(RegistryError, match="unknown target 'text'.*`freegaze targets`"):
        convert("store", store, "text", tmp_path / "out")


def test_a_failed_conversion_leaves_nothing(tmp_path: Path, monkeypatch):
    store = save(make_tiny_recording(0), tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("freegaze.recording.store.write_npy", full)
    with pytest.raises(DataError, match="No space left"):
        convert("store", store, "store", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
