"""Template of a section of the report: copy it to ``NAME.py`` and replace every part.

This one draws how a score is distributed over neurons.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from freegaze.reports.inputs import ReportInputs, score_label
from freegaze.reports.page import Section, wide_panel
from freegaze.reports.style import MODEL, house_style, label_axes, new_figure, quiet_grid


def build_template(inputs: ReportInputs) -> Section | None:
    """Draw the distribution of the first headline score; ``None`` where no neuron has one."""
    metric = inputs.headlines[0]
    scores = inputs.column(metric)
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        return None
    label = score_label(metric)
    panel = wide_panel(
        partial(_draw, scores, label),
        "template",
        f"Histogram of {label} over {len(scores)} neurons.",
        caption="Number of neurons by score, all sessions together.",
    )
    lead = f"Half of the neurons have a score above {np.median(scores):.3g}."
    return Section("template", f"Distribution of {label}", {"lead": lead, "panels": [panel]})


@house_style
def _draw(scores: Float[np.ndarray, " neuron"], label: str, width_px: float) -> Figure:
    figure, (ax,) = new_figure(width_px, 260)
    ax.hist(scores, bins=20, color=MODEL)
    label_axes(ax, label, "neurons")
    quiet_grid(ax)
    return figure
