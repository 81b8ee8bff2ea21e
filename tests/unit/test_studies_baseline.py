"""The convex encoder beside a run: same bins, one fit, shown in every report."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import freegaze
from builders import make_recording
from freegaze.recording.recording import Recording
from freegaze.runs.run_folder import RunFolder
from freegaze.studies.baseline import BASELINE, baseline_config, baseline_folder, fit_baseline

SETTINGS = {"data.history": 3, "data.min_rate_hz": 0, "split.gap_s": 0.2, "training.device": "cpu"}


@pytest.fixture(scope="module")
def recording() -> Recording:
    return make_recording(n_bins=1200, n_neurons=2, frame_size=(12, 16))


@pytest.fixture(scope="module")
def run(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "mean"
    freegaze.fit(recording, folder, model="mean_rate", settings=SETTINGS)
    freegaze.evaluate(folder, recording, draws=20)
    return folder


def test_a_report_fits_the_baseline_once_and_shows_it_from_then_on(
    run: Path, recording: Recording
) -> None:
    assert BASELINE not in freegaze.report(run, recording).read_text()
    assert BASELINE in freegaze.report(run, recording, baseline=True).read_text()
    fitted = RunFolder(baseline_folder(run))
    written = fitted.encoder.stat().st_mtime_ns
    assert fit_baseline(run, [recording]) == fitted.path
    assert BASELINE in freegaze.report(run, recording).read_text()
    assert fitted.encoder.stat().st_mtime_ns == written
    own, other = RunFolder(run).config(), fitted.config()
    assert (own.data, own.split) == (other.data, other.split)


@pytest.mark.parametrize("kind", ["none", "affine"])
@pytest.mark.parametrize("is_recorded", [False, True])
def test_the_baseline_has_a_shifter_where_the_run_has_one_and_its_input_is_recorded(
    run: Path, recording: Recording, kind: str, is_recorded: bool
) -> None:
    if is_recorded:
        head = dict.fromkeys(("pitch", "roll"), recording.behavior[:, 0])
        recording = replace(
            recording,
            behavior=np.column_stack([recording.behavior, *head.values()]),
            behavior_names=(*recording.behavior_names, *head),
            behavior_units=(*recording.behavior_units, "deg", "deg"),
        )
    config = RunFolder(run).config()
    changed = config.model_copy(update={"model": {"name": "cnn", "shifter": {"kind": kind}}})
    has_shifter = baseline_config(changed, [recording]).model["shifter"]["kind"] != "none"
    assert has_shifter == (is_recorded and kind != "none")
