"""Section of the report: the terms that it uses, as the glossary of the docs defines them."""

from __future__ import annotations

from freegaze.reports.page import Section

TERMS = {
    "bin": "One step of time, 48 ms by default (`bin_width_s`). Responses, frames and behavior are "
    "given per bin.",
    "training, validation and test bins": "Bins on which weights are fitted, on which training is "
    "stopped and settings are chosen, and on which scores are computed.",
    "rate": "Expected response per bin, as an encoder predicts it. For spikes its unit is counts "
    "per bin.",
    "correlation": "Pearson correlation of predicted and observed responses in single bins, from "
    "-1 to 1.",
    "bits per spike": "Log-likelihood of the observed counts under the model, minus that under a "
    "constant rate, in bits, divided by the number of spikes. The constant rate is the mean over "
    "training bins. A score of 0 means that the model predicts no better than this rate.",
    "deviance explained": "1 minus deviance divided by the deviance of the constant rate. 1 is "
    "perfect, 0 is no better than the constant.",
    "chance": "The score of predictions that are shifted in time against the responses, by one bin "
    "and more; with trials, of predictions of other trials.",
    "attainable": "Score of the true rates of a simulated recording, given what was recorded.",
    "shifter": "Part of an encoder that moves and rotates each frame by eye and head angles, to "
    "correct for gaze. A readout shifter moves the positions of the readout instead.",
    "retinal frame": "A frame as moved by the shifter.",
    "receptive field": "Part and pattern of the retinal frame that changes a neuron's rate, one "
    "image per bin of the window.",
    "saliency": "Change of the predicted rate when one behavior signal changes by its training "
    "standard deviation, in counts per bin.",
    "via gaze": "The part of this change that comes through the shifter, which moves the frame "
    "(`via_gaze`).",
    "contribution": "Score on test bins that a regression loses without one group of behavior "
    "columns.",
}
"""Each is a row of ``docs/reference/glossary.md``, word for word."""


def build_glossary() -> Section:
    """List the terms with their meanings."""
    terms = [(term, meaning.replace("`", "")) for term, meaning in TERMS.items()]
    return Section("glossary", "Terms", {"terms": terms})
