"""Predictions as plain ``.npz`` files that any program can write.

rates       (bin, neuron): expected responses per bin, for every bin of the recording, for its test
            bins, or for ``targets``
targets     (bin,), optional: which bin each row is
unit_ids    (neuron,), optional: the source's name of each column; by default the recording's order
session_id  optional: which recording; may be left out where there is one

Several sessions go into one file as ``SESSION/rates``, ``SESSION/targets`` and so on. Files of
``freegaze predict`` and ``predictions.npz`` of an evaluation can be read back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

from freegaze.errors import DataError, ShapeError
from freegaze.files.artifact import npz_bytes
from freegaze.files.atomic import write_file
from freegaze.files.npz import NpzReader
from freegaze.fitted.encoder import FittedEncoder, Prediction
from freegaze.metrics.metric import SPIKES
from freegaze.recording.recording import Recording
from freegaze.sources.nwb.predictions import write_predictions

NAMES = ("rates", "targets", "unit_ids", "session_id")
"""Arrays that are read; others are left alone."""


@dataclass(frozen=True)
class PredictedSession:
    """Neurons and bins of a session, which predictions must fit.

    Args:
        session_id: The session.
        unit_ids: The source's name of each neuron.
        response_kind: Kind of the responses.
        test_bins: Bins that may be scored, in order of time.
        n_bins: Number of bins of the whole recording; ``None`` where only the test bins are known.
    """

    session_id: str
    unit_ids: tuple[str, ...]
    response_kind: str
    test_bins: Integer[np.ndarray, " bin"]
    n_bins: int | None


def save_predictions(path: Path | str, predictions: Sequence[Prediction]) -> None:
    """Write predictions as a plain ``.npz``, see this module; a file of that name is replaced.

    Args:
        path: The file.
        predictions: One or several sessions.

    Raises:
        DataError: If the disk refuses.
    """
    arrays: dict[str, np.ndarray] = {}
    for prediction in predictions:
        prefix = f"{prediction.session_id}/" if len(predictions) > 1 else ""
        arrays |= {
            f"{prefix}rates": prediction.rates,
            f"{prefix}targets": prediction.targets,
            f"{prefix}unit_ids": np.array(prediction.unit_ids),
            f"{prefix}session_id": np.array(prediction.session_id),
        }
    write_file(Path(path), npz_bytes(arrays))


def load_predictions(
    path: Path | str, sessions: Sequence[PredictedSession]
) -> dict[str, Prediction]:
    """Read predictions and check them against the sessions that they may be of.

    Args:
        path: The ``.npz``, see this module.
        sessions: Sessions that may be predicted.

    Returns:
        Predictions by session, bins in order of time.

    Raises:
        DataError: If the file cannot be read, holds no predictions or does not fit.
        ShapeError: If rows or columns do not agree with the session.
    """
    by_id = {session.session_id: session for session in sessions}
    found = {}
    with NpzReader(Path(path)) as file:
        parts = _sessions_in(file)
    for arrays in parts:
        session_id = _session_of(arrays, by_id, str(path))
        where = f"{path}, session {session_id!r}"
        found[session_id] = _prediction(arrays, by_id[session_id], where)
    return found


def _sessions_in(file: NpzReader) -> list[dict[str, np.ndarray]]:
    """Read the arrays of each session."""
    prefixes = [n.removesuffix("rates") for n in file.headers if f"/{n}".endswith("/rates")]
    if not prefixes:
        raise DataError(
            f"{file.path} has no array `rates`; it holds {', '.join(file.headers) or 'nothing'}; "
            "name the predicted responses (bin, neuron) `rates`"
        )
    parts = []
    for prefix in prefixes:
        part = {n: file.read(prefix + n) for n in NAMES if prefix + n in file.headers}
        if prefix:
            part.setdefault("session_id", np.array(prefix.removesuffix("/")))
        parts.append(part)
    return parts


def _session_of(
    arrays: Mapping[str, np.ndarray], by_id: Mapping[str, PredictedSession], where: str
) -> str:
    known = ", ".join(by_id)
    if "session_id" not in arrays:
        if len(by_id) == 1:
            return next(iter(by_id))
        raise DataError(
            f"{where} names no `session_id`, but there are several recordings: {known}; add it"
        )
    name = str(arrays["session_id"].item() if arrays["session_id"].size == 1 else None)
    if name not in by_id:
        raise DataError(f"{where} predicts session {name!r}, the recordings are {known}")
    return name


def _prediction(
    arrays: Mapping[str, np.ndarray], session: PredictedSession, where: str
) -> Prediction:
    rates = arrays["rates"]
    if rates.ndim != 2 or not (np.issubdtype(rates.dtype, np.number) and np.isrealobj(rates)):
        raise ShapeError(
            f"{where}: `rates` must be real numbers (bin, neuron), got {rates.dtype} of shape "
            f"{rates.shape}"
        )
    targets = _targets(arrays, session, where)
    unit_ids = _unit_ids(arrays, session, where)
    is_needed = np.isin(targets, session.test_bins)
    if not is_needed.any():
        raise DataError(f"{where}: none of the predicted bins is a test bin; predict those")
    order = np.argsort(targets, kind="stable")
    order = order[(is_needed | np.isfinite(rates).all(1))[order]]
    rates, targets = rates[order].astype(np.float64), targets[order]
    _check_rates(rates, targets, unit_ids, session.response_kind, where)
    return Prediction(session.session_id, targets, rates, unit_ids)


def _targets(arrays: Mapping[str, np.ndarray], session: PredictedSession, where: str) -> np.ndarray:
    n_rows, n_bins, test_bins = len(arrays["rates"]), session.n_bins, session.test_bins
    if "targets" not in arrays:
        if n_rows == n_bins:
            return np.arange(n_rows)
        if n_rows == len(test_bins):
            return test_bins
        known = f"{len(test_bins)} test bins"
        if n_bins is not None:
            known = f"{n_bins} bins, {len(test_bins)} of them for testing"
        raise ShapeError(
            f"{where}: `rates` has {n_rows} rows, but the recording has {known}; add `targets` "
            "with the bin of each row"
        )
    targets = arrays["targets"]
    if targets.shape != (n_rows,) or not np.issubdtype(targets.dtype, np.integer):
        raise ShapeError(
            f"{where}: `targets` must be whole numbers, one for each of the {n_rows} rows of "
            f"`rates`, got {targets.dtype} of shape {targets.shape}"
        )
    last = np.inf if n_bins is None else n_bins - 1
    if n_rows and (targets.min() < 0 or targets.max() > last):
        raise DataError(
            f"{where}: `targets` runs from {targets.min()} to {targets.max()}, the recording has "
            f"bins 0 to {last}"
        )
    if len(np.unique(targets)) < n_rows:
        raise DataError(f"{where}: `targets` names a bin more than once; predict each bin once")
    return targets.astype(np.int64)


def _unit_ids(arrays: Mapping[str, Any], session: PredictedSession, where: str) -> tuple[str, ...]:
    n_columns = arrays["rates"].shape[1]
    if "unit_ids" not in arrays:
        if n_columns != len(session.unit_ids):
            raise ShapeError(
                f"{where}: `rates` has {n_columns} columns, the recording {len(session.unit_ids)} "
                "neurons; add `unit_ids` with the name of each column"
            )
        return session.unit_ids
    names = tuple(str(name) for name in np.ravel(arrays["unit_ids"]))
    if len(names) != n_columns or len(set(names)) < len(names):
        raise ShapeError(
            f"{where}: `unit_ids` must be {n_columns} different names, one per column of `rates`, "
            f"got {len(names)} ({len(set(names))} different)"
        )
    unknown = [name for name in names if name not in session.unit_ids]
    if unknown:
        raise DataError(
            f"{where}: `unit_ids` names {unknown[0]!r}, which the recording lacks (it has "
            f"{', '.join(session.unit_ids[:3])} ...)"
        )
    return names


def _check_rates(
    rates: np.ndarray,
    targets: np.ndarray,
    unit_ids: tuple[str, ...],
    response_kind: str,
    where: str,
) -> None:
    def complain(bad: np.ndarray, remedy: str) -> None:
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise DataError(
                f"{where}: the rate of neuron {unit_ids[column]!r} in bin {targets[row]} is "
                f"{rates[row, column]}; {remedy}"
            )

    complain(~np.isfinite(rates), "predict a finite number for every test bin")
    if response_kind in SPIKES:
        complain(rates < 0, "an expected count cannot be negative; exponentiate or rectify it")


def save_predicted_recording(
    out: Path, recording: Recording, predicted: Prediction, encoder: FittedEncoder
) -> None:
    """Write a recording and the predictions of an encoder into a new NWB file.

    Args:
        out: The file, which must not exist.
        recording: The recording.
        predicted: Prediction for the recording.
        encoder: The encoder, which the description names.

    Raises:
        DataError: If the file exists or cannot be written.
    """
    name = encoder.run.resolve().name if encoder.run is not None else "without a folder"
    write_predictions(
        out,
        recording,
        predicted.rates,
        predicted.targets,
        predicted.unit_ids,
        description=f"Encoder {encoder.model_name}, fitted in run {name}.",
        is_new=True,
    )
