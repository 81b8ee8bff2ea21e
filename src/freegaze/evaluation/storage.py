"""Evaluations on disk, in a run's folder: tables that anyone can open, and the scored bins.

scores.csv, scores.parquet  one row a neuron
predictions.npz             predictions and observations of the scored bins, without pickles
checksums.sha256            of all files
summary.json                means and medians over neurons, with intervals; written last
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from freegaze.errors import CheckpointError, FreegazeError
from freegaze.evaluation.chance import Chance
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.scored_session import ScoredSession
from freegaze.files.arrays import UNREADABLE
from freegaze.files.sealed import check_sealed, write_sealed
from freegaze.runs.run_folder import read_json

FOLDER = "evaluation"
TEXT_COLUMNS = ("session_id", "unit_id")


def save_evaluation(run_folder: Path | str, evaluation: Evaluation) -> Path:
    """Write an evaluation into a run folder: whole, or not at all.

    Args:
        run_folder: The run, or any folder; an earlier evaluation there is replaced.
        evaluation: What to write.

    Returns:
        The folder written to, ``run_folder / "evaluation"``.

    Raises:
        DataError: If the disk refuses; files that were there stay as they were.
    """
    folder = Path(run_folder) / FOLDER
    contents = {
        "predictions.npz": pack_sessions(evaluation.sessions),
        "scores.csv": evaluation.table.to_csv(index=False).encode(),
        "scores.parquet": evaluation.table.to_parquet(index=False),
        "summary.json": json.dumps(finite_or_null(evaluation.summary), indent=2).encode(),
    }
    write_sealed(folder, contents)
    return folder


def load_evaluation(run_folder: Path | str) -> Evaluation:
    """Read what ``save_evaluation`` wrote.

    Args:
        run_folder: The run.

    Returns:
        The evaluation.

    Raises:
        CheckpointError: If the run was not evaluated, or a file is broken.
    """
    folder = Path(run_folder) / FOLDER
    if not (folder / "summary.json").is_file():
        raise CheckpointError(
            f"{run_folder} was not evaluated yet (no {FOLDER}/summary.json); run "
            f"`freegaze evaluate {run_folder}`"
        )
    try:
        check_sealed(folder, ("scores.parquet", "predictions.npz", "summary.json"))
        table = pd.read_parquet(folder / "scores.parquet")
        sessions = unpack_sessions(folder / "predictions.npz")
        summary = null_to_nan(read_json(folder / "summary.json"))
    except (FreegazeError, *UNREADABLE) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(
            f"the evaluation in {folder} is broken ({reason}); run `freegaze evaluate "
            f"{run_folder}` again"
        ) from None
    return Evaluation(table, summary, sessions)


def pack_sessions(sessions: Sequence[ScoredSession]) -> bytes:
    """Return the content of a ``.npz`` with every array named ``session_id/name``."""
    arrays: dict[str, np.ndarray] = {"session_ids": np.array([s.session_id for s in sessions])}
    for session in sessions:
        for field in fields(session):
            value = getattr(session, field.name)
            if field.name == "references":
                for name, rates in value.items():
                    arrays[f"{session.session_id}/references/{name}"] = rates
            elif field.name == "chance":
                text = json.dumps(finite_or_null(value.to_dict()))
                arrays[f"{session.session_id}/chance"] = np.array(text)
            else:
                arrays[f"{session.session_id}/{field.name}"] = np.asarray(value)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def unpack_sessions(path: Path) -> tuple[ScoredSession, ...]:
    """Read the scored bins that ``pack_sessions`` put into a file."""
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
        return tuple(_unpack(file, str(name)) for name in file["session_ids"])


def _unpack(file: Any, session_id: str) -> ScoredSession:
    start = f"{session_id}/references/"
    values: dict[str, Any] = {
        field.name: file[f"{session_id}/{field.name}"]
        for field in fields(ScoredSession)
        if field.name != "references"
    }
    values["unit_ids"] = tuple(values["unit_ids"].tolist())
    for name in ("session_id", "response_kind", "bin_width_s"):
        values[name] = values[name].item()
    values["chance"] = Chance.from_dict(null_to_nan(json.loads(values["chance"].item())))
    references = {k.removeprefix(start): file[k] for k in file.files if k.startswith(start)}
    return ScoredSession(**values, references=references)


def finite_or_null(value: Any) -> Any:
    """Replace numbers that JSON does not have (NaN, infinity) by ``None``, at any depth."""
    if isinstance(value, dict):
        return {key: finite_or_null(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_null(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def null_to_nan(value: Any) -> Any:
    """Turn ``None`` back into NaN, at any depth."""
    if isinstance(value, dict):
        return {key: null_to_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [null_to_nan(item) for item in value]
    return float("nan") if value is None else value
