"""Figures of the paper for print: files, labels with units, the same bytes each time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from figure_runs import make_explained
from freegaze.explanation.result import SessionExplanation
from freegaze.paper.figure import save_data, save_drawing
from freegaze.paper.figures.figure3 import Correlations
from freegaze.paper.figures.figure4 import AscentGallery, Galleries, SessionGallery, draw_gallery
from freegaze.paper.figures.figure5 import ClassCounts, ContributionClasses
from freegaze.paper.figures.figurec1 import MethodGallery, RepeatGallery
from freegaze.paper.presets import Version
from freegaze.reports.wording import shorten

HOSTILE = '<b> & "$\\frac{$'


def texts_of(figure: Figure, folder: Path) -> list[str]:
    svg = save_drawing(figure, folder / "figure")[1]
    root = ET.fromstring(svg.read_text())
    return ["".join(e.itertext()) for e in root.iter() if e.tag.endswith("}text")]


def example3(
    sessions: Sequence[str] = ("a/b", "c"), n_neurons: int = 4, version: Version = "default"
) -> Correlations:
    rng, n = np.random.default_rng(0), n_neurons * len(sessions)
    neurons = pd.DataFrame(
        {
            "session_id": np.repeat(sessions, n_neurons),
            "unit_id": [f"unit_{i}" for i in range(n)],
            "vision": rng.uniform(0, 1, n),
            "multimodal": rng.uniform(0, 1, n),
        }
    )
    neurons["difference"] = neurons["multimodal"] - neurons["vision"]
    test = {"n_neurons": n_neurons, "difference": 0.0123, "difference_low": -0.01}
    test |= {"difference_high": 0.0367, "p": 0.042, "p_wilcoxon": 0.3}
    names = [*sessions, "all"] if len(sessions) > 1 else sessions
    tests = pd.DataFrame([{"session_id": name, **test} for name in names])
    return Correlations(version, neurons, tests)


def draw3(data: Correlations) -> Figure:
    (figure,) = data.draw().values()
    return figure


def example4(n_neurons: int = 3, session: str = "a/b") -> Galleries:
    units = [f"unit_{i}" for i in range(n_neurons)]
    ranked = [(unit, 0.5 - 0.1 * i) for i, unit in enumerate(units)]
    version = MethodGallery()
    gallery = version.gallery(make_explained(session, units), ranked)
    return Galleries([gallery], "share", version.caption)


def classes_of(explained: Sequence[SessionExplanation]) -> ClassCounts:
    return ContributionClasses().classes(explained, [0.02])


def test_a_figure_becomes_three_files_of_the_same_bytes_each_time(tmp_path: Path) -> None:
    contents = []
    for name in ("first", "second"):
        paths = save_drawing(draw3(example3(["a"])), tmp_path / name / "figure3")
        assert [p.name for p in paths] == ["figure3.pdf", "figure3.svg", "figure3.png"]
        contents.append([p.read_bytes() for p in paths])
    assert contents[0] == contents[1]
    pdf, svg, png = contents[0]
    assert pdf.startswith(b"%PDF")
    assert b"/FontFile2" in pdf  # letters are embedded as letters
    assert b"<svg" in svg
    width = int.from_bytes(png[16:20], "big")
    assert width == 315 * 300 // 72  # a column and a quarter, 300 dpi


def test_drawing_leaves_settings_as_found(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    save_data(example3(), tmp_path / "figure3")
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(("n_sessions", "n_panels"), [(1, 1), (3, 4), (5, 6)])
def test_scatters_name_both_axes_in_every_band(
    tmp_path: Path, n_sessions: int, n_panels: int
) -> None:
    texts = texts_of(draw3(example3([f"mouse {k}" for k in range(n_sessions)])), tmp_path)
    n_bands = -(-n_panels // 4)
    assert texts.count("r, vision alone") == n_panels
    assert texts.count("r, vision and behavior") == n_bands
    assert texts.count("neurons") == n_bands
    assert texts.count("correlation r") == n_panels


def test_unknown_correlations_and_single_neurons_are_drawn(tmp_path: Path) -> None:
    data = example3([HOSTILE, "one"], n_neurons=1)
    data.neurons.loc[0, ["vision", "difference"]] = np.nan
    assert shorten(HOSTILE, 22) in texts_of(draw3(data), tmp_path)


def test_notes_give_difference_interval_and_p(tmp_path: Path) -> None:
    texts = " ".join(texts_of(draw3(example3()), tmp_path))
    assert "Δr +0.012 (−0.010 to 0.037)" in texts
    assert "4 neurons, p = 0.042" in texts
    texts = " ".join(texts_of(draw3(example3(version="paper")), tmp_path))
    assert "p = 0.3" in texts


@pytest.mark.parametrize("n_each", [1, 2, 3, 12])
def test_galleries_say_which_neuron_and_how_large(tmp_path: Path, n_each: int) -> None:
    pictures = np.random.default_rng(0).normal(size=(5, n_each, 12, 16))
    columns = [f"repeat {k}" for k in range(n_each)]
    ranked = [(f"unit_{i}", 0.5 - 0.1 * i) for i in range(5)]
    gallery = SessionGallery("mouse", ranked, tuple(columns), pictures, limit=0.15)
    figure = draw_gallery(gallery, "gray level")
    texts = texts_of(figure, tmp_path)
    assert "unit_0  0.50" in texts
    assert "unit_4  0.10" in texts
    assert ("repeat 0" in texts) == (n_each > 1)
    assert {"gray level", "5 px", "0.15"} <= set(texts)
    assert len(figure.axes) == 5 * n_each + 2
    corners = [ax.get_position() for ax in figure.axes[: 5 * n_each]]
    assert all(c.x0 >= 0 and c.x1 <= 1 and c.y0 >= 0 and c.y1 <= 1 for c in corners)
    for i, a in enumerate(corners):  # no picture covers another
        assert not any(a.overlaps(b) for b in corners[:i])


def test_a_flat_picture_and_a_calibrated_camera(tmp_path: Path) -> None:
    pictures = np.zeros((1, 1, 12, 16))
    gallery = SessionGallery("mouse", [("u", np.nan)], ("ascent",), pictures, deg_per_px=1.5)
    texts = texts_of(draw_gallery(gallery, "share"), tmp_path)
    assert "10°" in texts  # 16 px are 24 degrees


def test_bars_and_histograms_have_units(tmp_path: Path) -> None:
    shares = pd.DataFrame(
        {
            "session_id": np.repeat(["a", "b", "all"], 2),
            "variable": ["speed", "roll"] * 3,
            "share": [0.4, 0.2, 0.6, 0.3, 0.5, 0.25],
            "share_good": [np.nan, 0.3] * 3,
            "expected_share": [0.32, 0.53] * 3,
        }
    )
    values = {"speed": np.random.default_rng(0).normal(size=9), "roll": [np.nan] * 9}
    values["d_roll"] = np.zeros(9)
    saliency = pd.DataFrame(values).melt(var_name="signal")
    data = ClassCounts(shares, saliency, pd.DataFrame(), "", "sd", threshold=1.0)
    texts = texts_of(data.draw()[""], tmp_path)
    assert {"neurons (%)", "speed", "roll", "d_roll", "in noise", "a", "b"} <= set(texts)
    assert texts.count("saliency (sd)") == 1
    assert "good neurons" in texts


def test_all_files_of_a_figure_are_written_and_odd_names_stay_in_the_folder(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "grid"
    explained = [make_explained("a/b", ["x", "y"]), make_explained("c", ["z"])]
    paths = save_data(example3(), folder / "figure3")
    paths += save_data(example4(), folder / "figurec1")
    paths += save_data(classes_of(explained), folder / "figure5", source="Source.")
    assert {p.parent for p in paths} == {folder}
    assert {p.name for p in paths} == {p.name for p in folder.iterdir()}
    names = {p.name for p in paths}
    assert {"figure3.pdf", "figure3.svg", "figure3.png", "figure3.csv", "figure3.md"} <= names
    assert {"figurec1_a%2Fb.png", "figurec1_a%2Fb.csv", "figurec1.csv"} <= names
    assert {"figure5_gaze_shifts_c.pdf", "figure5_saliency.csv"} <= names
    assert (folder / "figure5.md").read_text().endswith("Source.\n")
    read = pd.read_csv(folder / "figure3.csv")
    pd.testing.assert_frame_equal(read, example3().neurons, rtol=1e-8)


def test_gaze_shifts_are_sorted_by_what_is_predicted(tmp_path: Path) -> None:
    data = classes_of([make_explained("c", [f"u{i}" for i in range(9)])])
    figure = data.draw()["_gaze_shifts_c"]
    maps = [(ax.get_title("left"), ax.images[0].get_array()) for ax in figure.axes if ax.images]
    assert [title for title, _ in maps[:4]] == ["observed", "predicted"] * 2
    observed, predicted = (np.asarray(values) for _, values in maps[:2])
    assert (np.diff(predicted.argmax(1)) >= 0).all()
    table = data.gaze_shifts.query("direction == 'left'")
    wide = table.pivot(index="unit_id", columns="offset_s", values="predicted").to_numpy()
    order = np.argsort(wide.argmax(1), kind="stable")
    wide = table.pivot(index="unit_id", columns="offset_s", values="observed").to_numpy()[order]
    np.testing.assert_allclose(observed, wide / wide.mean(1, keepdims=True))
    texts = texts_of(figure, tmp_path)
    assert texts.count("time from shift (s)") == 6
    assert "leftward, 180 shifts" in texts
    assert "response / its mean" in texts


def test_neurons_that_never_fire_around_shifts_do_no_harm(tmp_path: Path) -> None:
    explained = make_explained("c", ["u0", "u1"])
    silent = explained.gaze_shifts["unit_id"] == "u0"
    explained.gaze_shifts.loc[silent, ["observed", "predicted"]] = 0.0
    assert texts_of(classes_of([explained]).draw()["_gaze_shifts_c"], tmp_path)


def test_colors_of_the_paper_end_at_fixed_levels() -> None:
    gallery = example4().sessions[0]
    data = Galleries([replace(gallery, limit=0.2)], "gray level", "")
    (figure,) = data.draw().values()
    assert figure.axes[0].images[0].get_clim() == (-0.2, 0.2)
    (own,) = example4().draw().values()
    largest = float(np.abs(gallery.pictures[0, 0]).max())
    assert own.axes[0].images[0].get_clim() == pytest.approx((-largest, largest))


def test_captions_say_how_the_pictures_were_made() -> None:
    caption = AscentGallery().caption
    assert "100 batches of 64 images, 100 steps. Dropout" in caption
    assert "Low-pass Butterworth, 0.05 cycles per pixel" in caption
    caption = RepeatGallery(steps=5, lowpass=False, repeats=4).caption
    assert "5 steps (the original: 100 batches of 64 images, 100 steps)" in caption
    assert "Not smoothed" in caption
    assert "drawn from -1 to 1 for each batch and kept; 4 repeats" in caption
