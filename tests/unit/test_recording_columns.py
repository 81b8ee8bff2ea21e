"""The table of behavior columns, and what follows from one more row of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from freegaze.dataset.features import FEATURE_SETS
from freegaze.recording import columns
from freegaze.recording.columns import COLUMNS, GROUP_COLORS, find_column, needed_columns

ROW = """
    BehaviorColumn(
        name="eye_eccentricity",
        unit="deg",
        group="eye",
        meaning="angle of the eye from straight ahead",
        derived_from=("theta", "phi"),
        derive=np.hypot,
    ),
)
"""

PROGRAM = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
import numpy as np
name = "freegaze.recording.columns"
module = module_from_spec(spec_from_file_location(name, sys.argv[1]))
sys.modules[name] = module
module.__spec__.loader.exec_module(module)
from freegaze.dataset.behavior import fit_behavior_transform
from freegaze.dataset.features import resolve_features
from freegaze.explanation.contributions.groups import grouped_columns
from freegaze.sources.tiny import make_tiny_recording
r = make_tiny_recording(0)
names = resolve_features(["eye_eccentricity", "d_eye_eccentricity"], r.behavior_names)
made = fit_behavior_transform(r, names, np.arange(84), standardize=False).signals(r)
tracked = np.isfinite(r.column("theta"))
expected = np.hypot(r.column("theta").astype(float), r.column("phi").astype(float))
np.testing.assert_allclose(made[tracked, 0], expected[tracked], rtol=1e-6)
assert grouped_columns(["eye_eccentricity", "speed"])["eye"] == ("eye_eccentricity",)
print("made")
"""


def test_one_more_row_is_a_feature_of_its_own(tmp_path: Path):
    table, rest = Path(str(columns.__file__)).read_text().split('\n)\n"""All columns', 1)
    copy = tmp_path / "columns.py"
    copy.write_text(f'{table}{ROW}"""All columns{rest}')
    command = [sys.executable, "-c", PROGRAM, str(copy)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "made\n", result.stderr


def test_names_are_unique_and_groups_have_a_color():
    known = {column.name for column in COLUMNS}
    assert len(known) == len(COLUMNS)
    assert {column.group for column in COLUMNS} - {None} == set(GROUP_COLORS)
    for column in COLUMNS:
        assert (column.derive is None) == (not column.derived_from)
        assert set(column.derived_from) <= known - {column.name}


def test_the_named_sets_are_those_of_the_paper():
    expected = ("speed", "pitch", "roll", "phi", "theta", "pupil_radius")
    assert FEATURE_SETS["orig"] == expected


def test_only_a_heading_is_circular():
    assert [column.name for column in COLUMNS if column.is_circular] == ["yaw"]


@pytest.mark.parametrize(
    ("name", "recorded", "needed"),
    [
        ("pupil_area", ["pupil_radius"], ("pupil_radius",)),
        ("pupil_area", ["pupil_radius", "pupil_area"], ("pupil_area",)),
        ("whisking", [], ("whisking",)),
    ],
)
def test_a_column_is_derived_only_where_it_was_not_recorded(
    name: str, recorded: list[str], needed: tuple[str, ...]
):
    assert needed_columns(name, recorded) == needed


def test_an_unknown_name_has_neither_unit_nor_group():
    row = find_column("whisking")
    assert (row.name, row.unit, row.group) == ("whisking", "", None)
