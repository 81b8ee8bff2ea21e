"""Files of a release say what the package says."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import yaml

from freegaze import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "PyYAML": "pyyaml"}


def recipe() -> dict:
    text = (ROOT / "recipe" / "meta.yaml").read_text()
    version = re.search(r'{% set version = "(.*)" %}', text)[1]
    text = re.sub(r"{%.*%}\n", "", text).replace("{{ version }}", version)
    return yaml.safe_load(text.replace("{{ PYTHON }}", "python"))


def test_the_conda_recipe_needs_what_the_package_needs():
    found = recipe()
    assert str(found["package"]["version"]) == __version__ == PROJECT["version"]
    wanted = {f"python {PROJECT['requires-python']}"}
    for dependency in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(.*)", dependency).groups()  # NAME>=VERSION
        wanted.add(f"{CONDA_NAMES.get(name, name)} {bound}")
    assert set(found["requirements"]["run"]) == wanted


def test_archive_metadata_agree_with_the_citation():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    zenodo = json.loads((ROOT / ".zenodo.json").read_text())
    assert zenodo["title"] == citation["title"]
    assert zenodo["license"] == citation["license"] == PROJECT["license"]
    assert zenodo["keywords"] == PROJECT["keywords"]


def test_classifiers_name_the_tested_python():
    named = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert named == ["3.11"]


def test_the_image_copies_what_the_build_reads():
    text = (ROOT / "Dockerfile").read_text()
    copied = re.search(r"^COPY (pyproject.*) \./$", text, re.MULTILINE)[1].split()
    for name in copied:
        assert (ROOT / name).is_file(), name
    assert {PROJECT["readme"], *PROJECT["license-files"], "constraints.txt"} <= set(copied)
