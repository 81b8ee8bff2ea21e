"""Weights and state on disk: whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from freegaze.errors import CheckpointError, DataError
from freegaze.files.atomic import write_file


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either the old one or the new one, never half of it.

    Args:
        path: Path to write; its folder must exist.
        content: Content to write.

    Raises:
        CheckpointError: If the disk is full or the folder cannot be written; the old file stays.
    """
    try:
        write_file(path, content)
    except DataError as error:
        raise CheckpointError(
            f"{error}; free some space or choose another run folder, then `freegaze train --resume`"
        ) from None


def save_tensors(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Save tensors and plain values together in one safetensors file, atomically.

    The same content gives the same bytes: the header has one entry of ours, as the library writes
    several in any order, with the values in one line and their checksum in the next.

    Args:
        path: The file.
        tensors: Tensors by name.
        state: JSON values, kept in the file's header so that both always belong together.

    Raises:
        CheckpointError: See ``write_atomically``.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(state)
    header = {"state": f"{text}\n{_checksum(contiguous, text)}"}
    write_atomically(path, save(contiguous, metadata=header))


def load_tensors(path: Path, needs_sum: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what ``save_tensors`` wrote.

    Args:
        path: The file.
        needs_sum: Whether to refuse files without a checksum, as first versions wrote them.

    Returns:
        The tensors by name, and the plain values.

    Raises:
        CheckpointError: If the file is missing, broken, or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text, _, expected = metadata["state"].partition("\n")
        if (expected or needs_sum) and expected != _checksum(tensors, text):
            raise ValueError("its checksum is that of other weights, or missing")
        state = json.loads(text)
        return tensors, state
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint {path}; was the run started?") from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a readable checkpoint ({error}); restore it from a copy, or start the "
            "run again"
        ) from None


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """Sha256 of names, types, shapes and values, and of the plain values."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
