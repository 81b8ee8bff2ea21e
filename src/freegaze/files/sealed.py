"""Several files of a folder that belong together: all of one time, with checksums beside them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from freegaze.errors import DataError
from freegaze.files.arrays import file_sha256
from freegaze.files.atomic import cannot_write, scratch_folder, sync_folder
from freegaze.files.checksums import read_checksums

CHECKSUMS = "checksums.sha256"
"""Lines as ``sha256sum`` writes them, so that ``freegaze verify`` reads them too."""


def write_sealed(folder: Path, contents: Mapping[str, bytes], sums: str = CHECKSUMS) -> None:
    """Write files that are only of use together, in the place of those of an earlier time.

    All of them are on the disk before the first takes its place, so that a full disk changes
    nothing. The last one named is removed first and comes last: where it is, the others are whole.

    Args:
        folder: Where; made with its parents.
        contents: Content of each file by name; the last marks the whole.
        sums: Name of the list of checksums.

    Raises:
        DataError: If the disk refuses.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_sealed(folder, {"table.csv": b"a,b", "about.json": b"{}"})
        >>> sorted(path.name for path in folder.iterdir())
        ['about.json', 'checksums.sha256', 'table.csv']
        >>> check_sealed(folder, ["table.csv"])
    """
    *others, last = contents
    lines = [f"{hashlib.sha256(c).hexdigest()}  {name}\n" for name, c in contents.items()]
    whole = {**{n: contents[n] for n in others}, sums: "".join(lines).encode()}
    whole[last] = contents[last]
    try:
        with scratch_folder(folder / last) as scratch:
            for name, content in whole.items():
                with (scratch / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            (folder / last).unlink(missing_ok=True)
            for name in whole:
                (scratch / name).replace(folder / name)
            sync_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None


def check_sealed(folder: Path, names: Sequence[str], sums: str = CHECKSUMS) -> None:
    """Compare files with their checksums, where there is a list of them.

    Args:
        folder: The folder.
        names: Files that will be read.
        sums: Name of the list.

    Raises:
        DataError: If a file is missing or not as it was written, or the list is broken.
    """
    if not (folder / sums).is_file():
        return
    expected = read_checksums(folder / sums)
    for name in names:
        if expected.get(folder / name) != file_sha256(folder / name):
            raise DataError(f"{folder / name} has changed since it was written")
