"""Section of the report: displacement by the shifter, beside gaze."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from freegaze.dataset.behavior import tracked_bins
from freegaze.evaluation.displacement import DisplacementFit
from freegaze.fitted.encoder import FittedEncoder
from freegaze.recording.recording import Recording
from freegaze.reports.figures.displacement import draw_displacement
from freegaze.reports.inputs import ReportInputs
from freegaze.reports.page import Panel, Section, panel

N_DOTS = 500
"""Bins drawn, evenly spaced; more make the file large and the picture no clearer."""

COMPONENTS = (("x", "px"), ("y", "px"), ("rotation", "deg"))
"""Values that a shifter returns, in its order."""

ANGLES = (("theta", "eye horizontal, θ"), ("phi", "eye vertical, φ"), ("pitch", "head pitch"))
"""The angle that each component follows most; torsion is not recorded, but follows head pitch."""


@dataclass(frozen=True)
class Displacement:
    """The shifter's displacement in some test bins of a session.

    Args:
        recording: The session.
        bins: Bins to draw.
        fitted: (x px, y px, angle deg) in each, (time, 3).
        comparison: Comparison with the displacement that compensates the eye's movement, where it
            is known.
    """

    recording: Recording
    bins: Integer[np.ndarray, " time"]
    fitted: Float[np.ndarray, "time 3"]
    comparison: DisplacementFit | None

    def angle(self, component: int) -> Float[np.ndarray, " time"]:
        """Return the angle that a component follows, in each bin."""
        return self.recording.column(ANGLES[component][0])[self.bins]

    @property
    def truth(self) -> Float[np.ndarray, "time 3"] | None:
        """Displacement that compensates the eye's movement, after the common displacement."""
        return None if self.comparison is None else self.comparison.aligned[self.bins]


def displacements_of(inputs: ReportInputs) -> list[Displacement]:
    """Return the fitted displacements of tracked test bins; empty without a shifter."""
    found = [
        displacement_of(inputs.encoder, r, inputs.truth_displacement.get(r.session_id))
        for r in inputs.recordings
    ]
    return [displacement for displacement in found if displacement is not None]


def build_displacement(inputs: ReportInputs, shifts: list[Displacement]) -> Section | None:
    """Draw each component against the angle it should follow; ``None`` without a shifter."""
    if not shifts:
        return None
    lead = (
        "The shifter reads the angles of eye and head. How far it moves each frame is fitted to "
        "the responses alone. If gaze is corrected, the image stays still on the retina. Shown "
        "are test bins with good tracking."
    )
    if inputs.truth_displacement:
        lead += (
            " Green squares: the displacement that compensates the true movement of the eye. The "
            "common displacement of each session, which no response can determine, is removed."
        )
    sessions = [
        {"name": d.recording.session_id, "panels": _panels(d, f"displacement-{i}")}
        for i, d in enumerate(shifts)
    ]
    return Section("displacement", "Shifter against gaze", {"lead": lead, "sessions": sessions})


def displacement_of(
    encoder: FittedEncoder, recording: Recording, comparison: DisplacementFit | None = None
) -> Displacement | None:
    """Return the fitted displacement in tracked test bins; ``None`` without a shifter or bins.

    Args:
        encoder: A fitted encoder.
        recording: A session that it was fitted on.
        comparison: Comparison with the displacement that compensates the eye's movement, where it
            is known.
    """
    fitted = encoder.displacement(recording)
    if fitted is None:
        return None
    bins = encoder.targets(recording, "test")
    angles = [name for name, _ in ANGLES if name in recording.behavior_names]
    bins = bins[tracked_bins(recording, angles)[bins]] if angles else bins
    bins = bins[np.unique(np.linspace(0, len(bins) - 1, min(N_DOTS, len(bins)), dtype=int))]
    if not len(bins):
        return None
    return Displacement(recording, bins, fitted[bins], comparison)


def component_labels(recording: Recording, component: int) -> tuple[str, str]:
    """Return the names of both axes, with units, for a component against the angle it follows."""
    (name, unit), (angle, word) = COMPONENTS[component], ANGLES[component]
    angle_unit = recording.behavior_units[recording.behavior_names.index(angle)]
    what = f"{name} displacement" if unit == "px" else name
    return f"{word} ({angle_unit})", f"{what} ({unit})"


def _panels(d: Displacement, name: str) -> list[Panel]:
    panels = []
    for i, (angle, word) in enumerate(ANGLES):
        if angle not in d.recording.behavior_names:
            continue
        figure = draw_displacement(
            d.angle(i),
            d.fitted[:, i],
            None if d.truth is None else d.truth[:, i],
            *component_labels(d.recording, i),
            *(320, 260),
        )
        component, unit = COMPONENTS[i]
        told = f"{component} displacement of the picture in {unit} against {word}."
        panels.append(panel(figure, f"{name}-{component}", told))
    return panels
