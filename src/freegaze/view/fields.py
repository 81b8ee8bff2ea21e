"""Receptive fields of a run's neurons: the strongest picture of each, and its Gabor outline."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from freegaze.explanation.result import EXPLANATION, session_folder
from freegaze.files.artifact import CHECKSUMS, read_json
from freegaze.files.checksums import check_files
from freegaze.files.npz import NpzReader

GROUP = "fields/"

IN_CAMERA = ("camera",)
"""Methods whose fields lie in the camera's frame, and not in the retinal frame."""

_OUTLINE = ("center_x_px", "center_y_px", "sigma_along_px", "sigma_across_px", "orientation_deg")


@dataclass(frozen=True)
class Fields:
    """Receptive fields by one method.

    Args:
        pictures: The image of the window's bin with the largest sum of squares, per neuron;
            NaN for a neuron without a field, (neuron, height, width).
        outlines: Center (x, y) and standard deviations of the Gabor function in pixels, and its
            orientation in degrees; NaN where none was fitted, (neuron, 5).
    """

    pictures: Float[np.ndarray, "neuron height width"]
    outlines: Float[np.ndarray, "neuron 5"]


def field_methods(run: Path, session_id: str) -> list[str]:
    """Return the methods by which fields in the retinal frame were computed; empty if none."""
    folder = session_folder(run, session_id)
    if not EXPLANATION.is_whole(folder):
        return []
    with NpzReader(folder / EXPLANATION.arrays) as file:
        names = [n.removeprefix(GROUP) for n in file.headers if n.startswith(GROUP)]
    return [name for name in names if name not in IN_CAMERA]


def read_fields(run: Path, session_id: str, method: str, unit_ids: Sequence[str]) -> Fields:
    """Read the fields of one method, one neuron at a time.

    Args:
        run: The run folder.
        session_id: The session.
        method: One of ``field_methods``.
        unit_ids: The neurons, in the order wanted.

    Raises:
        DataError: If a file is missing, or not as it was written.
    """
    folder = session_folder(run, session_id)
    check_files(folder / CHECKSUMS, [EXPLANATION.arrays, "receptive_fields.csv", EXPLANATION.about])
    about = read_json(folder / EXPLANATION.about)
    place = {str(unit): i for i, unit in enumerate(about["unit_ids"])}
    with NpzReader(folder / EXPLANATION.arrays) as file:
        size = file.headers[GROUP + method].shape[-2:]
        strongest = [_strongest(field) for field in file.rows(GROUP + method)]
    nothing = np.full(size, np.nan, dtype=np.float32)
    pictures = [strongest[place[unit]] if unit in place else nothing for unit in unit_ids]
    rows = _rows(folder / "receptive_fields.csv", method)
    outlines = [_outline(rows.get(unit, {})) for unit in unit_ids]
    return Fields(np.stack(pictures), np.array(outlines, dtype=np.float32).reshape(-1, 5))


def _strongest(field: np.ndarray) -> np.ndarray:
    return field[int((field**2).sum((1, 2)).argmax())].astype(np.float32)


def _rows(path: Path, method: str) -> dict[str, Mapping[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["unit_id"]: row for row in csv.DictReader(file) if row["method"] == method}


def _outline(row: Mapping[str, str]) -> list[float]:
    return [float(row.get(name) or "nan") for name in _OUTLINE]
