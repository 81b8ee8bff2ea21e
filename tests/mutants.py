"""Break files on purpose: by their bytes, or as valid containers of wrong content.

Everything follows from the random numbers given. Wherever a format could hold code, some mutants
hold it: run, it makes a folder ``owned`` in the current one.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.io
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file

Random = np.random.Generator

STRANGE = (
    *(None, -1, 0, 1.5, 1e300, 10**400, float("nan"), "", "../../x", "x" * 300, True, [], {}),
    *([[]], ["speed"], ["train"], {"a": 1}, "no\nline", "\ud800"),
)
"""Values that no field of a configuration or manifest expects."""


class Payload:
    """What a pickle can hold: a call, here of ``os.mkdir``."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("owned",)


def pick(things: list[Any], rng: Random) -> Any:
    return sorted(things)[int(rng.integers(len(things)))]


def damage_bytes(content: bytes, rng: Random) -> bytes:
    """Flip, cut, insert, repeat or blank a few bytes; half of the time near the beginning."""
    data = bytearray(content)
    if not data:
        return rng.bytes(20)
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


def mutate_array(array: np.ndarray, rng: Random) -> np.ndarray:
    """Return a valid array of another shape, type or content."""
    changes: list[Callable[[], np.ndarray]] = [
        lambda: array[: len(array) // 2] if array.ndim else array[None],
        lambda: array[..., None],
        lambda: array.reshape(-1)[:-1],
        lambda: array[:0] if array.ndim else array[None],
        lambda: array.astype(str),
        lambda: np.full(array.shape, Payload(), object),
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
        lambda: array[None],
        lambda: array.T,
        lambda: array.reshape(-1)[0] if array.size else np.array(0.0),
        lambda: np.stack([array, array], axis=-1),
        lambda: np.concatenate([array, array]) if array.ndim else array[None, None],
        lambda: array[:1] if array.ndim else array[None],
    ]
    return changes[int(rng.integers(len(changes)))]()


def mutate_named(things: dict[str, Any], rng: Random, change: Callable[[Any], Any]) -> None:
    """Leave out, rename, swap or change one of several things."""
    name = pick(list(things), rng)
    kind = rng.integers(5)
    if kind == 0:
        del things[name]
    elif kind == 1:
        things[f"{name}2"] = things.pop(name)
    elif kind == 2 and len(things) > 1:
        other = pick([n for n in things if n != name], rng)
        things[name], things[other] = things[other], things[name]
    else:
        things[name] = change(things[name])


def mutate_tree(values: Any, rng: Random) -> Any:
    """Put a strange value anywhere into nested lists and dictionaries, or take one away."""
    if not isinstance(values, dict | list) or not values or rng.random() < 0.03:
        return STRANGE[int(rng.integers(len(STRANGE)))]
    node = values
    while True:  # walk down to some value
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = keys[int(rng.integers(len(keys)))]
        if not isinstance(node[key], dict | list) or not node[key] or rng.random() < 0.2:
            break
        node = node[key]
    if rng.random() < 0.15:
        del node[key]
    else:
        node[key] = STRANGE[int(rng.integers(len(STRANGE)))]
    return values


def mutate_npy(file: Path, rng: Random) -> None:
    array = np.load(file, allow_pickle=True)  # of our own making
    changed = (
        mutate_pickled(array.item(), rng) if array.dtype.hasobject else mutate_array(array, rng)
    )
    np.save(file, changed, allow_pickle=True)


def mutate_pickled(values: Any, rng: Random) -> Any:
    """Change an array, or put a strange value or a call, in nested lists and dictionaries."""
    node = values
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = keys[int(rng.integers(len(keys)))]
        if not isinstance(node[key], dict | list) or not node[key]:
            break
        node = node[key]
    kind = rng.random()
    if isinstance(node[key], np.ndarray) and kind < 0.6:
        node[key] = mutate_array(node[key], rng)
    elif kind < 0.7:
        node[key] = Payload()
    else:
        return mutate_tree(values, rng)
    return values


def mutate_npz(file: Path, rng: Random) -> None:
    with np.load(file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    mutate_named(arrays, rng, lambda array: mutate_array(array, rng))
    np.savez(file, **arrays)


def mutate_json(file: Path, rng: Random) -> None:
    lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
    at = int(rng.integers(len(lines)))
    lines[at] = json.dumps(mutate_tree(json.loads(lines[at]), rng))
    file.write_text("\n".join(lines))


def mutate_yaml(file: Path, rng: Random) -> None:
    kind = rng.random()
    if kind < 0.1:
        code = "!!python/object/apply:os.mkdir [owned]"
        key = pick(list(yaml.safe_load(file.read_text())), rng)
        file.write_text(file.read_text() + f"\nextra: {code}\n{key}: {code}\n")
    elif kind < 0.2:  # each line ten times as long as the one before
        lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
        for a, b in pairwise("abcdefghi"):
            lines.append(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]")
        file.write_text("\n".join(lines))
    else:
        values = mutate_tree(yaml.safe_load(file.read_text()), rng)
        file.write_text(yaml.safe_dump(values), encoding="utf-8")


def mutate_lines(file: Path, rng: Random) -> None:
    """Change a table or a list as text."""
    rows = file.read_text().splitlines() or [""]
    kind = rng.integers(6)
    at = int(rng.integers(len(rows)))
    if kind == 0:
        rows = rows[: at // 20]
    elif kind == 1:
        rows[at] = "," * int(rng.integers(30))
    elif kind == 2:
        rows = [*rows[at:], *rows[:at]]
    elif kind == 3:
        rows[at] = rows[at].replace("0", "x").replace("a", "../../")
    elif kind == 4:
        rows = [row.split(",")[0] for row in rows]
    else:
        rows = [*rows, "1e999,inf,-inf,nan", rows[0]]
    file.write_text("\n".join(rows) + "\n" * int(rng.integers(2)))


def mutate_hdf5(file: Path, rng: Random) -> None:
    """Leave out, rename or replace a data set, also by a link or by a promise; or an attribute."""
    with h5py.File(file, "r+") as stream:
        names: list[str] = []
        stream.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        name = pick([n for n in names if not n.startswith("specifications")], rng)
        old: Any = stream[name]
        value, attributes = np.asarray(old[()]), dict(old.attrs)
        kind = rng.integers(9)
        if kind == 0 and attributes:
            old.attrs[pick(list(attributes), rng)] = [np.nan, "strange", -1.0][int(rng.integers(3))]
            return
        del stream[name]
        if kind == 1:
            return
        if kind == 2:
            stream[f"{name}2"] = value
        elif kind == 3:
            stream[name] = h5py.ExternalLink("/etc/hostname", "x")
        elif kind == 4:
            stream.create_dataset(name, (10**11, 3), "f8", chunks=(100, 3))
        elif kind == 5:
            stream.create_group(name)
        else:
            try:
                stream[name] = mutate_array(value, rng)
            except (TypeError, ValueError, KeyError):  # HDF5 cannot hold it
                stream[name] = "text"
            stream[name].attrs.update(attributes)


def mutate_mat(file: Path, rng: Random) -> None:
    """Change a variable of MATLAB, also a field of a structure or a cell."""
    variables = {k: v for k, v in scipy.io.loadmat(file).items() if not k.startswith("__")}

    def change(array: np.ndarray) -> Any:
        if array.dtype.names:
            fields = {name: array[name].flat[0] for name in array.dtype.names}
            mutate_named(fields, rng, change)
            return fields
        changed = mutate_array(array, rng)
        return "text" if changed.dtype.kind in "MOV" else changed

    mutate_named(variables, rng, change)
    scipy.io.savemat(file, variables)


def mutate_parquet(file: Path, rng: Random) -> None:
    table = pd.read_parquet(file)
    columns = {str(name): table[name].to_numpy() for name in table}

    def change(values: np.ndarray) -> Any:
        return [values.astype(str), np.full(len(values), np.nan), values[::-1]][
            int(rng.integers(3))
        ]

    mutate_named(columns, rng, change)
    table = pd.DataFrame(columns)
    table = table.head(len(table) // 2) if rng.random() < 0.3 else table
    table.to_parquet(file, index=False)


def mutate_tensor(tensor: torch.Tensor, rng: Random) -> torch.Tensor:
    changes = [
        lambda: tensor.reshape(-1)[:-1],
        lambda: tensor[None],
        lambda: tensor.double(),
        lambda: torch.zeros(tensor.shape, dtype=torch.int64),
        lambda: torch.full_like(tensor, torch.nan) if tensor.is_floating_point() else tensor[None],
        lambda: torch.zeros(0),
        lambda: torch.zeros(tensor.shape, dtype=torch.bool),
    ]
    return changes[int(rng.integers(len(changes)))]().contiguous()


def mutate_safetensors(file: Path, rng: Random) -> None:
    with safe_open(file, framework="pt") as stream:
        about = dict(stream.metadata() or {})
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    text, line, checksum = about.get("state", "").partition("\n")
    if rng.random() < 0.5:  # else it is found by its checksum
        line = checksum = ""
    if "state" in about and rng.random() < 0.5:
        about["state"] = json.dumps(mutate_tree(json.loads(text), rng)) + line + checksum
        if rng.random() < 0.1:
            del about[pick(list(about), rng)]
    else:
        about |= {"state": text + line + checksum} if text else {}
        mutate_named(tensors, rng, lambda tensor: mutate_tensor(tensor, rng))
    save_file({name: t.clone() for name, t in tensors.items()}, file, about or None)


def mutate_pth(file: Path, rng: Random) -> None:
    weights: Any = dict(torch.load(file, weights_only=True))
    kind = rng.integers(8)
    if kind == 0:
        weights[pick(list(weights), rng)] = Payload()
    elif kind == 1:
        weights = [weights, Payload(), list(weights), "weights", {1: 2}][int(rng.integers(5))]
    elif kind == 2:
        file.write_bytes(pickle.dumps(Payload()))
        return
    else:
        mutate_named(weights, rng, lambda tensor: mutate_tensor(tensor, rng))
    torch.save(weights, file)


def mutate_zip(file: Path, rng: Random) -> None:
    """Rename a member to lead elsewhere, make it a link, take it twice, or change its content."""
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = pick(list(members), rng)
    content = members.pop(name)
    absolute = str(file.absolute().parent.parent / "outside")  # where the test would see it
    elsewhere = ("../../outside", absolute, "..", "a/../../b", "C:\\x", "n\0ul", "x" * 300)
    kind = rng.integers(6)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, kept in members.items():
            archive.writestr(other, kept)
        info = zipfile.ZipInfo(name)
        if kind == 0:
            info = zipfile.ZipInfo(elsewhere[int(rng.integers(len(elsewhere)))])
        elif kind == 1:
            info.external_attr = 0o120777 << 16
            content = b"../../outside"
        elif kind == 2:
            archive.writestr(f"{name}/below", b"a file below a file")
        elif kind == 3:
            content = bytes(300 << 20)  # shrinks a thousandfold
        elif kind == 4:
            content = damage_bytes(content, rng)
        archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    file.write_bytes(buffer.getvalue())


def mutate_other(file: Path, rng: Random) -> None:
    """A film, a note: gone, empty, or something else under its name."""
    kind = rng.integers(3)
    if kind == 0:
        file.unlink()
    else:
        file.write_text("" if kind == 1 else "this is text\n")


MUTATORS: dict[str, Callable[[Path, Random], None]] = {
    ".npy": mutate_npy,
    ".npz": mutate_npz,
    ".json": mutate_json,
    ".jsonl": mutate_json,
    ".yaml": mutate_yaml,
    **dict.fromkeys((".csv", ".tsv", ".sha256", ".txt"), mutate_lines),
    **dict.fromkeys((".h5", ".hdf5", ".nwb", ".nc"), mutate_hdf5),
    ".mat": mutate_mat,
    ".parquet": mutate_parquet,
    ".safetensors": mutate_safetensors,
    ".pth": mutate_pth,
    ".zip": mutate_zip,
}


def mutate_folder(folder: Path, is_valid: bool, rng: Random) -> Path:
    """Break one file of a folder; kinds of files are as likely as each other.

    Args:
        folder: The folder.
        is_valid: Whether the file is to stay a valid container.
        rng: Random numbers.

    Returns:
        The file.
    """
    if is_valid and rng.random() < 0.5:  # whoever writes such files may write checksums, too
        for file in folder.rglob("checksums.sha256"):
            file.unlink()
    files = [p for p in folder.rglob("*") if p.is_file()]
    suffix = pick(list({p.suffix for p in files}), rng)
    file: Path = pick([p for p in files if p.suffix == suffix], rng)
    if not is_valid:
        file.write_bytes(damage_bytes(file.read_bytes(), rng))
    elif len(files) > 1 and rng.random() < 0.05:
        file.unlink()
    else:
        MUTATORS.get(suffix, mutate_other)(file, rng)
    return file
