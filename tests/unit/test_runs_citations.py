"""What to cite: as `CITATION.cff` says, and the data of a run."""

from __future__ import annotations

from pathlib import Path

import yaml
from typer.testing import CliRunner

from freegaze import __version__
from freegaze.cli.app import app
from freegaze.runs.citations import METHOD, SOFTWARE, citations
from freegaze.runs.config import RunConfig, SourceConfig
from freegaze.runs.run_folder import RunFolder
from freegaze.sources.source import SOURCES
from report_runs import make_session

CITATION = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text())


def test_software_and_method_are_those_of_the_citation_file():
    assert CITATION["title"] == SOFTWARE.title
    assert str(CITATION["version"]) == __version__
    (paper,) = CITATION["references"]
    authors = [f"{a['given-names']} {a['family-names']}" for a in paper["authors"]]
    assert METHOD.authors == " and ".join(authors)
    assert (METHOD.title, METHOD.year) == (paper["title"], paper["year"])
    assert METHOD.venue == paper["collection-title"]


def test_the_data_of_a_run_are_cited(tmp_path):
    run = RunFolder(tmp_path / "run")
    source = SourceConfig(name="niell2022", path=tmp_path / "data.h5")
    run.create(RunConfig(source=source), [make_session()])
    assert citations(run.path)[-1].text() == SOURCES.get("niell2022").citation
    said = CliRunner().invoke(app, ["cite", str(run.path), "--bibtex"]).stdout
    assert said.count("@misc{") == 3
    assert said.count("{") == said.count("}")


def test_a_folder_without_a_run_is_one_line(tmp_path):
    result = CliRunner().invoke(app, ["cite", str(tmp_path)])
    assert result.exception is not None
    assert "no run" in str(result.exception) or "not a run" in str(result.exception)
