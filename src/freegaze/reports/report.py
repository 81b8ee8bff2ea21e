"""The report of a run: one HTML file with the fit, its scores and its explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from freegaze.evaluation.compare import Comparison
from freegaze.evaluation.displacement import DisplacementFit
from freegaze.evaluation.evaluation import Evaluation
from freegaze.explanation.result import SessionExplanation
from freegaze.explanation.stability import load_stability
from freegaze.fitted.encoder import FittedEncoder
from freegaze.recording.recording import Recording
from freegaze.reports.explained import explained_neurons
from freegaze.reports.inputs import ReportInputs, score_label
from freegaze.reports.page import Page, Section, write_page
from freegaze.reports.sections.contributions import build_contributions
from freegaze.reports.sections.displacement import build_displacement, displacements_of
from freegaze.reports.sections.fields import build_fields
from freegaze.reports.sections.fit import build_fit
from freegaze.reports.sections.glossary import build_glossary
from freegaze.reports.sections.neuron import SCRIPTS, STYLES, build_neuron
from freegaze.reports.sections.probes import build_gratings, build_patches
from freegaze.reports.sections.quality import build_quality
from freegaze.reports.sections.saliency import build_saliency
from freegaze.reports.sections.scores import build_scores, median_of
from freegaze.reports.sections.traces import build_traces
from freegaze.reports.sections.training import build_training
from freegaze.reports.sections.truth import build_truth
from freegaze.reports.verdict import verdict_of
from freegaze.reports.wording import count, duration, fixed, listing
from freegaze.runs.run_folder import RunFolder


def write_report(
    run_folder: Path | str,
    recordings: Sequence[Recording],
    encoder: FittedEncoder,
    evaluation: Evaluation,
    baselines: Mapping[str, Evaluation] | None = None,
    out: Path | str | None = None,
    truth_displacement: Mapping[str, DisplacementFit] | None = None,
    explanations: Sequence[SessionExplanation] = (),
    comparisons: Mapping[str, Comparison | str] | None = None,
) -> Path:
    """Write the report of a run as one HTML file that needs neither network nor other files.

    It draws what other rooms computed, and computes no scores.

    Args:
        run_folder: The finished run.
        recordings: The sessions it was fitted on.
        encoder: Fitted encoder of the run, from ``load_encoder``.
        evaluation: Scores of the encoder, from ``evaluate`` or ``load_evaluation``.
        baselines: Scores of other models for the same neurons, by name.
        out: HTML file to write; by default ``report.html`` in the run folder.
        truth_displacement: For simulations: the shifter against the eye's true movement by session,
            from ``freegaze.evaluation.displacement.displacement_against_truth``.
        explanations: Explanations from ``load_explanations``; with them the report shows receptive
            fields, contributions of behavior, and a page for each neuron.
        comparisons: Paired differences between the run and each baseline, or the reason why there
            are none, from ``freegaze.evaluation.compare.compare_with_baselines``.

    Returns:
        The file written.

    Raises:
        CheckpointError: If there is no run in the folder.
        DataError: If the file cannot be written.

    Example:
        >>> evaluation = freegaze.evaluate(encoder, recordings, draws=20)
        >>> write_report("runs/glm", recordings, encoder, evaluation).name
        'report.html'
    """
    run = RunFolder(Path(run_folder))
    inputs = ReportInputs(
        *(run, recordings, encoder, evaluation, baselines or {}, truth_displacement or {}),
        explanations=tuple(explanations),
        comparisons=comparisons or {},
        stabilities={
            e.session_id: found
            for e in explanations
            if (found := load_stability(run.path, e.session_id)) is not None
        },
    )
    path = Path(out) if out is not None else run.path / "report.html"
    return write_page(_page(inputs), path)


def _page(inputs: ReportInputs) -> Page:
    sessions = [recording.session_id for recording in inputs.recordings]
    shifts = displacements_of(inputs)
    built: list[Section | None] = [
        build_scores(inputs),
        build_traces(inputs),
        build_truth(inputs, shifts),
        build_displacement(inputs, shifts),
        *_build_explained(inputs),
        build_training(inputs),
        build_fit(inputs),
        build_quality(inputs.recordings),
        build_glossary(),
    ]
    return Page(
        kicker="freegaze report",
        title=f"{inputs.encoder.model_name} on {listing(sessions)}",
        summary=_summary(inputs),
        facts=_facts(inputs),
        sections=[section for section in built if section is not None],
        footer=f"Written by freegaze {inputs.run.manifest()['packages'].get('freegaze', '')} from "
        f"the run {inputs.run.path.name}.",
        verdict=verdict_of(inputs),
        styles=("page.css", *(STYLES if inputs.explanations else ())),
        scripts=("page.js", *(SCRIPTS if inputs.explanations else ())),
    )


def _build_explained(inputs: ReportInputs) -> list[Section | None]:
    neurons = explained_neurons(inputs)
    if not neurons:
        return []
    return [
        build_fields(inputs, neurons),
        build_contributions(neurons),
        build_saliency(neurons),
        build_gratings(inputs.explanations),
        build_patches(inputs.explanations),
        build_neuron(inputs, neurons),
    ]


def _summary(inputs: ReportInputs) -> str:
    n_neurons = len(inputs.evaluation.table)
    fitted = sum(
        len(inputs.encoder.split(r).bins("train")) * r.bin_width_s for r in inputs.recordings
    )
    tested = sum(len(s.targets) * s.bin_width_s for s in inputs.evaluation.sessions)
    return (
        f"An encoding model of {count(n_neurons, 'neuron')}, fitted to {duration(fitted)} of "
        f"recording and scored on {duration(tested)} of test data."
    )


def _facts(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Return the key numbers: median scores, and the share of what is attainable where known."""
    pooled = inputs.evaluation.summary["pooled"]["scores"]
    facts = []
    for metric in inputs.headlines:
        facts.append((fixed(median_of(inputs, metric), 3), f"median {score_label(metric)}"))
        if (key := f"{metric}_fraction") in pooled:
            share = pooled[key]["median"]
            words = f"of the attainable {score_label(metric)}, median"
            if metric == "correlation" and share > 0:  # squaring keeps the order, so the median too
                words += f" ({fixed(100 * share**2, 0)} % of the attainable variance)"
            facts.append((f"{fixed(100 * share, 0)} %", words))
    facts.append((str(len(inputs.evaluation.table)), "neurons"))
    return facts
