"""The data dictionary knows every source, target, field and column there is."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from config_trees import all_configs
from freegaze.recording.columns import COLUMNS
from freegaze.recording.recording import Recording
from freegaze.sources.lab_files.config import SessionConfig
from freegaze.sources.niell import niell2p, niell2022
from freegaze.sources.sensorium import layout as sensorium_layout
from freegaze.sources.sensorium import source as sensorium
from freegaze.sources.source import SOURCES, open_recordings
from freegaze.sources.targets import TARGETS
from freegaze.sources.xu2023 import layout as xu2023_layout

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "data_dictionary.md"
TEXT = PAGE.read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE))
PLACES = SECTIONS["Where each source takes it from"]


def table_heads(text: str) -> list[str]:
    lines = text.splitlines()
    rules = [i for i, line in enumerate(lines) if line.startswith("|---")]
    return [name for i in rules for name in re.findall(r"`([^`]+)`", lines[i - 1])]


def first_cells(text: str) -> set[str]:
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("name", SOURCES.names())
def test_every_source_has_a_column(name: str):
    assert name in table_heads(PLACES)


def test_no_source_is_described_that_is_none():
    assert set(table_heads(PLACES)) <= set(SOURCES)


def test_every_target_has_a_row():
    assert first_cells(SECTIONS["Targets"]) == set(TARGETS)


def test_every_field_is_described():
    described = first_cells(SECTIONS["Fields of a recording"])
    assert described == {field.name for field in fields(Recording)}


@pytest.mark.parametrize("name", SOURCES.names())
def test_every_column_is_described_with_its_unit(name: str, tmp_path: Path):
    if name == "simulation":  # the same columns as the tiny recording of the others
        pytest.skip("its columns are those of `make_tiny_recording`")
    source = SOURCES.get(name)
    path = source().write_tiny(tmp_path, 0)
    described = first_cells(SECTIONS["Behavior columns"])
    for recording in open_recordings(name, path, **source.tiny_options):
        assert set(recording.behavior_names) <= described


def test_the_table_of_columns_is_that_of_the_code():
    rows = [line for line in SECTIONS["Behavior columns"].splitlines() if line.startswith("| `")]
    expected = [
        f"| `{c.name}` | {c.unit or 'as in the file'} | {c.group or ''} | {c.meaning} | "
        f"{', '.join(f'`{name}`' for name in c.derived_from)} | "
        f"{'yes' if c.is_circular else ''} | {c.needed_by} |"
        for c in COLUMNS
    ]
    assert rows == expected


def test_keys_of_the_files_are_named():
    keys = [*niell2022.BEHAVIOR_KEYS, *niell2p.BEHAVIOR_KEYS, *xu2023_layout.BEHAVIOR_KEYS]
    keys += [*niell2022.ANNOTATION_KEYS, *niell2p.ANNOTATION_KEYS, *niell2p.RESPONSE_KINDS]
    keys += [niell2022.RESPONSES, niell2022.UNITS, niell2p.CELLS]
    for key in set(keys):
        assert f"`{key}`" in TEXT, key
    for names in sensorium_layout.BEHAVIOR.values():
        assert set(names) <= first_cells(SECTIONS["Behavior columns"])


def test_tiers_have_the_roles_they_are_said_to_have():
    rows = re.findall(r"^\| (`[^|]+`) \| (train|validation|test) \|$", PLACES, re.MULTILINE)
    said = {tier: role for tiers, role in rows for tier in re.findall(r"`([^`]+)`", tiers)}
    assert said == sensorium.TIER_ROLES


def test_every_key_of_laboratory_files_is_described():
    page = (PAGE.parent / "sources.md").read_text()
    section = page.split("### Keys")[1].split("### ")[0]
    described = set(re.findall(r"`([a-z_]+)`", section)) | {"kind"}
    keys = {name for config in all_configs(SessionConfig) for name in config.model_fields}
    assert keys <= described, keys - described
