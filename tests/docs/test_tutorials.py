"""The tutorials, carried out: each block in turn, in one empty folder, as a reader would."""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from freegaze.cli.app import app

PAGES = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("[!i]*.md"))  # no index


def run_python(code: str, names: dict[str, Any]) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        exec(compile(code, "tutorial", "exec"), names)
    return out.getvalue()


def run_shell(code: str) -> str:
    lines = code.replace("\\\n", " ").splitlines()
    assert all(line.startswith("freegaze ") for line in lines), lines
    said = ""
    for line in lines:
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, f"{line}: {result.output} {result.exception}"
        said += result.stdout
    return said


@pytest.mark.filterwarnings("ignore")  # pynwb and hdmf comment on other versions
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_tutorial_does_what_it_says(page: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")  # so that tables break no names
    names: dict[str, Any] = {}
    said, n_shown = "", 0
    for language, code in re.findall(r"```(\w+)\n(.*?)```", page.read_text(), re.DOTALL):
        if language == "text":  # what the block before prints, or a part of it
            for line in code.splitlines():
                assert line in said, f"{line!r} is not in {said}"
                n_shown += 1
        else:
            said = run_python(code, names) if language == "python" else run_shell(code)
    assert n_shown >= 3
