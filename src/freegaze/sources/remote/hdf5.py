"""Check of HDF5 files on a web server before any other code opens them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from freegaze.errors import DataError
from freegaze.files.hdf5_scan import Scan, check_hdf5
from freegaze.sources.remote.blocks import address_of, n_blocks_here

_OPENING = """
from pathlib import Path
sys.path[:] = json.loads(sys.argv[2])
from freegaze.sources.remote.blocks import open_blocks
place = open_blocks(Path(sys.argv[1]))
options, reads_values = {}, False
"""
"""Chunks are not read: this would transfer one of every array."""


def check_remote_hdf5(place: Path) -> None:
    """Check names, attributes and headers of a file at an address.

    The blocks are kept, so that each is transferred once.

    Args:
        place: Path of its blocks on this machine.

    Raises:
        DataError: If the server fails, the file is damaged, or a part is in another file.
    """
    address = address_of(place)
    scan = Scan(_OPENING, (json.dumps(sys.path),), lambda: n_blocks_here(place))
    try:
        check_hdf5(place, scan)
    except DataError as error:
        raise DataError(str(error).replace(str(place), str(address))) from None
