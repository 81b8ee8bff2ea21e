"""Explanations on disk, in a run's folder: one folder a session, tables as CSV and Parquet.

explanation/SESSION/about.json                 what was explained, and how
                    fields.npz                 receptive fields and pairs, without pickles
                    neurons.csv, .parquet      and so on for each table of ``SessionExplanation``
                    checksums.sha256           of all these
                    pieces/                    what an unfinished one has so far
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from freegaze.errors import CheckpointError, FreegazeError
from freegaze.explanation.result import SessionExplanation
from freegaze.files.arrays import UNREADABLE
from freegaze.files.sealed import check_sealed, write_sealed
from freegaze.runs.run_folder import read_json

FOLDER = "explanation"

TABLES = (
    "neurons",
    "receptive_fields",
    "saliency",
    "contributions",
    "tuning",
    "gaze_shifts",
)

ABOUT = "about.json"
"""Written last: where it is, the explanation is whole."""


def session_folder(run_folder: Path | str, session_id: str) -> Path:
    """Return the folder of a session's explanation; odd letters of its name are escaped."""
    name = quote(session_id, safe=" ")
    if not name.strip("."):  # nothing, "." and ".." are other folders
        name = name.replace(".", "%2E") or "%"
    return Path(run_folder) / FOLDER / name


def save_explanation(
    run_folder: Path | str, explanation: SessionExplanation, settings: Mapping[str, Any]
) -> Path:
    """Write a session's explanation: whole, or not at all.

    Args:
        run_folder: The run.
        explanation: What to write.
        settings: How it was made, for ``about.json``.

    Returns:
        The folder written to.

    Raises:
        DataError: If the disk refuses.
    """
    folder = session_folder(run_folder, explanation.session_id)
    arrays = {f"fields/{name}": field for name, field in explanation.fields.items()}
    arrays |= {f"pairs/{name}": pair for name, pair in explanation.pairs.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    contents = {"fields.npz": buffer.getvalue()}
    for name in TABLES:
        table: pd.DataFrame = getattr(explanation, name)
        contents[f"{name}.csv"] = table.to_csv(index=False).encode()
        contents[f"{name}.parquet"] = table.to_parquet(index=False)
    about = {
        "session_id": explanation.session_id,
        "unit_ids": list(explanation.unit_ids),
        "bin_width_s": explanation.bin_width_s,
        "lag": explanation.lag,
        "deg_per_px": explanation.deg_per_px,
        "settings": dict(settings),
    }
    (folder / "against.json").unlink(missing_ok=True)  # a comparison of other fields
    contents[ABOUT] = json.dumps(about, indent=2).encode()
    write_sealed(folder, contents)
    return folder


def is_explained(run_folder: Path | str) -> bool:
    """Tell whether there is a whole explanation of any session of a run."""
    return bool(_whole(run_folder))


def load_explanations(run_folder: Path | str) -> tuple[SessionExplanation, ...]:
    """Read the explanations of all sessions of a run.

    Args:
        run_folder: The run.

    Returns:
        One explanation a session, in order of their names.

    Raises:
        CheckpointError: If the run was not explained, or a file is broken.
    """
    folders = _whole(run_folder)
    if not folders:
        raise _not_explained(run_folder, "SESSION")
    return tuple(_load(folder, run_folder) for folder in folders)


def load_explanation(run_folder: Path | str, session_id: str) -> SessionExplanation:
    """Read the explanation of one session.

    Args:
        run_folder: The run.
        session_id: The session.

    Raises:
        CheckpointError: If it was not explained, or a file is broken.
    """
    folder = session_folder(run_folder, session_id)
    if not (folder / ABOUT).is_file():
        raise _not_explained(run_folder, folder.name)
    return _load(folder, run_folder)


def settings_of(run_folder: Path | str, session_id: str) -> dict[str, Any] | None:
    """Return how a session was explained, or ``None`` if it was not, or not to the end."""
    folder = session_folder(run_folder, session_id)
    if not (folder / ABOUT).is_file():
        return None
    try:
        return read_json(folder / ABOUT).get("settings")
    except CheckpointError as error:
        raise _broken(folder, run_folder, error) from None


def _whole(run_folder: Path | str) -> list[Path]:
    return sorted(path.parent for path in Path(run_folder).glob(f"{FOLDER}/*/{ABOUT}"))


def _not_explained(run_folder: Path | str, session: str) -> CheckpointError:
    return CheckpointError(
        f"{run_folder} was not explained yet (no {FOLDER}/{session}/{ABOUT}); run "
        f"`freegaze explain {run_folder}`"
    )


def _load(folder: Path, run_folder: Path | str) -> SessionExplanation:
    try:
        check_sealed(folder, (ABOUT, "fields.npz", *(f"{name}.parquet" for name in TABLES)))
        about = read_json(folder / ABOUT)
        tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
        with (folder / "fields.npz").open("rb") as file, np.load(file, allow_pickle=False) as npz:
            arrays = {name: npz[name] for name in npz.files}
        scale = about["deg_per_px"]
        return SessionExplanation(
            session_id=str(about["session_id"]),
            unit_ids=tuple(map(str, about["unit_ids"])),
            bin_width_s=float(about["bin_width_s"]),
            lag=int(about["lag"]),
            deg_per_px=None if scale is None else float(scale),
            fields=_part(arrays, "fields/"),
            pairs=_part(arrays, "pairs/"),
            **tables,
        )
    except (FreegazeError, *UNREADABLE) as error:
        raise _broken(folder, run_folder, error) from None


def _broken(folder: Path, run_folder: Path | str, error: BaseException) -> CheckpointError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return CheckpointError(
        f"the explanation in {folder} is broken ({reason}); remove that folder and run "
        f"`freegaze explain {run_folder}` again"
    )


def _part(arrays: Mapping[str, np.ndarray], start: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}
