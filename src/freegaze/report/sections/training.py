"""How the fit went."""

from __future__ import annotations

from functools import partial
from typing import Any

from matplotlib.figure import Figure

from freegaze.recording.recording import ResponseKind
from freegaze.report.figures.training import draw_training
from freegaze.report.inputs import ReportInputs
from freegaze.report.page import NARROW_PX, Section, wide_panel
from freegaze.report.wording import duration, number


def build_training(inputs: ReportInputs) -> Section | None:
    """Draw the training curves; ``None`` for a model without training."""
    passes = inputs.run.metrics()
    if not passes:
        return None
    best = min(passes, key=lambda line: line["validation_loss"])
    lead = (
        f"{len(passes)} {'pass' if len(passes) == 1 else 'passes'} over the training data in "
        f"{duration(sum(line.get('seconds', 0.0) for line in passes))}. The weights kept are those "
        f"after pass {best['pass']}, where the validation loss was lowest "
        f"({number(best['validation_loss'], 4)})."
    )
    curve = wide_panel(
        partial(_draw, inputs, passes),
        "training",
        f"Training and validation loss over {len(passes)} passes; lowest validation loss "
        f"{number(best['validation_loss'], 4)} at pass {best['pass']}.",
        caption="Mean loss of a bin and neuron, after each pass. Validation bins were not "
        "trained on; the test bins were looked at by neither.",
    )
    return Section("training", "How the fit went", {"lead": lead, "curve": curve})


def _draw(inputs: ReportInputs, passes: list[dict[str, Any]], width_px: float) -> Figure:
    height_px = 300 if width_px > NARROW_PX else 240
    return draw_training(passes, _loss_label(inputs), width_px, height_px)


def _loss_label(inputs: ReportInputs) -> str:
    named = inputs.run.config().training.loss
    is_gaussian = inputs.recordings[0].response_kind is ResponseKind.FLUORESCENCE
    kind = {"auto": "Gaussian" if is_gaussian else "Poisson"}.get(named, named.capitalize())
    return f"{kind} loss (nats)"
