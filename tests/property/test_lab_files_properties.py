"""Mutated laboratory files and NWB files: a FreegazeError in one line, or a valid recording.

Half of the mutants are damaged bytes; the other half are valid containers with wrong shapes, types,
keys, sizes or values. Seeds are fixed.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from test_sources_properties import damage_bytes, mutate_array, pick

from freegaze.errors import DataError, FreegazeError
from freegaze.recording import hdf5_look
from freegaze.recording.recording import validate_recording
from freegaze.sources.alignment.tiny import make_tiny_streams
from freegaze.sources.files import FilesSource
from freegaze.sources.lab_files.tiny import deeplabcut_table
from freegaze.sources.nwb import NwbSource
from freegaze.sources.nwb_files.writing import write_nwb
from freegaze.sources.source import open_recordings
from freegaze.sources.tiny import make_tiny_recording

N_MUTANTS = 20  # of each format and of each half

pytestmark = pytest.mark.filterwarnings("ignore")  # pandas, numpy and hdmf comment on odd values

STRANGE = (
    *(None, -1, 0, 1.5, 1e300, 10**400, float("nan"), "", "../../x", "x" * 300, True, [], {}),
    *([[]], ["speed"], {"a": 1}, "no\nline"),
)


def mutate_yaml(file: Path, rng: np.random.Generator) -> None:
    values = yaml.safe_load(file.read_text())
    node: Any = values
    while True:  # walk down to some value
        key = list(node)[int(rng.integers(len(node)))] if isinstance(node, dict) else 0
        if not isinstance(node[key], dict | list) or not node[key] or rng.random() < 0.2:
            break
        node = node[key]
    if rng.random() < 0.15:
        del node[key]
    else:
        node[key] = STRANGE[int(rng.integers(len(STRANGE)))]
    file.write_text(yaml.safe_dump(values))


def mutate_csv(file: Path, rng: np.random.Generator) -> None:
    rows = file.read_text().splitlines()
    kind = rng.integers(6)
    at = int(rng.integers(len(rows)))
    if kind == 0:
        rows = rows[: at // 20]
    elif kind == 1:
        rows[at] = "," * int(rng.integers(30))
    elif kind == 2:
        rows = [*rows[at:], *rows[:at]]
    elif kind == 3:
        rows[at] = rows[at].replace("0", "x")
    elif kind == 4:
        rows = [row.split(",")[0] for row in rows]
    else:
        rows = [*rows, "1e999,inf,-inf,nan", rows[0]]
    file.write_text("\n".join(rows))


def mutate_hdf5(file: Path, rng: np.random.Generator) -> None:
    """Replace, remove or rename one data set, or change an attribute."""
    with h5py.File(file, "a") as store:
        names: list[str] = []
        store.visititems(
            lambda name, thing: names.append(name) if isinstance(thing, h5py.Dataset) else None
        )
        names = sorted(n for n in names if not n.startswith("specifications"))
        name = names[int(rng.integers(len(names)))]
        kind = rng.integers(6)
        old: Any = store[name]
        attributes = dict(old.attrs)
        if kind == 0:
            del store[name]
        elif kind == 1:
            store.move(name, f"{name}2")
        elif kind == 2 and attributes:
            key = sorted(attributes)[int(rng.integers(len(attributes)))]
            old.attrs[key] = [np.nan, "strange", -1.0][int(rng.integers(3))]
        else:
            content = np.asarray(old[()])
            if content.dtype.kind in "biuf":
                content = mutate_array(content, rng)
            if content.dtype.kind in "biuf":
                del store[name]
                store[name] = content
                store[name].attrs.update(attributes)


def mutate(folder: Path, is_valid: bool, rng: np.random.Generator) -> None:
    files = [p for p in folder.rglob("*") if p.is_file()]
    file = pick(files, rng)
    if not is_valid:
        file.write_bytes(damage_bytes(file.read_bytes(), rng))
    elif file.suffix == ".yaml" or (len(files) > 3 and rng.random() < 0.4):
        mutate_yaml(next(folder.rglob("*.yaml")), rng)
    elif file.suffix in (".csv", ".tsv"):
        mutate_csv(file, rng)
    elif file.suffix == ".npy":
        np.save(file, mutate_array(np.load(file), rng), allow_pickle=True)
    elif file.suffix in (".nwb", ".h5"):
        mutate_hdf5(file, rng)
    elif rng.random() < 0.5:
        file.write_text("")
    else:
        file.unlink()


def write_files(folder: Path) -> Path:
    return FilesSource().write_tiny(folder, 0)


def write_files_h5(folder: Path) -> Path:
    """With a DeepLabCut h5; only that and the YAML are left to be mutated."""
    file = FilesSource().write_tiny(folder, 0)
    config = yaml.safe_load(file.read_text())
    table = deeplabcut_table(make_tiny_streams(0))
    table.to_hdf(folder / "eye.h5", key="df_with_missing", format="table", mode="w")
    config["behavior"]["eye"]["file"] = "eye.h5"
    file.write_text(yaml.safe_dump(config))
    return file


def write_foreign(folder: Path) -> Path:
    return NwbSource().write_tiny(folder, 0)


def write_own(folder: Path) -> Path:
    return write_nwb(make_tiny_recording(0), folder / "own.nwb")


WRITERS = {
    "files": ("files", write_files),
    "files with h5": ("files", write_files_h5),
    "nwb": ("nwb", write_foreign),
    "nwb of ours": ("nwb", write_own),
}


@pytest.mark.parametrize("is_valid", [False, True], ids=["damaged", "valid"])
@pytest.mark.parametrize("name", WRITERS)
def test_mutants_end_in_an_error_of_ours_or_a_recording(name, is_valid, tmp_path: Path):
    source, writer = WRITERS[name]
    clean = tmp_path / "clean"
    clean.mkdir()
    relative = writer(clean).relative_to(clean)
    messages = []
    for seed in range(N_MUTANTS):
        folder = tmp_path / "mutant"
        shutil.copytree(clean, folder)
        mutate(folder, is_valid, np.random.default_rng([seed, is_valid]))
        try:
            if (folder / relative).exists():
                for recording in open_recordings(source, folder / relative):
                    validate_recording(recording)
        except FreegazeError as error:
            messages.append(str(error))
        shutil.rmtree(folder)
    assert len(messages) >= N_MUTANTS // 10, "mutants that change nothing prove nothing"
    assert not [text for text in messages if "\n" in text]


def test_a_file_on_which_hdf5_never_ends_is_refused(monkeypatch, tmp_path: Path):
    """Seed 87 of 160 damaged files of ours was such a one; here a stand-in does not end either."""
    file = write_own(tmp_path)
    monkeypatch.setattr(hdf5_look, "_PROGRAM", "while True: pass")
    monkeypatch.setattr(hdf5_look, "CHECK_S", 0.5)
    with pytest.raises(DataError, match=r"own\.nwb cannot be looked through within 0\.5 s"):
        open_recordings("nwb", file)
    monkeypatch.setattr(hdf5_look, "_PROGRAM", "import os; os.abort()")
    monkeypatch.setattr(hdf5_look, "CHECK_S", 60.0)
    with pytest.raises(DataError, match=r"own\.nwb crashes the HDF5 library"):
        open_recordings("nwb", file)
