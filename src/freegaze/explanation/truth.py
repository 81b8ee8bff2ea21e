"""An explanation against what is true of a simulated session."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from freegaze.explanation.fields.gabor import energy_middle, fit_gabor
from freegaze.explanation.fields.gradients import summarize_field
from freegaze.explanation.result import SessionExplanation
from freegaze.explanation.session import ExplainedSession
from freegaze.nn.warp import affine_matrix, rotation_center, warp_frames
from freegaze.simulation.group_shares import GROUPS, group_shares, true_saliency
from freegaze.simulation.truth import Truth

NOT_VISUAL = ("behavior_only", "untuned")


def compare_fields(
    explanation: SessionExplanation,
    truth: Truth,
    shift_px: tuple[float, float],
    rotation_deg: float,
) -> pd.DataFrame:
    """Compare receptive fields with the true ones, after one common shift and rotation.

    Responses cannot tell a retina from the same retina moved and turned once and for all: the
    movement that ``freegaze.evaluation.displacement.compare_displacement`` takes out of the
    shifter is taken out of the fields.

    Args:
        explanation: Of a simulated session.
        truth: Of the same neurons, in the same order.
        shift_px: Common shift (x, y) from the true retina to the encoder's.
        rotation_deg: Common rotation.

    Returns:
        One row a neuron that sees and method: ``unit_id``, ``method``, ``kind``, ``correlation``
        (of the field's first singular picture with the true cosine phase; for complex cells the
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
    return pd.DataFrame(rows)


def compare_contributions(
    explanation: SessionExplanation, truth: Truth, session: ExplainedSession
) -> pd.DataFrame:
    """Put what was found of each group of behavior beside what is true.

    Args:
        explanation: Of a simulated session.
        truth: Of the same neurons, in the same order.
        session: The session.

    Returns:
        One row a neuron and group: ``unit_id``, ``group``, ``is_real`` (the neuron depends on it),
        ``share`` (of the attainable deviance that it carries over test bins), ``is_found``, ``p``.
    """
    shares = group_shares(truth, session.targets["test"])
    found = explanation.contributions.set_index(["group", "unit_id"])
    rows = []
    for group, signals in GROUPS.items():
        is_real = np.any([truth.behavior_coefficients[s] != 0 for s in signals], axis=0)
        for i, unit in enumerate(explanation.unit_ids):
            row = found.loc[(group, unit)]
            rows.append(
                {
                    "unit_id": unit,
                    "group": group,
                    "is_real": bool(is_real[i]),
                    "share": shares[group][i],
                    "is_found": bool(row["is_significant"]),
                    "p": row["p"],
                }
            )
    return pd.DataFrame(rows)


def compare_saliency(
    explanation: SessionExplanation, truth: Truth, session: ExplainedSession
) -> pd.DataFrame:
    """Put signed saliency beside the true mean effect of one sd of each signal.

    Returns:
        One row a neuron and signal that neurons of the virtual mouse can depend on: ``unit_id``,
        ``signal``, ``true`` and ``found``, in expected counts a bin for one training sd.
    """
    recording = session.recording
    training = session.encoder.split(recording).bins("train")
    table = explanation.saliency.set_index(["signal", "unit_id"])
    rows = []
    for signals in GROUPS.values():
        for signal in signals:
            if signal not in session.behavior.signal_names:
                continue
            sd = float(np.nanstd(recording.column(signal)[training]))
            true = true_saliency(truth, session.targets["test"], signal, sd)
            for i, unit in enumerate(explanation.unit_ids):
                found = float(table.loc[(signal, unit), "signed"])
                rows.append({"unit_id": unit, "signal": signal, "true": true[i], "found": found})
    return pd.DataFrame(rows)


def correlate(a: Float[np.ndarray, "height width"], b: Float[np.ndarray, "height width"]) -> float:
    """Return the correlation of two pictures over their pixels; 0 where one is flat."""
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt(float((a**2).sum()) * float((b**2).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0


def subspace_overlap(
    pair: Float[np.ndarray, "2 height width"], true: Float[np.ndarray, "2 height width"]
) -> float:
    """Return how much of some pictures lies in the span of others, from 0 to 1.

    Args:
        pair: Pictures that span what was found.
        true: Pictures that should lie in it.

    Returns:
        Root mean square length of the true pictures, of length 1, projected onto the span.
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
        fields: On the true retina, cosine and sine phase.
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
    point: where the wave runs from dark to bright across the envelope and the cell likes brightness
    too, it lies beside it, by more than 2 px in a fifth of the simple cells.

    Args:
        truth: Of the neurons.
        shift_px: Common shift (x, y) from the true retina to the encoder's.
        rotation_deg: Common rotation.

    Returns:
        NaN for neurons that do not see.
    """
    centers = np.full((len(truth.kind), 2), np.nan)
    for i, field in enumerate(truth.receptive_field):
        if field.any():
            centers[i] = fit_gabor(field[field.any((1, 2))]).center_px
    size = (truth.receptive_field.shape[2], truth.receptive_field.shape[3])
    movement = torch.tensor([[*shift_px, rotation_deg]], dtype=torch.float64)
    matrix = affine_matrix(movement, rotation_center(size))[0].numpy()
    return centers @ matrix[:, :2].T + matrix[:, 2]
