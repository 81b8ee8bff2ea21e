"""Tuning curves of a session's neurons, and their responses around gaze shifts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from freegaze.explanation.result import empty_table
from freegaze.explanation.session import ExplainedSession
from freegaze.explanation.tuning.curves import (
    aligned_average,
    gaze_shifts,
    gaze_velocity,
    tuning_curve,
)
from freegaze.recording.recording import Recording

YAW_VELOCITY = ("yaw_velocity", "gz")
"""Columns that hold the head's yaw velocity; the first one recorded in deg/s is taken."""

REACH_S = 0.5
"""Seconds shown before and after a gaze shift."""


def tuning_tables(session: ExplainedSession) -> dict[str, pd.DataFrame]:
    """Return observed and predicted responses by behavior, over test bins.

    Args:
        session: The session.

    Returns:
        ``tuning`` and ``gaze_shifts`` of a ``SessionExplanation``.
    """
    session.progress("tuning", 0, 1)
    rates = session.rates(session.targets["test"])
    return {"tuning": _tuning(session, rates), "gaze_shifts": _gaze_shifts(session, rates)}


def _tuning(session: ExplainedSession, rates: Float[np.ndarray, "window neuron"]) -> pd.DataFrame:
    recording, targets = session.recording, session.targets["test"]
    observed, rates = recording.responses[targets].astype(np.float64), rates.astype(np.float64)
    parts = [empty_table("tuning")]
    for name, unit in zip(recording.behavior_names, recording.behavior_units, strict=True):
        signal = recording.column(name)[targets - session.lag].astype(np.float64)
        if not np.isfinite(signal).any():
            continue
        curve = tuning_curve(signal, observed, rates, recording.bin_width_s)
        part = _by_neuron(
            recording,
            {"level": curve.level, "n_bins": curve.n_bins},
            {
                "observed": curve.observed,
                "observed_se": curve.observed_se,
                "predicted": curve.predicted,
            },
        )
        parts.append(part.assign(signal=name, unit=unit))
    return _joined(parts)


def _gaze_shifts(
    session: ExplainedSession, rates: Float[np.ndarray, "window neuron"]
) -> pd.DataFrame:
    """Average responses around gaze shifts to either side, in segments of predicted bins."""
    recording, targets = session.recording, session.targets["test"]
    width, yaw = recording.bin_width_s, _yaw_velocity(recording)
    parts = [empty_table("gaze_shifts")]
    if yaw is None or "theta" not in recording.behavior_names:
        return parts[0]
    eye = recording.column("theta").astype(np.float64)
    velocity, events = gaze_velocity(eye, yaw, width), gaze_shifts(eye, yaw, width)
    reach = max(1, round(REACH_S / width))
    responses, predicted = np.full((2, *recording.responses.shape), np.nan)
    responses[targets], predicted[targets] = recording.responses[targets], rates
    known = np.isfinite(predicted[:, :1]).all(1)
    whole = np.convolve(known, np.ones(2 * reach + 1), "same") == 2 * reach + 1
    events = events[whole[events]]
    # Positive is to the left, as in the virtual mouse; see the data dictionary for other sources.
    for direction, chosen in (("left", velocity[events] > 0), ("right", velocity[events] < 0)):
        part = _by_neuron(
            recording,
            {"offset_s": np.arange(-reach, reach + 1) * width},
            {
                "observed": aligned_average(responses, events[chosen], reach),
                "predicted": aligned_average(predicted, events[chosen], reach),
            },
        )
        parts.append(part.assign(direction=direction, n_events=int(chosen.sum())))
    return _joined(parts)


def _yaw_velocity(recording: Recording) -> np.ndarray | None:
    for name, unit in zip(recording.behavior_names, recording.behavior_units, strict=True):
        if name in YAW_VELOCITY and unit == "deg/s":
            return recording.column(name).astype(np.float64)
    return None


def _by_neuron(
    recording: Recording,
    shared: dict[str, Float[np.ndarray, " row"]],
    own: dict[str, Float[np.ndarray, "row neuron"]],
) -> pd.DataFrame:
    """Lay out columns that neurons share and arrays of their own, one row per row and neuron."""
    n_rows, n_units = len(next(iter(shared.values()))), recording.n_neurons
    units = np.tile(np.array(recording.unit_ids, dtype=object), n_rows)
    repeated = {name: np.repeat(values, n_units) for name, values in shared.items()}
    return pd.DataFrame(
        {"unit_id": units, **repeated, **{name: values.ravel() for name, values in own.items()}}
    )


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Join tables of which the first has no rows."""
    rows = pd.concat(parts[1:], ignore_index=True) if len(parts) > 1 else parts[0]
    return rows.reindex(columns=parts[0].columns)
