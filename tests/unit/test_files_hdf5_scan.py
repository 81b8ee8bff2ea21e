"""Files that take the HDF5 library down; mutants are in ``test_hostile_input``."""

from __future__ import annotations

from pathlib import Path

import pytest

from freegaze.errors import DataError
from freegaze.files import hdf5_scan as hdf5_look
from freegaze.sources.nwb.writing import write_nwb
from freegaze.sources.source import open_recordings
from freegaze.sources.tiny import make_tiny_recording


def test_a_file_on_which_hdf5_never_ends_is_refused(monkeypatch, tmp_path: Path):
    """Seed 87 of 160 damaged files of ours was such a one; here a stand-in does not end either."""
    file = write_nwb(make_tiny_recording(0), tmp_path / "own.nwb")
    monkeypatch.setattr(hdf5_look, "_PROGRAM", "while True: pass")
    monkeypatch.setattr(hdf5_look, "CHECK_S", 0.5)
    with pytest.raises(DataError, match=r"own\.nwb cannot be looked through within 0\.5 s"):
        open_recordings("nwb", file)
    monkeypatch.setattr(hdf5_look, "_PROGRAM", "import os; os.abort()")
    monkeypatch.setattr(hdf5_look, "CHECK_S", 60.0)
    with pytest.raises(DataError, match=r"own\.nwb crashes the HDF5 library"):
        open_recordings("nwb", file)
