"""Section of the report: scores of neurons, beside the baselines."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from freegaze.evaluation.compare import Comparison
from freegaze.metrics.metric import METRICS
from freegaze.reports.figures.scores import draw_score_pairs, draw_score_strip
from freegaze.reports.inputs import ReportInputs, score_label, scores_of
from freegaze.reports.page import NARROW_PX, Panel, Section, panel, wide_panel
from freegaze.reports.sections.score_table import score_columns
from freegaze.reports.style import color_of, marker_of
from freegaze.reports.wording import LEVEL, count, fixed, interval, listing, shorten


def build_scores(inputs: ReportInputs) -> Section:
    """Draw every neuron's scores, compare with the baselines, and list them."""
    columns = score_columns(inputs)
    return Section(
        "scores",
        "Scores of every neuron",
        {
            "lead": _lead(inputs),
            "warnings": _warnings(inputs),
            "strips": [_strip(inputs, metric) for metric in inputs.headlines],
            "pairs": _pairs(inputs),
            "note": f"{LEVEL} intervals below the values. Select a heading to sort by it."
            + (" A wider window shows more columns." if any(c.is_extra for c in columns) else ""),
            "columns": columns,
            "n_rows": len(inputs.evaluation.table),
        },
    )


def median_of(inputs: ReportInputs, metric: str) -> float:
    """Return the median over all neurons that the evaluation found."""
    return float(inputs.evaluation.summary["pooled"]["scores"][metric]["median"])


def _lead(inputs: ReportInputs) -> str:
    n_neurons = len(inputs.evaluation.table)
    medians = [f"{score_label(m)} {fixed(median_of(inputs, m), 3)}" for m in inputs.headlines]
    sentence = f"Scores on test bins for {count(n_neurons, 'neuron')}; medians: {listing(medians)}."
    evaluation = inputs.evaluation
    texts = (evaluation.seen_text(), evaluation.chance_text(), evaluation.trials_text())
    for text in filter(None, texts):
        sentence += f" {text[:1].upper()}{text[1:]}."
    is_undefined = np.any([np.isnan(inputs.column(m)) for m in inputs.headlines], axis=0)
    if is_undefined.any():
        sentence += (
            f" {count(int(is_undefined.sum()), 'neuron')} without a score left out of figures."
        )
    return sentence


def _strip(inputs: ReportInputs, metric: str) -> Panel:
    scores = scores_of(inputs, metric)
    others = {shorten(n, 24): inputs.baseline_column(n, metric) for n in inputs.baselines}
    best = f"attainable_{metric}"
    attainable = inputs.column(best) if inputs.has(best) else None

    def draw(width_px: float) -> Figure:
        height = 320 if width_px > NARROW_PX else 300
        model = inputs.encoder.model_name
        return draw_score_strip(
            scores, others, attainable, model, score_label(metric), width_px, height
        )

    caption = METRICS.get(metric).description[:1].upper() + METRICS.get(metric).description[1:]
    caption += f". Bars are {LEVEL} intervals (block bootstrap)."
    if attainable is not None:
        caption += " Green dashes: score of the true expected rate (attainable)."
    return wide_panel(
        draw,
        f"strip-{metric.replace('_', '-')}",
        f"{score_label(metric)} of each of {len(scores.value)} neurons with intervals, in order; "
        f"median {fixed(median_of(inputs, metric), 3)}.",
        title=score_label(metric)[:1].upper() + score_label(metric)[1:],
        caption=caption,
    )


def _pairs(inputs: ReportInputs) -> list[Panel]:
    return [
        _pair(inputs, i, name, metric)
        for i, name in enumerate(inputs.baselines)
        for metric in inputs.headlines
        if np.isfinite(inputs.baseline_column(name, metric)).any()
    ]


def _pair(inputs: ReportInputs, number_of: int, name: str, metric: str) -> Panel:
    model, other = scores_of(inputs, metric), scores_of(inputs, metric, name)
    figure = draw_score_pairs(
        model,
        other,
        f"{score_label(metric)}, {inputs.encoder.model_name}",
        f"{score_label(metric)}, {shorten(name, 24)}",
        *(color_of(number_of), marker_of(number_of + 1)),
        *(340, 330),
    )
    n_both = int(np.isfinite(model.value - other.value).sum())
    n_better = int((model.value > other.value).sum())
    told = (
        f"{n_better} of {count(n_both, 'neuron')} above the diagonal, where the score of "
        f"{inputs.encoder.model_name} is better than that of {name}. "
        + _paired(inputs, name, metric)
    )
    return panel(figure, f"pair-{number_of}-{metric.replace('_', '-')}", told, caption=told)


def _paired(inputs: ReportInputs, name: str, metric: str) -> str:
    """Return the paired difference from a baseline in words, or why there is none."""
    compared = inputs.comparisons.get(name, "the comparison was not computed")
    if isinstance(compared, str):
        return f"Not tested: {compared}."
    found = _difference(compared, metric)
    if found is None:
        return "Not tested: too few bins or neurons have this score for an interval."
    mean, low, high = found
    neurons = compared.neurons.loc[compared.neurons["metric"].eq(metric).to_numpy(bool)]
    better = int((neurons["difference_low"].to_numpy() > 0).sum())
    worse = int((neurons["difference_high"].to_numpy() < 0).sum())
    if not METRICS.get(metric).higher_is_better:
        better, worse = worse, better
    return (
        f"Paired difference of the mean: {fixed(mean, 3)} ({LEVEL} interval "
        f"{interval(low, high, 3)}). By its own interval, the "
        f"difference favors this run in {count(better, 'neuron')} and the baseline in {worse}."
    )


def _difference(compared: Comparison, metric: str) -> tuple[float, float, float] | None:
    """Return the mean difference of all sessions and its interval, if there is one."""
    is_asked = (compared.table["metric"] == metric).to_numpy(bool)
    ends = compared.table.loc[is_asked, ["difference", "difference_low", "difference_high"]]
    if not len(ends) or not np.isfinite(ends.to_numpy(np.float64)[-1]).all():
        return None
    mean, low, high = ends.to_numpy(np.float64)[-1]  # of all sessions, where there are several
    return float(mean), float(low), float(high)


def _warnings(inputs: ReportInputs) -> list[str]:
    """Name the baselines that are better than the run by the whole interval of a score."""
    found = []
    for name, compared in inputs.comparisons.items():
        for metric in inputs.headlines:
            ends = None if isinstance(compared, str) else _difference(compared, metric)
            if ends is None:
                continue
            mean, low, high = ends
            if (high < 0) if METRICS.get(metric).higher_is_better else (low > 0):
                found.append(
                    f"Warning: {name} is better than "
                    f"{inputs.encoder.model_name}. The difference in "
                    f"{score_label(metric)} is {fixed(mean, 3)} ({LEVEL} interval "
                    f"{interval(low, high, 3)})."
                )
    return found
