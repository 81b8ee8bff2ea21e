"""The table of neurons: every score with its interval, sortable in the page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from freegaze.metrics.metric import METRICS
from freegaze.reports.inputs import ReportInputs, score_label
from freegaze.reports.wording import fixed, interval, shorten


@dataclass(frozen=True)
class Cell:
    """One cell: its text, the value that it sorts by (empty sorts last), and the interval below."""

    text: str
    value: str
    interval: str = ""


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        label: Heading.
        cells: One per neuron.
        is_number: Whether it sorts as numbers.
        is_extra: Whether a narrow screen leaves it out.
        sorted: Order of the rows by this column ("descending"), or nothing.
    """

    label: str
    cells: list[Cell]
    is_number: bool = True
    is_extra: bool = False
    sorted: str = ""


def score_columns(inputs: ReportInputs) -> list[Column]:
    """Return the columns of the table, neurons in order of their first headline score."""
    order = score_order(inputs)
    others = [m for m in METRICS if m not in inputs.headlines and inputs.has(m)]
    return [
        *_names(inputs, order),
        *_rates(inputs, order),
        *_scores(inputs, order, inputs.headlines),
        *_baselines(inputs, order),
        *_references(inputs, order),
        *_scores(inputs, order, others),
    ]


def score_order(inputs: ReportInputs) -> np.ndarray:
    """Return the rows of the table of scores in the order in which they are listed."""
    if not inputs.headlines:
        return np.arange(len(inputs.evaluation.table))
    values = inputs.column(inputs.headlines[0])
    return np.argsort(-values, kind="stable")  # NaN comes last


def _names(inputs: ReportInputs, order: np.ndarray) -> list[Column]:
    columns = []
    for label, key in (("neuron", "unit_id"), ("session", "session_id")):
        names = [str(name) for name in inputs.evaluation.table[key].to_numpy()[order]]
        if key == "unit_id" or len(set(names)) > 1:
            cells = [Cell(name, name) for name in names]
            columns.append(Column(label, cells, is_number=False, is_extra=key == "session_id"))
    return columns


def _rates(inputs: ReportInputs, order: np.ndarray) -> list[Column]:
    rates = inputs.column("rate_hz")[order]  # NaN for fluorescence, which has none
    return [_numbers("rate (Hz)", rates, 1)] if np.isfinite(rates).any() else []


def _scores(inputs: ReportInputs, order: np.ndarray, metrics: list[str]) -> list[Column]:
    columns = []
    for metric in metrics:
        value, low, high = (inputs.column(f"{metric}{end}")[order] for end in ("", "_low", "_high"))
        cells = [_cell(v, 3, _interval(a, b)) for v, a, b in zip(value, low, high, strict=True)]
        is_first = metric == (inputs.headlines or [""])[0]
        columns.append(
            Column(
                score_label(metric),
                cells,
                is_extra=metric not in inputs.headlines,
                sorted="descending" if is_first else "",
            )
        )
    return columns


def _references(inputs: ReportInputs, order: np.ndarray) -> list[Column]:
    known = [("noise_ceiling", "noise ceiling"), ("feve", "FEVE"), ("cc_norm", "CC norm")]
    for metric in inputs.headlines:
        known.append((f"{metric}_fraction", f"{score_label(metric)}, of attainable"))
    return [
        _numbers(label, inputs.column(name)[order], 2) for name, label in known if inputs.has(name)
    ]


def _baselines(inputs: ReportInputs, order: np.ndarray) -> list[Column]:
    return [
        _numbers(f"{score_label(metric)}, {shorten(name, 24)}", values[order], 3)
        for name in inputs.baselines
        for metric in inputs.headlines
        if np.isfinite(values := inputs.baseline_column(name, metric)).any()
    ]


def _numbers(label: str, values: Float[np.ndarray, " neuron"], decimals: int) -> Column:
    return Column(label, [_cell(value, decimals) for value in values], is_extra=True)


def _interval(low: float, high: float) -> str:
    return interval(low, high, 2) if np.isfinite([low, high]).all() else ""


def _cell(value: float, decimals: int, below: str = "") -> Cell:
    return Cell(fixed(value, decimals), repr(float(value)) if np.isfinite(value) else "", below)
