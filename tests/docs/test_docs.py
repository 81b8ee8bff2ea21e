"""What the documentation says works: links, commands, code, docstring examples."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from freegaze.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
SOURCE = ROOT / "src" / "freegaze"
MODULES = sorted(
    str(path.relative_to(SOURCE.parent).with_suffix("")).replace("/", ".").removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
    if path.name != "_template.py"  # importing a template would register what it is a template of
)
PROGRAM = typer.main.get_command(app)


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """Code blocks of some languages with the line before each."""
    text = page.read_text()
    found = re.finditer(r"([^\n]*)\n```(\w+)\n(.*?)```", text, re.DOTALL)
    return [(m[1], m[3]) for m in found if m[2] in languages]


def commands(page: Path) -> list[str]:
    lines = "\n".join(code for _, code in blocks(page, "bash", "console")).splitlines()
    return [line for line in lines if line.startswith("freegaze ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=lambda p: p.name)
def test_commands_exist_with_their_options(page: Path):
    for line in commands(page):
        words = shlex.split(line, comments=True)[1:]
        verb = PROGRAM.commands[words[0]]
        # Parsing alone: a wrong option or a missing argument raises.
        verb.make_context(words[0], words[1:], resilient_parsing=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_in_pages_runs_or_says_why_not(page: Path):
    for before, code in blocks(page, "python"):
        compiled = compile(code, str(page), "exec")
        if not before.startswith("<!-- not run: "):
            exec(compiled, {})


def test_make_targets_in_the_readme_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`?make ([\w-]+)", (ROOT / "README.md").read_text()))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str):
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0
