"""Verdict of a report in sentences: scores, certainty, behavior, and what was not tested."""

from __future__ import annotations

import numpy as np
import pandas as pd

from freegaze.evaluation.multiplicity import RATE, P, Q, correct_evaluation
from freegaze.explanation.contributions.answers import behavior_answers
from freegaze.explanation.contributions.groups import UNTESTED, YES
from freegaze.reports.explained import contributions_of
from freegaze.reports.inputs import ReportInputs, score_label
from freegaze.reports.wording import LEVEL, count, fixed, interval

Verdict = list[tuple[str, str]]
"""Question and answer, in order."""


def verdict_of(inputs: ReportInputs) -> Verdict:
    """Return the questions that a reader has first, each with an answer of one or two sentences.

    Args:
        inputs: Inputs of the report.
    """
    return [
        ("How well?", _how_well(inputs)),
        ("How sure?", _how_sure(inputs)),
        ("What does behavior add?", " ".join(_behavior(inputs))),
        ("What was not tested?", _not_tested(inputs)),
    ]


def _how_well(inputs: ReportInputs) -> str:
    pooled = inputs.evaluation.summary["pooled"]["scores"]
    parts = []
    if "bits_per_spike" in inputs.headlines:
        gain = pooled["bits_per_spike"]["median"]
        kind = "better" if gain >= 0 else "worse"
        size = fixed(abs(gain), 3)
        parts.append(f"predicts its spikes {size} bits per spike {kind} than its mean rate does")
    if "correlation" in inputs.headlines:
        width_ms = 1000 * inputs.evaluation.sessions[0].bin_width_s
        size = fixed(pooled["correlation"]["median"], 2)
        parts.append(f"correlates {size} with its responses in single bins of {width_ms:.0f} ms")
    if not parts:
        return "No headline score is defined for these responses."
    said = f"For the median neuron, the encoder {' and '.join(parts)}."
    share = pooled.get("correlation_fraction")
    if share is not None:
        said += f" This is {fixed(100 * share['median'], 0)} % of the attainable correlation."
    return said


def _how_sure(inputs: ReportInputs) -> str:
    metric = next((m for m in ("correlation", *inputs.headlines) if m in inputs.headlines), None)
    if metric is None:
        return "No score, so no interval."
    entry = inputs.evaluation.summary["pooled"]["scores"][metric]
    said = f"The mean {score_label(metric)} over neurons is {fixed(entry['mean'], 3)}"
    if np.isfinite([entry["mean_low"], entry["mean_high"]]).all():
        said += f" ({LEVEL} interval {interval(entry['mean_low'], entry['mean_high'], 3)})."
    else:
        said += ", without an interval."
    q = _adjusted_p(inputs)
    tested = int(np.isfinite(q).sum())
    if tested:
        sure = int((q <= RATE).sum())
        said += (
            f" {sure} of {count(tested, 'tested neuron')} are predicted better than chance, at a "
            f"false discovery rate of {100 * RATE:.0f} % over neurons."
        )
    return said + " This is about other minutes of the same session and the same fit."


def _adjusted_p(inputs: ReportInputs) -> np.ndarray:
    if P not in inputs.evaluation.table:
        return np.empty(0)
    return correct_evaluation(inputs.evaluation).table[Q].to_numpy(np.float64)


def _behavior(inputs: ReportInputs) -> list[str]:
    table = _contributions(inputs)
    if table is None:
        return ["Not computed; freegaze explain RUN --only contributions computes it."]
    answers = behavior_answers(table)
    tested = len(answers) - answers.count(UNTESTED)
    if not tested:
        return ["Not tested."]
    return [
        f"Behavior adds to {answers.count(YES)} of {count(tested, 'tested neuron')} what vision "
        "does not explain.",
        "This is a correlation: a visual effect that the encoder misses can appear in it.",
    ]


def _not_tested(inputs: ReportInputs) -> str:
    said = []
    table = inputs.evaluation.table
    n_silent = int(np.isnan(table[P].to_numpy(np.float64)).sum()) if P in table else len(table)
    if n_silent:
        said.append(f"chance, in {count(n_silent, 'neuron')}")
    for metric in inputs.headlines:
        has_score = np.isfinite(inputs.column(metric))
        n = int((has_score & ~np.isfinite(inputs.column(f"{metric}_low"))).sum())
        if n:
            said.append(f"the interval of {score_label(metric)}, in {count(n, 'neuron')}")
    contributions = _contributions(inputs)
    if contributions is not None:
        n = behavior_answers(contributions).count(UNTESTED)
        if n:
            said.append(f"behavior, in {count(n, 'neuron')}")
    if not inputs.baselines:
        said.append("whether a simpler encoder does as well (freegaze report --baseline)")
    if inputs.explanations and not inputs.stabilities:
        said.append("whether fields are the same in other fits (freegaze explain --refits 4)")
    said.append("other days and other animals")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}."


def _contributions(inputs: ReportInputs) -> pd.DataFrame | None:
    """Return the contributions of all sessions, ``None`` where none were computed."""
    found = contributions_of(inputs.explanations)
    return found if len(found) else None
