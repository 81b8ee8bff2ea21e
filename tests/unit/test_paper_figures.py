"""Figures on a grid: which cells they need, what is done to each, and the numbers they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

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
from freegaze.explanation.result import CLASSES
from freegaze.explanation.storage import save_explanation
from freegaze.metrics.correlation import single_bin_correlation
from freegaze.paper.ascent import has_most_exciting, load_most_exciting, lowpass
from freegaze.paper.cells import is_done, run_cell
from freegaze.paper.figures import figure as figures
from freegaze.paper.figures.figure import (
    FigureSettings,
    FigureStep,
    best_units,
    figure_cells,
    figure_settings,
)
from freegaze.paper.figures.figure3 import figure3
from freegaze.paper.figures.figure4 import figure4
from freegaze.paper.figures.figure5 import figure5
from freegaze.paper.grid import Grid, GridConfig
from freegaze.paper.presets import FIGURES, find_table, preset

SHORT = FigureSettings(neurons=2, batches=1, images=2, steps=2, repeats=2, windows=50)


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    return make_figure_grid(tmp_path_factory.mktemp("grid"), seeds=2, n_bins=14000)


def names_of(config: GridConfig, figure: str) -> dict[str, list[str]]:
    grid = Grid(Path("nowhere"), config, ("mouse",))
    return {row: [cell.name for cell in own] for row, own in figure_cells(grid, figure).items()}


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
    assert {c.seed for own in figure_cells(two_seeds, "figure3").values() for c in own} == {0, 1}
    assert {c.seed for c in figure_cells(two_seeds, "figure4")["all_prod"]} == {0}


def test_the_full_scale_is_the_originals() -> None:
    full = figure_settings("full", {})
    assert (full.neurons, full.batches, full.images, full.steps, full.repeats) == (
        *(32, 100, 64, 100, 3),
    )
    assert full.windows is None
    assert full.lowpass
    tiny = figure_settings("tiny", {"steps": 7})
    assert (tiny.steps, tiny.batches) == (7, 1)
    with pytest.raises(ConfigError, match="stps"):
        figure_settings("tiny", {"stps": 7})


def test_figure_3_holds_what_the_runs_say(two_seeds: Grid) -> None:
    found = figure3(two_seeds, draws=50)
    assert found.session_ids == ["mouse_1", "mouse_2"]
    for session in found.session_ids:
        own = found.neurons[found.neurons["session_id"] == session]
        for column, row in (("vision", "cnn_shifter_on"), ("multimodal", "all_prod")):
            scores = []
            for seed in (0, 1):
                run = two_seeds.cell(f"{row}/{session}/seed-{seed}").run.path
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
    tests = figure3(two_seeds, draws=50).tests.set_index("session_id")
    for session in ("mouse_1", "mouse_2"):
        groups = {
            row: [
                load_evaluation(two_seeds.cell(f"{row}/{session}/seed-{k}").run.path)
                for k in (0, 1)
            ]
            for row in ("cnn_shifter_on", "all_prod")
        }
        line = compare(groups, metrics=["correlation"], draws=50).table.iloc[0]
        assert np.isfinite(line["difference_low"])
        for column in ("difference", "difference_low", "difference_high", "p"):
            assert tests.loc[session, column] == pytest.approx(line[column], rel=1e-5)


def test_sessions_without_every_seed_are_left_out(tmp_path: Path) -> None:
    grid = make_figure_grid(tmp_path, seeds=1)
    lost = grid.cell("all_prod/mouse_2/seed-0").run.path / "evaluation" / "summary.json"
    lost.unlink()
    assert figure3(grid, draws=20).tests["session_id"].tolist() == ["mouse_1"]
    (grid.cell("all_prod/mouse_1/seed-0").run.path / "evaluation" / "summary.json").unlink()
    with pytest.raises(DataError, match="no session has both rows"):
        figure3(grid)


def explained_grid(path: Path) -> Grid:
    grid = make_figure_grid(path, table="figure4")
    for k, cell in enumerate(grid.cells):
        units = [f"unit_{i}" for i in range(6)]
        save_explanation(cell.run.path, make_explained(cell.session_id, units, seed=k), {})
    return grid


def test_default_galleries_show_fields_of_the_best_neurons(tmp_path: Path) -> None:
    grid = explained_grid(tmp_path)
    for name, columns in (("figure4", 1), ("figurec1", 3)):
        found = figure4(grid, name, SHORT)
        assert [s.session_id for s in found.sessions] == ["mouse_1", "mouse_2"]
        gallery = found.sessions[0]
        best = best_units(grid.cells[0], "default", 2)
        assert list(zip(gallery.unit_ids, gallery.correlations, strict=True)) == best
        table = load_evaluation(grid.cells[0].run.path).table
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
    found = figure5(explained_grid(tmp_path), SHORT)
    counts = found.counts.set_index(["session_id", "class"])
    assert set(found.counts["session_id"]) == {"mouse_1", "mouse_2", "all"}
    assert [kind for name, kind in counts.index if name == "all"] == list(CLASSES)
    assert (counts.loc["all", "n"] == 2).all()  # six neurons a session, one of each class
    assert (counts.loc["mouse_1", "share"] == 1 / 6).all()
    assert set(found.tables) == {"", "_saliency", "_neurons", "_gaze_shifts"}
    assert len(found.saliency) == 2 * 6 * 8


def test_an_explanation_is_asked_for_where_there_is_none(tmp_path: Path) -> None:
    grid = make_figure_grid(tmp_path, ("mouse_1",), table="figure4")
    step = FigureStep("figure4", SHORT, "default", explain_from_nothing)
    assert not is_done(grid.cells[0], step)
    with pytest.raises(CheckpointError, match="no explanation in"):
        figure4(grid, "figure4", SHORT)


@pytest.fixture
def paper_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    """A grid of the paper's version, whose run holds an encoder that is fitted to nothing."""
    grid = make_figure_grid(tmp_path, ("s",), table="figure4", version="paper", n_neurons=3)
    recording = make_behaving("s")
    monkeypatch.setattr(figures, "cell_encoder", lambda *_: paper_fit(recording))
    monkeypatch.setattr(figures, "cell_recordings", lambda *_: [recording])
    return grid


def test_paper_galleries_are_means_of_ascents_smoothed_and_at_fixed_levels(
    paper_grid: Grid,
) -> None:
    cell = paper_grid.cells[0]
    for name, repeats in (("figure4", 1), ("figurec1", 2)):
        step = FigureStep(name, SHORT, "paper")
        assert not is_done(cell, step)
        assert run_cell(paper_grid, cell, step=step) == "done"
        assert is_done(cell, step)
        found = figure4(paper_grid, name, SHORT)
        (gallery,) = found.sessions
        assert gallery.limit == 0.15
        assert gallery.columns == tuple(f"repeat {k + 1}" for k in range(repeats))
        kept = load_most_exciting(
            cell.run.path, gallery.unit_ids[0], figures.ascent_of(name, SHORT), repeats
        )
        np.testing.assert_allclose(gallery.pictures[0, -1], lowpass(kept.video[0]), rtol=1e-6)
        line = found.tables[""].iloc[repeats - 1]
        assert (line["start"], line["end"]) == (kept.start, kept.end)
        assert "1 batches of 2 images, 2 steps (the original: 100 of 64" in found.caption
    assert run_cell(paper_grid, cell, step=step) == "done"


def test_paper_classes_follow_from_kept_saliency(paper_grid: Grid) -> None:
    step = FigureStep("figure5", SHORT, "paper")
    assert run_cell(paper_grid, paper_grid.cells[0], step=step) == "done"
    found = figure5(paper_grid, SHORT)
    assert found.counts["variable"].tolist()[0] == "speed"
    assert len(found.counts) == 6
    wide = found.saliency.pivot(index="unit_id", columns="signal", values="value")
    assert wide.shape == (3, 11)
    expected = (wide[["roll", "d_roll"]].abs() >= 1).any(axis=1)
    assert found.neurons.set_index("unit_id")["roll"].equals(expected.rename("roll"))
    assert "50 test windows" in found.caption
    assert not len(found.gaze_shifts)


def test_a_step_that_fails_fails_the_cell_and_keeps_the_fit(
    paper_grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = paper_grid.cells[0]

    def broken(*_: object, **__: object) -> None:
        raise DataError("the disk is full")

    monkeypatch.setattr(figures, "keep_most_exciting", broken)
    step = FigureStep("figure4", SHORT, "paper")
    assert run_cell(paper_grid, cell, step=step) == "failed"
    assert cell.error == "the disk is full"
    assert cell.state == "done"
    assert run_cell(paper_grid, cell) == "done"  # as for a table


def test_kept_results_that_are_broken_are_named(paper_grid: Grid) -> None:
    cell = paper_grid.cells[0]
    path = figures.saliency_file(cell.run.path, SHORT)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match="missing or broken; run this again"):
        figure5(paper_grid, SHORT)
    assert not FigureStep("figure5", SHORT, "paper").is_done(cell)
    assert not has_most_exciting(cell.run.path, ["unit_0"], figures.ascent_of("figure4", SHORT))


def test_neurons_without_a_correlation_come_last(tmp_path: Path) -> None:
    grid = make_figure_grid(tmp_path, ("s",), table="figure4", n_neurons=3)
    folder = grid.cells[0].run.path / "evaluation"
    table = pd.read_parquet(folder / "scores.parquet")
    table["correlation"] = [0.1, np.nan, 0.3]
    table.to_parquet(folder / "scores.parquet", index=False)
    (folder / "checksums.sha256").unlink()
    assert [unit for unit, _ in best_units(grid.cells[0], "default", 9)] == [
        *("unit_2", "unit_0", "unit_1"),
    ]
