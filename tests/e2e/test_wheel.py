"""What users install: the wheel, alone in a clean environment, far from this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e_options import SMALL

ROOT = Path(__file__).parents[2]
VERBS = (
    ("simulate", "--minutes", "1", "--neurons", "3", "--out", "mouse", "--quiet"),
    (
        "train",
        "mouse",
        "--model",
        "behavior_only",
        "--out",
        "run",
        "--set",
        "split.gap_s=0.5",
        *SMALL,
    ),
    ("evaluate", "run", "--draws", "20"),
    ("report", "run", "--out", "report.html"),
)
NO_REGISTRY = (
    "Max retries exceeded",
    "NewConnectionError",
    "ConnectTimeoutError",
    "Read timed out",
    "Name or service not known",
    "Temporary failure in name resolution",
)
"""What pip says when it reaches no package index, as against a wheel that cannot be installed."""


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, knowing nothing of where this test's Python finds its modules."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the tool that `python -m build` finds installed."""
    folder = tmp_path_factory.mktemp("wheel")
    command = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    built = run(*command, cwd=folder)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("freegaze-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    """Run a program of a clean environment that has the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("clean")
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    made = run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    assert made.returncode == 0, made.stderr
    pip = (programs / "python", "-m", "pip", "install", "--quiet", "--no-compile")
    result = run(*pip, wheel, "-c", ROOT / "constraints.txt", cwd=folder)
    reasons = [text for text in NO_REGISTRY if text in result.stderr]
    if result.returncode and reasons:
        pytest.skip(f"pip reaches no package index ({reasons[0]})")
    assert result.returncode == 0, result.stderr

    def call(program: str, *arguments: object) -> str:
        done = run(programs / program, *arguments, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield call
    shutil.rmtree(folder)  # gigabytes that pytest would keep


def test_the_wheel_holds_every_file_of_the_package(wheel: Path):
    package = ROOT / "src" / "freegaze"
    ours = {
        str(path.relative_to(package.parent))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == ours
    assert "freegaze/py.typed" in packed
    assert any(name.endswith(".html.j2") for name in packed)


PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import freegaze
from freegaze.cli.app import run
for words in json.loads(sys.argv[2]):
    sys.argv = ["freegaze", *words]
    try:
        run()
    except SystemExit as end:
        assert not end.code, words
print(freegaze.__file__)
"""


def test_the_unpacked_wheel_simulates_fits_scores_and_reports(wheel: Path, tmp_path: Path):
    place = tmp_path / "unpacked"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
    result = run(*pip, "--no-compile", "--target", place, wheel, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (place / "bin").is_dir()
    done = run(sys.executable, "-c", PROGRAM, place, json.dumps(VERBS), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert place in Path(done.stdout.splitlines()[-1]).parents
    assert len((tmp_path / "report.html").read_text()) > 10_000


@pytest.mark.slow
def test_a_clean_environment_simulates_fits_scores_and_reports(installed: Callable[..., str]):
    where = installed("python", "-c", "import freegaze; print(freegaze.__file__)")
    assert ROOT not in Path(where.strip()).parents
    assert "simulate" in installed("freegaze", "--help")
    for words in VERBS:
        installed("freegaze", *words)
    read = "import pathlib; print(len(pathlib.Path('report.html').read_text()))"
    assert int(installed("python", "-c", read)) > 10_000
