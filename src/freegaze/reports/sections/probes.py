"""Sections of the report: responses of the encoder to stimuli that it was shown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from freegaze.explanation.probes.gratings import FIRST
from freegaze.explanation.result import SessionExplanation
from freegaze.reports.figures.probes import (
    draw_histograms,
    grating_histograms,
    known,
    patch_histograms,
)
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
    median = {name: fixed(_median(known(table, name)), 2) for name in ("osi", "dsi")}
    lead = (
        "Gratings across the whole retinal frame were shown to the encoder, with behavior at its "
        f"training median. They raise the predicted rate of {n_driven} of "
        f"{count(len(table), 'neuron')}. In {n_first} the rate follows the stripes (as in simple "
        f"cells), in {n_driven - n_first} it rises at all phases. The median orientation "
        f"selectivity is {median['osi']}, the median direction selectivity {median['dsi']}. These "
        "numbers describe the encoder: no grating was recorded."
    )
    panel = wide_panel(
        partial(draw_histograms, table, grating_histograms(table)),
        "gratings",
        "Histograms of preferred orientation, preferred spatial frequency, orientation and "
        f"direction selectivity of {count(n_driven, 'neuron')}.",
        caption="Number of neurons; dotted: median. Orientation is the direction in which the wave "
        "runs. Selectivity is the difference of the responses to the preferred and the orthogonal "
        "orientation (opposite direction), over their sum.",
    )
    return Section("gratings", "Gratings shown to the encoder", {"lead": lead, "panels": [panel]})


def build_patches(explanations: Sequence[SessionExplanation]) -> Section | None:
    """Draw polarity, size, suppression and modulation; ``None`` where none was probed."""
    parts = []
    for explanation in explanations:
        rows = pd.DataFrame({"unit_id": explanation.unit_ids})
        for name in ("squares", "patches", "scrambled"):
            table = getattr(explanation, name)
            new = [c for c in table.columns if c == "unit_id" or c not in rows]
            rows = rows.merge(table[new], on="unit_id", how="left")
        parts.append(rows)
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    panels = patch_histograms(table)
    if not panels:
        return None
    sentences = [
        "Squares, patches of gratings and frames with scrambled phases were shown to the encoder, "
        "with behavior at its training median."
    ]
    if n := len(suppressed := known(table, "suppression")):
        sentences.append(
            f"The response to a patch that covers the frame is below half of the largest in "
            f"{int((suppressed > 0.5).sum())} of {count(n, 'neuron')} (surround suppression)."
        )
    if n := len(modulation := known(table, "modulation")):
        sentences.append(
            f"Natural frames raise the mean rate above that for scrambled frames in "
            f"{int((modulation > 0).sum())} of {count(n, 'neuron')}."
        )
    sentences.append("These numbers describe the encoder: none of these stimuli was recorded.")
    panel = wide_panel(
        partial(draw_histograms, table, panels),
        "patches",
        f"Histograms over {count(len(table), 'neuron')}: "
        + ", ".join(panel.label for panel in panels),
        caption="Number of neurons; dotted: median. Polarity is the difference of the largest "
        "responses to light and dark squares over their sum. Surround suppression is 1 minus the "
        "response to the largest patch over the largest response.",
    )
    lead = " ".join(sentences)
    title = "Squares, patches and scrambled frames shown to the encoder"
    return Section("patches", title, {"lead": lead, "panels": [panel]})


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else float("nan")
