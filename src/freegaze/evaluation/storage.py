"""Evaluations on disk, in a run's folder: tables that any program can open, and the scored bins.

evaluation/scores.csv, scores.parquet  one row per neuron
           predictions.npz             predictions and observations of the scored bins
           checksums.sha256            of all files
           summary.json                means and medians over neurons, with intervals

Scores of cross-validation are in ``folds/evaluation`` of the run's folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from freegaze.dataset.stimuli import SeenStimuli
from freegaze.evaluation.chance import Chance
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.scored_session import ScoredSession
from freegaze.evaluation.trial_to_trial import TrialToTrial
from freegaze.files.artifact import Artifact, Content, strict_json

FOLDER = "evaluation"

LATER = ("seen", "trials")
"""Parts that evaluations of earlier versions, or without a condition, do not have."""

CROSS_VALIDATION_FOLDER = "folds"
"""Folder of cross-validation in a run's folder."""

EVALUATION = Artifact(
    what="evaluation",
    command="freegaze evaluate {run}",
    about="summary.json",
    tables=("scores",),
    arrays="predictions.npz",
)

CROSS_VALIDATION = replace(
    EVALUATION, what="cross-validation", command="freegaze evaluate {run} --folds 5"
)


def save_evaluation(
    run_folder: Path | str, evaluation: Evaluation, *, is_cross_validated: bool = False
) -> Path:
    """Write an evaluation into a run folder: whole, or not at all.

    Args:
        run_folder: The run, or any folder; an earlier evaluation there is replaced.
        evaluation: Evaluation to write.
        is_cross_validated: Whether it is of the folds of the run, which are kept apart.

    Returns:
        The folder written to, ``run_folder / "evaluation"``, or that of the folds.

    Raises:
        DataError: If the disk refuses; existing files then do not change.
    """
    _, folder = _place(run_folder, is_cross_validated)
    arrays = pack_sessions(evaluation.sessions)
    tables = {"scores": evaluation.table}
    return EVALUATION.write(folder, Content(evaluation.summary, tables, arrays))


def load_evaluation(run_folder: Path | str, *, is_cross_validated: bool = False) -> Evaluation:
    """Read what ``save_evaluation`` wrote.

    Args:
        run_folder: The run.
        is_cross_validated: Whether to read the scores of the folds of the run.

    Returns:
        The evaluation.

    Raises:
        CheckpointError: If the run was not evaluated, or a file is broken.
    """
    kind, folder = _place(run_folder, is_cross_validated)
    return kind.read(
        folder,
        run_folder,
        lambda content: Evaluation(
            content.tables["scores"], _null_to_nan(content.about), unpack_sessions(content)
        ),
    )


def is_evaluated(run_folder: Path | str) -> bool:
    """Return whether a run folder holds a whole evaluation of its test bins."""
    return EVALUATION.is_whole(Path(run_folder) / FOLDER)


def load_scores(run_folder: Path | str) -> pd.DataFrame:
    """Read the scores alone: one row per neuron.

    Args:
        run_folder: The run.

    Raises:
        CheckpointError: If the run was not evaluated, or a file is broken.
    """
    folder = Path(run_folder) / FOLDER
    return EVALUATION.read(folder, run_folder, lambda content: content.tables["scores"])


def _place(run_folder: Path | str, is_cross_validated: bool) -> tuple[Artifact, Path]:
    """Return the kind of an evaluation and its folder."""
    if is_cross_validated:
        return CROSS_VALIDATION, Path(run_folder) / CROSS_VALIDATION_FOLDER / FOLDER
    return EVALUATION, Path(run_folder) / FOLDER


def pack_sessions(sessions: Sequence[ScoredSession]) -> dict[str, np.ndarray]:
    """Return the arrays of scored sessions, each named ``session_id/name``."""
    arrays = {"session_ids": np.array([s.session_id for s in sessions])}
    for session in sessions:
        values = {field.name: getattr(session, field.name) for field in fields(session)}
        if values["trials"] is None:
            values.pop("trials")
        for name in values.keys() & {"chance", "seen", "trials"}:
            values[name] = strict_json(values[name].to_dict())
        values |= {f"references/{k}": rates for k, rates in values.pop("references").items()}
        arrays |= {f"{session.session_id}/{k}": np.asarray(value) for k, value in values.items()}
    return arrays


def unpack_sessions(content: Content) -> tuple[ScoredSession, ...]:
    """Return the scored sessions whose arrays ``pack_sessions`` made."""
    return tuple(_unpack(content, str(name)) for name in content.arrays["session_ids"])


def _unpack(content: Content, session_id: str) -> ScoredSession:
    kept = content.group(session_id)
    references = content.group(f"{session_id}/references")
    values: dict[str, Any] = {
        f.name: kept[f.name]
        for f in fields(ScoredSession)
        if f.name != "references" and (f.name in kept or f.name not in LATER)
    }
    values["unit_ids"] = tuple(values["unit_ids"].tolist())
    for name in ("session_id", "response_kind", "bin_width_s"):
        values[name] = values[name].item()
    values["chance"] = Chance.from_dict(json.loads(values["chance"].item()))
    if "trials" in values:
        values["trials"] = TrialToTrial.from_dict(_null_to_nan(json.loads(values["trials"].item())))
    if "seen" in values:
        values["seen"] = SeenStimuli(**_null_to_nan(json.loads(values["seen"].item())))
    return ScoredSession(**values, references=references)


def _null_to_nan(value: Any) -> Any:
    """Turn ``None`` back into NaN, at any depth."""
    if isinstance(value, dict):
        return {key: _null_to_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_null_to_nan(item) for item in value]
    return float("nan") if value is None else value
