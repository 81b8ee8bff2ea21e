"""Sentences are found where people read them, and drawn the same way by the same seed."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

PAGE = """# A heading of four words
First sentence of the page, with
two lines. Second one, e.g. this one, is here.

```bash
this is no sentence at all
```
- an item of a list
| short | a cell of four words |
"""

MODULE = '''"""Title of the small module.

Another sentence with 0.5 s in it.
"""

# A comment in two
# lines of the file.
def area(side: Float[Array, "no sentence in here"]) -> float:
    """Return the area of a square.

    Args:
        side: Length of one side, in metres.

    Example:
        >>> area(2.0)  # this is not prose either
    """
    raise ValueError(f"expected one positive side, got {side}; " "give a length")
'''

TEMPLATE = "<p>\n<b>Each neuron</b> has {{ number }} windows.</p>\n"

SCRIPT = 'const x = y ? "An empty label of a chart" : `Neuron ${id} of the session ${name}`;\n'

FOUND = [
    ("README.md", 1, "page", "A heading of four words"),
    ("README.md", 2, "page", "First sentence of the page, with two lines."),
    ("README.md", 2, "page", "Second one, e.g. this one, is here."),
    ("README.md", 8, "page", "an item of a list"),
    ("README.md", 9, "page", "a cell of four words"),
    ("src/area.py", 1, "docstring", "Another sentence with 0.5 s in it."),
    ("src/area.py", 1, "docstring", "Title of the small module."),
    ("src/area.py", 6, "comment", "A comment in two lines of the file."),
    ("src/area.py", 9, "docstring", "Return the area of a square."),
    ("src/area.py", 9, "docstring", "side: Length of one side, in metres."),
    (
        "src/area.py",
        17,
        "text",
        "expected one positive side, got {side}; give a length",
    ),
    ("src/page.html.j2", 2, "template", "Each neuron has {...} windows."),
    ("src/page.js", 1, "template", "An empty label of a chart"),
    ("src/page.js", 1, "template", "Neuron {...} of the session {...}"),
]


@pytest.fixture(scope="module")
def program() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "sentences.py"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "README.md").write_text(PAGE)
    (tmp_path / "src" / "area.py").write_text(MODULE)
    (tmp_path / "src" / "page.html.j2").write_text(TEMPLATE)
    (tmp_path / "src" / "page.js").write_text(SCRIPT)
    return tmp_path


def test_sentences_are_found_with_file_line_and_kind(program, repository: Path):
    found = program["all_sentences"](repository)
    assert [(s.file, s.line, s.kind, s.text) for s in found] == FOUND


def test_the_same_seed_draws_the_same_sentences(program, repository: Path):
    found, draw = program["all_sentences"](repository), program["draw"]
    assert draw(found, 5, seed=3) == draw(found, 5, seed=3)
    assert len(set(draw(found, 5, seed=3))) == 5
    assert draw(found, 5, seed=3) != draw(found, 5, seed=4)
    assert sorted(draw(found, 99, seed=1), key=found.index) == found
