"""The house itself: every room can be entered alone, and every public name is documented."""

import ast
import importlib
import inspect
import subprocess
import sys
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


def test_every_module_imports_alone():
    """Before each import every module of ours is forgotten, so that order cannot help."""
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    for loaded in [m for m in sys.modules if m.split('.')[0] == 'freegaze']:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *MODULES], capture_output=True, text=True, check=False
    )
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
    lengths = {path.name: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    assert max(lengths.values()) <= 500
    assert sorted(lengths.values())[len(lengths) // 2] < 150


def names_for_type_checkers(module: ModuleType) -> dict[str, Any]:
    """Import what a module imports under ``if TYPE_CHECKING`` only."""
    tree = ast.parse(Path(module.__file__).read_text())
    guarded = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == GUARD]
    program = "\n".join(ast.unparse(statement) for node in guarded for statement in node.body)
    names: dict[str, Any] = {}
    exec(program, names)
    return names


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
            for part in (thing, *members):
                if inspect.isclass(part) or inspect.isfunction(part):
                    get_type_hints(part, localns=known, include_extras=True)
