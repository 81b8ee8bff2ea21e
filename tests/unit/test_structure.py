"""The house itself: every room can be entered alone, and every public name is documented."""

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest

GUARD = "TYPE_CHECKING"
SOURCE = Path(__file__).parents[2] / "src" / "freegaze"
MODULES = sorted(
    str(path.relative_to(SOURCE.parent).with_suffix("")).replace("/", ".").removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
)


def imported_by(name: str) -> set[str]:
    """Modules of ours that must be there before a module is: what it imports when it is imported.

    A module's own packages are left out: they begin before it does, whoever imports it.
    """
    path = SOURCE.parent / Path(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    wanted = set()
    for node in statements_run_at_import(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            wanted |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            wanted |= {alias.name for alias in node.names}
    parents = {".".join(m.split(".")[:n]) for m in wanted for n in range(1, m.count(".") + 1)}
    own = {".".join(name.split(".")[:n]) for n in range(1, name.count(".") + 2)}
    return ((wanted | parents) & set(MODULES)) - own


def statements_run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Statements outside of functions and of what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        is_guarded = isinstance(child, ast.If) and ast.unparse(child.test) == GUARD
        if not is_guarded and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from statements_run_at_import(child)


def test_imports_run_in_no_circle():
    """So each module finds what it imports complete, whatever was imported before."""
    graph = {name: imported_by(name) for name in MODULES}
    assert "freegaze.errors" in graph["freegaze.registry"]
    assert "freegaze.models.encoder" in graph["freegaze.models.glm"]
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle


ROOMS_PROGRAM = """
import importlib, os, sys
modules = sys.argv[1:]
for name in modules:  # once, so that what others wrote is there; each child starts from it
    importlib.import_module(name)
for name in [m for m in sys.modules if m.split('.')[0] == 'freegaze']:
    del sys.modules[name]
rooms = {}
for name in modules:
    rooms.setdefault('.'.join(name.split('.')[:2]), []).append(name)
for names in rooms.values():
    child = os.fork()
    if not child:
        try:
            for name in names:
                importlib.import_module(name)
        except BaseException as error:
            print(f'{names[0]}: {error!r}', file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(1)
"""


@pytest.mark.slow
def test_every_room_imports_alone():
    """In a process in which no other room of ours was imported before.

    The quick tests look at the same statically: imports run in no circle.
    """
    command = [sys.executable, "-W", "ignore", "-c", ROOMS_PROGRAM, *MODULES]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_importing_the_package_loads_nothing_heavy():
    program = "import sys, freegaze; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "words",
    ["--help", "train --help", "import-weights --help", "models", "sources", "targets", "metrics"],
)
def test_help_loads_nothing_heavy(words: str):
    """Nothing that takes seconds, nor what takes tenths of one."""
    program = (
        "import sys\n"
        "from freegaze.cli.app import app\n"
        "try:\n"
        "    app(sys.argv[1].split())\n"
        "finally:\n"
        "    print([m for m in ('torch', 'pandas', 'numpy') if m in sys.modules])\n"
    )
    command = [sys.executable, "-c", program, words]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("words", "found"), [("", "train"), ("train --mo", "--model")])
def test_completion_loads_nothing_heavy(words: str, found: str):
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print([m for m in ('torch', 'numpy') if m in sys.modules]))\n"
        "sys.argv = ['freegaze']\n"
        "from freegaze.cli.app import run; run()\n"
    )
    asked = {"_FREEGAZE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": f"freegaze {words}"}
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found in result.stdout
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.name)
def test_public_names_are_documented(path: Path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path.name} has no docstring"
    kinds = (ast.FunctionDef, ast.ClassDef)
    public = [n for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")]
    for node in public:
        doc = ast.get_docstring(node)
        assert doc, f"{path.name}: {node.name}"
        if isinstance(node, ast.FunctionDef) and any(isinstance(n, ast.Raise) for n in node.body):
            assert "Raises:" in doc, f"{path.name}: {node.name} raises and does not say so"


def test_files_are_short():
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    assert [path.name for path, length in lengths.items() if length > 400] == []
    assert sorted(lengths.values())[len(lengths) // 2] < 150


NO_TITLE = re.compile(
    r"^(what|how|why|who|whom|whose|whether|when|where|which|is|are|do|does|can|from|into|in|on"
    r"|at|by|with|to)\b|\?|[:;] (what|how|why|whether|which|where|is|are|do|does)\b",
    re.IGNORECASE,
)
"""Beginnings of questions, clauses and prepositional phrases; a question behind a colon."""


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.name)
def test_a_title_is_a_noun_phrase_or_an_imperative(path: Path):
    title = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
    title = re.sub(r"^``[^`]*``(, ``[^`]*``)*( and ``[^`]*``)?: ", "", title)  # a verb's name
    assert not NO_TITLE.search(title), title
    assert title.endswith(".")


def names_for_type_checkers(module: ModuleType) -> dict[str, Any]:
    """Import what a module imports under ``if TYPE_CHECKING`` only."""
    tree = ast.parse(Path(module.__file__).read_text())
    guarded = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == GUARD]
    program = "\n".join(ast.unparse(statement) for node in guarded for statement in node.body)
    names: dict[str, Any] = {}
    exec(program, names)
    return names


def names_of_bases(kind: type) -> dict[str, Any]:
    """Names in the modules of base classes: a data class repeats the annotations of its bases."""
    modules = [sys.modules[base.__module__] for base in kind.__mro__[1:]]
    ours = [module for module in modules if module.__name__.startswith("freegaze")]
    return {name: value for module in ours for name, value in vars(module).items()}


@pytest.mark.parametrize("name", [m for m in MODULES if not m.endswith("._template")])
def test_annotations_can_be_checked(name: str):
    """The hook of `conftest` takes what it cannot resolve for "anything", so nothing may be that.

    ``Float[np.ndarray, ...]`` for ``" ..."``, for example, or a name that is imported nowhere.
    (Importing a template here would register what it is a template of.)
    """
    module = importlib.import_module(name)
    known = names_for_type_checkers(module)
    for thing in vars(module).values():
        if getattr(thing, "__module__", None) == name:
            members = vars(thing).values() if inspect.isclass(thing) else ()
            inherited = names_of_bases(thing) if inspect.isclass(thing) else {}
            for part in (thing, *members):
                if inspect.isclass(part) or inspect.isfunction(part):
                    get_type_hints(part, localns=inherited | known, include_extras=True)
