"""What the documentation says works: links, commands, code, docstring examples."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from freegaze.cli.app import app
from freegaze.cli.engines import array_of, split_settings
from freegaze.config import read_config
from freegaze.explanation.config import ExplainConfig
from freegaze.metrics.metric import METRICS
from freegaze.models.encoder import MODELS
from freegaze.runs.config import RunConfig, model_config
from freegaze.sources.source import SOURCES

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
SOURCE = ROOT / "src" / "freegaze"
MODULES = sorted(
    str(path.relative_to(SOURCE.parent).with_suffix("")).replace("/", ".").removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
    if path.name != "_template.py"  # importing a template would register what it is a template of
)


def source_of(name: str) -> str:
    path = SOURCE.parent / name.replace(".", "/")
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()


PROGRAM = typer.main.get_command(app)


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """Code blocks of some languages with the line before each."""
    text = page.read_text()
    found = re.finditer(r"([^\n]*)\n```(\w+)\n(.*?)```", text, re.DOTALL)
    return [(m[1], m[3]) for m in found if m[2] in languages]


def commands(page: Path) -> list[list[str]]:
    """Words after ``freegaze`` of each command in a shell block; lines may go on after a \\."""
    text = "\n".join(code for _, code in blocks(page, "bash", "console", "sh", "shell"))
    lines = [line.removeprefix("$ ") for line in text.replace("\\\n", " ").splitlines()]
    return [shlex.split(x, comments=True)[1:] for x in lines if x.startswith("freegaze ")]


def mentions(path: Path) -> list[str]:
    """What stands in backticks after ``freegaze``, in a page or in a message of the program."""
    text = re.sub(r"\n```.*?\n```", "", path.read_text(), flags=re.DOTALL)
    if path.suffix == ".py":  # strings that go on in the next line
        text = re.sub(r"\"\n\s+f?\"", "", text)
    return re.findall(r"`freegaze ([^`]+)`", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=lambda p: p.name)
def test_commands_exist_with_their_options(page: Path):
    for verb, *words in commands(page):
        # Parsing alone: a wrong option or a missing argument raises.
        PROGRAM.commands[verb].make_context(verb, list(words), resilient_parsing=False)
        given = [b for a, b in pairwise(words) if a == "--set"]
        of_slurm, settings = split_settings(given)
        array_of(Path("grid"), (), of_slurm)  # reads them
        if verb == "explain":
            read_config(ExplainConfig, None, settings)
            continue
        named = [b for a, b in pairwise(words) if a == "--model"]
        models = [f"model.name={name}" for name in named if ".py:" not in name]  # a reader's file
        model_config(read_config(RunConfig, None, [*models, *settings]))  # every key exists


@pytest.mark.parametrize(
    "path",
    [p for p in (*PAGES, *SOURCE.rglob("*.py")) if mentions(p)],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_commands_mentioned_in_text_exist(path: Path):
    for mention in mentions(path):
        verb, *words = mention.split()
        if verb not in ("VERB", "--help", "--version", "{self.kind}s"):
            parameters = PROGRAM.commands[verb].params
            options = {o for p in parameters for o in (*p.opts, *p.secondary_opts)} | {"--help"}
            assert {word for word in words if word.startswith("--")} <= options, mention


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_in_pages_runs_or_says_why_not(page: Path):
    is_run_whole = page.parent.name == "tutorials"  # by test_tutorials
    for before, code in blocks(page, "python"):
        compiled = compile(code, str(page), "exec")
        if not is_run_whole and not before.startswith("<!-- not run: "):
            exec(compiled, {})


def test_every_registry_is_listed_by_a_verb():
    for registry in (MODELS, SOURCES, METRICS):  # as the message about an unknown name says
        assert f"{registry.kind}s" in PROGRAM.commands


def test_make_targets_in_the_readme_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`?make ([\w-]+)", (ROOT / "README.md").read_text()))
    assert {"demo", "test"} <= named <= targets


def examples(name: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", [m for m in MODULES if ">>> " in source_of(m)])
def test_examples_in_docstrings_run(name: str, in_project: dict[str, Any]):
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in examples(name):
        test.globs |= {k: v for k, v in in_project.items() if k not in test.globs}
        assert runner.run(test).failed == 0, test.name
        assert not any(doctest.SKIP in example.options for example in test.examples), test.name


def test_examples_are_found_through_the_checks_of_types():
    """`conftest` wraps every function; examples of wrapped functions must not be passed over."""
    from freegaze.metrics import correlation

    found = doctest.DocTestFinder().find(correlation)
    assert sum(len(test.examples) for test in found) >= 1
