"""Encoders and losses from the user's own files, given as ``FILE.py:NAME``.

A file is imported only when the user names it in this very call. No code that a run, an archive or
a configuration names is imported. They only contain the name and the checksum of the source, for
comparison.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from freegaze.errors import ConfigError

_MODULE = "freegaze_own_"
"""Start of the names of modules made from the user's files; the checksum follows."""


@dataclass(frozen=True)
class OwnCode:
    """Source of a class or function that is not part of an installed package.

    Args:
        name: ``FILE.py:NAME``, without folders.
        source: Content of the file, or of the definition alone where there is no file.
    """

    name: str
    source: bytes

    @property
    def sha256(self) -> str:
        """Checksum of the source, in hexadecimal digits."""
        return hashlib.sha256(self.source).hexdigest()

    def same_as(self, name: str, sha256: str) -> bool:
        """Return whether name (without its file, which may be renamed) and source are the same."""
        return (self.name.rpartition(":")[2], self.sha256) == (name.rpartition(":")[2], sha256)


def is_own(name: str) -> bool:
    """Return whether a name has the form ``FILE.py:NAME``."""
    file, _, thing = name.rpartition(":")
    return file.endswith(".py") and thing.isidentifier()


def is_of_own_file(thing: Any) -> bool:
    """Return whether a class or function was loaded from a file by ``load_own``."""
    return str(getattr(thing, "__module__", "")).startswith(_MODULE)


def load_own(reference: str) -> Any:
    """Load a class or function from a Python file. The file is executed.

    Args:
        reference: ``FILE.py:NAME``; the file may import installed packages, but no file beside it.

    Returns:
        The class or function. The same content gives the same object.

    Raises:
        ConfigError: If the file is missing, fails when it is executed, or has no such name.

    Example:
        >>> load_own("missing.py:Mine")
        Traceback (most recent call last):
        freegaze.errors.ConfigError: missing.py:Mine: there is no file missing.py; give its path
    """
    file, _, name = reference.rpartition(":")
    path = Path(file).expanduser()
    try:
        source = path.read_bytes()
    except OSError:
        raise ConfigError(f"{reference}: there is no file {path}; give its path") from None
    module = _execute(path, source)
    if not hasattr(module, name):
        raise ConfigError(f"{reference}: {path} defines no {name!r}; check the name")
    return getattr(module, name)


def code_of(thing: Any) -> OwnCode:
    """Return the source of a class or function.

    Args:
        thing: Class or function from ``load_own``, from a script, or from a notebook.

    Raises:
        ConfigError: If its source cannot be found.
    """
    module = sys.modules.get(thing.__module__)
    source = getattr(module, "__own_source__", None)
    file = Path(getattr(module, "__file__", None) or f"{thing.__module__}.py")
    try:
        if source is None:
            source = file.read_bytes() if file.is_file() else inspect.getsource(thing).encode()
    except (OSError, TypeError):
        raise ConfigError(
            f"the source of {thing!r} cannot be found; put it into a file and give FILE.py:NAME"
        ) from None
    return OwnCode(f"{file.with_suffix('.py').name}:{thing.__qualname__}", source)


def _execute(path: Path, source: bytes) -> ModuleType:
    """Make a module of a file's content, unless the same content was executed before."""
    name = _MODULE + hashlib.sha256(source).hexdigest()
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__dict__.update(__file__=str(path), __own_source__=source)
    sys.modules[name] = module  # dataclasses and pydantic look there
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        line = lines[-1] if lines else getattr(error, "lineno", None)
        raise ConfigError(
            f"{path}, line {line}: {type(error).__name__}: {error}; mend the file"
        ) from error
    return module
