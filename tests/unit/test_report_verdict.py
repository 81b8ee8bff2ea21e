"""The verdict on top of the report, and its terms."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freegaze.recording.recording import ResponseKind
from freegaze.reports.inputs import ReportInputs
from freegaze.reports.sections.glossary import TERMS
from freegaze.reports.verdict import verdict_of
from freegaze.runs.run_folder import RunFolder
from report_runs import MadeRun, make_explanation, make_run, make_session

GLOSSARY = Path(__file__).parents[2] / "docs" / "reference" / "glossary.md"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> MadeRun:
    return make_run(tmp_path_factory.mktemp("runs") / "first", [make_session(n_neurons=5)])


def inputs_of(run: MadeRun, **more) -> ReportInputs:
    return ReportInputs(RunFolder(run.folder), run.recordings, run.encoder, run.evaluation, **more)


def test_the_verdict_repeats_numbers_of_the_evaluation(run):
    table = run.evaluation.table
    answers = dict(verdict_of(inputs_of(run)))
    gain, correlation = (table[m].median() for m in ("bits_per_spike", "correlation"))
    size = f"{abs(gain):.3f} bits per spike {'better' if gain >= 0 else 'worse'}"
    assert size in answers["How well?"]
    assert f"correlates {correlation:.2f}".replace("-", "−") in answers["How well?"]
    mean = run.evaluation.summary["pooled"]["scores"]["correlation"]["mean"]
    assert f"{mean:.3f}".replace("-", "−") in answers["How sure?"]
    assert "Not computed" in answers["What does behavior add?"]


def test_what_has_no_p_and_no_interval_is_named(run):
    table = run.evaluation.table.copy()
    table.loc[:1, "correlation_p"] = np.nan
    table["correlation_low"] = table["correlation_high"] = np.nan
    blank = replace(run.evaluation, table=table)
    n_scored = int(np.isfinite(table["correlation"]).sum())
    answer = dict(verdict_of(replace(inputs_of(run), evaluation=blank)))["What was not tested?"]
    n_untested = int(table["correlation_p"].isna().sum())
    assert f"Chance, in {n_untested} neurons" in answer
    assert f"the interval of correlation, in {n_scored} neurons" in answer
    assert "freegaze report --baseline" in answer


def test_neurons_above_chance_are_counted_after_correction(run):
    table = run.evaluation.table.copy()
    table["correlation_p"] = [0.001, 0.002, 0.04, 0.9, np.nan]  # adjusted .004 .004 .053 .9
    found = replace(inputs_of(run), evaluation=replace(run.evaluation, table=table))
    assert "2 of 4 tested neurons" in dict(verdict_of(found))["How sure?"]


def test_behavior_is_counted_over_tested_neurons(run):
    explanation = make_explanation(run.recordings[0])
    table = explanation.contributions
    answers = table.loc[table["group"].eq("behavior"), "answer"].tolist()
    told = dict(verdict_of(inputs_of(run, explanations=[explanation])))["What does behavior add?"]
    tested = len(answers) - answers.count("not tested")
    assert told.startswith(f"Behavior adds to {answers.count('yes')} of {tested} tested neurons")


def test_fluorescence_has_a_verdict_without_spikes(tmp_path):
    session = make_session(kind=ResponseKind.FLUORESCENCE)
    made = make_run(tmp_path / "calcium", [session])
    answers = dict(verdict_of(inputs_of(made)))
    assert "spike" not in answers["How well?"]
    assert "correlates" in answers["How well?"]


def test_terms_are_those_of_the_glossary():
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", GLOSSARY.read_text(), re.MULTILINE))
    assert {term: rows[term] for term in TERMS} == TERMS
