"""Bench: tables against evaluations and comparisons, and what an existing folder continues."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from builders import make_recording, make_trial_recording
from freegaze.errors import ConfigError, DataError, RegistryError
from freegaze.evaluation.compare import compare
from freegaze.evaluation.storage import load_evaluation
from freegaze.metrics.blocks import TimeBlocks
from freegaze.recording.recording import Segment
from freegaze.recording.store import save_store
from freegaze.sources.source import write_example
from freegaze.studies.bench import bench
from freegaze.studies.bench_result import cluster_blocks, collect
from freegaze.studies.config import BenchConfig, find_recordings, fit_config, read_encoders
from freegaze.studies.folder import open_bench

SETTINGS = {
    "training.max_passes": 2,
    "training.device": "cpu",
    "data.min_rate_hz": 0,
    "data.history": 3,
    "split.gap_s": 0.2,
    "model.features": ["speed", "theta"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("recordings")
    for seed, name in enumerate("ab"):
        save_store(make_recording(n_bins=900, seed=seed, session_id=name), place / name)
    return place


def run(folder: Path, out: Path, *models: str, **options):
    options = {"settings": SETTINGS, "draws": 30, **options}
    return bench(folder, models or ("mean_rate", "behavior_only"), out, **options)


@pytest.fixture(scope="module")
def result(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    return run(folder, tmp_path_factory.mktemp("bench") / "out", "mean_rate", "behavior_only")


def test_the_table_holds_each_encoder_on_each_recording_and_on_all(result) -> None:
    pairs = list(zip(result.table["encoder"], result.table["session_id"], strict=True))
    each = [(e, s) for s in ("a", "b", "all") for e in ("mean_rate", "behavior_only")]
    assert pairs == each
    assert not result.failures
    assert not result.n_missing
    by_pair = result.table.set_index(["encoder", "session_id"])
    for encoder, session in each[:4]:
        line = by_pair.loc[(encoder, session)]
        evaluation = load_evaluation(result.bench.path / f"fits/{encoder}/{session}/seed-0")
        scores = evaluation.summary["sessions"][session]["scores"]["bits_per_spike"]
        assert line["bits_per_spike"] == pytest.approx(scores["mean"])
        assert line["bits_per_spike_low"] == pytest.approx(scores["mean_low"], nan_ok=True)
        assert line["seconds"] > 0
    mean = by_pair.loc[("behavior_only", ["a", "b"]), "correlation"].mean()
    assert by_pair.loc[("behavior_only", "all"), "correlation"] == pytest.approx(mean)
    assert by_pair.loc[("mean_rate", "a"), "n_weights"] == 4


def test_differences_are_those_of_compare(result) -> None:
    path = result.bench.path / "fits"
    models = {e: [load_evaluation(path / f"{e}/a/seed-0")] for e in ("mean_rate", "behavior_only")}
    expected = compare(models, metrics=["bits_per_spike"], draws=30).table.iloc[0]
    found = result.differences.set_index(["session_id", "metric"]).loc[("a", "bits_per_spike")]
    for name in ("difference", "difference_low", "difference_high", "p", "second_mean"):
        assert found[name] == pytest.approx(expected[name], nan_ok=True), name


def test_the_interval_over_recordings_is_students(result) -> None:
    bits = result.differences.set_index(["metric", "session_id"]).loc["bits_per_spike"]
    a, b = bits.loc["a", "difference"], bits.loc["b", "difference"]
    # Two recordings: the mean +- t(.975, 1 degree of freedom) * |a - b| / 2.
    assert bits.loc["all", "difference"] == pytest.approx((a + b) / 2)
    reach = 12.7062 * abs(a - b) / 2
    assert bits.loc["all", "recordings_high"] == pytest.approx((a + b) / 2 + reach, rel=1e-4)
    assert bits.loc["all", "recordings_low"] == pytest.approx((a + b) / 2 - reach, rel=1e-4)


def test_what_is_written_reads_back_and_the_page_names_every_encoder(result) -> None:
    written = pd.read_csv(result.bench.path / "bench.csv")
    assert written["correlation"].to_numpy() == pytest.approx(
        result.table["correlation"].to_numpy(), nan_ok=True
    )
    page = (result.bench.path / "bench.html").read_text()
    assert "behavior_only" in page
    assert "2 encoders on 2 recordings" in page
    assert "2 encoders on 2 recordings" in (result.bench.path / "bench.md").read_text()


def test_a_bench_goes_on_and_takes_more_encoders_and_seeds(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out", "behavior_only")
    weights = tmp_path / "out/fits/behavior_only/a/seed-0/encoder.safetensors"
    before = weights.stat().st_mtime_ns
    more = run(folder, tmp_path / "out", "mean_rate", seeds=2)
    assert weights.stat().st_mtime_ns == before
    assert len(more.bench.fits) == 2 * 2 * 2
    assert set(more.table["encoder"]) == {"mean_rate", "behavior_only"}
    assert (more.table["n_seeds"] == 2).all()
    assert len(open_bench(tmp_path / "out").fits) == 8
    with pytest.raises(ConfigError, match=r"holds a bench with settings .*--out"):
        run(folder, tmp_path / "out", settings={**SETTINGS, "data.history": 4})


def test_a_fit_that_fails_does_not_end_the_others(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "needs_pitch.yaml"
    file.write_text("model: {name: behavior_only, features: [pitch]}\n")
    settings = {k: v for k, v in SETTINGS.items() if not k.startswith("model")}
    found = run(folder / "a", tmp_path / "out", "mean_rate", str(file), settings=settings)
    assert list(found.failures) == ["needs_pitch/a/seed-0"]
    assert "pitch" in found.failures["needs_pitch/a/seed-0"]
    assert list(found.table["encoder"]) == ["mean_rate"]
    assert "needs_pitch/a/seed-0" in (tmp_path / "out/bench.html").read_text()


def test_options_are_chosen_on_validation_bins(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "chosen.yaml"
    file.write_text("model: {name: behavior_only}\nsearch: {model.l1: [0.0, 1000.0]}\n")
    found = run(folder / "a", tmp_path / "out", str(file))
    run_folder = found.bench.fits[0].run
    losses = [
        min(line["validation_loss"] for line in type(run_folder)(p).metrics())
        for p in sorted((run_folder.path / "search").iterdir())
    ]
    assert run_folder.kept_pass()["validation_loss"] == min(losses)
    assert found.table["seconds"].item() > 0


def test_ceilings_of_simulations_and_of_repeats(tmp_path: Path) -> None:
    save_store(make_trial_recording(n_trials=40), tmp_path / "trials/t")
    settings = {**SETTINGS, "model.features": ["speed"]}
    found = run(tmp_path / "trials", tmp_path / "out", "behavior_only", settings=settings)
    line, table = found.table.iloc[0], load_evaluation(found.bench.fits[0].run.path).table
    known = np.isfinite(table["noise_ceiling"])
    expected = table["correlation"][known].sum() / table["noise_ceiling"][known].sum()
    assert line["ceiling"] == "noise_ceiling"
    assert line["share_of_ceiling"] == pytest.approx(expected)
    assert np.isnan(line["bits_per_spike"])  # fluorescence


def test_recordings_of_several_formats_are_found_in_one_folder(
    folder: Path, tmp_path: Path
) -> None:
    save_store(make_recording(session_id="stored"), tmp_path / "stored")
    example = write_example("arrays", tmp_path / "example")
    example.rename(tmp_path / "mouse.npz")
    (tmp_path / "notes.txt").write_text("no recording")
    found = find_recordings(tmp_path)
    assert {name: source.name for name, source in found.items()} == {
        "stored": "store",
        "mouse": "arrays",
    }
    assert found["mouse"].options == {"sessions": ["mouse"]}
    (tmp_path / "again").mkdir()
    save_store(make_recording(session_id="mouse"), tmp_path / "other")
    with pytest.raises(DataError, match="both hold a session 'mouse'; rename one"):
        find_recordings(tmp_path)
    with pytest.raises(DataError, match="no known format"):
        find_recordings(tmp_path / "again")


def config_of(settings, *models: str, folder: Path) -> BenchConfig:
    return BenchConfig(
        recordings=find_recordings(folder), encoders=read_encoders(models), settings=settings
    )


def test_shifter_and_window_follow_from_the_recording(folder: Path) -> None:
    config = config_of({}, "cnn", "mean_rate", folder=folder)
    seen = replace(make_recording(), session_id="a")
    fitted = fit_config(config, "cnn", seen, seed=3)  # pitch and roll were not recorded
    assert fitted.model["shifter"] == {"kind": "none"}
    assert (fitted.data.history, fitted.data.lag, fitted.training.seed) == (6, 1, 3)
    angles = config_of(
        {"model.shifter.columns": ["theta", "phi"]}, "cnn", "mean_rate", folder=folder
    )
    assert fit_config(angles, "cnn", seen, 0).model["shifter"]["columns"] == ["theta", "phi"]
    roles = ("train", "validation", "test")
    single = tuple(Segment(i, i + 1, roles[i % 3], trial=True) for i in range(400))
    images = replace(seen, segments=single)
    assert fit_config(config, "cnn", images, 0).data.history == 1
    assert fit_config(config, "cnn", images, 0).data.lag == 0
    short = tuple(Segment(i, i + 4, roles[i // 4 % 3], trial=True) for i in range(0, 400, 4))
    cut = fit_config(config, "cnn", replace(seen, segments=short), 0).data
    assert (cut.history, cut.lag) == (3, 1)


def test_settings_that_no_encoder_or_not_all_fits_can_have(folder: Path, tmp_path: Path) -> None:
    for settings, message in (
        ({"model.l3": 1}, r"no encoder of this bench has the option 'model.l3' .*l1"),
        ({"training.seed": 1}, "training.seed cannot be the same for all fits"),
        ({"data.histroy": 1}, "unknown key 'data.histroy'"),
    ):
        with pytest.raises(ConfigError, match=message):
            run(folder, tmp_path / "out", settings=settings)
    assert not (tmp_path / "out").exists()


def test_encoders_are_named_once_and_share_the_split(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two encoders are named 'glm'"):
        read_encoders(["glm", "glm"])
    with pytest.raises(ConfigError, match="give at least one encoder"):
        read_encoders([])
    file = tmp_path / "mine.yaml"
    file.write_text("split: {validation: 0.3}\n")
    with pytest.raises(ConfigError, match=r"sets `split`, which all encoders .* --set split.X"):
        read_encoders([str(file)])
    with pytest.raises(RegistryError):
        run(tmp_path, tmp_path / "out", "no_such_encoder")


def test_clusters_are_blocks_of_equal_annotation(folder: Path, tmp_path: Path) -> None:
    recording = make_trial_recording(n_trials=40)
    save_store(recording, tmp_path / "trials/t")
    settings = {**SETTINGS, "model.features": ["speed"]}
    name = next(iter(recording.annotations))
    found = run(
        tmp_path / "trials",
        tmp_path / "out",
        "mean_rate",
        "behavior_only",
        settings=settings,
        clusters=name,
    )
    session = load_evaluation(found.bench.fits[1].run.path).sessions[0]
    order, blocks = cluster_blocks(recording, session, name)
    labels = recording.annotations[name][session.targets][order]
    assert isinstance(blocks, TimeBlocks)
    assert sorted(order.tolist()) == list(range(len(session.targets)))
    for first, length in zip(blocks.starts, blocks.lengths(), strict=True):
        assert len(set(labels[first : first + length].tolist())) == 1
    assert blocks.n_blocks == len(set(labels.tolist()))
    with pytest.raises(ConfigError, match="clusters: session .* has no annotation 'nothing'"):
        cluster_blocks(recording, session, "nothing")
    assert len(collect(found.bench).table) == 2
