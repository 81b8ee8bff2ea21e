"""Section of the report: tuning of the encoder to gratings that it was shown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from freegaze.explanation.probes.gratings import FIRST
from freegaze.explanation.result import SessionExplanation
from freegaze.reports.figures.gratings import draw_gratings
from freegaze.reports.page import Section, wide_panel
from freegaze.reports.wording import count, fixed


def build_gratings(explanations: Sequence[SessionExplanation]) -> Section | None:
    """Draw the tuning of all neurons; ``None`` where no gratings were shown."""
    parts = [e.gratings for e in explanations if len(e.gratings)]
    if not parts:
        return None
    table = pd.concat(parts, ignore_index=True)
    is_driven = np.isfinite(table["orientation_deg"].to_numpy(np.float64))
    n_driven, n_first = int(is_driven.sum()), list(table["response"]).count(FIRST)
    median = {name: fixed(_median(table[name].to_numpy(np.float64)), 2) for name in ("osi", "dsi")}
    lead = (
        "Gratings across the whole retinal frame were shown to the encoder, with behavior at its "
        f"training median. They raise the predicted rate of {n_driven} of "
        f"{count(len(table), 'neuron')}. In {n_first} the rate follows the stripes (as in simple "
        f"cells), in {n_driven - n_first} it rises at all phases. The median orientation "
        f"selectivity is {median['osi']}, the median direction selectivity {median['dsi']}. These "
        "numbers describe the encoder: no grating was recorded."
    )
    panel = wide_panel(
        partial(draw_gratings, table),
        "gratings",
        "Histograms of preferred orientation, preferred spatial frequency, orientation and "
        f"direction selectivity of {count(n_driven, 'neuron')}.",
        caption="Number of neurons; dotted: median. Orientation is the direction in which the wave "
        "runs. Selectivity is the difference of the responses to the preferred and the orthogonal "
        "orientation (opposite direction), over their sum.",
    )
    return Section("gratings", "Gratings shown to the encoder", {"lead": lead, "panels": [panel]})


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
