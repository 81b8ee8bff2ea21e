"""Files that one command enters, in the order in which it enters them.

    python benchmarks/walks.py explain RUN --only fields.gradient
    python benchmarks/walks.py reproduce figure4 --out GRID

The command runs with a profile hook. A file counts when one of its functions is called; what runs
while modules are imported does not count. Files are grouped by room. The rooms that supply data and
encoders (``files`` to ``runs`` in the import rules) are printed and counted apart, because a reader
who follows an explanation or a figure does not need to open them. To compare two versions of the
package, run the script twice with another ``PYTHONPATH``.
"""

from __future__ import annotations

import sys
from functools import cache
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import FrameType

import freegaze
from freegaze.cli.app import run

ROOT = Path(freegaze.__file__).parent

SUPPLY = {
    "allocator.py",
    "config.py",
    "config_table.py",
    "contiguous.py",
    "dataset",
    "entries.py",
    "errors.py",
    "files",
    "metrics",
    "models",
    "nn",
    "plugins.py",
    "progress.py",
    "quality",
    "recording",
    "registry.py",
    "runs",
    "simulation",
    "sources",
    "standard_scores.py",
    "weights.py",
}
"""Rooms before the fitted encoder."""


class Walk:
    """A profile hook that records which files are entered.

    Attributes:
        files: Files relative to the package, in the order of their first call.
        returns: Pairs of files (caller, called) in which the called file was entered before.
    """

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.returns: set[tuple[str, str]] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Record one event of the interpreter; see ``sys.setprofile``."""
        file = _own_file(frame)
        if event != "call" or file is None:
            return
        if file not in self.files:
            if not _is_importing(frame):
                self.files[file] = frame.f_code.co_name
            return
        caller = frame.f_back
        while caller is not None and _own_file(caller) is None:
            caller = caller.f_back
        origin = None if caller is None else _own_file(caller)
        if origin not in (None, file) and not _is_supply(file):
            self.returns.add((origin, file))


def _own_file(frame: FrameType) -> str | None:
    return _relative(frame.f_code.co_filename)


@cache
def _relative(name: str) -> str | None:
    path = Path(name)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else None


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a frame belongs to the body of a module or class, or was called from one."""
    while frame is not None:
        if _own_file(frame) is not None and not frame.f_code.co_flags & CO_OPTIMIZED:
            return True
        frame = frame.f_back
    return False


def _is_supply(file: str) -> bool:
    return file.partition("/")[0] in SUPPLY


def walk(arguments: list[str]) -> Walk:
    """Run a command of the shell and return the files that it entered."""
    hook = Walk()
    sys.argv = ["freegaze", *arguments]
    sys.setprofile(hook)
    try:
        run()
    except SystemExit as stop:
        if stop.code:
            raise
    finally:
        sys.setprofile(None)
    return hook


if __name__ == "__main__":
    found = walk(sys.argv[1:])
    own = [file for file in found.files if not _is_supply(file)]
    for file in own:
        print(f"{file}  ({found.files[file]})")
    print(
        f"{len(own)} files entered behind the encoder, {len(found.returns)} ways back to one of "
        f"them; {len(found.files) - len(own)} files of rooms before it"
    )
