"""Section of the report: training curves."""

from __future__ import annotations

from functools import partial
from typing import Any

from matplotlib.figure import Figure

from freegaze.recording.recording import ResponseKind
from freegaze.reports.figures.training import draw_training
from freegaze.reports.inputs import ReportInputs
from freegaze.reports.page import NARROW_PX, Section, wide_panel
from freegaze.reports.wording import duration, number
from freegaze.runs.blends import blends_in_words


def build_training(inputs: ReportInputs) -> Section | None:
    """Draw the training curves; ``None`` for a model without training."""
    passes = inputs.run.metrics()
    if not passes:
        return None
    best, n_seeds = inputs.run.kept_pass(), inputs.run.config().training.seeds
    lead = ""
    run = inputs.run
    if n_seeds > 1:
        lead = (
            f"The encoder predicts the mean rate of {n_seeds} fits with consecutive seeds, made in "
            f"{duration(best['seconds'])}. Its validation loss is "
            f"{number(best['validation_loss'], 4)}. The first of these fits: "
        )
        run = inputs.run.member(0)
        passes, best = run.metrics(), run.kept_pass()
    is_loss = inputs.run.config().training.monitor == "loss"
    reason = (
        f"the validation loss was lowest ({number(best['validation_loss'], 4)})"
        if is_loss
        else f"the validation correlation was highest ({number(best['validation_correlation'], 3)})"
    )
    lead += (
        f"{len(passes)} {'pass' if len(passes) == 1 else 'passes'} over the training data in "
        f"{duration(sum(line.get('seconds', 0.0) for line in passes))}. The weights kept are those "
        f"after pass {best['pass']}, where {reason}."
    )
    if run.is_refitted:
        lead += (
            " The encoder of this report was then fitted anew to training and validation data "
            f"together, with {best['pass']} {'pass' if best['pass'] == 1 else 'passes'}."
        )
    lead = " ".join([lead, *blends_in_words(run)])
    curve = wide_panel(
        partial(_draw, inputs, passes, passes.index(best)),
        "training",
        f"Training and validation loss over {len(passes)} passes; kept: pass "
        f"{best['pass']}, where {reason}.",
        caption="Mean loss of a bin and neuron, after each pass. Validation bins were not "
        "trained on; the test bins were looked at by neither.",
    )
    return Section("training", "How the fit went", {"lead": lead, "curve": curve})


def _draw(inputs: ReportInputs, passes: list[dict[str, Any]], kept: int, width_px: float) -> Figure:
    height_px = 300 if width_px > NARROW_PX else 240
    return draw_training(passes, kept, _loss_label(inputs), width_px, height_px)


def _loss_label(inputs: ReportInputs) -> str:
    named = inputs.run.config().training.loss
    is_gaussian = inputs.recordings[0].response_kind is ResponseKind.FLUORESCENCE
    kind = {"auto": "Gaussian" if is_gaussian else "Poisson", "poisson_sum": "Poisson"}.get(
        named, named.capitalize()
    )
    return f"{kind} loss (nats)"
