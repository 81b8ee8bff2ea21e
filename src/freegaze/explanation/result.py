"""What an explanation holds: fields as arrays, everything else as tables that anyone can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

METHODS: Mapping[str, str] = {
    "gradient": "averaged gradient of the encoder",
    "gabor": "Gabor model of the responses, retinal video",
    "ascent": "most exciting retinal image",
    "linear": "smooth linear fit, retinal video",
    "linear_camera": "smooth linear fit, camera video",
    "triggered": "spike-triggered average, retinal video",
    "triggered_camera": "spike-triggered average, camera video",
}
"""Ways to a receptive field and what they are, in the order in which they are shown."""

CLASSES = ("head", "eye", "speed", "pupil", "mixed", "none")
"""What behavior adds to a neuron: one group; several, or a column of no group; nothing."""


@dataclass(frozen=True, eq=False)
class SessionExplanation:
    """What a fitted encoder and the recording say about the neurons of one session.

    Tables name neurons by ``unit_id``. Responses and rates are counts (or values) a bin.

    Args:
        session_id: The session.
        unit_ids: Its neurons, in the order of all arrays.
        bin_width_s: Width of a bin in seconds.
        lag: Target bin minus the latest bin of a window.
        deg_per_px: Calibration of the camera, or ``None``.
        fields: Receptive fields by method (see ``METHODS``), a picture for each bin of the window,
            oldest first: (neuron, history, height, width). All but those of ``camera`` lie on the
            retina: on frames as the shifter moves them.
        pairs: Two pictures that span what each phase-invariant neuron looks for, by method
            (``gradient``, ``gabor``, ``ascent``): (neuron, 2, height, width).
        neurons: One row a neuron: ``unit_id``, ``invariance`` (0 linear to 1 phase-invariant),
            ``is_invariant``, ``deviance`` and ``correlation`` (of the model that contributions
            start from), ``multiplicative_bits`` (a bin, by which behavior that multiplies vision
            beats behavior that adds), ``class`` (see ``CLASSES``).
        receptive_fields: One row a neuron and method: ``unit_id``, ``method``, ``delay_s`` (from
            the strongest picture to the predicted bin), ``separability``, and of the Gabor fit
            ``center_x_px``, ``center_y_px`` (of the envelope, from the top left pixel),
            ``energy_x_px``, ``energy_y_px`` (middle of the function's squares), ``sigma_along_px``,
            ``sigma_across_px``, ``orientation_deg``, ``frequency_cpp`` (cycles a pixel),
            ``phase_deg``, ``explained`` (its share of the field's squares, 1 for ``gabor``);
            where the camera is calibrated also ``center_x_deg``, ``center_y_deg`` (from the middle
            of the frame), ``sigma_along_deg``, ``sigma_across_deg``, ``frequency_cpd``.
        saliency: One row a neuron and signal: ``unit_id``, ``signal``, ``base`` (the recorded
            column behind it), ``absolute`` and ``signed`` (mean derivative of the rate, in counts a
            bin for one training sd, the retinal image held still), ``via_gaze`` (mean size of what
            comes through the shifter), ``integrated`` (mean size of integrated gradients from the
            training mean).
        contributions: One row a neuron and group (``vision``, ``eye``, ``head``, ``speed``,
            ``pupil``): ``unit_id``, ``group``, ``deviance`` and ``correlation`` (what the group
            adds on test bins), ``only_deviance``, ``only_correlation`` (what it explains by
            itself), ``statistic``, ``p``, ``p_tail``, ``is_significant``.
        tuning: One row a neuron, signal and level: ``unit_id``, ``signal``, ``unit``, ``level``,
            ``observed``, ``observed_se``, ``predicted``, ``n_bins``.
        gaze_shifts: One row a neuron, direction (``left``, where gaze velocity is positive, or
            ``right``) and time: ``unit_id``, ``direction``, ``offset_s``, ``observed``,
            ``predicted``, ``n_events``; empty where there is no eye or no head velocity.
    """

    session_id: str
    unit_ids: tuple[str, ...]
    bin_width_s: float
    lag: int
    deg_per_px: float | None
    fields: Mapping[str, Float[np.ndarray, "neuron history height width"]]
    pairs: Mapping[str, Float[np.ndarray, "neuron 2 height width"]]
    neurons: pd.DataFrame
    receptive_fields: pd.DataFrame
    saliency: pd.DataFrame
    contributions: pd.DataFrame
    tuning: pd.DataFrame
    gaze_shifts: pd.DataFrame

    def __repr__(self) -> str:
        significant = self.contributions.loc[self.contributions["is_significant"], "group"]
        counts = ", ".join(f"{group} {n}" for group, n in significant.value_counts().items())
        return (
            f"SessionExplanation of {self.session_id!r}: {len(self.unit_ids)} neurons\n"
            f"  receptive fields: {', '.join(self.fields) or 'none'}\n"
            f"  neurons with a significant contribution: {counts or 'none'}"
        )

    def picture(self, method: str, neuron: int) -> Float[np.ndarray, "height width"]:
        """Return a field at its strongest moment."""
        field = self.fields[method][neuron]
        return field[int((field.astype(np.float64) ** 2).sum((1, 2)).argmax())]
