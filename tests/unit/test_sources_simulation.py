"""Simulated sessions on disk: recording and truth stay together."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import freegaze
from comparing import assert_same_recording
from freegaze.errors import ConfigError, DataError
from freegaze.recording.recording import Recording
from freegaze.simulation import (
    SimulationConfig,
    Truth,
    realism_card,
    realism_card_markdown,
    show_white_noise,
    simulate,
)
from freegaze.sources.simulation import load_truth, write_simulation
from freegaze.sources.source import detect_source, open_recordings
from type_checks import unchecked


@pytest.fixture(scope="module")
def simulated() -> tuple[Recording, Truth]:
    size = {"minutes": 0.5, "n_neurons": 6, "frame_size": (12, 16), "n_segments": 2}
    return simulate(SimulationConfig(seed=2, redraws=1, session_id="sim", **size))


def assert_same_truth(a: Truth, b: Truth) -> None:
    for f in fields(Truth):
        left, right = getattr(a, f.name), getattr(b, f.name)
        if isinstance(left, dict):
            assert list(left) == list(right)
            for key in left:
                np.testing.assert_array_equal(left[key], right[key], err_msg=key)
        else:
            np.testing.assert_array_equal(left, right, err_msg=f.name)


def test_recording_and_truth_come_back(simulated, tmp_path: Path):
    recording, truth = simulated
    session = write_simulation(recording, truth, tmp_path)
    for path in (tmp_path, session):
        (again,) = open_recordings("simulation", path, min_rate_hz=0)
        assert_same_recording(recording, again)
        assert_same_truth(truth, load_truth(path))
    assert again.provenance["truth"] == str(session / "truth.npz")
    assert detect_source(session) == "simulation"


def test_the_truth_of_the_neurons_that_were_kept(simulated, tmp_path: Path):
    recording, truth = simulated
    session = write_simulation(recording, truth, tmp_path)
    kept = recording.select_neurons([4, 1])
    picked = load_truth(session, kept)
    np.testing.assert_array_equal(picked.oracle, truth.oracle[:, [4, 1]])
    np.testing.assert_array_equal(kept.reference_rates["oracle"], picked.oracle)


def test_slow_neurons_are_left_out_where_asked(simulated, tmp_path: Path):
    recording, truth = simulated
    write_simulation(recording, truth, tmp_path)
    assert open_recordings("simulation", tmp_path)[0].n_neurons == recording.n_neurons
    (again,) = open_recordings("simulation", tmp_path, min_rate_hz=3.0)
    expected = [
        unit
        for unit, rate in zip(recording.unit_ids, recording.rates_hz("train"), strict=True)
        if rate >= 3
    ]
    assert list(again.unit_ids) == expected
    assert 0 < len(expected) < 6


def test_the_layout_of_the_original_holds_both_videos(simulated, tmp_path: Path):
    recording, truth = simulated
    session = write_simulation(recording, truth, tmp_path, layout="xu2023")
    but = ("behavior_units", "unit_ids", "reference_rates", "deg_per_px", "annotations")
    (mean,) = open_recordings("xu2023", tmp_path, units="all")
    assert_same_recording(recording, mean, but=but)
    (middle,) = open_recordings("xu2023", tmp_path, video="vid_middle")
    np.testing.assert_array_equal(middle.frames, truth.alternative_frames)
    assert_same_truth(truth, load_truth(session))


@pytest.mark.parametrize("layout", ["store", "xu2023"])
def test_a_session_is_replaced_only_when_asked(layout, simulated, tmp_path: Path):
    write_simulation(*simulated, tmp_path, layout=layout)
    with pytest.raises(DataError, match="exists already"):
        write_simulation(*simulated, tmp_path, layout=layout)
    write_simulation(*simulated, tmp_path, layout=layout, overwrite=True)
    assert_same_truth(simulated[1], load_truth(tmp_path))


@unchecked()
def test_an_unknown_layout_is_refused(simulated, tmp_path: Path):
    with pytest.raises(ConfigError, match="unknown layout 'nwb' .nearest: store, xu2023"):
        write_simulation(*simulated, tmp_path, layout="nwb")


def test_a_missing_damaged_or_foreign_truth(simulated, tmp_path: Path):
    recording, truth = simulated
    with pytest.raises(DataError, match=r"holds no truth\.npz"):
        load_truth(tmp_path)
    session = write_simulation(recording, truth, tmp_path)
    other = simulate(SimulationConfig(minutes=0.6, n_neurons=2, frame_size=(12, 16)))[0]
    with pytest.raises(DataError, match="is not the truth of session"):
        load_truth(session, other)
    arrays = truth.to_arrays()
    np.savez(session / "truth.npz", **{k: v for k, v in arrays.items() if k != "kind"})
    with pytest.raises(DataError, match=r"truth\.npz: .*'kind' is missing"):
        load_truth(session)
    (session / "truth.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"truth\.npz cannot be read"):
        load_truth(session)


def test_several_sessions_need_one_to_be_named(simulated, tmp_path: Path):
    recording, truth = simulated
    for name in ("a", "b"):
        renamed = Recording(**{**vars(recording), "session_id": name})
        write_simulation(renamed, truth, tmp_path)
    with pytest.raises(DataError, match="holds several sessions"):
        load_truth(tmp_path)
    assert [r.session_id for r in open_recordings("simulation", tmp_path)] == ["a", "b"]


def test_the_card_is_written_beside_the_recording(tmp_path: Path):
    config = SimulationConfig(minutes=3.0, n_neurons=4, seed=2, frame_size=(12, 16))
    recording = freegaze.simulate(tmp_path, config=config, card=True)
    session = tmp_path / config.session_id
    card = realism_card([recording], [load_truth(session)])
    text = (session / "realism_card.md").read_text()
    assert text == f"# Realism card of {config.session_id}\n\n{realism_card_markdown(card)}"
    (again,) = open_recordings("simulation", tmp_path)
    assert_same_recording(recording, again)


def test_white_noise_is_a_store_without_a_truth(tmp_path: Path):
    config = SimulationConfig(minutes=0.5, n_neurons=4, seed=2, frame_size=(12, 16))
    recording = freegaze.simulate(tmp_path, config=config, stimulus="white_noise")
    session = tmp_path / config.session_id
    assert_same_recording(recording, show_white_noise(config, minutes=0.5))
    assert detect_source(session) == "store"
    assert_same_recording(recording, open_recordings("auto", tmp_path)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stimulus": "white_nois"}, "unknown stimulus 'white_nois' .nearest: white_noise"),
        ({"stimulus": "white_noise", "card": True}, "`--card` needs a freely moving mouse"),
        ({"stimulus": "white_noise", "layout": "xu2023"}, "`--layout` needs a freely moving mouse"),
    ],
)
def test_choices_that_do_not_go_together(options: dict, message: str, tmp_path: Path):
    config = SimulationConfig(minutes=0.5, n_neurons=4, frame_size=(12, 16))
    with pytest.raises(ConfigError, match=message):
        freegaze.simulate(tmp_path, config=config, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["rank", "length"])
def test_arrays_of_a_truth_have_the_shape_of_their_field(change: str, simulated, tmp_path: Path):
    recording, truth = simulated
    session = write_simulation(recording, truth, tmp_path)
    arrays = truth.to_arrays()
    for name, array in arrays.items():
        if not array.ndim:
            continue
        wrong = array[..., None] if change == "rank" else array[:-1]
        np.savez(session / "truth.npz", **arrays | {name: wrong})
        if change == "rank" or name.split("/")[0] in ("oracle", "kind", "latent", "best_affine"):
            with pytest.raises(DataError, match=r"truth of a simulation: .*simulate again"):
                load_truth(session, recording)
