"""The page of settings and the JSON schema follow from the configuration classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from freegaze.cli.app import app
from freegaze.config import dump_yaml, read_config
from freegaze.config_table import option_rows
from freegaze.explanation.config import ExplainConfig
from freegaze.models.encoder import MODELS
from freegaze.runs.config import RunConfig, resolve_config

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def printed(*words: str) -> str:
    result = CliRunner().invoke(app, ["schema", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json.loads(printed())


def test_the_page_is_what_the_classes_say():
    assert PAGE.read_text() == printed("--markdown"), "freegaze schema --markdown --out " + str(
        PAGE
    )


@pytest.mark.parametrize("name", [None, "explain", *MODELS.names()])
def test_every_setting_has_a_description(name: str | None):
    kinds: dict[str | None, Any] = {None: RunConfig, "explain": ExplainConfig}
    kind = kinds[name] if name in kinds else MODELS.get(str(name)).Config
    assert [row.name for row in option_rows(kind) if not row.description] == []


def test_defaults_are_values_that_the_command_line_reads():
    rows = [row for row in option_rows(RunConfig) if "." in row.name]
    given = read_config(RunConfig, None, [f"{row.name}={row.default}" for row in rows])
    assert given == RunConfig()


def resolved(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    return schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part


@pytest.mark.parametrize("name", MODELS.names())
def test_the_schema_names_every_key_of_a_run(schema, name: str):
    values = yaml.safe_load(dump_yaml(resolve_config(RunConfig(model={"name": name}))))
    assert set(values) == set(schema["properties"])
    for key in ("source", "data", "split", "training"):
        assert set(values[key]) == set(resolved(schema, schema["properties"][key])["properties"])
    (own,) = [
        choice
        for choice in schema["properties"]["model"]["anyOf"]
        if choice["properties"]["name"]["const"] == name
    ]
    assert set(values["model"]) == set(own["properties"])
    assert own["additionalProperties"] is False
    training = resolved(schema, schema["properties"]["training"])["properties"]
    assert training["max_passes"]["description"].startswith("Passes over")


def test_it_is_written_to_a_file(tmp_path: Path):
    out = tmp_path / "run.schema.json"
    printed("--out", str(out))
    assert json.loads(out.read_text()) == json.loads(printed())
