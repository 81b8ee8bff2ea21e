"""Fields of the virtual mouse beside its own under white noise, from a file of both blocks."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from freegaze.errors import CheckpointError, DataError
from freegaze.explanation.fields.against import (
    compare_with,
    in_words,
    load_comparison,
    pick_other,
    save_comparison,
)
from freegaze.explanation.result import SessionExplanation
from freegaze.recording.recording import Recording
from freegaze.simulation import SimulationConfig, Truth, simulate
from freegaze.simulation.white_noise import show_white_noise
from freegaze.sources.source import open_recordings
from report_runs import make_explanation

CONFIG = SimulationConfig(minutes=0.5, n_neurons=16, seed=0, frame_size=(30, 40), n_segments=2)


def write_blocks(file: Path, **blocks: Recording) -> None:
    with h5py.File(file, "w") as stream:
        for block, r in blocks.items():
            names = {"theta": "th", "phi": "phi", "pupil_radius": "eyerad"}
            values = {f"model_{key}": r.column(ours) for ours, key in names.items()}
            values |= {"model_nsp": r.responses, "model_vid_sm": r.video()}
            values["model_t"] = np.arange(r.n_bins) * r.bin_width_s
            for key, value in (values | {"unit_nums": np.arange(r.n_neurons)}).items():
                stream[f"mouse/{block}/{key}"] = value


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[SessionExplanation, Recording, Truth]:
    """What was found freely moving (the true fields, noisy), and the head-fixed block."""
    free, truth = simulate(CONFIG)
    file = tmp_path_factory.mktemp("both") / "ModelData_all.h5"
    write_blocks(file, fm1=free, hfwn=show_white_noise(CONFIG, minutes=10))
    (fixed,) = open_recordings("niell2022", file, block="hfwn")
    (again,) = open_recordings("niell2022", file)
    rng = np.random.default_rng(1)
    true = truth.receptive_field[:, :1] * np.array([0.1, 0.3, 1.0])[:, None, None]
    fields = true / (true.std((1, 2, 3), keepdims=True) + 1e-12) + 0.5 * rng.normal(size=true.shape)
    explanation = replace(
        make_explanation(again, frame_size=(30, 40)),
        lag=1,
        fields={"linear": fields.astype(np.float32), "triggered": fields.astype(np.float32)},
    )
    return explanation, fixed, truth


def test_white_noise_is_shown_to_the_same_neurons():
    noise = show_white_noise(CONFIG, minutes=1)
    free, truth = simulate(CONFIG)
    assert noise.unit_ids == free.unit_ids
    assert "speed" not in noise.behavior_names
    again = show_white_noise(CONFIG, minutes=1)
    np.testing.assert_array_equal(noise.responses, again.responses)
    assert not np.array_equal(noise.frames, show_white_noise(CONFIG, 1, seed=1).frames)
    # Mean rates are kept; 1,250 bins of Poisson counts give them within 4 standard errors.
    rate_hz = noise.responses.mean(0) / noise.bin_width_s
    error = np.sqrt(truth.mean_rate_hz / 60)
    assert (np.abs(rate_hz - truth.mean_rate_hz) < 5 * error).all()


def test_matched_fields_agree_and_mismatched_do_not(world):
    explanation, fixed, truth = world
    comparison = compare_with(explanation, fixed)
    told = comparison.about["linear"]
    rows = comparison.table[comparison.table["method"] == "linear"]
    simple = (truth.kind == "simple") & (truth.modulation != "behavior_only")
    simple &= truth.modulation != "untuned"
    matched = rows["correlation"].to_numpy()[simple].mean()
    others = rows["mismatched"].to_numpy()[simple].mean()
    print(f"{matched:.2f} matched, {others:.2f} mismatched, session {told['mean']:.2f}")
    assert matched > 0.4
    assert matched > others + 0.3
    assert told["mean"] > told["null_95"]
    assert told["p"] == pytest.approx(1 / 201)
    assert abs(told["shift_px"][0]) <= 1
    assert abs(told["shift_px"][1]) <= 1
    assert comparison.fields["linear"].shape == (16, 2, 30, 40)
    assert "p = 0.005" in in_words(comparison)


def test_units_are_matched_by_name(world):
    explanation, fixed, _ = world
    order = np.random.default_rng(0).permutation(16)
    shuffled = replace(
        fixed,
        responses=fixed.responses[:, order],
        unit_ids=tuple(fixed.unit_ids[i] for i in order),
    )
    a, b = compare_with(explanation, fixed), compare_with(explanation, shuffled)
    np.testing.assert_allclose(a.table["correlation"], b.table["correlation"], atol=1e-3)
    renamed = replace(fixed, unit_ids=tuple(f"u{i}" for i in range(16)))
    with pytest.raises(DataError, match="share 0 units by name"):
        compare_with(explanation, renamed)


def test_a_comparison_is_kept_and_read(world, tmp_path: Path):
    explanation, fixed, _ = world
    comparison = compare_with(explanation, fixed)
    assert load_comparison(tmp_path, explanation.session_id) is None
    folder = save_comparison(tmp_path, comparison)
    back = load_comparison(tmp_path, explanation.session_id)
    assert back is not None
    np.testing.assert_array_equal(back.fields["linear"], comparison.fields["linear"])
    assert back.table["unit_id"].tolist() == comparison.table["unit_id"].tolist()
    assert in_words(back) == in_words(comparison)
    (folder / "against.npz").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="the comparison in .* is broken"):
        load_comparison(tmp_path, explanation.session_id)


def test_the_other_recording_is_picked_by_name(world):
    _, fixed, _ = world
    other = replace(fixed, session_id="other")
    assert pick_other("mouse", [other, fixed]) is fixed
    assert pick_other("mouse", [other]) is other
    with pytest.raises(DataError, match="no recording of session 'x'"):
        pick_other("x", [fixed, other])
