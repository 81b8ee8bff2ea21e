"""Effects of behavior in VM-2: gain, tuning to posture, and responses to gaze shifts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from freegaze.recording.columns import GROUP_COLORS, find_column
from freegaze.simulation.population import GAIN_SIGNALS, POSITION_SIGNALS
from freegaze.simulation.processes import STEP_S, low_pass
from freegaze.simulation.rates import SIGNAL_CENTER, SIGNAL_SCALE
from freegaze.simulation.vm2.gaze_shifts import GAZE_EVENTS, GAZE_SIGNALS

YAW_SCALE_DEG_S = 100.0
"""About a standard deviation of yaw velocity."""

PEAK_WIDTH = 0.8
"""Width of a peaked tuning curve, in standard deviations of the signal."""

EVENT_WIDTH_S, EVENT_TAPS = 0.04, 25
"""Width of a response to a gaze shift, and its length in steps."""

EVENT_SIZE = 3.0
"""Height of that response for a coefficient of 1: several times a standard deviation, as it is
short."""

BEHAVIOR_SIGNALS = (*GAIN_SIGNALS, *POSITION_SIGNALS, *GAZE_SIGNALS)
"""All signals that neurons of VM-2 can depend on."""

_EVENTS_OF = {"eye": GAZE_EVENTS[:2], "head": GAZE_EVENTS}

GROUPS: Mapping[str, tuple[str, ...]] = {
    group: tuple(
        name
        for name in BEHAVIOR_SIGNALS
        if name in _EVENTS_OF.get(group, ())
        or (name not in GAZE_EVENTS and find_column(name).group == group)
    )
    for group in GROUP_COLORS
}
"""Signals of each group. A gaze shift is one of the eye and of the head: it belongs to both."""


def gain_and_position(
    coefficients: Mapping[str, Float[np.ndarray, " n"]],
    traits: Mapping[str, np.ndarray],
    signals: Mapping[str, Float[np.ndarray, " step"]],
) -> tuple[Float[np.ndarray, "step n"], Float[np.ndarray, "step n"]]:
    """Return the gain, and the additive part up to its mean, at each step.

    Args:
        coefficients: Effect of each of ``BEHAVIOR_SIGNALS``.
        traits: Of the neurons: delays and peaks of tuning curves.
        signals: True signals in the units of the recording; events are 1 at their first step.
    """
    log_gain = _tuned(coefficients, traits, signals, GAIN_SIGNALS)
    drive = _tuned(coefficients, traits, signals, POSITION_SIGNALS)
    drive += _delayed(np.tanh(signals["gz"] / YAW_SCALE_DEG_S), traits) * coefficients["gz"].astype(
        np.float32
    )
    for name in GAZE_EVENTS:
        if coefficients[name].any():
            size = (EVENT_SIZE * coefficients[name]).astype(np.float32)
            drive += size * _responses(signals[name], traits)
    return np.exp(log_gain), np.logaddexp(0.0, 2.0 * drive) / 2.0


def _tuned(
    coefficients: Mapping[str, np.ndarray],
    traits: Mapping[str, np.ndarray],
    signals: Mapping[str, np.ndarray],
    names: tuple[str, ...],
) -> np.ndarray:
    """Sum the effects of signals that have a tuning curve."""
    n_steps, n = len(signals[names[0]]), len(traits["behavior_delay_s"])
    total = np.zeros((n_steps, n), dtype=np.float32)
    for name in names:
        value = (signals[name] - SIGNAL_CENTER[name]) / SIGNAL_SCALE[name]
        value = np.tanh(value) if name == "speed" else value  # gain saturates with speed
        delayed, peak = _delayed(value, traits), traits[f"peak_{name}"]
        is_peaked = np.isfinite(peak)
        distance = (delayed[:, is_peaked] - peak[is_peaked]) / PEAK_WIDTH
        delayed[:, is_peaked] = 2 * np.exp(-(distance**2) / 2) - 1
        total += coefficients[name].astype(np.float32) * delayed
    return total


def _delayed(signal: np.ndarray, traits: Mapping[str, np.ndarray]) -> np.ndarray:
    """Smooth a signal with the time constant of each neuron, (n_steps, n)."""
    delay = traits["behavior_delay_s"]
    out = np.empty((len(signal), len(delay)), dtype=np.float32)
    for value in np.unique(delay):
        out[:, delay == value] = low_pass(signal, float(value))[:, None]
    return out


def _responses(event: np.ndarray, traits: Mapping[str, np.ndarray]) -> np.ndarray:
    """Answer each event with a bump after the delay of each neuron, and a weaker trough."""
    time = (np.arange(EVENT_TAPS) + 0.5) * STEP_S
    center = traits["event_delay_s"][:, None]
    kernel = np.exp(-((time - center) ** 2) / (2 * EVENT_WIDTH_S**2))
    kernel -= 0.4 * np.exp(-((time - center - 0.12) ** 2) / (2 * (1.5 * EVENT_WIDTH_S) ** 2))
    out = np.zeros((len(event), len(center)), dtype=np.float32)
    for start in np.flatnonzero(event):
        stop = min(start + EVENT_TAPS, len(event))
        out[start:stop] += kernel[:, : stop - start].T
    return out
