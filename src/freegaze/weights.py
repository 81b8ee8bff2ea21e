"""Weights of a network: read from foreign files without running code, and compared by name."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load
from torch import Tensor, nn

from freegaze.errors import CheckpointError

MAX_BYTES = 4 * 2**30
"""Largest file of weights that is read; the original's largest are below 0.1 GB."""


def read_state_dict(path: Path, member: str | None = None) -> dict[str, Tensor]:
    """Read a state dict from a file of PyTorch or safetensors, or from one inside a zip archive.

    Args:
        path: ``.pth``, ``.pt`` or ``.safetensors`` file, or a ``.zip`` of such files.
        member: File in an archive; may be left out if the archive contains one file.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        CheckpointError: If the file is missing, broken, too large, holds anything but tensors, or
            if an archive holds no such member.
    """
    content, where = _read_bytes(path, member)
    try:
        if where.endswith(".safetensors"):
            return load(content)
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{where} holds more than plain tensors and is not opened, as it could run code; save "
            "it again as `torch.save(model.state_dict(), file)`"
        ) from None
    except Exception as error:  # a broken file fails anywhere within torch, in any way
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{where} is not a readable file of weights ({reason})") from None
    if not isinstance(state, dict) or not state:
        raise CheckpointError(f"{where}: expected weights by name, got {type(state).__name__}")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{where}: expected tensors by name, got {type(value).__name__} under {name!r}"
            )
    return dict(state)


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Load weights into a module that must fit them exactly.

    Parts with ``is_new``, whose values files of earlier versions lack, may be missing; they stay.

    Args:
        module: Changed in place.
        weights: Tensors by name.
        where: Origin of the weights, for messages.

    Raises:
        CheckpointError: In the same cases as ``check_weights``.
    """
    parts = module.named_modules()
    new = [f"{name}." if name else "" for name, part in parts if getattr(part, "is_new", False)]
    own = module.state_dict()
    known = {name: value for name, value in own.items() if name.startswith(tuple(new))}
    check_weights(known | dict(weights), own, where)
    module.load_state_dict(known | dict(weights))


def check_weights(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: str
) -> None:
    """Check that weights have the names and shapes of a module.

    Args:
        weights: Tensors by name.
        expected: Tensors of the module.
        where: Origin of the weights, for messages.

    Raises:
        CheckpointError: Naming the first name or shape that does not fit.
    """
    for name in (*expected, *weights):
        if name not in weights or name not in expected:
            what = "lacks the" if name in expected else "has the unknown"
            raise CheckpointError(f"{where} {what} weight {name!r}; is it of another model?")
        if weights[name].shape != expected[name].shape:
            raise CheckpointError(
                f"{where}: weight {name!r} has shape {tuple(weights[name].shape)}, expected "
                f"{tuple(expected[name].shape)}; is it of another model or other behavior?"
            )


def _read_bytes(path: Path, member: str | None) -> tuple[bytes, str]:
    try:
        if not is_archive(path):
            if member is not None:
                raise CheckpointError(f"{path} is no archive that {member!r} could be in")
            _check_size(path.stat().st_size, str(path))
            return path.read_bytes(), str(path)
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(_choose_member(path, archive.namelist(), member))
            _check_size(info.file_size, f"{path}: {info.filename}")
            return archive.read(info), f"{path}: {info.filename}"
    except FileNotFoundError:
        raise CheckpointError(f"no file {path}; give the path of a file of weights") from None
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError, zlib.error) as error:
        raise CheckpointError(f"{path} cannot be read ({error})") from None


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip of files; PyTorch's own format is another kind of zip."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return not any(name.endswith("/data.pkl") for name in archive.namelist())


def _choose_member(path: Path, names: list[str], member: str | None) -> str:
    files = sorted(n for n in names if n.endswith((".pth", ".pt", ".safetensors")))
    if member in files:
        return str(member)
    if member is None and len(files) == 1:
        return files[0]
    if not files:
        raise CheckpointError(f"{path} holds no file of weights (.pth, .pt or .safetensors)")
    asked = "name one of its files" if member is None else f"it holds no {member!r}"
    raise CheckpointError(f"{path}: {asked}: {', '.join(files)}")


def _check_size(n_bytes: int, where: str) -> None:
    if n_bytes > MAX_BYTES:
        raise CheckpointError(
            f"{where} holds {n_bytes / 2**30:.1f} GB, more than the {MAX_BYTES / 2**30:.0f} GB "
            "that weights may take"
        )
