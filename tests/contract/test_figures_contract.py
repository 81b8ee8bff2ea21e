"""What every figure of the paper promises, in both versions; figures of one's own too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from figure_runs import explain_from_nothing, make_behaving, make_figure_grid, paper_fit
from freegaze.errors import ConfigError, DataError
from freegaze.jobs.fits import run_fit
from freegaze.paper.figure import AbstractFigure, PaperFigure, write_figure
from freegaze.paper.grid import Grid, GridWork, start_grid
from freegaze.paper.grid_config import SCALES, GridConfig
from freegaze.paper.presets import FIGURES, TABLES, Version, preset

QUICK = {"neurons": 2, "batches": 1, "images": 2, "steps": 2, "repeats": 2, "windows": 20}

CASES = [(name, version) for name in FIGURES for version in ("default", "paper")]


def figure_named(name: str) -> PaperFigure:
    figure = FIGURES.get(name)
    assert isinstance(figure, PaperFigure)
    return figure


def quick(name: str, version: Version) -> AbstractFigure:
    """Return a version of a figure with small settings, as far as it has them."""
    fields = figure_named(name).configure(version, "tiny", {}).model_fields_set
    kind = getattr(figure_named(name), version)
    known = {key: value for key, value in QUICK.items() if key in kind.model_fields}
    assert fields <= set(kind.model_fields)
    return figure_named(name).configure(version, "tiny", known)


@pytest.fixture(scope="module")
def grid_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A grid per version, whose runs hold encoders that are fitted to nothing."""
    grids = {}

    def make(version: Version) -> Grid:
        if version not in grids:
            path = tmp_path_factory.mktemp(version)
            grids[version] = make_figure_grid(path, ("s",), version=version, n_neurons=3)
        return grids[version]

    return make


@pytest.fixture(autouse=True)
def fitted_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = make_behaving("s")
    monkeypatch.setattr("freegaze.paper.figure.explain", explain_from_nothing)
    monkeypatch.setattr(Grid, "encoder", lambda *_: paper_fit(recording))
    monkeypatch.setattr(Grid, "recordings", lambda *_: [recording])


@pytest.mark.parametrize("name", list(FIGURES))
def test_rows_are_rows_of_tables_and_the_grid_begins(name: str, tmp_path: Path) -> None:
    figure = figure_named(name)
    assert figure.name == name
    assert figure.title
    known = {row for table in TABLES.values() for row in table.rows}
    assert set(figure.rows) <= known
    assert {one for pair in figure.pairs for one in pair} <= {row.name for row in figure.rows}
    for row in figure.rows:
        assert preset(name, row.name, "paper") != preset(name, row.name, "default")
    grid = start_grid(tmp_path, GridConfig(table=name, scale="tiny"))
    assert {fit.row for fit in grid.select(figure)} == {row.name for row in figure.rows}


@pytest.mark.parametrize(("name", "version"), CASES)
def test_settings_are_strict_at_every_scale(name: str, version: Version) -> None:
    figure = figure_named(name)
    for scale in SCALES:
        assert figure.configure(version, scale, {}).smaller.keys() <= SCALES.keys()
    with pytest.raises(ConfigError, match=f"{name}, version {version}: unknown key 'nothing'"):
        figure.configure(version, "tiny", {"nothing": 1})


@pytest.mark.parametrize(("name", "version"), CASES)
def test_a_figure_is_computed_gathered_and_written(
    grid_of: Any, name: str, version: Version
) -> None:
    grid, figure = grid_of(version), quick(name, version)
    fits = grid.select(figure_named(name))
    for fit in fits:
        assert run_fit(GridWork(grid, figure), fit) == "done", fit.error
        assert figure.is_done(fit)
    data = figure.gather(grid, grid.fits_of(figure_named(name)))
    assert data.caption.endswith(".")
    assert "" in data.tables
    assert all(len(table) for table in data.tables.values())
    contents = []
    for _ in range(2):
        paths = write_figure(grid, figure_named(name), figure)
        assert all(path.parent == grid.path and path.name.startswith(name) for path in paths)
        assert {path.suffix for path in paths} == {".pdf", ".svg", ".png", ".csv", ".md"}
        contents.append({path: path.read_bytes() for path in paths})
    assert contents[0] == contents[1]
    assert len(pd.read_csv(grid.path / f"{name}.csv")) == len(data.tables[""])
    text = (grid.path / f"{name}.md").read_text()
    assert text.startswith(data.caption)
    assert f"Version {version}" in text


@pytest.mark.parametrize(("name", "version"), CASES)
def test_a_grid_without_fits_is_an_error(name: str, version: Version, tmp_path: Path) -> None:
    config = GridConfig.model_validate({"table": name, "scale": "tiny", "version": version})
    grid, figure = start_grid(tmp_path, config), quick(name, version)
    with pytest.raises(DataError, match=str(tmp_path)):
        figure.gather(grid, grid.fits_of(figure_named(name)))
    config = GridConfig(table="table1", scale="tiny", rows=("sensorium_shifter_on",))
    other = Grid(tmp_path, config, ("s",))
    with pytest.raises(ConfigError, match="without the row"):
        other.fits_of(figure_named(name))
