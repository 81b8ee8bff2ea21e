"""Headers and names that are written to do harm; mutants are in ``test_hostile_input``."""

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from freegaze.errors import FreegazeError
from freegaze.recording.store import open_store, save_store
from freegaze.sources.arrays.source import ArraysSource
from freegaze.sources.source import detect_source, open_recordings
from freegaze.sources.xu2023.source import Xu2023Source


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
