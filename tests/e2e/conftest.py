"""One tiny simulated session and two tiny runs, made through the command line and shared."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from e2e_options import SMALL, SMALL_CORE
from freegaze.cli import main


class Result(NamedTuple):
    """What a command printed."""

    stdout: str
    stderr: str


Freegaze = Callable[..., Result]


@pytest.fixture(scope="session")
def freegaze() -> Freegaze:
    """Run the command line as a user does, but within this process, which saves the imports."""

    def run(*arguments: object, status: int = 0) -> Result:
        out, err = io.StringIO(), io.StringIO()
        code, before = 0, sys.argv
        sys.argv = ["freegaze", *map(str, arguments)]
        try:
            with redirect_stdout(out), redirect_stderr(err):
                main()
        except SystemExit as end:
            code = end.code
        finally:
            sys.argv = before
        result = Result(out.getvalue(), err.getvalue())
        assert (code or 0) == status, f"status {code}: {result.stdout}{result.stderr}"
        return result

    return run


@pytest.fixture(scope="session")
def mouse(tmp_path_factory: pytest.TempPathFactory, freegaze: Freegaze) -> Path:
    """A simulated session of one and a half minutes."""
    folder = tmp_path_factory.mktemp("e2e") / "mouse"
    freegaze(
        *("simulate", "--minutes", 1.5, "--neurons", 5, "--seed", 1, "--track", "affine"),
        *("--out", folder, "--quiet"),
    )
    return folder


@pytest.fixture(scope="session")
def asked(mouse: Path) -> tuple[str, ...]:
    """Two rows of Table 2 on a recording that is there already, without the folder."""
    return (
        *("reproduce", "table2", "--row", "cnn", "--row", "S", "--source", "simulation"),
        *(str(mouse), "--scale", "tiny", *SMALL, *SMALL_CORE, "--set", "split.gap_s=0.5"),
    )


@pytest.fixture(scope="session")
def runs(mouse: Path, freegaze: Freegaze) -> dict[str, Path]:
    """A behavior-only run and a small CNN-GRU, both evaluated."""
    folder = mouse.parent
    small = ("--set", "split.gap_s=0.5", *SMALL)
    freegaze("train", mouse, "--model", "behavior_only", "--out", folder / "behavior", *small)
    freegaze("train", mouse, "--out", folder / "cnn_gru", *small, *SMALL_CORE)
    paths = {name: folder / name for name in ("behavior", "cnn_gru")}
    for path in paths.values():
        freegaze("evaluate", path, "--draws", 50)
    return paths
