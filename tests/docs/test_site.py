"""The documentation site: what `make docs` would refuse or leave out, found without building it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<!\$)\$([^$\n]+)\$(?!\$)", re.DOTALL)
WITH_FORMULAS = sorted(p for p in DOCS.rglob("*.md") if "$$" in p.read_text())


def test_every_public_name_is_in_the_reference():
    stub = ast.parse((ROOT / "src" / "freegaze" / "__init__.pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports for alias in node.names} - {"FreegazeError", "plot"}
    pages = "\n".join(page.read_text() for page in (DOCS / "reference" / "api").glob("*.md"))
    listed = set(re.findall(r"auto(?:function|class):: freegaze\.(\w+)$", pages, re.MULTILINE))
    assert listed == names


def test_every_page_is_in_a_table_of_contents():
    listed = {DOCS / "index.md"}
    for page in DOCS.rglob("*.md"):
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            for entry in re.findall(r"^(?!:)(?:.*<)?([\w./]+)>?$", block, re.MULTILINE):
                listed.add((page.parent / f"{entry}.md").resolve())
    assert listed == {page.resolve() for page in DOCS.rglob("*.md")}


@pytest.mark.parametrize("page", WITH_FORMULAS, ids=lambda p: p.name)
def test_formulas_can_be_drawn_without_a_script(page: Path):
    latex2mathml = pytest.importorskip("docutils.utils.math.latex2mathml")
    found = [a or b for a, b in FORMULA.findall(page.read_text())]
    assert len(found) > 10
    for formula in found:
        assert "<math" in latex2mathml.tex2mathml(formula, as_block=True)
