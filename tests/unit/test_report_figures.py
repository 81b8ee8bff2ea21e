"""Figures show the numbers they were given, and name both axes with units."""

import numpy as np
import pytest

from freegaze.reports.figures.comparison import Difference, draw_differences
from freegaze.reports.figures.displacement import draw_displacement, draw_displacement_truth
from freegaze.reports.figures.overview import OverviewPair, OverviewShift, draw_overview
from freegaze.reports.figures.quality import (
    draw_eye_gyro_correlation,
    draw_eye_gyro_lag,
    draw_freezes,
    draw_loss_by_movement,
    draw_lost_tracking,
    draw_rate_drift,
    draw_rates,
)
from freegaze.reports.figures.scores import Scores, draw_score_pairs, draw_score_strip
from freegaze.reports.figures.traces import Trace, draw_trace
from freegaze.reports.figures.training import draw_training
from freegaze.reports.svg import figure_to_svg

NAN = np.nan
VALUES = np.array([0.1, NAN, 0.4, 0.2])
SCORES = Scores(VALUES, VALUES - 0.05, VALUES + 0.05)


def axes_of(figure):
    figure_to_svg(figure, "a", "d")  # draws, so that whatever can go wrong does
    return figure.axes[0]


def line_of(ax, label):
    return next(line for line in ax.get_lines() if line.get_label() == label)


def assert_named(ax):
    assert ax.get_xlabel()
    assert ax.get_ylabel()


def test_training_shows_both_losses_and_marks_the_pass_kept():
    passes = [
        {"pass": i + 1, "train_loss": t, "validation_loss": v}
        for i, (t, v) in enumerate([(3.0, 3.1), (2.0, 2.0), (1.0, 2.5)])
    ]
    ax = axes_of(draw_training(passes, 1, "loss (nats)", 400, 250))
    assert line_of(ax, "training").get_ydata().tolist() == [3.0, 2.0, 1.0]
    assert line_of(ax, "validation").get_ydata().tolist() == [3.1, 2.0, 2.5]
    assert [t.get_text() for t in ax.texts] == ["kept: pass 2"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("pass over the training data", "loss (nats)")


def test_training_of_one_pass_shows_a_point():
    ax = axes_of(
        draw_training([{"pass": 1, "train_loss": 1.0, "validation_loss": 2.0}], 0, "loss", 400, 250)
    )
    assert line_of(ax, "training").get_marker() == "o"


def test_strip_sorts_neurons_and_leaves_out_those_without_score():
    other, best = np.array([1.0, 2.0, 3.0, 4.0]), np.array([5.0, 6.0, 7.0, 8.0])
    ax = axes_of(draw_score_strip(SCORES, {"glm": other}, best, "cnn", "correlation", 400, 250))
    assert line_of(ax, "cnn").get_ydata().tolist() == [0.4, 0.2, 0.1]
    assert line_of(ax, "cnn").get_xdata().tolist() == [1, 2, 3]
    assert line_of(ax, "glm").get_ydata().tolist() == [3.0, 4.0, 1.0]
    assert line_of(ax, "attainable").get_ydata().tolist() == [7.0, 8.0, 5.0]
    assert_named(ax)


@pytest.mark.parametrize("value", [np.full(3, NAN), np.array([0.3]), np.zeros(4)])
def test_scores_can_be_few_equal_or_none(value):
    scores = Scores(value, value, value)
    axes_of(draw_score_strip(scores, {}, None, "m", "correlation", 350, 200))
    axes_of(draw_score_pairs(scores, scores, "a", "b", "black", "o", 300, 300))


def test_pairs_put_the_model_on_the_vertical_axis_with_equal_ranges():
    other = Scores(VALUES + 0.3, VALUES + 0.2, VALUES + 0.4)
    ax = axes_of(draw_score_pairs(SCORES, other, "model", "other", "black", "o", 300, 300))
    dots = next(line for line in ax.get_lines() if line.get_marker() == "o")
    np.testing.assert_array_equal(dots.get_ydata(), SCORES.value)
    np.testing.assert_array_equal(dots.get_xdata(), other.value)
    assert ax.get_xlim() == ax.get_ylim()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("other", "model")


def trace(jump_at=60, n=100, width_s=0.05):
    time_s = 10 + np.arange(n) * width_s
    time_s[jump_at:] += 40
    return Trace(time_s, width_s, np.ones(n), np.linspace(0, 2, n), np.full(n, 0.5))


def test_trace_is_cut_where_time_jumps():
    assert trace().parts() == [slice(0, 60), slice(60, 100)]
    assert trace().first(4.0).parts() == [slice(0, 60), slice(60, 80)]
    ax = axes_of(draw_trace(trace(), "rate (spikes/s)", 900, 200, True))
    assert [t.get_text() for t in ax.texts] == ["at 10 s", "at 53 s"]
    assert len(line_of(ax, "predicted").get_ydata()) == 60
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("test time (s)", "rate (spikes/s)")


def test_trace_writes_times_only_where_there_is_room():
    time_s = np.arange(200) + 10.0 * (np.arange(200) // 4)  # fifty parts of four bins
    many = Trace(time_s, 1.0, np.ones(200), np.ones(200))
    assert len(many.parts()) == 50
    assert len(axes_of(draw_trace(many, "rate (Hz)", 700, 200, False)).texts) <= 10


def test_displacement_shows_truth_and_fit_against_the_angle():
    angle, fitted = np.arange(5.0), np.arange(5.0) ** 2
    figure = draw_displacement(angle, fitted, -fitted, "θ (deg)", "x (px)", 300, 200)
    ax = axes_of(figure)
    assert line_of(ax, "fitted").get_ydata().tolist() == fitted.tolist()
    assert line_of(ax, "truth").get_ydata().tolist() == (-fitted).tolist()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("θ (deg)", "x (px)")
    alone = axes_of(draw_displacement(angle, fitted, None, "θ (deg)", "x (px)", 300, 200))
    assert len(alone.get_lines()) == 1


def test_displacement_against_truth_has_the_truth_on_the_horizontal_axis():
    ax = axes_of(draw_displacement_truth(np.arange(3.0), np.arange(3.0) + 1, "x", "px", 300, 300))
    dots = next(line for line in ax.get_lines() if line.get_marker() == "o")
    assert dots.get_xdata().tolist() == [0, 1, 2]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("true x (px)", "fitted x (px)")


def test_differences_are_listed_from_top_to_bottom():
    given = [Difference("b − a", 0.1, 0.0, 0.2), Difference("c − a", NAN, NAN, NAN)]
    ax = axes_of(draw_differences(given, "difference in r", 300))
    assert [t.get_text() for t in ax.texts] == ["b − a", "c − a"]
    assert ax.texts[0].get_position()[1] > ax.texts[1].get_position()[1]
    assert ax.get_xlabel() == "difference in r"


def test_lost_tracking_draws_columns_lost_together_once():
    share = np.array([[0.0, 0.1, 0.1], [0.0, 0.3, 0.3]])
    ax = axes_of(draw_lost_tracking(np.array([0.0, 60.0]), share, ("speed", "theta", "phi")))
    (line,) = ax.get_lines()
    assert line.get_label() == "theta, phi"
    assert line.get_ydata().tolist() == [10.0, 30.0]
    assert line.get_xdata().tolist() == [0.0, 1.0]
    assert_named(ax)


def test_rate_drift_counts_units_that_drift():
    rates = np.array([[1.0, 2.0, 0.0], [3.0, 2.0, 0.0]])
    ax = axes_of(draw_rate_drift(rates, np.array([True, False, False]), 120.0))
    labels = [line.get_label() for line in ax.get_lines()]
    assert "drifting (1)" in labels
    assert "steady (2)" in labels
    assert line_of(ax, "drifting (1)").get_ydata().tolist() == [0.5, 1.5]
    assert line_of(ax, "drifting (1)").get_xdata().tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    "figure",
    [
        draw_loss_by_movement({"speed": np.array([0.1, NAN, 0.3]), "gz": np.zeros(3)}),
        draw_eye_gyro_lag(np.array([30.0, 90.0]), np.array([NAN, 0.02]), 0.07, 0.15),
        draw_eye_gyro_correlation(np.linspace(-1, 1, 5), np.linspace(-0.5, 0.1, 5)),
        draw_rates(np.array([1.0, 8.0, 3.0]), 3.0),
        draw_freezes(np.array([12.0]), np.array([0.4]), 60.0),
    ],
)
def test_quality_figures_name_their_axes(figure):
    assert_named(axes_of(figure))


def test_overview_holds_traces_scores_and_displacement():
    shift = OverviewShift(np.arange(4.0), np.arange(4.0), None, "θ (deg)", "x (px)")
    pair = OverviewPair(SCORES, SCORES, "cnn", "glm")
    figure = draw_overview([("one", trace()), ("two", trace())], "rate (Hz)", [pair], [shift])
    axes_of(figure)
    assert len(figure.axes) == 4
    assert [ax.get_title("left") for ax in figure.axes[:2]] == ["one", "two"]
    assert_named(figure.axes[2])
    assert_named(figure.axes[3])
