"""Figures for notebooks: what is drawn is what the tables hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot

import freegaze
from freegaze import plot
from freegaze.errors import ConfigError
from report_runs import MadeRun, make_explanation, make_run, make_session

mpl.use("agg")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> MadeRun:
    session = make_session(n_neurons=5, has_truth=True)
    return make_run(tmp_path_factory.mktemp("runs") / "first", [session], has_shifter=True)


@pytest.fixture(scope="module")
def explanation(run):
    return make_explanation(run.recordings[0])


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    pyplot.close("all")


def points(ax, label: str) -> np.ndarray:
    (line,) = [line for line in ax.get_lines() if line.get_label() == label]
    return np.column_stack(line.get_data())


def test_scores_are_those_of_the_table_in_order(run):
    ax = freegaze.plot.scores(run.evaluation, "correlation")
    values = np.sort(run.evaluation.table["correlation"].to_numpy())[::-1]
    np.testing.assert_allclose(points(ax, "encoder")[:, 1], values)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("neuron, best first", "correlation")
    assert points(ax, "attainable").shape == (len(values), 2)


def test_scores_of_two_models_are_paired_by_neuron(run):
    table = run.evaluation.table.iloc[::-1].copy()  # the same neurons in another order
    table["correlation"] = np.arange(len(table)) / 10
    other = replace(run.evaluation, table=table)
    ax = plot.scores(run.evaluation, against=other)
    dots = next(line for line in ax.get_lines() if line.get_marker() == "s")
    np.testing.assert_allclose(dots.get_ydata(), run.evaluation.table["correlation"])
    np.testing.assert_allclose(dots.get_xdata(), np.arange(len(table))[::-1] / 10)


def test_a_trace_is_the_smoothed_rate_per_second(run):
    (session,) = run.evaluation.sessions
    unit = session.unit_ids[1]
    ax = plot.traces(run.evaluation, unit, duration_s=4 * session.bin_width_s)
    drawn = points(ax, "predicted")
    assert ax.get_ylabel() == "firing rate (spikes/s)"
    width = round(0.25 / session.bin_width_s)
    width += 1 - width % 2  # a boxcar has a middle
    first = session.rates[: width // 2 + 1, 1].mean() / session.bin_width_s
    np.testing.assert_allclose(drawn[0, 1], first)


def test_the_shifter_is_drawn_against_the_eye(run):
    (recording,) = run.recordings
    ax = plot.shifter(run.encoder, recording, "y")
    drawn = points(ax, "fitted")
    everything = run.encoder.displacement(recording)[:, 1]
    assert np.isin(drawn[:, 1].round(6), everything.round(6)).all()
    assert ax.get_ylabel() == "y displacement (px)"


def test_fields_are_pictures_on_scales_of_their_own(explanation):
    method = next(iter(explanation.fields))
    axes = plot.fields(explanation, method, n_columns=2)
    assert axes.shape == (-(-len(explanation.unit_ids) // 2), 2)
    for neuron, ax in enumerate(axes.flat[: len(explanation.unit_ids)]):
        (image,) = ax.get_images()
        np.testing.assert_array_equal(image.get_array(), explanation.picture(method, neuron))
        low, high = image.get_clim()
        assert low == -high
        assert ax.get_title(loc="left").startswith(explanation.unit_ids[neuron])


def test_contributions_are_in_percent_and_ordered(explanation):
    table = explanation.contributions.query("group == 'speed'")
    ax = plot.contributions(explanation, "speed")
    heights = sorted(bar.get_height() for bar in ax.patches)
    np.testing.assert_allclose(heights, np.sort(100 * table["deviance"].to_numpy()))
    sizes = [bar.get_height() for bar in sorted(ax.patches, key=lambda bar: bar.get_x())]
    np.testing.assert_allclose(sizes, np.sort(100 * table["deviance"].to_numpy())[::-1])


def test_tuning_shows_observed_and_predicted_responses(explanation):
    rows = explanation.tuning
    unit, signal = rows["unit_id"].iloc[0], rows["signal"].iloc[0]
    own = rows[(rows["unit_id"] == unit) & (rows["signal"] == signal)]
    ax = plot.tuning(explanation, unit, signal)
    np.testing.assert_allclose(points(ax, "predicted"), own[["level", "predicted"]])
    assert ax.get_xlabel() == f"{signal} ({own['unit'].iloc[0]})"


def test_given_axes_are_drawn_into_and_settings_stay(run, explanation):
    before = mpl.rcParams.copy()
    figure, (a, b) = pyplot.subplots(1, 2)
    assert plot.scores(run.evaluation, ax=a) is a
    assert plot.contributions(explanation, "speed", ax=b) is b
    assert pyplot.get_fignums() == [figure.number]
    assert mpl.rcParams == before


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda run, _: plot.scores(run.evaluation, "corelation"), "no score 'corelation'"),
        (lambda run, _: plot.traces(run.evaluation, "unit_x"), "no neuron 'unit_x'"),
        (lambda run, _: plot.traces(run.evaluation, "u", session="s"), "no session 's'"),
        (lambda run, _: plot.shifter(run.encoder, run.recordings[0], "z"), "no component 'z'"),
        (lambda _, found: plot.fields(found, "gradiant"), "no method 'gradiant'"),
        (lambda _, found: plot.contributions(found, "tail"), "no group 'tail'"),
        (lambda _, found: plot.tuning(found, found.unit_ids[0], "wind"), "no signal 'wind'"),
    ],
)
def test_unknown_names_are_one_clear_line(run, explanation, draw, message):
    with pytest.raises(ConfigError, match=message):
        draw(run, explanation)


def test_an_encoder_without_a_shifter_says_so(tmp_path):
    made = make_run(tmp_path / "plain", [make_session()])
    with pytest.raises(ConfigError, match="no shifter"):
        plot.shifter(made.encoder, made.recordings[0])
