"""A copy of a room's template, renamed and nothing else, passes the whole contract of the room."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import freegaze

TESTS = Path(__file__).parent
ROOMS = {
    "models": ("test_models_contract.py", {"template": "mine", "Template": "Mine"}, 15),
    "sources": ("test_sources_contract.py", {"template": "mine", "Template": "Mine"}, 8),
    "metrics": ("test_contract_metrics.py", {"mean_absolute_error": "mine"}, 1),
}
"""By room: its contract, what a newcomer renames, and how many tests there are at least."""


@pytest.mark.parametrize("room", ROOMS)
def test_a_copied_template_passes_the_whole_contract(room: str, tmp_path: Path) -> None:
    contract, names, n_tests = ROOMS[room]
    text = (Path(freegaze.__file__).parent / room / "_template.py").read_text()
    for old, new in names.items():
        text = text.replace(old, new)
    (tmp_path / "mine.py").write_text(text)
    environment = {**os.environ, "FREEGAZE_MORE": f"{room}:{tmp_path}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "mine"]
    result = subprocess.run(
        [*command, str(TESTS / contract)],
        cwd=TESTS.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    passed = re.search(r"(\d+) passed", result.stdout)
    assert passed is not None
    assert int(passed[1]) >= n_tests


def test_templates_import_nothing_private() -> None:
    for path in Path(freegaze.__file__).parent.rglob("_template.py"):
        imports = re.findall(r"^(?:from (\S+) )?import (.+)$", path.read_text(), re.MULTILINE)
        assert imports
        for module, names in imports:
            assert not re.search(r"(^|\.|, |\()_", f"{module} {names}".replace("__future__", ""))
