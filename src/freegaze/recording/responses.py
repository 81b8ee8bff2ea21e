"""Names and units of responses, and the factor from a bin to a second."""

from __future__ import annotations

from freegaze.recording.recording import ResponseKind


def response_label(kind: str) -> str:
    """Return what responses are, with their unit, for an axis."""
    return {
        ResponseKind.SPIKE_COUNTS: "firing rate (spikes/s)",
        ResponseKind.INFERRED_SPIKES: "inferred activity (1/s)",
    }.get(ResponseKind(kind), "fluorescence (a.u.)")


def response_unit(kind: str) -> str:
    """Return the unit alone."""
    return {
        ResponseKind.SPIKE_COUNTS: "spikes/s",
        ResponseKind.INFERRED_SPIKES: "1/s",
    }.get(ResponseKind(kind), "a.u.")


def per_second(kind: str, bin_width_s: float) -> float:
    """Return the factor from responses per bin to responses per second; 1 for fluorescence."""
    return 1.0 if ResponseKind(kind) is ResponseKind.FLUORESCENCE else 1 / bin_width_s
