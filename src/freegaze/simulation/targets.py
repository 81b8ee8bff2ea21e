"""Statistics of real mice, and the accepted range of each for the virtual one."""

from __future__ import annotations

from dataclasses import dataclass

TOLERANCE = 0.3
"""Relative tolerance of body statistics: sessions and mice differ by as much."""


@dataclass(frozen=True)
class Target:
    """One statistic that the virtual mouse must match.

    Args:
        section: "body", "gaze and image", "neurons" or "models".
        name: Name of the statistic.
        unit: Unit of the statistic, "" for none.
        real: The real value as printed, or ``None`` where none is known.
        bounds: Lowest and highest value accepted, or ``None`` without bounds.
    """

    section: str
    name: str
    unit: str
    real: str | None
    bounds: tuple[float, float] | None


def _near(name: str, value: float, unit: str = "") -> Target:
    """A real value; the simulated one may differ by the share ``TOLERANCE``."""
    edges = sorted((value * (1 - TOLERANCE), value * (1 + TOLERANCE)))
    return Target("body", name, unit, f"{value:g}", (edges[0], edges[1]))


def _zero(name: str, sd: float, unit: str) -> Target:
    """A real mean of zero; the simulated mean may differ by 0.3 standard deviations."""
    return Target("body", name, unit, "0", (-TOLERANCE * sd, TOLERANCE * sd))


def _range(section: str, name: str, low: float, high: float, unit: str = "") -> Target:
    return Target(section, name, unit, f"{low:g} to {high:g}", (low, high))


def _open(section: str, name: str, unit: str = "", real: str | None = None) -> Target:
    return Target(section, name, unit, real, None)


def _distribution(
    signal: str, unit: str, mean: float, sd: float, low: float, high: float, decay_s: float | None
) -> list[Target]:
    """Return the five targets in one line of the table of head and eye statistics."""
    mean_name = f"{signal}, mean"
    rows = [
        _zero(mean_name, sd, unit) if mean == 0 else _near(mean_name, mean, unit),
        _near(f"{signal}, sd", sd, unit),
        _near(f"{signal}, 1st percentile", low, unit),
        _near(f"{signal}, 99th percentile", high, unit),
    ]
    return rows if decay_s is None else [*rows, _near(f"{signal}, 1/e time", decay_s, "s")]


BODY_TARGETS: tuple[Target, ...] = (
    *_distribution("head pitch", "deg", -18, 21, -72, 33, 19),
    *_distribution("head roll", "deg", 5, 12, -22, 34, 29),
    *_distribution("yaw velocity", "deg/s", 0, 100, -286, 318, 0.05),
    _near("yaw speed, share above 30 deg/s", 0.46),
    _near("yaw speed, median", 23, "deg/s"),
    _near("yaw speed, 90th percentile", 163, "deg/s"),
    *_distribution("pitch velocity", "deg/s", 0, 70, -206, 249, 0.03),
    *_distribution("roll velocity", "deg/s", 0, 47, -153, 155, 0.03),
    *_distribution("theta", "deg", 9, 12, -20, 35, None),
    _near("theta, slope on pitch", 0.4),
    _near("theta, slope on roll", -0.15),
    _range("body", "theta, R2 on pitch and roll", 0.3, 0.5),
    *_distribution("phi", "deg", 7, 10, -11, 35, None),
    _near("phi, slope on pitch", -0.3),
    _near("phi, slope on roll", 0.7),
    _near("phi, R2 on pitch and roll", 0.8),
    _range("body", "torsion, slope on pitch", 0.3, 0.4),
    _open("body", "torsion, slope on roll", real="small"),
    _range("body", "eye gain between saccades (true)", 0.6, 0.8),
    _near("theta velocity on yaw velocity, slope", -0.34),
    _near("theta velocity on yaw velocity, r", -0.5),
    _near("saccade-like jumps per second", 1.4, "1/s"),
    _range("body", "share of frames without tracking", 0.03, 0.12),
    _range("body", "share of time moving", 0.20, 0.35),
    _near("speed when moving, median", 8, "cm/s"),
)
"""Head and eye of a freely moving mouse (60 Hz, 10 minutes, two eyes), as measured."""

TARGETS: tuple[Target, ...] = (
    *BODY_TARGETS,
    _open("gaze and image", "gaze speed, median", "deg/s"),
    _open("gaze and image", "gaze speed, 90th percentile", "deg/s"),
    _open("gaze and image", "fixation length, median", "s"),
    _open("gaze and image", "fixation length, mean", "s"),
    # Amplitude falls as 1/f in natural images (Field 1987), power as 1/f**2, give or take 0.5.
    Target("gaze and image", "slope of the power spectrum", "", "-2", (-2.5, -1.5)),
    # 68 of 108, 32 of 52 and 49 of 63 units in the three sessions of Xu et al. (2023).
    Target("neurons", "share of neurons above 3 Hz", "", "0.62 to 0.78", (0.55, 0.85)),
    _open("neurons", "mean rate, median", "Hz"),
    _open("neurons", "Fano factor in 48 ms, median"),
    _open("neurons", "Fano factor in 1 s, median"),
    # Denman & Contreras (2014), doi:10.1093/cercor/bht128: awake mouse V1, whole trials.
    _open("neurons", "pairwise noise correlation in 1 s, mean", real="0.18 (whole trials)"),
    _range("neurons", "oracle single-bin correlation, median", 0.2, 0.35),
    # Means over the three sessions of Xu et al. (2023), of 2 s smoothed correlations; within 0.05.
    Target("models", "CNN without shifter", "", "0.48", (0.43, 0.53)),
    Target("models", "gain by shifter", "", "0.04", (-0.01, 0.09)),
    Target("models", "gain by behavior", "", "0.04 to 0.06", (0.0, 0.11)),
    Target("models", "spread over neurons", "", "0.14", (0.09, 0.19)),
)
"""All rows of the realism card, in order."""
