"""Comparison of receptive fields with those of the same neurons under another stimulus.

explanation/SESSION/against.csv     one row per neuron and method: unit_id, method, correlation, ...
                    against.npz     both fields of each neuron, by method
                    against.json    the common displacement, and the level of chance
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Integer
from torch import Tensor

from freegaze.dataset.windows import window_targets
from freegaze.errors import DataError
from freegaze.explanation.fields.agreement import match_fields
from freegaze.explanation.fields.gradients import summarize_field
from freegaze.explanation.fields.linear import smooth_linear_fit, spike_triggered_average
from freegaze.explanation.result import SessionExplanation, load_beside, session_folder
from freegaze.files.artifact import Artifact, Content
from freegaze.recording.recording import Recording
from freegaze.recording.reshaping import resize_video

COMPARISON = Artifact(
    what="comparison",
    command="freegaze explain {run} --against ...",
    about="against.json",
    tables=("against",),
    arrays="against.npz",
    sums="against.sha256",
    has_parquet=False,
)

COMPARED = ("linear", "triggered")
"""Methods that need no encoder, whose fields are compared."""

HELD_OUT = 0.2
"""Last share of the other recording, which chooses how smooth its linear fields are."""


@dataclass(frozen=True, eq=False)
class FieldComparison:
    """Fields of a session's neurons in two recordings.

    Args:
        session_id: The session that was explained.
        table: One row per neuron and method (``linear``, ``triggered``): ``unit_id``, ``method``,
            ``correlation`` (of both fields after the common displacement), ``mismatched`` (with the
            fields of other neurons, in the mean), ``p`` (see ``FieldAgreement``).
        fields: Fields by method, (neuron, 2, height, width): as explained, and moved from the
            other.
        about: For each method ``shift_px``, ``rotation_deg``, ``mean``, ``null_mean``, ``null_95``
            and ``p``; and where the other recording came from.
    """

    session_id: str
    table: pd.DataFrame
    fields: dict[str, np.ndarray]
    about: dict[str, Any]


def compare_with(explanation: SessionExplanation, other: Recording) -> FieldComparison:
    """Compare linear receptive fields with those of the same neurons in another recording.

    Fields of the other recording are on its camera's frames: a head-fixed mouse hardly moves its
    eyes, and no shifter was fitted on it. One shift and rotation for all neurons is taken out.

    Args:
        explanation: Explanation of the freely moving session.
        other: Another recording with neurons of the same names.

    Raises:
        DataError: If linear fields were not computed, fewer than two neurons are in both, or the
            other recording is too short.
    """
    if missing := [method for method in COMPARED if method not in explanation.fields]:
        raise DataError(
            f"the explanation of {explanation.session_id!r} has no fields of {missing[0]!r} to "
            "compare; compute them with `freegaze explain RUN --only fields`"
        )
    units = [u for u in explanation.unit_ids if u in other.unit_ids]
    if len(units) < 2:
        raise DataError(
            f"sessions {explanation.session_id!r} and {other.session_id!r} share {len(units)} "
            "units by name; give a recording of the same sorted units"
        )
    history, lag = explanation.fields["linear"].shape[1], explanation.lag
    height, width = explanation.fields["linear"].shape[2:]
    if other.frame_size != (height, width):
        other = resize_video(other, (height, width))
    targets = window_targets(other.segments, history, lag)
    border = round((1 - HELD_OUT) * len(targets))
    training, held_out = targets[: max(0, border - history - abs(lag))], targets[border:]
    responses = other.responses[:, [other.unit_ids.index(u) for u in units]]

    def frames(bins: Integer[np.ndarray, " bin"]) -> Tensor:
        return torch.from_numpy(other.video(bins).astype(np.float32) / 255 - 0.5)

    found = {
        "linear": smooth_linear_fit(
            frames,
            training,
            responses[training],
            held_out,
            responses[held_out],
            history,
            lag,
        ),
        "triggered": spike_triggered_average(frames, training, responses[training], history, lag),
    }
    mine = [explanation.unit_ids.index(u) for u in units]
    rows, fields = [], {}
    about: dict[str, Any] = {"other": dict(other.provenance), "n_units": len(units)}
    for method, theirs in found.items():
        first, second = _pictures(explanation.fields[method][mine], theirs.fields)
        agreement = match_fields(first, second)
        fields[method] = np.stack([first, agreement.moved], 1).astype(np.float32)
        about[method] = {
            "shift_px": list(agreement.shift_px),
            "rotation_deg": agreement.rotation_deg,
            "mean": agreement.mean,
            "null_mean": float(agreement.null.mean()),
            "null_95": float(np.quantile(agreement.null, 0.95)),
            "p": agreement.mean_p,
        }
        columns = {"correlation": agreement.correlation, "mismatched": agreement.mismatched}
        rows.append(pd.DataFrame({"unit_id": units, "method": method, **columns, "p": agreement.p}))
    return FieldComparison(
        explanation.session_id, pd.concat(rows, ignore_index=True), fields, about
    )


def save_comparison(run_folder: Path | str, comparison: FieldComparison) -> Path:
    """Write a comparison beside the session's explanation; return the folder.

    Raises:
        DataError: If the disk refuses.
    """
    folder = session_folder(run_folder, comparison.session_id)
    content = Content(comparison.about, {"against": comparison.table}, comparison.fields)
    return COMPARISON.write(folder, content)


def pick_other(session_id: str, others: Sequence[Recording]) -> Recording:
    """Return the recording to compare a session with: of its name, or the only one.

    Raises:
        DataError: If there are several and none has its name.
    """
    named = [r for r in others if r.session_id == session_id] or list(others)
    if len(named) != 1:
        names = ", ".join(r.session_id for r in others)
        raise DataError(f"no recording of session {session_id!r} to compare with (there: {names})")
    return named[0]


def in_words(comparison: FieldComparison) -> str:
    """Say in one sentence what the comparison means."""
    told = comparison.about["linear"]
    return (
        f"Receptive fields of {comparison.about['n_units']} neurons of {comparison.session_id} "
        f"correlate by {told['mean']:.2f} with those from the other recording; neurons paired at "
        f"random reach {told['null_mean']:.2f} (p = {told['p']:.2g})."
    )


def load_comparison(run_folder: Path | str, session_id: str) -> FieldComparison | None:
    """Read a comparison, ``None`` where there is none.

    Raises:
        CheckpointError: If a file is broken.
    """
    return load_beside(
        COMPARISON,
        run_folder,
        session_id,
        lambda content: FieldComparison(
            session_id, content.tables["against"], dict(content.arrays), dict(content.about)
        ),
    )


def _pictures(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each neuron's picture in both, with the signs at the first's strongest bin."""
    pictures = []
    for mine, theirs in zip(first, second, strict=True):
        mine, theirs = summarize_field(mine), summarize_field(theirs)
        sign = -1.0 if theirs.temporal[mine.peak] < 0 else 1.0
        pictures.append((mine.spatial, sign * theirs.spatial))
    ours, others = zip(*pictures, strict=True)
    return np.stack(ours), np.stack(others)
