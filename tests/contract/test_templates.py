"""A copy of a room's template, renamed and nothing else, passes the whole contract of the room.

For what has no template, the code blocks of the guide in ``CONTRIBUTING.md`` are put in place.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import freegaze
from planted_faults import ROOT, run_copy

GUIDES = ROOT / "CONTRIBUTING.md"
TESTS = Path(__file__).parent
ROOMS = {
    "models": ("test_models_contract.py", {"template": "mine", "Template": "Mine"}, 15),
    "sources": ("test_sources_contract.py", {"template": "mine", "Template": "Mine"}, 8),
    "metrics": ("test_contract_metrics.py", {"mean_absolute_error": "mine"}, 1),
    "paper.figures": ("test_figures_contract.py", {"template": "mine", "Template": "Mine"}, 6),
}
"""By room: its contract, what a newcomer renames, and how many tests there are at least."""


def copied(room: str) -> str:
    """Return the template of a room, renamed."""
    text = (Path(freegaze.__file__).parent / room.replace(".", "/") / "_template.py").read_text()
    for old, new in ROOMS[room][1].items():
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest prints about the contracts of all rooms, each with its copied template."""
    more = []
    for room in ROOMS:
        folder = tmp_path_factory.mktemp(room)
        (folder / "mine.py").write_text(copied(room))
        more.append(f"{room}:{folder}")
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-k", "mine"]
    result = subprocess.run(
        [*command, *(str(TESTS / contract) for contract, _, _ in ROOMS.values())],
        cwd=TESTS.parents[1],
        env={**os.environ, "FREEGAZE_MORE": ";".join(more)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode in (0, 1), result.stdout + result.stderr  # 1: some test failed
    return result.stdout


@pytest.mark.parametrize("room", ROOMS)
def test_a_copied_template_passes_the_whole_contract(room: str, contracts: str) -> None:
    contract, _, n_tests = ROOMS[room]
    outcomes = re.findall(
        rf"^\S*{contract}::.*mine.* (PASSED|FAILED|ERROR)", contracts, re.MULTILINE
    )
    assert set(outcomes) == {"PASSED"}, contracts
    assert len(outcomes) >= n_tests


PACKAGE_PROGRAM = """
import sys
from freegaze.metrics.metric import METRICS
from freegaze.models.encoder import MODELS
from freegaze.sources.source import SOURCES
for registry in (MODELS, SOURCES, METRICS):
    assert "mine" in registry.names()
assert not [name for name in sys.modules if name.startswith("my_package")]
for registry in (MODELS, SOURCES, METRICS):
    assert registry.is_installed("mine")
    registry.get("mine")
print("all three")
"""


def test_an_installed_package_adds_to_three_rooms(tmp_path: Path) -> None:
    package, info = tmp_path / "my_package", tmp_path / "my_package-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    lines = []
    for room in ("models", "sources", "metrics"):  # those that have entry points
        (package / f"{room}.py").write_text(copied(room))
        lines += [f"[freegaze.{room}]", f"mine = my_package.{room}"]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    path = os.pathsep.join((str(tmp_path), *sys.path))
    environment = {**os.environ, "PYTHONPATH": path}
    for command, said in (
        (["-c", PACKAGE_PROGRAM], "all three"),
        (["-m", "freegaze", "models"], "my-package"),
    ):
        result = subprocess.run(
            [sys.executable, *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert said in result.stdout, result.stderr


def guide(title: str) -> str:
    """Return a guide of the page for contributors."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## )", GUIDES.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


def replaced(path: str, old: str, new: str) -> dict[str, str]:
    text = (ROOT / path).read_text()
    assert text.count(old) == 1, f"{path}: {old}"
    return {path: text.replace(old, new)}


COLUMN_TEST = """
import numpy as np
from builders import make_recording
from freegaze.dataset.behavior import fit_behavior_transform
from freegaze.dataset.features import resolve_features
from freegaze.recording.columns import find_column

def test_the_new_column_is_a_feature():
    recording = make_recording()
    assert resolve_features(["d_eye_eccentricity"], recording.behavior_names)
    transform = fit_behavior_transform(
        recording, ["eye_eccentricity"], np.arange(200), standardize=False
    )
    expected = np.hypot(recording.column("theta"), recording.column("phi"))
    np.testing.assert_allclose(transform.signals(recording)[:, 0], expected, rtol=1e-5)
    assert find_column("eye_eccentricity").group == "eye"
"""


def add_column() -> dict[str, str]:
    """Return the files that the guide to a behavior column changes, and its test."""
    row, line = re.findall(r"```\w+\n(.*?)```", guide("Add a behavior column"), re.DOTALL)
    changed = replaced(
        "src/freegaze/recording/columns.py",
        ')\n"""All columns with a standard name',
        f'{row})\n"""All columns with a standard name',
    )
    dictionary = "docs/reference/data_dictionary.md"
    (last,) = re.findall(r"^\| `gaze_y` .*\n", (ROOT / dictionary).read_text(), re.MULTILINE)
    changed |= replaced(dictionary, last, last + line)
    return {**changed, "tests/unit/test_new_column.py": COLUMN_TEST}


def add_section() -> dict[str, str]:
    """Return the files that the guide to a section of the report changes, and its test."""
    text = (ROOT / "src/freegaze/reports/sections/_template.py").read_text()
    section = text.replace("build_template", "build_mine").replace('"template"', '"mine"')
    changed = {"src/freegaze/reports/sections/mine.py": section}
    report = (ROOT / "src/freegaze/reports/report.py").read_text()
    first, second = re.findall(
        r"```python\n(.*?)```", guide("Add a section to the report"), re.DOTALL
    )
    place = "        build_scores(inputs),\n"
    assert report.count(place) == 1
    report = report.replace("import annotations\n", f"import annotations\n{first}", 1)
    changed["src/freegaze/reports/report.py"] = report.replace(place, place + second)
    return changed | replaced(
        "tests/unit/test_report_pages.py", '*("scores", "traces"', '*("scores", "mine", "traces"'
    )


def test_code_of_the_guides_passes_the_tests_of_its_rooms() -> None:
    of_column = ("unit/test_new_column.py", "unit/test_dataset_features.py")
    tests = (*of_column, "docs/test_data_dictionary.py", "unit/test_report_pages.py")
    of_pages = "order or nothing_else or unique or same_inputs or never_runs or told_apart"
    chosen = ("-k", f"not test_report_pages or {of_pages}")
    result = run_copy(add_column() | add_section(), [*(f"tests/{t}" for t in tests), *chosen])
    assert result.returncode == 0, result.stdout


def test_templates_import_nothing_private() -> None:
    for path in Path(freegaze.__file__).parent.rglob("_template.py"):
        imports = re.findall(r"^(?:from (\S+) )?import (.+)$", path.read_text(), re.MULTILINE)
        assert imports
        for module, names in imports:
            assert not re.search(r"(^|\.|, |\()_", f"{module} {names}".replace("__future__", ""))
