"""Check of sensors from which columns were computed, and of clocks found from sync pulses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from freegaze.quality.grades import Check, Scale
from freegaze.recording.recording import Recording

SENSORS = Scale("sensors", "Sensors and clocks", "times the amber limit", 1.0, 2.0)
"""Each quality number has limits of its own; 1 is at its amber limit and 2 at its red one."""

_LIMITS: dict[str, tuple[float, float, float]] = {
    "r": (1.0, 0.1, 0.4),
    "share_tracked": (1.0, 0.3, 0.7),
    "gravity_g": (1.0, 0.1, 0.3),
    "gain_forward": (1.0, 0.15, 0.5),
    "gain_left": (1.0, 0.15, 0.5),
    "gain_up": (1.0, 0.15, 0.5),
    "tilt_error_deg": (0.0, 3.0, 10.0),
    "share_lost": (0.0, 0.12, 0.3),
    "share_jumps": (0.0, 0.01, 0.1),
    "still_speed_cm_s": (0.0, 2.0, 10.0),
    "share_seen": (1.0, 0.3, 0.7),
    "residual_ms": (0.0, 2.0, 10.0),
}
"""Expected value of each quality number, and distances from it that are amber and red.

The limits are choices, not measurements: a gain or a gravity that is off by 10 to 15 % points at a
wrong scale, a residual of 10 ms is half of a bin of 20 ms. Shares of lost points are limited as in
``missing_values``.
"""


def check_sensors(recording: Recording) -> Check:
    """Grade the quality numbers of sensors and of clocks found from pulses.

    Data: ``severity`` (n_numbers,).
    """
    found = list(_numbers(recording.provenance))
    if not found:
        return SENSORS.not_available("no column was computed from raw sensors or sync pulses")
    severity = np.array([_severity(name, value) for _, name, value in found])
    worst = int(np.argmax(severity))
    stream, name, value = found[worst]
    expected, amber, red = _LIMITS[name]
    sentence = (
        f"Of {len(found)} quality numbers {name} of {stream} is the worst: {value:.4g}, expected "
        f"{expected:g} (amber from a distance of {amber:g}, red from {red:g})."
    )
    return SENSORS.grade(severity[worst], sentence, severity=severity)


def _numbers(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Give stream, name and value of each quality number that has limits and is known."""
    by_stream = {
        **provenance.get("alignment", {}).get("quality", {}),
        **{f"the clock of {k}": v for k, v in provenance.get("clocks", {}).items()},
    }
    for stream, numbers in by_stream.items():
        for name, value in numbers.items():
            if name in _LIMITS and value is not None and np.isfinite(value):
                yield stream, name, float(value)


def _severity(name: str, value: float) -> float:
    """Return 1 at the amber limit and 2 at the red one, by lines between and beyond."""
    expected, amber, red = _LIMITS[name]
    distance = abs(value - expected)
    return distance / amber if distance <= amber else 1 + (distance - amber) / (red - amber)
