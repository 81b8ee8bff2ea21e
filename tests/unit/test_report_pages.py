"""The report as a file: whole, alone, escaped, and with the numbers of the evaluation."""

import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from builders import make_trial_recording
from freegaze.errors import CheckpointError, DataError
from freegaze.evaluation.compare import compare_with_baselines
from freegaze.recording.recording import ResponseKind
from freegaze.reports import write_readme_figure, write_report
from freegaze.reports.inputs import ReportInputs
from freegaze.reports.page import Page, write_page
from freegaze.reports.sections.fit import build_fit
from freegaze.reports.sections.score_table import score_columns
from freegaze.reports.sections.scores import build_scores
from freegaze.reports.sections.traces import build_traces
from freegaze.reports.sections.training import build_training
from freegaze.runs.run_folder import RunFolder
from report_runs import (
    HOSTILE,
    HOSTILE_ATTRIBUTE,
    MadeRun,
    make_run,
    make_session,
    true_displacement,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> MadeRun:
    recording = make_session(has_truth=True)
    return make_run(tmp_path_factory.mktemp("runs") / "first", [recording], has_shifter=True)


@pytest.fixture(scope="module")
def other(run, tmp_path_factory) -> MadeRun:
    return make_run(tmp_path_factory.mktemp("runs") / "other", run.recordings, seed=5)


@pytest.fixture(scope="module")
def html(run, other, tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("out") / "report.html"
    truth = {"mouse": true_displacement(run.recordings[0])}
    return write_report(*run.arguments(), {"glm": other.evaluation}, out, truth).read_text()


def inputs_of(run, baselines=None) -> ReportInputs:
    return ReportInputs(RunFolder(run.folder), *run.arguments()[1:], baselines or {})


def sections_of(html):
    return re.findall(r'<section id="([a-z-]+)"', html)


def test_report_has_every_section_in_order(html):
    assert sections_of(html) == [
        *("scores", "traces", "truth", "displacement", "training", "fit", "quality", "glossary")
    ]


def test_report_needs_nothing_else(html):
    assert not re.search(r'(?:src|href)="(?!#|data:)', html)
    assert not re.search(r"url\((?!#)|@import", html)
    assert len(html) < 10e6


def test_ids_are_unique(html):
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_table_shows_the_scores_of_the_evaluation(run, html):
    rows = re.findall(r"<tr>(.*?)</tr>", html.split("<tbody>")[1].split("</tbody>")[0], re.DOTALL)
    names = [re.search(r'data-value="([^"]*)"', row).group(1) for row in rows]
    table = run.evaluation.table.sort_values("bits_per_spike", ascending=False)
    assert names == list(table["unit_id"])
    for row, unit in zip(rows, table.itertuples(), strict=True):
        values = [float(v) for v in re.findall(r'data-value="(-?[\d.]+(?:e-?\d+)?)"', row)]
        assert unit.bits_per_spike in values
        assert unit.correlation in values


def test_head_shows_medians_and_what_was_fitted(run, html):
    pooled = run.evaluation.summary["pooled"]["scores"]
    shown = f"{pooled['correlation']['median']:.3f}".replace("-", "−")
    assert f"<dd>{shown}</dd>" in html
    assert "speed on mouse" in html
    manifest = (run.folder / "manifest.json").read_text()
    for value in re.findall(r'"(?:config_hash|mouse)": "([0-9a-f]+)"', manifest):
        assert value in html


def test_shifter_is_compared_with_the_truth(html):
    assert "slope 0.91, RMS residual 1.10 px over all tracked bins" in html
    assert "slope 0.73, RMS residual 1.30 deg over all tracked bins" in html


def test_training_names_the_pass_kept_and_its_time(html):
    assert "3 passes over the training data in 1.8 min" in html
    assert "after pass 2" in html


def test_same_inputs_give_the_same_file(run, other, html, tmp_path):
    truth = {"mouse": true_displacement(run.recordings[0])}
    path = write_report(*run.arguments(), {"glm": other.evaluation}, tmp_path / "r.html", truth)
    assert path.read_text() == html


def test_parts_without_data_are_left_out(tmp_path):
    recording = make_session()
    run = make_run(tmp_path / "run", [recording])
    (run.folder / "metrics.jsonl").unlink()
    path = write_report(*run.arguments())
    assert sections_of(path.read_text()) == ["scores", "traces", "fit", "quality", "glossary"]
    assert path == run.folder / "report.html"
    assert not list(run.folder.glob(".report*"))


def test_count_above_the_diagonal_comes_with_a_paired_interval(run, other):
    compared = compare_with_baselines("speed", run.evaluation, {"glm": other.evaluation})
    table = compared["glm"].table.assign(difference_low=-0.125, difference_high=0.375)
    compared = {"glm": replace(compared["glm"], table=table)}  # too little for an interval here
    inputs = replace(inputs_of(run, {"glm": other.evaluation}), comparisons=compared)
    metric = inputs.headlines[0]
    (pair, *_) = build_scores(inputs).content["pairs"]
    row = compared["glm"].table.query("metric == @metric and session_id == 'mouse'").iloc[0]
    known = np.subtract(*(e.table[metric] for e in (run.evaluation, other.evaluation)))
    assert row["difference"] == pytest.approx(known.mean())
    for number in (row["difference"], row["difference_low"], row["difference_high"]):
        assert f"{number:.3f}".replace("-", "\N{MINUS SIGN}") in pair.caption
    assert f"{(known > 0).sum()} of {len(known)} neurons above the diagonal" in pair.caption


@pytest.mark.parametrize("high", [-0.01, 0.01])
def test_a_warning_names_a_baseline_that_is_better(run, other, high):
    compared = compare_with_baselines("speed", run.evaluation, {"glm": other.evaluation})
    table = compared["glm"].table.assign(difference_low=-0.25, difference_high=high)
    compared = {"glm": replace(compared["glm"], table=table)}
    inputs = replace(inputs_of(run, {"glm": other.evaluation}), comparisons=compared)
    warnings = build_scores(inputs).content["warnings"]
    assert len(warnings) == (len(inputs.headlines) if high < 0 else 0)
    assert all(w.startswith("Warning: glm is better than") for w in warnings)


def test_baseline_that_cannot_be_compared_is_not_tested(run, other):
    elsewhere = replace(
        other.evaluation,
        sessions=tuple(replace(s, session_id="another") for s in other.evaluation.sessions),
    )
    compared = compare_with_baselines("speed", run.evaluation, {"glm": elsewhere})
    inputs = replace(inputs_of(run, {"glm": other.evaluation}), comparisons=compared)
    (pair, *_) = build_scores(inputs).content["pairs"]
    assert f"Not tested: {compared['glm']}" in pair.caption
    (pair, *_) = build_scores(inputs_of(run, {"glm": other.evaluation})).content["pairs"]
    assert "Not tested" in pair.caption


def test_what_a_source_wrote_is_shown_but_never_runs(tmp_path):
    units = (HOSTILE, HOSTILE_ATTRIBUTE, "javascript:alert(1)", "ü小鼠")
    recording = make_session(session_id=HOSTILE, unit_ids=units)
    recording = replace(recording, provenance={"source": HOSTILE, "citation": HOSTILE_ATTRIBUTE})
    run = make_run(tmp_path / "run", [recording], has_shifter=True)
    html = write_report(*run.arguments(), {HOSTILE: run.evaluation}).read_text()
    assert html.count("<script") == 1
    assert "<img" not in html
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in html
    policy = re.search(r"script-src '(sha256-[^']+)'", html)
    assert policy
    assert "script-src 'unsafe-inline'" not in html


def test_several_sessions_are_told_apart(tmp_path):
    recordings = [make_session("one", 3), make_session("two", 2, seed=1)]
    html = write_report(*make_run(tmp_path / "run", recordings).arguments()).read_text()
    assert "speed on one and two" in html
    assert html.count('data-number="0">session<') == 1
    assert re.search(r"Neuron unit_\d of (one|two), correlation", html)


def test_fluorescence_has_its_own_words(tmp_path):
    recording = make_session(kind=ResponseKind.FLUORESCENCE)
    inputs = inputs_of(make_run(tmp_path / "run", [recording]))
    assert inputs.headlines == ["correlation"]
    svg = build_traces(inputs).content["groups"][0]["traces"][0].drawings["narrow"]
    assert ">fluorescence (a.u.)<" in svg
    assert ">Gaussian loss (nats)<" in (build_training(inputs).content["curve"].drawings["wide"])


def test_trials_are_counted_and_their_ceilings_shown(tmp_path):
    recording = make_trial_recording(n_trials=36, n_bins=40)
    inputs = inputs_of(make_run(tmp_path / "run", [recording]))
    facts = dict(build_fit(inputs).content["sessions"][0]["facts"])
    assert facts["length"].endswith("in 36 trials")
    columns = {column.label: column for column in score_columns(inputs)}
    shown = [float(cell.value) for cell in columns["noise ceiling"].cells if cell.value]
    known = inputs.column("noise_ceiling")
    assert sorted(shown) == sorted(known[np.isfinite(known)])


def test_neuron_without_a_score_is_listed_last_with_a_dash(tmp_path):
    recording = make_session()
    responses = recording.responses.copy()
    responses[recording.bins_of("test"), 1] = 1.0  # constant in the test, so without correlation
    run = make_run(tmp_path / "run", [replace(recording, responses=responses)])
    table = run.evaluation.table
    run.evaluation = replace(run.evaluation, table=table.assign(bits_per_spike=table.correlation))
    inputs = inputs_of(run)
    name, *_ = columns = score_columns(inputs)
    assert name.cells[-1].text == "unit_1"
    correlation = next(column for column in columns if column.label == "correlation")
    assert (correlation.cells[-1].text, correlation.cells[-1].value) == ("–", "")
    section = build_scores(inputs)
    assert "1 neuron without a score left out of figures" in section.content["lead"]


def test_baseline_of_other_neurons_is_matched_by_name(run):
    evaluation = run.evaluation
    table = evaluation.table.iloc[[2, 0]].assign(correlation=[0.25, 0.75])
    inputs = inputs_of(run, {"part": replace(evaluation, table=table)})
    found = inputs.baseline_column("part", "correlation")
    np.testing.assert_array_equal(found, [0.75, np.nan, 0.25, np.nan])
    assert np.isnan(inputs.baseline_column("part", "no_such_score")).all()
    assert any("of 2 neurons" in pair.caption for pair in build_scores(inputs).content["pairs"])


def test_missing_run_and_unwritable_place_are_one_line(run, tmp_path):
    with pytest.raises(CheckpointError, match=r"no config\.yaml"):
        write_report(tmp_path, *run.arguments()[1:])
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_page(Page("", "", "", [], []), tmp_path / "file" / "report.html")


def test_sixty_neurons_stay_well_below_ten_megabytes(tmp_path):
    recording = make_session(n_neurons=60, n_bins=4800, has_truth=True)
    run = make_run(tmp_path / "run", [recording], has_shifter=True)
    path = write_report(*run.arguments(), {"a": run.evaluation, "b": run.evaluation})
    assert path.stat().st_size < 5e6


def test_templates_are_in_the_package():
    folder = files("freegaze.reports") / "templates"
    names = {entry.name for entry in folder.iterdir()}
    assert {"page.html.j2", "page.css", "page.js", "macros.html.j2", "sections"} <= names


def test_readme_figure_is_a_wide_picture(run, tmp_path):
    truth = {"mouse": true_displacement(run.recordings[0])}
    path = write_readme_figure(*run.arguments(), tmp_path / "a.png", {"glm": run.evaluation}, truth)
    header = path.read_bytes()[16:24]
    width_px, _ = np.frombuffer(header, ">u4").tolist()
    assert width_px == 1245
    again = write_readme_figure(
        *run.arguments(), tmp_path / "b.png", {"glm": run.evaluation}, truth
    )
    assert path.read_bytes() == again.read_bytes()


def test_readme_figure_needs_neither_baseline_nor_shifter(tmp_path):
    run = make_run(tmp_path / "run", [make_session()])
    assert write_readme_figure(*run.arguments(), tmp_path / "a.png").exists()
