"""The built wheel, installed into a clean environment, is all that a user needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: object, cwd: Path, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    built = run(
        *(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT),
        cwd=out,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    return path


def test_nothing_is_missing_from_the_wheel(wheel: Path):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("freegaze/")}
    source = ROOT / "src"
    there = {
        str(path.relative_to(source))
        for path in (source / "freegaze").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == there
    assert "freegaze/py.typed" in packed


def test_the_wheel_works_in_a_clean_environment(wheel: Path, tmp_path: Path):
    assert run(sys.executable, "-m", "venv", "env", cwd=tmp_path).returncode == 0
    python = tmp_path / "env" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    # torch first: asked for by name, pip takes the build that suits the machine.
    for what in (["torch", "torchvision"], [wheel]):
        installed = run(
            *(python, "-m", "pip", "install", "--quiet", *what, "-c", constraints), cwd=tmp_path
        )
        if installed.returncode and "No matching distribution" in installed.stderr:
            pytest.skip(f"no package index can be reached: {installed.stderr[-200:]}")
        assert installed.returncode == 0, installed.stderr[-2000:]
    program = tmp_path / "env" / "bin" / "freegaze"
    assert "simulate" in run(program, "--help", cwd=tmp_path).stdout
    small = ("--minutes", 1, "--neurons", 3, "--seed", 1, "--out", "mouse", "--quiet")
    fit = (
        *("train", "mouse", "--model", "behavior_only", "--out", "run", "--quiet"),
        *("--set", "training.max_passes=1", "--set", "split.gap_s=0.2"),
        *("--set", "data.min_rate_hz=0", "--set", "data.history=2"),
    )
    for words in (("simulate", *small), fit, ("evaluate", "run", "--draws", 50), ("report", "run")):
        done = run(program, *words, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
