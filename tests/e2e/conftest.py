"""One tiny simulated session and two tiny runs, made through the command line and shared."""

from __future__ import annotations

import functools
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from e2e_options import SMALL, SMALL_CORE
from freegaze.cli.app import run as run_command
from interrupted_commands import Verb, make_verbs, start_command
from slurm_cluster import REASON, Cluster, slurm_cluster


class Result(NamedTuple):
    """What a command printed."""

    stdout: str
    stderr: str
    status: int


Freegaze = Callable[..., Result]


@pytest.fixture(scope="session")
def freegaze() -> Freegaze:
    """Run the command line as a user does, but within this process, which saves the imports."""

    def run(*arguments: object, status: int | None = 0) -> Result:
        out, err = io.StringIO(), io.StringIO()
        code, before = 0, sys.argv
        sys.argv = ["freegaze", *map(str, arguments)]
        try:
            with redirect_stdout(out), redirect_stderr(err):
                run_command()
        except SystemExit as end:
            code = end.code
        finally:
            sys.argv = before
        result = Result(out.getvalue(), err.getvalue(), code or 0)
        assert status in (None, result.status), f"status {code}: {result.stdout}{result.stderr}"
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
    network = ("--model", "cnn_gru", *SMALL_CORE)
    freegaze("train", mouse, "--out", folder / "cnn_gru", *small, *network)
    paths = {name: folder / name for name in ("behavior", "cnn_gru")}
    for path in paths.values():
        freegaze("evaluate", path, "--draws", 50)
    return paths


@pytest.fixture(scope="session")
def verbs(mouse: Path, runs: dict[str, Path], asked, tmp_path_factory) -> dict[str, Verb]:
    """Commands to be interrupted."""
    return make_verbs(mouse, runs["cnn_gru"], asked, tmp_path_factory.mktemp("sessions"))


@pytest.fixture(scope="session")
def undisturbed(verbs, tmp_path_factory) -> Callable[[str], tuple[float, dict[str, Any]]]:
    """Seconds that a command takes once it has its modules, and what it ends with."""

    @functools.cache
    def run(name: str) -> tuple[float, dict[str, Any]]:
        place = tmp_path_factory.mktemp(name) / "whole"
        verbs[name].prepare(place)
        process = start_command(verbs[name].words(place))
        begin = time.monotonic()
        process.join()
        assert process.exitcode == 0
        return time.monotonic() - begin, verbs[name].results(place)

    return run


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A SLURM of two nodes on this machine."""
    if REASON:
        if "slurm" in os.environ.get("FREEGAZE_REQUIRE", ""):
            pytest.fail(f"FREEGAZE_REQUIRE asks for SLURM, but: {REASON}")
        pytest.skip(REASON)
    with slurm_cluster() as cluster:
        yield cluster


@pytest.fixture
def on_cluster(cluster: Cluster, freegaze: Freegaze, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Run the command line where this SLURM is."""
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    return freegaze
