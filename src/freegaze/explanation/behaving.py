"""How a session's responses depend on behavior: saliency, tuning, gaze shifts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from freegaze.dataset.features import source_column
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.saliency.derivatives import behavior_saliency, integrated_saliency
from freegaze.explanation.session import ExplainedSession
from freegaze.explanation.tuning.curves import (
    aligned_average,
    gaze_shifts,
    gaze_velocity,
    tuning_curve,
)
from freegaze.files.pieces import Arrays
from freegaze.fitted.encoder import Prediction
from freegaze.recording.recording import Recording

YAW_VELOCITY = ("yaw_velocity", "gz")
"""Columns that hold the head's yaw velocity, the first that is there in deg/s is taken."""

REACH_S = 0.5
"""Seconds shown before and after a gaze shift."""


def saliency(session: ExplainedSession, config: ExplainConfig) -> Arrays:
    """Differentiate rates by behavior signals over test windows; see ``saliency_table``."""
    targets = session.sample("test", config.n_saliency_windows, config.seed)
    bins = session.bins(targets)
    names = session.behavior.signal_names
    arguments = (session.encoder, session.video(bins), session.signals(bins), names)
    features, name = session.behavior.features, session.session_id
    found = behavior_saliency(*arguments, features, session=name)
    mean = torch.from_numpy(session.training_signals.mean(0))  # not 0 in raw units
    whole = integrated_saliency(*arguments, features, session=name, baseline=mean, steps=8)
    return {
        "absolute": found.mean("absolute"),
        "signed": found.mean("signed"),
        "via_gaze": np.abs(found.via_gaze).mean(0),
        "integrated": whole.mean("absolute"),
    }


def saliency_table(session: ExplainedSession, arrays: Arrays) -> pd.DataFrame:
    """Lay out what ``saliency`` returned, one row a neuron and signal, for one sd of the signal."""
    # The sd in the unit that the encoder is given: derivatives are for one of that unit.
    scale = session.training_signals.std(0)
    units = session.recording.unit_ids
    names = session.behavior.signal_names
    recorded = session.recording.behavior_names
    table = pd.DataFrame(
        {
            "unit_id": np.repeat(np.array(units, dtype=object), len(names)),
            "signal": np.tile(np.array(names, dtype=object), len(units)),
            "base": np.tile([source_column(name, recorded)[0] for name in names], len(units)),
        }
    )
    for key in ("absolute", "signed", "via_gaze"):
        table[key] = (arrays[key] * scale).ravel()
    table["integrated"] = arrays["integrated"].ravel()  # counts already, whatever the unit
    return table


def tuning_table(session: ExplainedSession, prediction: Prediction) -> pd.DataFrame:
    """Return tuning curves of all neurons to all recorded columns, over the predicted bins."""
    recording = session.recording
    observed = recording.responses[prediction.targets].astype(np.float64)
    seen = prediction.targets - session.lag
    parts = []
    for name, unit in zip(recording.behavior_names, recording.behavior_units, strict=True):
        signal = recording.column(name)[seen].astype(np.float64)
        if not np.isfinite(signal).any():
            continue
        curve = tuning_curve(
            signal, observed, prediction.rates.astype(np.float64), recording.bin_width_s
        )
        n_levels, n_units = len(curve.level), recording.n_neurons
        parts.append(
            pd.DataFrame(
                {
                    "unit_id": np.tile(np.array(recording.unit_ids, dtype=object), n_levels),
                    "signal": name,
                    "unit": unit,
                    "level": np.repeat(curve.level, n_units),
                    "observed": curve.observed.ravel(),
                    "observed_se": curve.observed_se.ravel(),
                    "predicted": curve.predicted.ravel(),
                    "n_bins": np.repeat(curve.n_bins, n_units),
                }
            )
        )
    columns = ["unit_id", "signal", "unit", "level", "observed", "observed_se", "predicted"]
    return pd.concat(parts, ignore_index=True) if parts else _empty([*columns, "n_bins"])


def gaze_shift_table(session: ExplainedSession, prediction: Prediction) -> pd.DataFrame:
    """Average observed and predicted responses around gaze shifts to either side.

    Events are taken from stretches of predicted bins; empty where theta or a yaw velocity in deg/s
    was not recorded.
    """
    recording = session.recording
    columns = ["unit_id", "direction", "offset_s", "observed", "predicted", "n_events"]
    yaw = _yaw_velocity(recording)
    if yaw is None or "theta" not in recording.behavior_names:
        return _empty(columns)
    width = recording.bin_width_s
    eye = recording.column("theta").astype(np.float64)
    velocity = gaze_velocity(eye, yaw, width)
    events = gaze_shifts(eye, yaw, width)
    reach = max(1, round(REACH_S / width))
    responses, rates = np.full((2, *recording.responses.shape), np.nan)
    responses[prediction.targets] = recording.responses[prediction.targets]
    rates[prediction.targets] = prediction.rates
    known = np.isfinite(rates[:, :1]).all(1)
    whole = np.convolve(known, np.ones(2 * reach + 1), "same") == 2 * reach + 1
    events = events[whole[events]]
    offsets = np.arange(-reach, reach + 1) * width
    parts = []
    # Positive is to the left, as in the virtual mouse; see the data dictionary for other sources.
    for direction, chosen in (("left", velocity[events] > 0), ("right", velocity[events] < 0)):
        n_units = recording.n_neurons
        part = {
            "unit_id": np.tile(np.array(recording.unit_ids, dtype=object), len(offsets)),
            "direction": direction,
            "offset_s": np.repeat(offsets, n_units),
            "observed": aligned_average(responses, events[chosen], reach).ravel(),
            "predicted": aligned_average(rates, events[chosen], reach).ravel(),
            "n_events": int(chosen.sum()),
        }
        parts.append(pd.DataFrame(part, columns=columns))
    return pd.concat(parts, ignore_index=True)


def _yaw_velocity(recording: Recording) -> np.ndarray | None:
    for name, unit in zip(recording.behavior_names, recording.behavior_units, strict=True):
        if name in YAW_VELOCITY and unit == "deg/s":
            return recording.column(name).astype(np.float64)
    return None


def _empty(columns: list[str]) -> pd.DataFrame:
    text = {"unit_id", "signal", "unit", "direction"}
    blank = pd.DataFrame({name: [] for name in columns})
    for name in columns:
        blank[name] = blank[name].astype(object if name in text else float)
    return blank
