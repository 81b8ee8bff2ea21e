"""One format for results: tables, arrays and plain values in a folder, written whole and sealed.

FOLDER/ABOUT.json            plain values; where it is, the artifact is whole
       TABLE.csv, .parquet   each table
       ARRAYS.npz            all arrays by name, without pickles
       checksums.sha256      of all these, as ``sha256sum`` writes them
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np
import pandas as pd

from freegaze.errors import CheckpointError, FreegazeError
from freegaze.files.arrays import UNREADABLE
from freegaze.files.atomic import cannot_write, scratch_folder, sync_folder
from freegaze.files.checksums import check_files, checksum_lines, read_checksums
from freegaze.files.npz import read_npz

CHECKSUMS = "checksums.sha256"

T = TypeVar("T")


@dataclass(frozen=True)
class Content:
    """Content of an artifact.

    Args:
        about: Plain values; NaN and infinity are written as ``null``.
        tables: Tables by name.
        arrays: Arrays of numbers or text by name; ``/`` groups them.
    """

    about: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def group(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays ``name/...`` by the rest of their names."""
        start = f"{name}/"
        return {key[len(start) :]: a for key, a in self.arrays.items() if key.startswith(start)}


@dataclass(frozen=True)
class Artifact:
    """Declaration of one kind of artifact: its files, and the command that makes it.

    Args:
        what: Noun for messages, such as ``evaluation``.
        command: Command that makes it, with ``{run}`` for the run folder.
        about: File of the plain values.
        tables: Names of the tables.
        arrays: File of the arrays.
        sums: File of the checksums.
        has_parquet: Whether tables are also written as Parquet, which keeps types exactly, and read
            from there.
        optional: Tables that earlier versions did not write. They are read where the list of
            checksums names them, and are otherwise missing from the content.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> kind = Artifact("note", "freegaze note {run}", "note.json", ("words",), "numbers.npz")
        >>> words = pd.DataFrame({"word": ["eye"]})
        >>> folder = kind.write(folder, Content({"n": 1}, {"words": words}, {"x": np.arange(3)}))
        >>> kind.read(folder, folder, lambda content: content.arrays["x"].tolist())
        [0, 1, 2]
    """

    what: str
    command: str
    about: str
    tables: tuple[str, ...]
    arrays: str
    sums: str = CHECKSUMS
    has_parquet: bool = True
    optional: tuple[str, ...] = ()

    def is_whole(self, folder: Path) -> bool:
        """Return whether a folder holds a whole artifact of this kind."""
        return (folder / self.about).is_file()

    def write(self, folder: Path, content: Content) -> Path:
        """Write an artifact completely or not at all; an earlier one is replaced.

        Args:
            folder: Folder to write to; made with its parents.
            content: Content to write; tables are those of the declaration.

        Returns:
            The folder.

        Raises:
            DataError: If the disk refuses; existing files then do not change.
        """
        files: dict[str, bytes | str] = {self.arrays: npz_bytes(content.arrays)}
        for name in self.tables:
            files[f"{name}.csv"] = content.tables[name].to_csv(index=False)
            if self.has_parquet:
                files[f"{name}.parquet"] = content.tables[name].to_parquet(index=False)
        files[self.about] = strict_json(content.about)
        write_sealed(folder, files, self.sums)
        return folder

    def read(self, folder: Path, run: Path | str, build: Callable[[Content], T]) -> T:
        """Read an artifact, checked against its checksums where there are any.

        Args:
            folder: Folder of the artifact.
            run: Run folder of the artifact, for messages.
            build: Called with the content; what it raises about wrong values is reported as a
                broken artifact.

        Returns:
            What ``build`` returns.

        Raises:
            CheckpointError: If the artifact is missing or broken, with the command that makes it.
        """
        suffix = "parquet" if self.has_parquet else "csv"
        with self._checked(folder, run):
            tables = {name: folder / f"{name}.{suffix}" for name in self.tables}
            if set(self.optional) & set(tables):
                sums = folder / self.sums
                written = read_checksums(sums) if sums.is_file() else {}
                for name in self.optional:
                    if tables[name] not in written:
                        del tables[name]
            check_files(
                folder / self.sums, [self.about, self.arrays, *(p.name for p in tables.values())]
            )
            return build(
                Content(
                    read_json(folder / self.about),
                    {name: _read_table(path) for name, path in tables.items()},
                    read_npz(folder / self.arrays),
                )
            )

    def read_about(self, folder: Path, run: Path | str) -> dict[str, Any]:
        """Read the plain values alone.

        Raises:
            CheckpointError: In the same cases as ``read``.
        """
        with self._checked(folder, run):
            return read_json(folder / self.about)

    @contextmanager
    def _checked(self, folder: Path, run: Path | str) -> Iterator[None]:
        command = self.command.format(run=run)
        if not self.is_whole(folder):
            raise CheckpointError(f"no {self.what} in {folder} (no {self.about}); run `{command}`")
        try:
            yield
        except (FreegazeError, *UNREADABLE) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CheckpointError(
                f"the {self.what} in {folder} is broken ({reason}); remove {self.about} there and "
                f"run `{command}` again"
            ) from None


def write_sealed(
    folder: Path, files: Mapping[str, bytes | str], sums: str = CHECKSUMS
) -> list[Path]:
    """Write files that are only useful together, and replace earlier ones.

    All files are written to the disk before the first one is moved to its place, so that a full
    disk changes nothing. The last file is removed first and written last. If it exists, the other
    files are complete.

    Args:
        folder: Folder to write to; made with its parents.
        files: Content of each file by name, text as UTF-8; the last marks the whole.
        sums: Name of the list of checksums.

    Returns:
        The files, without the list of checksums.

    Raises:
        DataError: If the disk refuses.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> files = write_sealed(folder, {"table.csv": "a,b", "about.json": b"{}"})
        >>> [path.name for path in files]
        ['table.csv', 'about.json']
        >>> check_files(folder / "checksums.sha256", ["table.csv"])
    """
    *_, last = files
    contents = {k: c.encode() if isinstance(c, str) else c for k, c in files.items()}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    whole = {sums: checksum_lines(digests), **contents}  # the list comes first, the mark last
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
    return [folder / name for name in files]


def folder_name(name: str) -> str:
    """Return a name as that of a folder; special characters are escaped.

    Example:
        >>> folder_name("mouse/1"), folder_name("..")
        ('mouse%2F1', '%2E%2E')
    """
    quoted = quote(name, safe=" ")
    if not quoted.strip("."):  # nothing, "." and ".." are other folders
        quoted = quoted.replace(".", "%2E") or "%"
    return quoted


def npz_bytes(arrays: Mapping[str, np.ndarray], is_compressed: bool = True) -> bytes:
    """Return the content of a ``.npz`` of some arrays."""
    buffer = io.BytesIO()
    save: Callable[..., None] = np.savez_compressed if is_compressed else np.savez
    save(buffer, **arrays)
    return buffer.getvalue()


def strict_json(values: Any) -> str:
    """Return JSON as any program reads it: ``null`` for NaN and infinity, which JSON lacks."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(plain(values), indent=2, allow_nan=False)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: If the file is missing or is not one.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is missing or broken ({error})") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(values).__name__}")
    return values


def _read_table(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, dtype={"unit_id": str})
