"""Overview of a run as one picture, for example for a README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from freegaze.evaluation.displacement import DisplacementFit
from freegaze.evaluation.evaluation import Evaluation
from freegaze.files.atomic import write_file
from freegaze.fitted.encoder import FittedEncoder
from freegaze.recording.recording import Recording
from freegaze.recording.responses import response_label
from freegaze.reports.figures.overview import OverviewPair, OverviewShift, draw_overview
from freegaze.reports.figures.traces import Trace
from freegaze.reports.inputs import ReportInputs, score_label, scores_of
from freegaze.reports.sections.displacement import (
    Displacement,
    component_labels,
    displacements_of,
)
from freegaze.reports.sections.traces import rank_neurons, trace_of
from freegaze.reports.svg import figure_to_png
from freegaze.reports.wording import fixed, shorten
from freegaze.runs.run_folder import RunFolder

N_TRACES = 2
DURATION_S = 30.0
PIXEL_RATIO = 1.5


def write_readme_figure(
    run_folder: Path | str,
    recordings: Sequence[Recording],
    encoder: FittedEncoder,
    evaluation: Evaluation,
    out: Path | str,
    baselines: Mapping[str, Evaluation] | None = None,
    truth_displacement: Mapping[str, DisplacementFit] | None = None,
) -> Path:
    """Write one PNG, 1,245 px wide: traces of the best neurons, scores and displacement.

    Args:
        run_folder: The finished run.
        recordings: The sessions it was fitted on; the first one's shifter is drawn.
        encoder: Fitted encoder of the run.
        evaluation: Scores of the encoder.
        out: PNG file to write; an existing one is replaced.
        baselines: Scores of other models by name; the first one is drawn.
        truth_displacement: See ``write_report``.

    Returns:
        The file written.

    Raises:
        DataError: If the file cannot be written.
    """
    inputs = ReportInputs(
        RunFolder(Path(run_folder)),
        recordings,
        encoder,
        evaluation,
        baselines or {},
        truth_displacement or {},
    )
    session = evaluation.sessions[0]
    figure = draw_overview(
        _traces(inputs),
        response_label(session.response_kind),
        _pairs(inputs),
        [shift for d in displacements_of(inputs)[:1] for shift in _shifts(d)],
    )
    return write_file(Path(out), figure_to_png(figure, PIXEL_RATIO))


def _traces(inputs: ReportInputs) -> list[tuple[str, Trace]]:
    metric, ranked = rank_neurons(inputs)
    traces = []
    for row in ranked[:N_TRACES]:
        session, neuron = inputs.neuron(int(row))
        score = fixed(float(inputs.column(metric)[row]), 2)
        title = f"Neuron {shorten(session.unit_ids[neuron], 24)}, {score_label(metric)} {score}"
        traces.append((title, trace_of(session, neuron, DURATION_S)))
    return traces


def _pairs(inputs: ReportInputs) -> list[OverviewPair]:
    name = next(iter(inputs.baselines), None)
    metric = inputs.headlines[-1]
    if name is None or not np.isfinite(inputs.baseline_column(name, metric)).any():
        return []
    return [
        OverviewPair(
            scores_of(inputs, metric),
            scores_of(inputs, metric, name),
            f"{score_label(metric)}, {inputs.encoder.model_name}",
            f"{score_label(metric)}, {shorten(name, 20)}",
        )
    ]


def _shifts(d: Displacement) -> list[OverviewShift]:
    return [
        OverviewShift(
            d.recording.column(angle)[d.bins],
            d.fitted[:, i],
            None if d.truth is None else d.truth[:, i],
            *component_labels(d.recording, i),
        )
        for i, angle in ((0, "theta"), (1, "phi"))
        if angle in d.recording.behavior_names
    ]
