"""Figures on a grid: which cells they need, what is done to each, and the numbers they show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders import make_recording
from fake_encoder import fake_fit
from figure_runs import (
    explain_from_nothing,
    make_behaving,
    make_explained,
    make_figure_grid,
    paper_fit,
)
from freegaze.errors import CheckpointError, ConfigError, DataError, RegistryError
from freegaze.evaluation.compare import compare
from freegaze.evaluation.storage import load_evaluation
from freegaze.explanation.result import CLASSES, save_explanation
from freegaze.jobs.fits import run_fit
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.paper.ascent import has_most_exciting, load_most_exciting, lowpass
from freegaze.paper.figure import AbstractFigure, best_units
from freegaze.paper.figures.figure3 import Figure3
from freegaze.paper.figures.figure4 import AscentGallery, FieldGallery
from freegaze.paper.figures.figure5 import ContributionClasses, SaliencyClasses
from freegaze.paper.figures.figurec1 import MethodGallery, RepeatGallery
from freegaze.paper.grid import Grid, GridWork
from freegaze.paper.grid_config import GridConfig
from freegaze.paper.presets import FIGURES, find_table, preset

NONE = pd.DataFrame()
SHORT: dict[str, Any] = {"neurons": 2, "batches": 1, "images": 2, "steps": 2}


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    return make_figure_grid(tmp_path_factory.mktemp("grid"), seeds=2, n_bins=14000)


def names_of(config: GridConfig, figure: str) -> dict[str, list[str]]:
    grid = Grid(Path("nowhere"), config, ("mouse",))
    found = grid.fits_of(find_table(figure))
    return {row: [fit.name for fit in own] for row, own in found.items()}


def gather(grid: Grid, figure: AbstractFigure, name: str) -> Any:
    return figure.gather(grid, grid.fits_of(find_table(name)))


@pytest.mark.parametrize("version", ["default", "paper"])
def test_rows_of_figures_are_rows_of_tables(version) -> None:
    for figure in FIGURES:
        assert preset(figure, "all_prod", version) == preset("table2", "all_prod", version)
    assert preset("figure3", "cnn_shifter_on", version) == preset(
        "table1", "cnn_shifter_on", version
    )
    assert find_table("figure3").pairs == (("cnn_shifter_on", "all_prod"),)
    with pytest.raises(RegistryError, match="figure4"):
        find_table("figure44")


def test_a_figure_is_drawn_on_any_grid_that_holds_its_rows() -> None:
    own = {"cnn_shifter_on": ["cnn_shifter_on/mouse/seed-0"], "all_prod": ["all_prod/mouse/seed-0"]}
    assert names_of(GridConfig(table="figure3"), "figure3") == own
    table_2 = {**own, "cnn_shifter_on": ["cnn/mouse/seed-0"]}  # the same run by another name
    assert names_of(GridConfig(table="table2"), "figure3") == table_2
    assert names_of(GridConfig(table="figure3"), "figure4") == {"all_prod": own["all_prod"]}
    for version, history in (("paper", 1), ("default", 6)):  # the default's own history is 6
        config = GridConfig.model_validate({"table": "table3", "version": version})
        found = names_of(config, "figure5")
        assert found == {"all_prod": [f"history_{history}/mouse/seed-0"]}


def test_a_grid_without_the_rows_is_named() -> None:
    with pytest.raises(ConfigError, match="table1 without the row 'all_prod'"):
        names_of(GridConfig(table="table1"), "figure4")
    with pytest.raises(ConfigError, match="choose another folder"):
        names_of(GridConfig(table="table2", rows=("cnn",)), "figure3")


def test_figure_3_takes_all_seeds_and_the_others_the_first(two_seeds: Grid) -> None:
    assert {fit.seed for fit in two_seeds.select(find_table("figure3"))} == {0, 1}
    assert {fit.seed for fit in two_seeds.select(find_table("figure4"))} == {0}


def test_the_full_scale_is_the_originals() -> None:
    full = find_table("figurec1").configure("paper", "full", {})
    assert (full.neurons, full.batches, full.images, full.steps) == (32, 100, 64, 100)
    assert (full.repeats, full.lowpass) == (3, True)
    assert find_table("figure4").configure("paper", "full", {}).repeats == 1
    assert find_table("figure5").configure("paper", "full", {}).windows is None
    tiny = find_table("figure4").configure("paper", "tiny", {"steps": 7})
    assert (tiny.steps, tiny.batches) == (7, 1)
    with pytest.raises(ConfigError, match=r"figure4, version paper: unknown key 'stps' .*steps"):
        find_table("figure4").configure("paper", "tiny", {"stps": 7})
    with pytest.raises(ConfigError, match="is no figure"):
        find_table("table1").configure("paper", "tiny", {"steps": 7})


def test_a_setting_that_nothing_reads_is_an_error() -> None:
    for name, version, setting in (
        ("figure5", "paper", "steps"),
        ("figure4", "default", "lowpass"),
        ("figure3", "paper", "neurons"),
    ):
        with pytest.raises(ConfigError, match=f"unknown key '{setting}'"):
            find_table(name).configure(version, "tiny", {setting: 1})


def test_figure_3_holds_what_the_runs_say(two_seeds: Grid) -> None:
    found = gather(two_seeds, Figure3(), "figure3")
    assert found.neurons["session_id"].unique().tolist() == ["mouse_1", "mouse_2"]
    for session in ("mouse_1", "mouse_2"):
        own = found.neurons[found.neurons["session_id"] == session]
        for column, row in (("vision", "cnn_shifter_on"), ("multimodal", "all_prod")):
            scores = []
            for seed in (0, 1):
                run = two_seeds.fit(f"{row}/{session}/seed-{seed}").run.path
                scored = load_evaluation(run).session(session)
                scores.append(single_bin_correlation(scored.rates, scored.observed))
            np.testing.assert_allclose(own[column], np.mean(scores, 0), rtol=1e-5)
    np.testing.assert_allclose(
        found.neurons["difference"], found.neurons["multimodal"] - found.neurons["vision"]
    )
    assert found.tests["session_id"].tolist() == ["mouse_1", "mouse_2", "all"]
    per_session = found.neurons.groupby("session_id")["difference"].mean()
    np.testing.assert_allclose(found.tests["difference"][:2], per_session)
    assert found.tests["difference"][2] == pytest.approx(per_session.mean())


def test_the_test_of_figure_3_is_that_of_compare(two_seeds: Grid) -> None:
    tests = gather(two_seeds, Figure3(), "figure3").tests.set_index("session_id")
    for session in ("mouse_1", "mouse_2"):
        groups = {
            row: [
                load_evaluation(two_seeds.fit(f"{row}/{session}/seed-{k}").run.path) for k in (0, 1)
            ]
            for row in ("cnn_shifter_on", "all_prod")
        }
        line = compare(groups, metrics=["correlation"], draws=two_seeds.scale.draws).table.iloc[0]
        assert np.isfinite(line["difference_low"])
        for column in ("difference", "difference_low", "difference_high", "p"):
            assert tests.loc[session, column] == pytest.approx(line[column], rel=1e-5)


def test_sessions_without_every_seed_are_left_out(tmp_path: Path) -> None:
    grid = make_figure_grid(tmp_path, seeds=1)
    lost = grid.fit("all_prod/mouse_2/seed-0").run.path / "evaluation" / "summary.json"
    lost.unlink()
    assert gather(grid, Figure3(), "figure3").tests["session_id"].tolist() == ["mouse_1"]
    (grid.fit("all_prod/mouse_1/seed-0").run.path / "evaluation" / "summary.json").unlink()
    with pytest.raises(DataError, match="no session has both rows"):
        gather(grid, Figure3(), "figure3")


def explained_grid(path: Path) -> Grid:
    grid = make_figure_grid(path, table="figure4")
    for k, fit in enumerate(grid.fits):
        units = [f"unit_{i}" for i in range(6)]
        save_explanation(fit.run.path, make_explained(fit.session_id, units, seed=k), {})
    return grid


def test_default_galleries_show_fields_of_the_best_neurons(tmp_path: Path) -> None:
    grid = explained_grid(tmp_path)
    for name, kind, columns in (("figure4", FieldGallery, 1), ("figurec1", MethodGallery, 3)):
        found = gather(grid, kind(neurons=2), name)
        assert [s.session_id for s in found.sessions] == ["mouse_1", "mouse_2"]
        gallery = found.sessions[0]
        best = best_units(grid.fits[0], "correlation", 2)
        assert gallery.ranked == best
        table = load_evaluation(grid.fits[0].run.path).table
        assert best[0][1] == table["correlation"].max()
        assert gallery.pictures.shape == (2, columns, 24, 32)
        explanation = make_explained("mouse_1", [f"unit_{i}" for i in range(6)])
        expected = explanation.picture("ascent", explanation.unit_ids.index(best[0][0]))
        np.testing.assert_array_equal(gallery.pictures[0, 0], expected)
        levels = found.tables["_mouse_1"]
        assert len(levels) == 2 * columns * 24
        np.testing.assert_array_equal(
            levels.filter(like="x_").to_numpy().reshape(gallery.pictures.shape),
            gallery.pictures.astype(np.float32),
        )


def test_default_classes_are_counted(tmp_path: Path) -> None:
    found = gather(explained_grid(tmp_path), ContributionClasses(), "figure5")
    counts = found.counts.set_index(["session_id", "class"])
    assert set(found.counts["session_id"]) == {"mouse_1", "mouse_2", "all"}
    assert [kind for name, kind in counts.index if name == "all"] == list(CLASSES)
    # six neurons per session, one of each class but for the last two
    assert counts.loc["all", "n"].tolist() == [2] * 6 + [0, 0]
    assert (counts.loc["mouse_1", "share"].iloc[:6] == 1 / 6).all()
    assert set(found.tables) == {"", "_saliency", "_neurons", "_gaze_shifts"}
    assert len(found.saliency) == 2 * 6 * 8


def test_the_caption_gives_the_false_discovery_rate_that_was_used(tmp_path: Path) -> None:
    grid = explained_grid(tmp_path)
    assert "false discovery rate 2 %" in gather(grid, ContributionClasses(), "figure5").caption
    for fit, rate in zip(grid.fits, (0.1, 0.05), strict=True):
        units = [f"unit_{i}" for i in range(6)]
        settings = {"false_discovery_rate": rate}
        save_explanation(fit.run.path, make_explained(fit.session_id, units), settings)
    caption = gather(grid, ContributionClasses(), "figure5").caption
    assert "false discovery rate 5 % or 10 %" in caption


def test_a_session_without_gaze_shifts_leaves_the_others_theirs(tmp_path: Path) -> None:
    explained = [make_explained("a", ["x"]), replace(make_explained("b", ["y"]), gaze_shifts=NONE)]
    found = ContributionClasses().classes(explained, [0.02])
    assert found.tables["_gaze_shifts"]["session_id"].unique().tolist() == ["a"]
    assert set(found.draw()) == {"", "_gaze_shifts_a"}
    assert set(ContributionClasses().classes(explained[1:], [0.02]).draw()) == {""}


def test_a_session_is_explained_where_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = make_figure_grid(tmp_path, ("mouse_1",), table="figure4")
    figure, (fit,) = FieldGallery(neurons=2), grid.fits
    work = GridWork(grid, figure)
    assert not work.is_done(fit)
    with pytest.raises(CheckpointError, match="no explanation in"):
        gather(grid, figure, "figure4")
    recording = make_recording(session_id="mouse_1", n_neurons=6)
    monkeypatch.setattr("freegaze.paper.figure.explain", explain_from_nothing)
    monkeypatch.setattr(Grid, "encoder", lambda *_: fake_fit([recording]))
    monkeypatch.setattr(Grid, "recordings", lambda *_: [recording])
    assert run_fit(work, fit) == "done"
    assert len(gather(grid, figure, "figure4").sessions[0].ranked) == 2


@pytest.fixture
def paper_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    """A grid of the paper's version, whose run holds an encoder that is fitted to nothing."""
    grid = make_figure_grid(tmp_path, ("s",), table="figure4", version="paper", n_neurons=3)
    recording = make_behaving("s")
    monkeypatch.setattr(Grid, "encoder", lambda *_: paper_fit(recording))
    monkeypatch.setattr(Grid, "recordings", lambda *_: [recording])
    return grid


def test_paper_galleries_are_means_of_ascents_smoothed_and_at_fixed_levels(
    paper_grid: Grid,
) -> None:
    fit = paper_grid.fits[0]
    for name, figure in (
        ("figure4", AscentGallery(**SHORT)),
        ("figurec1", RepeatGallery(**SHORT, repeats=2)),
    ):
        work, repeats = GridWork(paper_grid, figure), figure.repeats
        assert not work.is_done(fit)
        assert run_fit(work, fit) == "done"
        assert work.is_done(fit)
        found = gather(paper_grid, figure, name)
        (gallery,) = found.sessions
        assert gallery.limit == 0.15
        assert gallery.columns == tuple(f"repeat {k + 1}" for k in range(repeats))
        unit = gallery.ranked[0][0]
        kept = load_most_exciting(fit.run.path, unit, figure.protocol, repeats)
        np.testing.assert_allclose(gallery.pictures[0, -1], lowpass(kept.video[0]), rtol=1e-6)
        line = found.tables[""].iloc[repeats - 1]
        assert (line["start"], line["end"]) == (kept.start, kept.end)
        assert "1 batches of 2 images, 2 steps (the original: 100 batches of 64" in found.caption
        assert run_fit(work, fit) == "done"


def test_paper_classes_follow_from_kept_saliency(paper_grid: Grid) -> None:
    figure = SaliencyClasses(windows=50)
    assert run_fit(GridWork(paper_grid, figure), paper_grid.fits[0]) == "done"
    found = gather(paper_grid, figure, "figure5")
    assert found.counts["variable"].tolist()[0] == "speed"
    assert len(found.counts) == 6
    wide = found.saliency.pivot(index="unit_id", columns="signal", values="value")
    assert wide.shape == (3, 11)
    expected = (wide[["roll", "d_roll"]].abs() >= 1).any(axis=1)
    assert found.neurons.set_index("unit_id")["roll"].equals(expected.rename("roll"))
    assert "50 test windows" in found.caption
    assert set(found.draw()) == {""}


def test_what_a_figure_computes_fails_the_fit_and_keeps_the_run(
    paper_grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = paper_grid.fits[0]

    def broken(*_: object, **__: object) -> None:
        raise DataError("the disk is full")

    monkeypatch.setattr("freegaze.paper.figures.figure4.keep_most_exciting", broken)
    assert run_fit(GridWork(paper_grid, AscentGallery(**SHORT)), fit) == "failed"
    assert fit.error == "the disk is full"
    assert fit.state == "done"
    assert run_fit(GridWork(paper_grid), fit) == "done"  # as for a table


def test_kept_results_that_are_broken_are_named(paper_grid: Grid) -> None:
    fit, figure = paper_grid.fits[0], SaliencyClasses(windows=50)
    path = figure.saliency_file(fit.run.path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match="missing or broken; run this again"):
        gather(paper_grid, figure, "figure5")
    assert not figure.is_done(fit)
    assert not has_most_exciting(fit.run.path, ["unit_0"], AscentGallery(**SHORT).protocol)


def test_neurons_without_a_correlation_come_last(tmp_path: Path) -> None:
    grid = make_figure_grid(tmp_path, ("s",), table="figure4", n_neurons=3)
    folder = grid.fits[0].run.path / "evaluation"
    table = pd.read_parquet(folder / "scores.parquet")
    table["correlation"] = [0.1, np.nan, 0.3]
    table.to_parquet(folder / "scores.parquet", index=False)
    (folder / "checksums.sha256").unlink()
    assert [unit for unit, _ in best_units(grid.fits[0], "correlation", 9)] == [
        *("unit_2", "unit_0", "unit_1"),
    ]
