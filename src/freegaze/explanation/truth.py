"""Comparison of explanations with the truth of simulated sessions.

explanation/SESSION/truth_fields.csv, truth_contributions.csv, truth_saliency.csv
                    truth.npz     true receptive fields, moved to the encoder's retina
                    truth.json    the common displacement
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from freegaze.explanation.fields.gabor import energy_middle, fit_gabor
from freegaze.explanation.fields.gradients import summarize_field
from freegaze.explanation.result import SessionExplanation, load_beside, session_folder
from freegaze.explanation.session import ExplainedSession
from freegaze.files.artifact import Artifact, Content
from freegaze.fitted.encoder import FittedEncoder
from freegaze.nn.warp import affine_matrix, rotation_center, warp_frames
from freegaze.recording.recording import Recording
from freegaze.simulation.group_shares import group_shares, signal_groups, true_saliency
from freegaze.simulation.truth import Truth
from freegaze.sources.simulation import load_truth

NOT_VISUAL = ("behavior_only", "untuned")

TRUTH = Artifact(
    what="comparison with the truth",
    command="freegaze explain {run}",
    about="truth.json",
    tables=("truth_fields", "truth_contributions", "truth_saliency"),
    arrays="truth.npz",
    sums="truth.sha256",
    has_parquet=False,
)


@dataclass(frozen=True, eq=False)
class TruthComparison:
    """An explanation beside the truth of its session.

    Args:
        session_id: The session.
        fields: See ``compare_fields``.
        contributions: See ``compare_contributions``.
        saliency: See ``compare_saliency``.
        true_fields: True receptive fields on the encoder's retina, cosine and sine phase.
        about: ``shift_px`` and ``rotation_deg`` of the common displacement.
    """

    session_id: str
    fields: pd.DataFrame
    contributions: pd.DataFrame
    saliency: pd.DataFrame
    true_fields: Float[np.ndarray, "neuron 2 height width"]
    about: Mapping[str, Any]


def compare_with_truth(
    session: ExplainedSession,
    explanation: SessionExplanation,
    truth: Truth,
    shift_px: tuple[float, float] = (0.0, 0.0),
    rotation_deg: float = 0.0,
) -> TruthComparison:
    """Compare all parts of an explanation that were computed with the truth.

    Args:
        session: The session.
        explanation: Explanation of the session.
        truth: Truth of the same neurons, in the same order.
        shift_px: Common shift (x, y) from the true retina to the encoder's; none by default, as
            for encoders without a shifter.
        rotation_deg: Common rotation.

    Returns:
        The comparison; tables of parts that were not computed have no rows.
    """
    return TruthComparison(
        explanation.session_id,
        compare_fields(explanation, truth, shift_px, rotation_deg),
        compare_contributions(explanation, truth, session),
        compare_saliency(explanation, truth, session),
        moved_fields(truth.receptive_field, shift_px, rotation_deg),
        {"shift_px": list(shift_px), "rotation_deg": rotation_deg},
    )


@runtime_checkable
class CommonDisplacement(Protocol):
    """Shift and rotation that no response can determine, such as a ``DisplacementFit``."""

    @property
    def shift_px(self) -> tuple[float, float]:
        """Shift of learned against true gaze, (x, y) in px."""
        ...

    @property
    def rotation_deg(self) -> float:
        """Rotation of learned against true gaze."""
        ...


def keep_truth_comparison(
    run_folder: Path | str,
    encoder: FittedEncoder,
    recording: Recording,
    explanation: SessionExplanation,
    common: CommonDisplacement | None,
) -> Path:
    """Compare the explanation of a simulated session with its truth, and write the comparison.

    Args:
        run_folder: The run.
        encoder: The fitted encoder.
        recording: The simulated session.
        explanation: The explanation to compare.
        common: Common displacement of learned and true gaze, or ``None`` without a shifter.

    Returns:
        The folder written to.

    Raises:
        DataError: If the truth is damaged, or the disk refuses.
    """
    session = ExplainedSession(encoder, recording)
    truth = load_truth(recording.provenance["truth"], session.recording)
    shift, rotation = (
        ((0.0, 0.0), 0.0) if common is None else (common.shift_px, common.rotation_deg)
    )
    compared = compare_with_truth(session, explanation, truth, shift, rotation)
    return save_truth_comparison(run_folder, compared)


def save_truth_comparison(run_folder: Path | str, found: TruthComparison) -> Path:
    """Write a comparison beside the session's explanation; return the folder.

    Raises:
        DataError: If the disk refuses.
    """
    folder = session_folder(run_folder, found.session_id)
    tables = {
        "truth_fields": found.fields,
        "truth_contributions": found.contributions,
        "truth_saliency": found.saliency,
    }
    return TRUTH.write(folder, Content(found.about, tables, {"fields": found.true_fields}))


def load_truth_comparison(run_folder: Path | str, session_id: str) -> TruthComparison | None:
    """Read a comparison, ``None`` where there is none.

    Raises:
        CheckpointError: If a file is broken.
    """
    return load_beside(
        TRUTH,
        run_folder,
        session_id,
        lambda content: TruthComparison(
            session_id,
            content.tables["truth_fields"],
            content.tables["truth_contributions"],
            content.tables["truth_saliency"],
            content.arrays["fields"],
            content.about,
        ),
    )


def compare_fields(
    explanation: SessionExplanation,
    truth: Truth,
    shift_px: tuple[float, float],
    rotation_deg: float,
) -> pd.DataFrame:
    """Compare receptive fields with the true ones, after one common shift and rotation.

    No response can determine a shift and rotation that are the same at all times. This common
    displacement, which ``freegaze.evaluation.displacement.compare_displacement`` removes from the
    shifter, is removed from the fields too.

    Args:
        explanation: Explanation of a simulated session.
        truth: Truth of the same neurons, in the same order.
        shift_px: Common shift (x, y) from the true retina to the encoder's.
        rotation_deg: Common rotation.

    Returns:
        One row per visual neuron and method: ``unit_id``, ``method``, ``kind``, ``correlation``
        (of the field's first singular image with the true cosine phase; for complex cells the
        root mean square projection of both true phases onto the pair, NaN where the method gives
        none), ``distance_px`` (between the middles of energy of the Gabor fit and of the true
        field), ``envelope_distance_px`` (between the middles of their envelopes).
    """
    true = moved_fields(truth.receptive_field, shift_px, rotation_deg)
    energies = energy_middle(true)
    envelopes = true_envelopes(truth, shift_px, rotation_deg)
    table = explanation.receptive_fields.set_index(["method", "unit_id"])
    rows = []
    for method, fields in explanation.fields.items():
        pairs = explanation.pairs.get(method)
        for i, unit in enumerate(explanation.unit_ids):
            if truth.modulation[i] in NOT_VISUAL:
                continue
            number = table.loc[(method, unit)]
            energy = np.array([number["energy_x_px"], number["energy_y_px"]])
            envelope = np.array([number["center_x_px"], number["center_y_px"]])
            if truth.kind[i] == "simple":
                correlation = correlate(summarize_field(fields[i]).spatial, true[i, 0])
            else:
                correlation = np.nan if pairs is None else subspace_overlap(pairs[i], true[i])
            rows.append(
                {
                    "unit_id": unit,
                    "method": method,
                    "kind": truth.kind[i],
                    "correlation": correlation,
                    "distance_px": float(np.hypot(*(energy - energies[i]))),
                    "envelope_distance_px": float(np.hypot(*(envelope - envelopes[i]))),
                }
            )
    columns = ["unit_id", "method", "kind", "correlation", "distance_px", "envelope_distance_px"]
    return pd.DataFrame(rows, columns=columns)


def compare_contributions(
    explanation: SessionExplanation, truth: Truth, session: ExplainedSession
) -> pd.DataFrame:
    """Compare the contribution found for each group of behavior with the truth.

    Args:
        explanation: Explanation of a simulated session.
        truth: Truth of the same neurons, in the same order.
        session: The session.

    Returns:
        One row per neuron and group: ``unit_id``, ``group``, ``is_real`` (the neuron depends on
        it), ``share`` (of the attainable deviance in test bins, that the group carries),
        ``is_found``, ``p``.
    """
    shares = group_shares(truth, session.targets["test"])
    found = explanation.contributions.set_index(["group", "unit_id"])
    tables = [pd.DataFrame(columns=["unit_id", "group", "is_real", "share", "is_found", "p"])]
    for group, signals in signal_groups(truth).items():
        if group in found.index.get_level_values("group"):
            own = found.loc[group].loc[list(explanation.unit_ids)]
            is_real = np.any([truth.behavior_coefficients[s] != 0 for s in signals], axis=0)
            tables.append(
                pd.DataFrame(
                    {
                        "unit_id": explanation.unit_ids,
                        "group": group,
                        "is_real": is_real,
                        "share": shares[group],
                        "is_found": own["is_significant"].to_numpy(bool),
                        "p": own["p"].to_numpy(float),
                    }
                )
            )
    return pd.concat(tables[1:] or tables, ignore_index=True)


def compare_saliency(
    explanation: SessionExplanation, truth: Truth, session: ExplainedSession
) -> pd.DataFrame:
    """Compare signed saliency with the true mean effect of one sd of each signal.

    Returns:
        One row per neuron and signal that neurons of the virtual mouse can depend on: ``unit_id``,
        ``signal``, ``true`` and ``found``, in expected counts per bin for one training sd.
    """
    recording = session.recording
    training = session.encoder.split(recording).bins("train")
    table = explanation.saliency.set_index(["signal", "unit_id"])["signed"]
    tables = [pd.DataFrame(columns=["unit_id", "signal", "true", "found"])]
    signals_of = signal_groups(truth).values()
    for signal in dict.fromkeys(signal for signals in signals_of for signal in signals):
        if signal in table.index.get_level_values("signal"):
            sd = float(np.nanstd(recording.column(signal)[training]))
            true = true_saliency(truth, session.targets["test"], signal, sd)
            found = table.loc[signal].loc[list(explanation.unit_ids)].to_numpy(float)
            columns = {"signal": signal, "true": true, "found": found}
            tables.append(pd.DataFrame({"unit_id": explanation.unit_ids} | columns))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def correlate(a: Float[np.ndarray, "height width"], b: Float[np.ndarray, "height width"]) -> float:
    """Return the correlation of two images over their pixels; 0 where one is flat."""
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt(float((a**2).sum()) * float((b**2).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0


def subspace_overlap(
    pair: Float[np.ndarray, "2 height width"], true: Float[np.ndarray, "2 height width"]
) -> float:
    """Return the share of some images that lies in the span of others, from 0 to 1.

    Args:
        pair: Images that span the found field.
        true: Images that should lie in the span.

    Returns:
        Root mean square length of the true images, of length 1, projected onto the span.
    """
    basis = np.linalg.qr(pair.reshape(len(pair), -1).T.astype(np.float64))[0]
    flat = true.reshape(len(true), -1).T.astype(np.float64)
    length = np.linalg.norm(flat, axis=0)
    flat = flat[:, length > 0] / length[length > 0]
    return float(np.sqrt(((basis.T @ flat) ** 2).sum(0).mean())) if flat.size else 0.0


def moved_fields(
    fields: Float[np.ndarray, "neuron 2 height width"],
    shift_px: tuple[float, float],
    rotation_deg: float,
) -> Float[np.ndarray, "neuron 2 height width"]:
    """Move true fields to where the encoder's retina has them.

    Args:
        fields: Receptive fields on the true retina, cosine and sine phase.
        shift_px: Common shift (x, y) from the true retina to the encoder's.
        rotation_deg: Common rotation.
    """
    flat = torch.from_numpy(fields.reshape(-1, 1, *fields.shape[2:])).float()
    movement = torch.tensor([[*shift_px, rotation_deg]]).expand(len(flat), -1)
    center = rotation_center((fields.shape[2], fields.shape[3]))
    return warp_frames(flat, movement, center).numpy().reshape(fields.shape)


def true_envelopes(
    truth: Truth, shift_px: tuple[float, float], rotation_deg: float
) -> Float[np.ndarray, "neuron 2"]:
    """Return the middle (x, y) of each true envelope, where the encoder's retina has it.

    A noiseless field is a Gabor function, whose fit is exact. Its middle of energy is another
    point: in simple cells that also respond to brightness it lies beside the envelope's, by
    more than 2 px in a fifth of them.

    Args:
        truth: Truth of the neurons.
        shift_px: Common shift (x, y) from the true retina to the encoder's.
        rotation_deg: Common rotation.

    Returns:
        NaN for neurons without a visual drive.
    """
    centers = np.full((len(truth.kind), 2), np.nan)
    for i, field in enumerate(truth.receptive_field):
        if field.any():
            centers[i] = fit_gabor(field[field.any((1, 2))]).center_px
    size = (truth.receptive_field.shape[2], truth.receptive_field.shape[3])
    movement = torch.tensor([[*shift_px, rotation_deg]], dtype=torch.float64)
    matrix = affine_matrix(movement, rotation_center(size))[0].numpy()
    return centers @ matrix[:, :2].T + matrix[:, 2]
