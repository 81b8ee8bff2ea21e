"""The part of the report that an explanation adds: its figures, values and words."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.image import imread

from freegaze.cli import report as report_command
from freegaze.explanation.probes.gratings import GratingResponses, default_gratings
from freegaze.explanation.probes.patches import PatchGrating, PatchTuning
from freegaze.explanation.probes.probes import grating_tables, patch_tables, scrambled_table
from freegaze.explanation.probes.scrambled import ScrambledResponses
from freegaze.explanation.result import is_explained, save_explanation
from freegaze.recording.recording import ResponseKind
from freegaze.reports import write_report
from freegaze.reports.explained import bands_of, explained_neurons
from freegaze.reports.figures.contributions import GroupBars, draw_class_counts, draw_contributions
from freegaze.reports.figures.probes import draw_histograms, grating_histograms, patch_histograms
from freegaze.reports.figures.saliency import draw_saliency
from freegaze.reports.inputs import ReportInputs
from freegaze.reports.neuron_data import neuron_values, session_values
from freegaze.reports.pictures import DIVERGING, SEQUENTIAL, diverging_png, symmetric_limit
from freegaze.reports.sections.contributions import build_contributions
from freegaze.reports.sections.fields import build_fields, outline_of
from freegaze.reports.sections.neuron import build_neuron
from freegaze.reports.sections.probes import build_gratings, build_patches
from freegaze.reports.sections.saliency import build_saliency
from freegaze.reports.style import GROUP_COLORS
from freegaze.reports.svg import figure_to_svg
from freegaze.runs.run_folder import RunFolder
from report_runs import (
    HOSTILE,
    HOSTILE_ATTRIBUTE,
    MadeRun,
    make_explanation,
    make_run,
    make_session,
)

BREAKOUT = "</script><script>alert(1)</script>"
BANDS = [("head", 2), ("none", 1)]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> MadeRun:
    return make_run(tmp_path_factory.mktemp("runs") / "first", [make_session(n_neurons=7)])


@pytest.fixture(scope="module")
def explanation(run):
    return make_explanation(run.recordings[0])


@pytest.fixture(scope="module")
def html(run, explanation, tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("out") / "report.html"
    return write_report(*run.arguments(), out=out, explanations=[explanation]).read_text()


def inputs_of(run, *explanations) -> ReportInputs:
    return ReportInputs(RunFolder(run.folder), *run.arguments()[1:], explanations=explanations)


def sections_of(html):
    return re.findall(r'<section id="([a-z-]+)"', html)


def pixels_of(address):
    png = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return imread(io.BytesIO(png), format="png")[..., :3]


def values_in(html):
    found = re.findall(r'<script type="application/json" id="neuron-data-\d+">(.*?)</script>', html)
    return [json.loads(text) for text in found]


# pictures


def test_picture_is_symmetric_about_zero():
    pixels = pixels_of(diverging_png(np.array([[-2.0, 0.0, 2.0], [np.nan, 1.0, 9.0]]), 2.0))
    assert pixels.shape == (2, 3, 3)
    assert [to_hex(p) for p in pixels[0]] == [DIVERGING[0], DIVERGING[3], DIVERGING[-1]]
    assert to_hex(pixels[1, 0]) == DIVERGING[3]  # unknown is drawn as 0
    assert to_hex(pixels[1, 2]) == DIVERGING[-1]  # beyond the end is the end


def test_color_scales_darken_with_size():
    def lightness(color):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)
        ]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    shades = [lightness(color) for color in DIVERGING]
    assert shades[:4] == sorted(shades[:4])
    assert shades[3:] == sorted(shades[3:], reverse=True)
    assert np.allclose(shades[:3], shades[:3:-1], atol=0.12)  # alike on either side
    shades = [lightness(color) for color in SEQUENTIAL]
    assert shades == sorted(shades, reverse=True)


def test_flat_picture_has_no_scale():
    assert symmetric_limit(np.zeros((2, 2))) == 0.0
    assert symmetric_limit(np.full((2, 2), np.nan)) == 0.0
    assert {to_hex(p) for p in pixels_of(diverging_png(np.zeros((2, 2)), 0.0)).reshape(-1, 3)} == {
        DIVERGING[3]
    }


# figures


def test_contributions_show_what_was_added_and_what_is_significant():
    sure = np.array([True, False, True])
    groups = [
        GroupBars("vision", np.array([20.0, 10.0, 5.0]), sure),
        GroupBars("head", np.array([4.0, -1.0, np.nan]), np.array([True, False, False])),
    ]
    figure = draw_contributions(groups, BANDS, 1000)
    svg = figure_to_svg(figure, "a", "d")
    vision, head = figure.axes
    assert [p.get_height() for p in vision.patches] == [20.0, 5.0, 10.0]  # the sure ones first
    filled = [to_hex(p.get_facecolor()) for p in vision.patches if p.get_facecolor()[3] > 0]
    assert filled == [GROUP_COLORS["vision"]] * 2
    dots = [line for line in vision.get_lines() if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in dots] == [2]
    np.testing.assert_array_equal(dots[0].get_xdata(), [0, 3])  # a gap between classes
    assert head.get_ylim()[0] < -1
    assert vision.get_ylim()[1] > 20 > head.get_ylim()[1]
    for words in ("added deviance explained (%)", "neurons by class, best predicted first", "head"):
        assert f">{words}</text>" in svg


def test_names_of_classes_that_do_not_fit_are_left_out():
    nothing = GroupBars("vision", np.ones(60), np.zeros(60, dtype=bool))
    bands = [("head", 1), ("eye", 1), ("none", 58)]
    narrow = draw_contributions([nothing], bands, 350)
    names = [text.get_text() for text in narrow.axes[0].texts]
    assert names[0] == "head"
    assert "eye" not in names


def test_class_counts_are_written_beside_their_bars():
    figure = draw_class_counts([("head", 3), ("none", 0)], 340)
    figure_to_svg(figure, "a", "d")
    assert [p.get_width() for p in figure.axes[0].patches] == [3, 0]
    assert [t.get_text() for t in figure.axes[0].texts] == ["3", "0"]
    assert figure.axes[0].get_xlabel() == "neurons"


def test_saliency_is_a_map_with_gaze_set_apart():
    partial = np.array([[0.0, 4.0, np.nan], [1.0, 2.0, 3.0]])
    figure = draw_saliency(["speed", "phi"], partial, ["phi"], partial[1:], BANDS, 4.0, 1000)
    figure_to_svg(figure, "a", "d")
    upper, lower = figure.axes
    assert [ax.get_title(loc="left")[:9] for ax in (upper, lower)] == ["retinal i", "via gaze:"]
    assert [t.get_text() for t in upper.get_yticklabels()] == ["speed", "phi"]
    assert [t.get_text() for t in lower.get_yticklabels()] == ["phi"]
    image = np.asarray(upper.images[0].get_array())
    assert image.shape == (2, 4, 4)  # two neurons, a gap, one neuron
    assert to_hex(image[0, 0]) == SEQUENTIAL[0]
    assert to_hex(image[0, 1]) == SEQUENTIAL[-1]
    assert image[0, 2, 3] == 0.0
    assert to_hex(image[0, 3]) == "#e3e5e8"  # a missing value is gray, not zero


def test_saliency_no_better_than_chance_is_faded():
    values, is_faded = np.full((1, 3), 4.0), np.array([[False, True, False]])
    figure = draw_saliency(["speed"], values, ["speed"], values, BANDS, 4.0, 1000, is_faded)
    upper, lower = (np.asarray(ax.images[0].get_array()) for ax in figure.axes)
    assert upper[0, :, 3].tolist() == [1.0, 0.25, 0.0, 1.0]
    assert lower[0, :, 3].tolist() == [1.0, 1.0, 0.0, 1.0]


def test_nothing_via_gaze_has_no_map():
    figure = draw_saliency(["speed"], np.ones((1, 3)), [], np.ones((0, 3)), BANDS, 1.0, 350)
    assert len(figure.axes) == 1


# neurons and sections


def test_neurons_are_sorted_by_score_and_into_classes(run, explanation):
    neurons = explained_neurons(inputs_of(run, explanation))
    scores = [n.score for n in neurons]
    assert scores == sorted(scores, reverse=True)
    table = run.evaluation.table.set_index("unit_id")
    assert neurons[0].score == table["correlation"].max()
    assert neurons[0].href == f"#neuron={table['correlation'].idxmax()}"
    bands = bands_of(neurons)
    assert [b.label for b in bands] == ["head", "eye", "speed", "pupil", "mixed", "none"]
    assert [n.unit_id for n in bands[0].neurons] == sorted(
        ["unit_0", "unit_6"], key=lambda u: -table["correlation"][u]
    )


def test_neuron_that_was_not_scored_comes_last(run, explanation):
    table = run.evaluation.table
    part = replace(run, evaluation=replace(run.evaluation, table=table[table.unit_id != "unit_3"]))
    neurons = explained_neurons(inputs_of(part, explanation))
    assert neurons[-1].unit_id == "unit_3"
    assert np.isnan(neurons[-1].score)
    section = build_neuron(inputs_of(part, explanation), neurons)
    assert section.content["neurons"][-1]["scores"] == []
    name, _, correlation, *_ = section.content["columns"]
    assert (name.cells[-1].text, correlation.cells[-1].text) == ("unit_3", "–")


def test_fields_of_neurons_that_are_predicted_poorly_are_pale(run, explanation):
    neurons = explained_neurons(inputs_of(run, explanation))
    cards = build_fields(inputs_of(run, explanation), neurons).content["cards"]
    best = max(neuron.score for neuron in neurons)
    expected = {n.unit_id: min(max(n.score / best, 0.25), 1) for n in neurons}
    assert {card.unit_id: card.opacity for card in cards} == pytest.approx(expected, abs=0.005)
    assert cards[0].opacity == 1


def test_gallery_falls_back_to_another_method(run, explanation):
    fields = {k: v.copy() for k, v in explanation.fields.items()}
    fields["gradient"][2] = 0.0
    fields["gradient"][3] = np.nan
    for field in fields.values():
        field[4] = 0.0
    inputs = inputs_of(run, replace(explanation, fields=fields))
    neurons = explained_neurons(inputs)
    methods = {n.unit_id: n.first_method() for n in neurons}
    assert [methods[f"unit_{i}"] for i in (0, 2, 3, 4)] == ["gradient", "linear", "linear", None]
    section = build_fields(inputs, neurons)
    cards = {card.unit_id: card for card in section.content["cards"]}
    assert "unit_4" not in cards
    assert "smooth linear fit" in cards["unit_2"].description
    assert "(2 neurons)" in section.content["lead"]
    order = [n.unit_id for n in neurons if n.unit_id != "unit_4"]
    assert list(cards) == order


def test_gallery_shows_the_strongest_moment_and_states_its_scale(run, explanation):
    inputs = inputs_of(run, explanation)
    neuron, *_ = neurons = explained_neurons(inputs)
    card = build_fields(inputs, neurons).content["cards"][0]
    strongest = explanation.picture("gradient", neuron.index)
    limit = np.abs(strongest).max()
    assert card.scale == f"±{limit:.2g}"
    assert card.size == (12, 16)
    pixels = pixels_of(card.picture)
    place = np.unravel_index(np.abs(strongest).argmax(), strongest.shape)
    assert to_hex(pixels[place]) == DIVERGING[-1 if strongest[place] > 0 else 0]


def test_outline_is_where_the_gabor_function_is(run, explanation):
    table = explanation.receptive_fields.copy()
    of = (table.unit_id == "unit_0") & (table.method == "gradient")
    names = ["center_x_px", "center_y_px", "sigma_along_px", "sigma_across_px", "orientation_deg"]
    table.loc[of, names] = [3.0, 4.0, 1.5, 2.0, 30.0]
    inputs = inputs_of(run, replace(explanation, receptive_fields=table))
    neuron = next(n for n in explained_neurons(inputs) if n.unit_id == "unit_0")
    outline = outline_of(neuron, "gradient")
    assert (outline.x, outline.y, outline.along, outline.across) == (3.5, 4.5, 3.0, 4.0)
    assert (outline.turn_deg, outline.is_poor) == (30.0, False)
    assert outline_of(neuron, "linear").is_poor
    assert outline_of(neuron, "ascent") is None


def test_values_of_a_neuron_are_those_of_the_tables(run, explanation):
    inputs = inputs_of(run, explanation)
    neuron = next(n for n in explained_neurons(inputs) if n.unit_id == "unit_1")
    session = run.evaluation.sessions[0]
    values = neuron_values(neuron, [("correlation", "0.1", "")], session)
    json.dumps(values, allow_nan=False)

    def of(table):
        return table[table["unit_id"] == "unit_1"]

    tuning = of(explanation.tuning)
    speed = tuning[tuning["signal"] == "speed"]
    curve = next(c for c in values["tuning"] if c["signal"] == "speed")
    assert curve["unit"] == "cm/s"
    np.testing.assert_allclose(curve["level"], speed["level"], rtol=1e-3)
    np.testing.assert_allclose(curve["observed"], speed["observed"] / 0.05, rtol=1e-3)
    np.testing.assert_allclose(curve["se"], speed["observed_se"] / 0.05, rtol=1e-3)
    saliency = of(explanation.saliency)
    shown = [row["absolute"] for row in values["saliency"]]
    np.testing.assert_allclose(shown, saliency["absolute"] / 0.05, rtol=1e-3)
    added = [row["added"] for row in values["contributions"]]
    np.testing.assert_allclose(added, 100 * of(explanation.contributions)["deviance"], rtol=1e-3)
    assert [row["isSignificant"] for row in values["contributions"]] == [1, 1, 1, 0, 0, 0]
    assert [side["direction"] for side in values["gaze"]] == ["left", "right"]
    assert values["gaze"][0]["n"] == 143


def test_trace_is_that_of_the_test_bins(run, explanation):
    inputs = inputs_of(run, explanation)
    neuron = explained_neurons(inputs)[0]
    session = run.evaluation.sessions[0]
    trace = neuron_values(neuron, [], session)["trace"]
    stretches = session_values(explanation, session)["stretches"]
    codes = np.frombuffer(base64.b64decode(trace["predicted"]), np.uint8)
    assert len(codes) == sum(n for _, n in stretches) == len(session.targets)
    assert stretches[0][0] == pytest.approx(session.targets[0] * 0.05, abs=0.01)
    shown = trace["low"] + codes / 255 * (trace["high"] - trace["low"])
    column = session.unit_ids.index(neuron.unit_id)
    mean = session.rates[:, column].mean() / 0.05
    assert shown.mean() == pytest.approx(mean, rel=0.02)


def test_fields_keep_time_and_pairs_only_of_invariant_neurons(run, explanation):
    inputs = inputs_of(run, explanation)
    neurons = {n.unit_id: n for n in explained_neurons(inputs)}
    simple, complex_ = (neuron_values(neurons[f"unit_{i}"], [], None) for i in (0, 1))
    field = simple["fields"][0]
    assert (field["method"], field["n"], field["height"], field["width"]) == ("gradient", 3, 12, 16)
    pixels = pixels_of(field["strip"])
    assert pixels.shape == (36, 16, 3)
    moments = np.abs(pixels - to_rgb(DIVERGING[3])).reshape(3, -1).sum(1)
    assert moments.argmax() == field["peak"]
    assert field["pair"] == []
    assert len(complex_["fields"][0]["pair"]) == 2
    assert simple["trace"] is None
    assert session_values(explanation, None)["delays"] == [150, 100, 50]


def test_degrees_are_shown_only_where_the_camera_is_calibrated(run):
    def words(deg_per_px):
        made = make_explanation(run.recordings[0], deg_per_px=deg_per_px)
        values = neuron_values(explained_neurons(inputs_of(run, made))[0], [], None)
        return [row[0] for row in values["gabor"]["rows"]]

    assert "center x, y (°)" in words(1.5)
    assert not [word for word in words(None) if word.startswith(("center", "sd")) and "°" in word]
    assert "center x, y (px)" in words(None)


def test_fluorescence_is_not_divided_by_time(tmp_path):
    recording = make_session(kind=ResponseKind.FLUORESCENCE)
    made = make_explanation(recording)
    inputs = inputs_of(make_run(tmp_path / "run", [recording]), made)
    neurons = explained_neurons(inputs)
    section = build_saliency(neurons)
    assert section.content["unit"] == "a.u. per training sd"
    values = build_neuron(inputs, neurons).content["neurons"][0]
    own = made.saliency[made.saliency["unit_id"] == neurons[0].unit_id]
    shown = [row["absolute"] for row in values["saliency"]]
    np.testing.assert_allclose(shown, own["absolute"], rtol=1e-3)


def test_tests_of_saliency_are_counted_and_shown(run, explanation):
    table = explanation.saliency.assign(answer="no", p=0.4)
    table.loc[table.index[:3], ["answer", "p"]] = ["yes", 0.001]
    table.loc[table.index[-1:], ["answer", "p"]] = ["not tested", np.nan]
    neurons = explained_neurons(inputs_of(run, replace(explanation, saliency=table)))
    words = build_saliency(neurons).content["tests"]
    assert f"for 3 of {len(table) - 1} tested pairs" in words
    assert "1 pair could not be tested" in words
    (first,) = [n for n in neurons if n.unit_id == table["unit_id"].iloc[0]]
    shown = neuron_values(first, [], None)["saliency"]
    assert [row["answer"] for row in shown[:3]] == ["yes"] * 3
    assert (shown[0]["p"], shown[0]["leastP"]) == ("0.0010", "0.0010")
    # Explanations of version 0.1 have no test.
    old = table.drop(columns=["p", "least_p", "answer", "reason"])
    neurons = explained_neurons(inputs_of(run, replace(explanation, saliency=old)))
    assert build_saliency(neurons).content["tests"].startswith("No sensitivity was tested")
    assert {row["p"] for row in neuron_values(neurons[0], [], None)["saliency"]} == {""}


def test_counts_of_classes_are_in_words(run, explanation):
    content = build_contributions(explained_neurons(inputs_of(run, explanation))).content
    assert content["lead"].startswith("Behavior adds to 6 of 7 tested neurons")
    assert dict(content["facts"])["head"] == "2 of 7; least p 0.0020"
    assert 'aria-label="Neurons by class: 2 head, 1 eye' in content["counts"].drawings["any"]


def test_what_was_not_tested_is_no_answer(run, explanation):
    table = explanation.contributions.copy()
    is_other = table["unit_id"] != explanation.unit_ids[0]
    table.loc[is_other, ["p", "least_p"]] = np.nan
    table.loc[is_other, ["is_significant", "answer"]] = [False, "not tested"]
    table.loc[is_other, "reason"] = "the responses are constant"
    some = replace(explanation, contributions=table)
    content = build_contributions(explained_neurons(inputs_of(run, some))).content
    assert content["lead"].startswith("Behavior adds to 1 of 1 tested neuron ")
    assert "; 6 were not tested." in content["lead"]
    assert dict(content["facts"])["head"] == "1 of 1, 6 not tested; least p 0.0020"
    reason = "Not tested in 6 neurons (all groups): the responses are constant."
    assert content["notes"] == [reason]
    assert "eye 0 of 1" in repr(some)
    table = table.assign(p=np.nan, is_significant=False, answer="not tested")
    none = replace(explanation, contributions=table)
    content = build_contributions(explained_neurons(inputs_of(run, none))).content
    assert "was not tested" in content["lead"]
    assert set(dict(content["facts"]).values()) >= {"not tested"}
    assert "eye not tested" in repr(none)


def test_parts_that_were_not_computed_are_left_out(run, explanation):
    bare = replace(
        explanation,
        fields={},
        pairs={},
        **{
            name: getattr(explanation, name).iloc[:0]
            for name in ("receptive_fields", "saliency", "contributions", "tuning", "gaze_shifts")
        },
    )
    html = write_report(*run.arguments(), explanations=[bare]).read_text()
    assert [s for s in sections_of(html) if s in ("fields", "contributions", "saliency")] == []
    assert "neuron" in sections_of(html)
    assert values_in(html)[0]["tuning"] == []


# the page


def test_explained_report_has_its_sections_in_order(html):
    shown = sections_of(html)
    assert shown[2:6] == ["fields", "contributions", "saliency", "neuron"]
    assert shown[-2:] == ["quality", "glossary"]


def test_report_that_was_not_explained_does_not_change(run, tmp_path):
    plain = write_report(*run.arguments(), out=tmp_path / "a.html").read_text()
    assert sections_of(plain) == ["scores", "traces", "training", "fit", "quality", "glossary"]
    assert plain.count("<script") == plain.count("<style") == 1
    assert "<img" not in plain


def test_policy_names_every_script_and_no_other(html):
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 4
    digests = [
        "sha256-" + base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts
    ]
    policy = re.search(r"script-src ([^;]*);", html).group(1)
    assert policy == " ".join(f"'{digest}'" for digest in digests)


def test_ids_are_unique_and_nothing_else_is_needed(html):
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert not re.search(r'(?:src|href)="(?!#|data:)', html)


def test_hostile_names_cannot_leave_the_data(tmp_path):
    units = (BREAKOUT, HOSTILE, HOSTILE_ATTRIBUTE, "a&b=c%zz#")
    recording = make_session(session_id=BREAKOUT, unit_ids=units)
    run = make_run(tmp_path / "run", [recording])
    html = write_report(*run.arguments(), explanations=[make_explanation(recording)]).read_text()
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert {values["unit"] for values in values_in(html)} == set(units)
    assert html.count("<script") == 4 + 1 + 4  # ours, what is shared, one a neuron


def test_neurons_of_the_same_name_are_told_apart(tmp_path):
    recordings = [make_session("one", 3), make_session("two", 3, seed=1)]
    run = make_run(tmp_path / "run", recordings)
    neurons = explained_neurons(inputs_of(run, *map(make_explanation, recordings)))
    assert len({n.href for n in neurons}) == 6
    assert "#neuron=unit_0&session=two" in [n.href for n in neurons]
    section = build_neuron(inputs_of(run, *map(make_explanation, recordings)), neurons)
    assert [c.label for c in section.content["columns"]][:3] == ["neuron", "session", "class"]


def test_same_explanation_gives_the_same_file(run, explanation, html, tmp_path):
    out = tmp_path / "again.html"
    assert write_report(*run.arguments(), out=out, explanations=[explanation]).read_text() == html


def test_command_shows_an_explanation_where_there_is_a_whole_one(
    run, explanation, tmp_path, monkeypatch
):
    for name, value in {
        "freegaze.workflow.open_run_recordings": run.recordings,
        "freegaze.fitted.storage.load_encoder": run.encoder,
        "freegaze.workflow._folder_of": Path(run.folder),
        "freegaze.workflow.load_evaluation": run.evaluation,
        "freegaze.workflow.displacement_against_truth": {},
    }.items():
        monkeypatch.setattr(name, lambda *_, value=value, **__: value)
    out = tmp_path / "report.html"
    (Path(run.folder) / "explanation" / "mouse" / "parts").mkdir(parents=True)
    report_command.command(run.folder, out=out)
    assert "neuron" not in sections_of(out.read_text())  # begun is not done
    assert not is_explained(run.folder)
    save_explanation(run.folder, explanation, {})
    assert is_explained(run.folder)
    report_command.command(run.folder, out=out)
    assert {"fields", "neuron"} <= set(sections_of(out.read_text()))


# gratings


def with_gratings(explanation):
    """Add responses to gratings: the first neuron prefers 90 degrees, the second is not driven."""
    gratings = default_gratings((12, 16), 0.05)
    shape = (len(explanation.unit_ids), *gratings.shape)
    mean = np.full(shape, 0.1)
    mean[2:] += np.random.default_rng(0).uniform(0, 1, mean[2:].shape)
    mean[0] += np.maximum(-np.cos(2 * np.deg2rad(gratings.directions_deg)), 0)[:, None, None]
    none = np.zeros(shape, dtype=complex)
    blank, highest = np.full(shape[0], 0.1), np.full(shape[0], 2.0)
    found = GratingResponses(gratings, mean, none, blank, highest)
    return replace(explanation, **grating_tables(found, explanation.unit_ids, 1.5))


def test_gratings_have_a_section_and_a_part_of_a_neurons_page(run, explanation, tmp_path):
    probed = with_gratings(explanation)
    html = write_report(
        *run.arguments(), out=tmp_path / "r.html", explanations=[probed]
    ).read_text()
    n = len(explanation.unit_ids)
    assert '<section id="gratings"' in html
    assert f"They raise the predicted rate of {n - 1} of {n} neurons." in html
    assert build_gratings([explanation]) is None
    inputs = inputs_of(run, probed)
    neurons = {neuron.unit_id: neuron for neuron in explained_neurons(inputs)}
    first, second, *_ = (neuron_values(neurons[u], [], None) for u in explanation.unit_ids)
    assert second["gratings"] is None
    assert first["gratings"]["response"] == "mean"
    assert ["orientation (°)", "90"] in first["gratings"]["rows"]
    assert [c["axis"] for c in first["gratings"]["curves"]] == [
        "direction",
        "frequency",
        "temporal",
    ]
    per_s = neurons[explanation.unit_ids[0]].per_s
    assert max(first["gratings"]["curves"][0]["value"]) == pytest.approx(per_s, rel=1e-3)


def test_gratings_are_drawn_at_every_width(explanation):
    table = with_gratings(explanation).gratings
    for width in (1000, 350):
        figure = draw_histograms(table, grating_histograms(table), width)
        figure_to_svg(figure, "a", "d")
        counts = [sum(p.get_height() for p in ax.patches) for ax in figure.axes]
        assert counts == [len(explanation.unit_ids) - 1] * 4


def with_patches(explanation):
    """Add patches: the first neuron is suppressed, the others have no grating."""
    units = explanation.unit_ids
    sizes, contrasts = np.array([4.0, 8.0, 16.0]), np.array([0.5, 1.0])
    tuning = PatchTuning(
        sizes, np.array([0.1, 0.4, 0.1]), contrasts, np.array([0.1, 0.4]), 7.7, 0.75, 0.6
    )
    none = [None] * (len(units) - 1)
    tables = patch_tables(
        [PatchGrating(0.0, 0.1, 0.0, 5.0, 6.0), *none], [tuning, *none], units, 1.5
    )
    natural = np.ones((4, len(units)))
    natural[:, 0] = 3.0
    rates = ScrambledResponses(natural, np.ones((4, len(units))))
    return replace(explanation, **tables, scrambled=scrambled_table(rates, units))


def test_patches_have_a_section_and_a_part_of_a_neurons_page(run, explanation, tmp_path):
    probed = with_patches(explanation)
    out = tmp_path / "r.html"
    html = write_report(*run.arguments(), out=out, explanations=[probed]).read_text()
    n = len(explanation.unit_ids)
    assert "below half of the largest in 1 of 1 neuron" in html
    assert f"above that for scrambled frames in 1 of {n} neurons" in html
    assert build_patches([explanation]) is None
    neurons = {neuron.unit_id: neuron for neuron in explained_neurons(inputs_of(run, probed))}
    first, second, *_ = (neuron_values(neurons[u], [], None) for u in explanation.unit_ids)
    assert second["patches"] is None
    assert ["preferred diameter (°)", "11.6"] in first["patches"]["rows"]  # 7.7 px of 1.5 degrees
    by_size, by_contrast = first["patches"]["curves"]
    assert (by_size["axis"], by_size["unit"], by_size["level"]) == ("size", "deg", [6, 12, 24])
    assert by_contrast["axis"] == "contrast"
    assert probed.scrambled["modulation"].tolist() == [0.5] + [0.0] * (n - 1)


def test_histograms_are_drawn_of_the_probes_that_there_are(explanation):
    probed = with_patches(explanation)
    table = probed.patches.merge(probed.scrambled, on="unit_id")
    panels = patch_histograms(table)
    assert [p.column for p in panels] == ["diameter_deg", "suppression", "modulation"]
    for width in (1000, 350):
        figure = draw_histograms(table, panels, width)
        figure_to_svg(figure, "a", "d")
        counts = [sum(p.get_height() for p in ax.patches) for ax in figure.axes]
        assert counts == [1, 1, len(table), 0]
