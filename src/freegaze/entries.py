"""Registered names, read from source text without an import.

Importing every encoder takes seconds, because it imports torch; reading its source takes
milliseconds. An entry is a class, a function or an object that a module of the package registers:

    @register_model("glm")                     TARGETS.register("store")(
    class GLM(AbstractEncoder): ...                Target(description="...", ...)
                                               )
    MSE = register_metric(Metric(name="mse", label="...", ...))
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One registered thing, as its source describes it.

    Args:
        name: The name it is registered under.
        module: The module that registers it.
        summary: First line of its docstring; empty without a docstring.
        facts: Constants in its class body, of base classes too, and among the arguments of the
            registering call.
    """

    name: str
    module: str
    summary: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_entries(kind: str, package: str) -> dict[str, Entry]:
    """Find everything that the modules of a package register.

    Modules whose name begins with an underscore are left out: templates.

    Args:
        kind: Kind of registered things, in the singular: ``model`` for ``@register_model(...)`` and
            ``MODELS.register(...)``.
        package: The package, with all packages in it.

    Returns:
        Entries by name. Where two modules register one name, the registry refuses the second when
        it is imported.
    """
    callees = (f"register_{kind}", f"{kind.upper()}S.register")
    spec = find_spec(package)
    entries = {}
    for root in (spec.submodule_search_locations or ()) if spec is not None else ():
        for path in sorted(Path(root).rglob("[!_]*.py")):
            text = path.read_text("utf-8")
            if any(f"{callee}(" in text for callee in callees):
                module = ".".join((package, *path.relative_to(root).with_suffix("").parts))
                found = _entries_of(_tree(path), module, callees)
                entries |= {entry.name: entry for entry in found}
    return entries


def _entries_of(tree: ast.Module, module: str, callees: tuple[str, ...]) -> Iterator[Entry]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            facts = _class_facts(node.name, tree)
            calls, own_name = node.decorator_list, node.name
            summary = (ast.get_docstring(node) or "").partition("\n")[0]
        elif isinstance(node, ast.Assign | ast.Expr):
            facts, calls, own_name, summary = {}, [node.value], None, ""
        else:
            continue
        for call in calls:
            arguments = _arguments(call, callees)
            if arguments is not None:
                name = arguments.get("", arguments.get("name", own_name))
                if isinstance(name, str):
                    yield Entry(name, module, summary, facts | arguments)


def _arguments(call: ast.expr, callees: tuple[str, ...]) -> dict[str, Any] | None:
    """Constants among the arguments of a registering call, and of the calls in and around it.

    The first argument without a name stands under ``""``. ``None`` if nothing is registered.
    """
    calls = [node for node in ast.walk(call) if isinstance(node, ast.Call)]
    if not any(ast.unparse(node.func) in callees for node in calls):
        return None
    found: dict[str, Any] = {}
    for node in calls:
        if ast.unparse(node.func) in callees and node.args:
            found |= _constant("", node.args[0])
        for keyword in node.keywords:
            found |= _constant(keyword.arg or "", keyword.value)
    return found


def _class_facts(name: str, tree: ast.Module) -> dict[str, Any]:
    """Constants in the body of a class, and of its base classes within freegaze."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            origin = _origin(node.module or "")
            return {} if origin is None else _class_facts(name, _tree(origin))
        if isinstance(node, ast.ClassDef) and node.name == name:
            facts: dict[str, Any] = {}
            for base in reversed(node.bases):
                facts |= _class_facts(base.id, tree) if isinstance(base, ast.Name) else {}
            for part in node.body:
                if isinstance(part, ast.Assign):
                    facts |= _constant(ast.unparse(part.targets[0]), part.value)
                elif isinstance(part, ast.AnnAssign):
                    facts |= _constant(ast.unparse(part.target), part.value)
            return facts
    return {}


def _constant(name: str, value: ast.expr | None) -> dict[str, Any]:
    return {name: value.value} if isinstance(value, ast.Constant) else {}


def _origin(module: str) -> Path | None:
    """File of a module of freegaze, found without an import of its package."""
    names = module.split(".")
    if names[0] != __package__:
        return None
    path = Path(__file__).parent.joinpath(*names[1:])
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))
