"""Section of the report: comparison with the truth of a simulation."""

from __future__ import annotations

import numpy as np

from freegaze.explanation.truth import TruthComparison, load_truth_comparison
from freegaze.reports.figures.displacement import draw_displacement_truth
from freegaze.reports.figures.scores import Scores, draw_score_pairs
from freegaze.reports.figures.truth import draw_field_truth
from freegaze.reports.inputs import ReportInputs, score_label, scores_of
from freegaze.reports.page import Panel, Section, panel
from freegaze.reports.sections.displacement import COMPONENTS, Displacement
from freegaze.reports.style import TRUTH
from freegaze.reports.wording import count, fixed, listing


def build_truth(inputs: ReportInputs, shifts: list[Displacement]) -> Section | None:
    """Draw scores and displacement against the truth; ``None`` where the truth is not known."""
    panels = [*_score_panels(inputs), *_displacement_panels(shifts), *_explained_panels(inputs)]
    if not panels:
        return None
    return Section(
        "truth",
        "Against the truth",
        {
            "lead": "This recording was simulated, so the truth is known. The attainable score is "
            "that of the expected rate given all that was recorded. No model scores higher, except "
            "by chance.",
            "panels": panels,
        },
    )


def _score_panels(inputs: ReportInputs) -> list[Panel]:
    panels = []
    for metric in inputs.headlines:
        if not inputs.has(f"attainable_{metric}"):
            continue
        attainable = inputs.column(f"attainable_{metric}")
        nothing = np.full(len(attainable), np.nan)
        figure = draw_score_pairs(
            scores_of(inputs, metric),
            Scores(attainable, nothing, nothing),
            f"{score_label(metric)}, {inputs.encoder.model_name}",
            f"{score_label(metric)}, attainable",
            *(TRUTH, "o", 340, 330),
        )
        told = (
            f"{score_label(metric)[:1].upper()}{score_label(metric)[1:]} of "
            f"{count(len(attainable), 'neuron')} against the attainable score; on the diagonal "
            "both are equal."
        )
        panels.append(panel(figure, f"truth-{metric.replace('_', '-')}", told, caption=told))
    return panels


def _explained_panels(inputs: ReportInputs) -> list[Panel]:
    panels = []
    for number, explanation in enumerate(inputs.explanations):
        found = load_truth_comparison(inputs.run.path, explanation.session_id)
        if found is None or not np.isfinite(found.fields["correlation"].to_numpy(float)).any():
            continue
        correlations = {
            str(method).replace("_", ", "): rows["correlation"].to_numpy(np.float64)
            for method, rows in found.fields.groupby("method", sort=False)
        }
        medians = [
            f"{method} {fixed(float(np.nanmedian(values)), 2)}"
            for method, values in correlations.items()
            if np.isfinite(values).any()
        ]
        told = (
            f"Receptive fields of {explanation.session_id} against the truth, one dot per visual "
            f"neuron; medians: {listing(medians, most=len(medians))}. The common displacement is "
            f"removed.{_tests(found)}"
        )
        figure = draw_field_truth(correlations, 340)
        panels.append(panel(figure, f"truth-fields-{number}", told, caption=told))
    return panels


def _tests(found: TruthComparison) -> str:
    """Return how many significant contributions are real, and how many real ones there are."""
    table = found.contributions.dropna(subset=["p"])
    if table.empty:
        return ""
    is_real, is_found = table["is_real"].to_numpy(bool), table["is_found"].to_numpy(bool)
    return (
        f" Contributions of behavior: {(is_real & is_found).sum()} of {is_found.sum()} significant "
        f"ones are real; {is_real.sum()} of {len(table)} tested are real."
    )


def _displacement_panels(shifts: list[Displacement]) -> list[Panel]:
    panels = []
    for number, d in enumerate(shifts):
        if d.comparison is None or d.truth is None:
            continue
        where = f" in session {d.recording.session_id}" if len(shifts) > 1 else ""
        for i, (component, unit) in enumerate(COMPONENTS):
            figure = draw_displacement_truth(
                d.truth[:, i], d.fitted[:, i], component, unit, 340, 330
            )
            told = (
                f"Fitted against true {component}{where}: slope {fixed(d.comparison.slope[i], 2)}, "
                f"RMS residual {fixed(d.comparison.rms[i], 2)} {unit} over all tracked bins."
            )
            panels.append(panel(figure, f"truth-{number}-{component}", told, caption=told))
    return panels
