"""Mutated files: whatever is broken, a FreegazeError or a correct recording, nothing else.

Half of the mutants are damaged bytes; the other half are valid containers with wrong shapes, types,
keys, sizes or values. Seeds are fixed.
"""

import json
import shutil
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from freegaze.errors import FreegazeError
from freegaze.recording.manifest import MANIFEST
from freegaze.recording.recording import validate_recording
from freegaze.recording.store import open_store, save_store, verify_store
from freegaze.sources.arrays import ArraysSource
from freegaze.sources.source import detect_source, open_recordings
from freegaze.sources.store import StoreSource
from freegaze.sources.xu2023 import Xu2023Source

N_MUTANTS = 20  # of each format and of each half


def damage_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip, cut, insert, repeat or blank a few bytes."""
    data = bytearray(content)
    at = int(rng.integers(min(len(data), 400) if rng.random() < 0.5 else len(data)))
    n = int(rng.integers(1, 40))
    kind = rng.integers(6)
    if kind == 0:
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        data[at:at] = rng.bytes(n)
    elif kind == 3:
        data[at : at + n] = bytes(len(data[at : at + n]))
    elif kind == 4:
        data[at:at] = data[at : at + n]
    else:
        data[at : at + n] = rng.bytes(len(data[at : at + n]))
    return bytes(data)


def mutate_array(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a valid array of another shape, type or content."""
    changes: list[Callable[[], np.ndarray]] = [
        lambda: array[: len(array) // 2] if array.ndim else array,
        lambda: array[..., None],
        lambda: array.reshape(-1),
        lambda: array[:0] if array.ndim else array,
        lambda: array.astype(str),
        lambda: array.astype(object),
        lambda: array.astype("S"),
        lambda: np.zeros(array.shape, np.complex64),
        lambda: np.zeros(array.shape, "M8[s]"),
        lambda: np.zeros(array.shape, [("a", "i4"), ("b", "f8")]),
        lambda: np.full(array.shape, np.nan),
        lambda: np.full(array.shape, np.inf),
        lambda: np.full(array.shape, -1e300),
        lambda: np.full(array.shape, 2**63, np.uint64),
        lambda: np.full(array.shape, True),
        lambda: np.zeros((1_000_000, 0)),
        lambda: np.array("x"),
        lambda: np.asfortranarray(array),
        lambda: array.astype(array.dtype.newbyteorder(">")),
        lambda: np.full(array.shape, 0.5),
    ]
    return changes[int(rng.integers(len(changes)))]()


def mutate_npz(file: Path, rng: np.random.Generator) -> None:
    with np.load(file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = list(arrays)[int(rng.integers(len(arrays)))]
    kind = rng.integers(4)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[f"{name}2"] = arrays.pop(name)
    else:
        arrays[name] = mutate_array(arrays[name], rng)
    np.savez(file, **arrays)


def mutate_manifest(file: Path, rng: np.random.Generator) -> None:
    values = json.loads(file.read_text())
    node = values
    while True:  # walk down to some value
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = keys[int(rng.integers(len(keys)))]
        if not isinstance(node[key], dict | list) or not node[key] or rng.random() < 0.2:
            break
        node = node[key]
    strange = [None, -1, 1.5, 10**400, "", "../../x", "\ud800", True, [], {}, [[]], ["train"], 0]
    if rng.random() < 0.15:
        del node[key]
    else:
        node[key] = strange[int(rng.integers(len(strange)))]
    file.write_text(json.dumps(values))


def pick(files: list[Path], rng: np.random.Generator) -> Path:
    return sorted(files)[int(rng.integers(len(files)))]


def mutate(folder: Path, format_: str, is_valid: bool, rng: np.random.Generator) -> None:
    if not is_valid:
        file = pick([p for p in folder.rglob("*") if p.is_file()], rng)
        file.write_bytes(damage_bytes(file.read_bytes(), rng))
    elif format_ == "arrays":
        mutate_npz(next(folder.rglob("*.npz")), rng)
    elif format_ == "store" and rng.random() < 0.7:
        mutate_manifest(next(folder.rglob(MANIFEST)), rng)
    else:
        file = pick(list(folder.rglob("*.npy")), rng)
        np.save(file, mutate_array(np.load(file), rng), allow_pickle=True)


SOURCES = {"arrays": ArraysSource, "store": StoreSource, "xu2023": Xu2023Source}


@pytest.mark.parametrize("is_valid", [False, True], ids=["damaged", "valid"])
@pytest.mark.parametrize("format_", SOURCES)
def test_mutants_end_in_an_error_of_ours_or_a_recording(format_, is_valid, tmp_path: Path):
    clean = tmp_path / "clean"
    clean.mkdir()
    relative = SOURCES[format_]().write_tiny(clean, 0).relative_to(clean)
    messages = []
    for seed in range(N_MUTANTS):
        mutant = tmp_path / "mutant"
        shutil.copytree(clean, mutant)
        mutate(mutant, format_, is_valid, np.random.default_rng([seed, is_valid]))
        try:
            for recording in open_recordings(format_, mutant / relative):
                validate_recording(recording)
        except FreegazeError as error:
            messages.append(str(error))
        shutil.rmtree(mutant)
    assert len(messages) >= N_MUTANTS // 4, "mutants that change nothing prove nothing"
    assert not [text for text in messages if "\n" in text]


def test_a_store_that_verifies_holds_the_same_values(tmp_path: Path):
    """Damage that opening does not see, the checksums do."""
    clean = StoreSource().write_tiny(tmp_path, 0)
    original = open_store(clean)
    n_refused = 0
    for seed in range(N_MUTANTS):
        mutant = tmp_path / "mutant"
        shutil.copytree(clean, mutant)
        mutate(mutant, "store", False, np.random.default_rng([seed, 7]))
        try:
            opened = open_store(mutant, verify=True)
        except FreegazeError:
            n_refused += 1
        else:
            np.testing.assert_array_equal(opened.frames, original.frames)
            np.testing.assert_array_equal(opened.responses, original.responses)
            assert verify_store(mutant) == []
        shutil.rmtree(mutant)
    assert n_refused >= N_MUTANTS // 2


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    """An .npy header with any text as its dictionary."""
    body = text.encode("latin-1").ljust(117) + b"\n"
    return b"\x93NUMPY" + version + len(body).to_bytes(2, "little") + body


HEADERS = {
    "negative": "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
    "huge": "{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999999999999,)}",
    "petabyte": "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,)}",
    "object": "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
    "code": "__import__('os').system('touch owned')",
    "set": "{1, 2}",
    "no dict": "(",
    "key": "{'descr': '<f8', 'fortran_order': False}",
    "long": "{'descr': '<U999999999', 'fortran_order': False, 'shape': (3,)}",
    "text shape": "{'descr': '<f8', 'fortran_order': False, 'shape': ('3',)}",
    "bool shape": "{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}",
    "escape": "{'descr': '\\d', 'fortran_order': False, 'shape': (3,)}",
    "long integer": "{'descr': '<f8', 'fortran_order': False, 'shape': (3L,)}",
    "null": "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}\x00",
}


@pytest.mark.parametrize("text", HEADERS.values(), ids=HEADERS.keys())
@pytest.mark.parametrize("version", [b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09"])
def test_hostile_headers_run_nothing_and_reserve_nothing(text, version, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = header(text, version) + bytes(8)
    root = Xu2023Source().write_tiny(tmp_path, 0)
    (root / "tiny" / "train_speed_seg_0.npy").write_bytes(content)
    with pytest.raises(FreegazeError, match=r"train_speed_seg_0\.npy"):
        open_recordings("xu2023", root)
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("responses.npy", content)
    (tmp_path / "mine.npz").write_bytes(stream.getvalue())
    with pytest.raises(FreegazeError, match=r"mine\.npz"):
        open_recordings("arrays", tmp_path / "mine.npz")
    assert not (tmp_path / "owned").exists()


def test_names_never_lead_out_of_the_folder(tmp_path: Path):
    """A member of an .npz is a key, never a path."""
    file = ArraysSource().write_tiny(tmp_path, 0)
    with np.load(file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez(file, **arrays, **{"../../outside": np.zeros(240)})
    (recording,) = open_recordings("arrays", file)
    assert "../../outside" in recording.annotations
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny.npz"]
    folder = save_store(recording, tmp_path / "store")
    assert "../../outside" in open_store(folder, verify=True).annotations
    assert sorted(p.name for p in tmp_path.iterdir()) == ["store", "tiny.npz"]
    assert detect_source(folder) == "store"
