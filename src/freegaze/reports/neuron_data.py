"""Values that the page of one neuron draws, as JSON for the script of the report.

Numbers are rounded to what a figure of a few hundred pixels shows; missing ones are ``None``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from freegaze.evaluation.scored_session import ScoredSession
from freegaze.explanation.contributions.groups import UNTESTED
from freegaze.explanation.fields.fields import METHODS
from freegaze.explanation.result import SessionExplanation
from freegaze.metrics.correlation import boxcar_bins, smooth_boxcar
from freegaze.recording.responses import response_label, response_unit
from freegaze.reports.explained import ExplainedNeuron, method_label, method_unit
from freegaze.reports.pictures import diverging_png, symmetric_limit
from freegaze.reports.sections.fields import outline_of
from freegaze.reports.sections.traces import SMOOTHING_S
from freegaze.reports.wording import NO_VALUE, fixed, number

LONGEST_S = 600.0
"""Test time that the page holds of each neuron: with bins of 50 ms, 32 kB."""

DIGITS = 4

GABOR_ROWS = (
    ("before the predicted bin (ms)", ("delay_s",), 1000.0, 0),
    ("space × time (% of squares)", ("separability",), 100.0, 0),
    ("Gabor fit (% of squares)", ("explained",), 100.0, 0),
    ("middle of the squares x, y (px)", ("energy_x_px", "energy_y_px"), 1.0, 1),
    ("center x, y (px)", ("center_x_px", "center_y_px"), 1.0, 1),
    ("center x, y (°)", ("center_x_deg", "center_y_deg"), 1.0, 1),
    ("sd along, across the wave (px)", ("sigma_along_px", "sigma_across_px"), 1.0, 1),
    ("sd along, across the wave (°)", ("sigma_along_deg", "sigma_across_deg"), 1.0, 1),
    ("direction of the wave (°)", ("orientation_deg",), 1.0, 0),
    ("frequency (cycles/px)", ("frequency_cpp",), 1.0, 3),
    ("frequency (cycles/°)", ("frequency_cpd",), 1.0, 3),
    ("phase (°)", ("phase_deg",), 1.0, 0),
)
"""Rows of the table of fields: label, columns, factor to their unit, decimals."""


GRATING_ROWS = (
    ("orientation (°)", "orientation_deg", 0),
    ("direction of drift (°)", "direction_deg", 0),
    ("spatial frequency (cycles/px)", "frequency_cpp", 3),
    ("spatial frequency (cycles/°)", "frequency_cpd", 3),
    ("temporal frequency (Hz)", "temporal_hz", 1),
    ("phase in the middle of the frame (°)", "phase_deg", 0),
    ("orientation selectivity", "osi", 2),
    ("direction selectivity", "dsi", 2),
    ("F1/F0", "f1_f0", 2),
)
"""Rows of the table of gratings: label, column, decimals."""

PATCH_ROWS = (
    ("middle x (px)", "x_px", 1),
    ("middle y (px)", "y_px", 1),
    ("preferred diameter (px)", "diameter_px", 1),
    ("preferred diameter (°)", "diameter_deg", 1),
    ("surround suppression", "suppression", 2),
    ("contrast with half of the response", "contrast_half", 2),
)
"""Rows of the table of patches."""


def session_values(
    explanation: SessionExplanation, session: ScoredSession | None
) -> dict[str, Any]:
    """Return values that all neurons of a session share.

    Args:
        explanation: Explanation of the session.
        session: Scored bins of the session, if it was scored.
    """
    kind = "fluorescence" if session is None else session.response_kind
    shared: dict[str, Any] = {
        "binWidth": explanation.bin_width_s,
        "response": response_label(kind),
        "responseUnit": response_unit(kind),
        "stretches": [],
        "delays": _delays_ms(explanation),
    }
    if session is not None:
        shared["stretches"] = _stretches(session, _n_bins(session))
    return shared


def neuron_values(
    neuron: ExplainedNeuron,
    scores: Sequence[tuple[str, str, str]],
    session: ScoredSession | None,
) -> dict[str, Any]:
    """Return all that is drawn of a neuron.

    Args:
        neuron: The neuron.
        scores: Scores of the neuron as text: name, value, interval.
        session: The scored bins of its session, where it was scored.
    """
    return {
        "session": neuron.session_id,
        "unit": neuron.unit_id,
        "class": neuron.label,
        "scores": [list(row) for row in scores],
        "trace": None if session is None else _trace(neuron, session),
        "fields": _fields(neuron),
        "gabor": _gabor_table(neuron),
        "tuning": _tuning(neuron),
        "gaze": _gaze(neuron),
        "saliency": _saliency(neuron),
        "contributions": _contributions(neuron),
        "gratings": _probed(neuron, "gratings", "grating_curves", GRATING_ROWS),
        "patches": _probed(neuron, "patches", "patch_curves", PATCH_ROWS),
    }


def _delays_ms(explanation: SessionExplanation) -> list[int]:
    """Return how long before the predicted bin each bin of the window lies, oldest first."""
    history = max((field.shape[1] for field in explanation.fields.values()), default=0)
    bins = np.arange(history - 1, -1, -1) + explanation.lag
    return [round(1000 * explanation.bin_width_s * int(n)) for n in bins]


def _n_bins(session: ScoredSession) -> int:
    return min(len(session.targets), max(2, round(LONGEST_S / session.bin_width_s)))


def _stretches(session: ScoredSession, n_bins: int) -> list[list[float]]:
    """Return the time in the session at which each contiguous part starts, and its bins."""
    _, first, lengths = np.unique(session.run_ids[:n_bins], return_index=True, return_counts=True)
    starts = session.targets[first] * session.bin_width_s
    return [[round(float(s), 2), int(n)] for s, n in zip(starts, lengths, strict=True)]


def _trace(neuron: ExplainedNeuron, session: ScoredSession) -> dict[str, Any] | None:
    if neuron.unit_id not in session.unit_ids:
        return None
    column = session.unit_ids.index(neuron.unit_id)
    n_bins = _n_bins(session)
    width = boxcar_bins(session.bin_width_s, SMOOTHING_S)
    values = {"observed": session.observed, "predicted": session.rates}
    if "attainable" in session.references:
        values["attainable"] = session.references["attainable"]
    smooth = {
        name: neuron.per_s * smooth_boxcar(v[:, [column]], width, session.run_ids)[:n_bins, 0]
        for name, v in values.items()
    }
    everything = np.concatenate(list(smooth.values()))
    low, high = min(0.0, float(everything.min())), float(everything.max())
    lines = {name: _bytes(line, low, high) for name, line in smooth.items()}
    return {"low": _rounded(low), "high": _rounded(high), **lines}


def _bytes(values: Float[np.ndarray, " time"], low: float, high: float) -> str:
    """Write a line as one byte per bin, from 0 at ``low`` to 255 at ``high``: finer than pixels."""
    codes = np.rint(255 * (values - low) / ((high - low) or 1.0)).astype(np.uint8)
    return base64.b64encode(codes.tobytes()).decode()


def _fields(neuron: ExplainedNeuron) -> list[dict[str, Any]]:
    found = []
    known = neuron.explanation.fields
    for method in dict.fromkeys((*METHODS, *known)):
        field = neuron.field(method)
        if field is None:
            continue
        outline = outline_of(neuron, method)
        n_bins, height, width = field.shape
        limit = symmetric_limit(field)
        found.append(
            {
                "method": method.replace("_", ", "),
                "title": method_label(method),
                "limit": number(limit, 2),
                "unit": method_unit(method),
                "n": n_bins,
                "height": height,
                "width": width,
                "peak": int((field**2).sum((1, 2)).argmax()),
                "strip": diverging_png(field.reshape(n_bins * height, width), limit),
                "outline": None if outline is None else vars(outline),
                "pair": _pair(neuron, method),
            }
        )
    return found


def _pair(neuron: ExplainedNeuron, method: str) -> list[str]:
    """Return the two images that span the receptive field of a phase-invariant neuron."""
    pairs = neuron.explanation.pairs.get(method)
    if pairs is None or not neuron.row("neurons").get("is_invariant", False):
        return []
    pictures = np.nan_to_num(pairs[neuron.index].astype(np.float64))
    limit = symmetric_limit(pictures)
    return [diverging_png(picture, limit) for picture in pictures] if limit else []


def _gabor_table(neuron: ExplainedNeuron) -> dict[str, Any]:
    """Return the numbers of all fields as words; rows that no method has are left out."""
    by_method = {m: row for m in METHODS if (row := neuron.row("receptive_fields", method=m))}
    rows = []
    for words, columns, factor, decimals in GABOR_ROWS:
        cells = [_cell(row, columns, factor, decimals) for row in by_method.values()]
        if any(cell != NO_VALUE for cell in cells):
            rows.append([words, *cells])
    return {"header": [m.replace("_", ", ") for m in by_method], "rows": rows}


def _cell(row: Mapping[str, Any], columns: Sequence[str], factor: float, decimals: int) -> str:
    values = [float(row.get(name, np.nan)) for name in columns]
    if not np.isfinite(values).all():
        return NO_VALUE
    return ", ".join(fixed(factor * value, decimals) for value in values)


def _tuning(neuron: ExplainedNeuron) -> list[dict[str, Any]]:
    curves = []
    for signal, rows in _grouped(neuron.rows("tuning"), "signal").items():
        rows = sorted(rows, key=lambda row: row["level"])
        curves.append(
            {
                "signal": signal,
                "unit": str(rows[0]["unit"]),
                "level": [_rounded(row["level"]) for row in rows],
                "observed": [_rounded(neuron.per_s * row["observed"]) for row in rows],
                "se": [_rounded(neuron.per_s * row["observed_se"]) for row in rows],
                "predicted": [_rounded(neuron.per_s * row["predicted"]) for row in rows],
            }
        )
    return curves


def _gaze(neuron: ExplainedNeuron) -> list[dict[str, Any]]:
    return [
        {
            "direction": direction,
            "n": int(rows[0]["n_events"]),
            "offset": [_rounded(row["offset_s"]) for row in rows],
            "observed": [_rounded(neuron.per_s * row["observed"]) for row in rows],
            "predicted": [_rounded(neuron.per_s * row["predicted"]) for row in rows],
        }
        for direction, rows in _grouped(neuron.rows("gaze_shifts"), "direction").items()
        if any(np.isfinite(row["observed"]) for row in rows)
    ]


def _saliency(neuron: ExplainedNeuron) -> list[dict[str, Any]]:
    return [
        {
            "signal": str(row["signal"]),
            "absolute": _rounded(neuron.per_s * row["absolute"]),
            "signed": _rounded(neuron.per_s * row["signed"]),
            "interval": [
                _rounded(neuron.per_s * row.get(f"signed_{end}", np.nan)) for end in ("low", "high")
            ],
            "viaGaze": _rounded(neuron.per_s * row["via_gaze"]),
            "integrated": _rounded(neuron.per_s * row["integrated"]),
            "p": number(p, 2) if np.isfinite(p := float(row.get("p", np.nan))) else "",
            "leastP": number(float(row.get("least_p", np.nan)), 2),
            "answer": str(row.get("answer", UNTESTED)),
        }
        for row in neuron.rows("saliency")
    ]


def _contributions(neuron: ExplainedNeuron) -> list[dict[str, Any]]:
    return [
        {
            "group": str(row["group"]),
            "added": _rounded(100 * row["deviance"]),
            "alone": _rounded(100 * row["only_deviance"]),
            "p": number(float(row["p"]), 2) if np.isfinite(row["p"]) else "",
            "leastP": number(float(row.get("least_p", np.nan)), 2),
            "isSignificant": bool(row["is_significant"]),
        }
        for row in neuron.rows("contributions")
    ]


def _probed(
    neuron: ExplainedNeuron, table: str, curves: str, labels: Sequence[tuple[str, str, int]]
) -> dict[str, Any] | None:
    """Return responses to probes: curves, and numbers as words; ``None`` where none drives."""
    row = neuron.row(table)
    cells = [[words, _cell(row, (column,), 1.0, digits)] for words, column, digits in labels]
    if all(words == NO_VALUE for _, words in cells):
        return None
    lines = [
        {
            "axis": axis,
            "unit": str(rows[0]["unit"]),
            "level": [_rounded(point["level"]) for point in rows],
            "value": [_rounded(neuron.per_s * point["value"]) for point in rows],
        }
        for axis, rows in _grouped(neuron.rows(curves), "axis").items()
    ]
    return {
        "response": str(row.get("response", "")),
        "rows": [cell for cell in cells if cell[1] != NO_VALUE],
        "curves": lines,
    }


def _grouped(rows: Sequence[dict[str, Any]], column: str) -> dict[str, list[dict[str, Any]]]:
    """Group rows by their value in a column, in the order of first occurrence."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(str(row[column]), []).append(row)
    return groups


def _rounded(value: Any) -> float | None:
    return float(f"{float(value):.{DIGITS}g}") if np.isfinite(value) else None
