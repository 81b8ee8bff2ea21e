"""The quality check as a page, and comparisons as a page."""

import re
from dataclasses import replace

import numpy as np
import pytest

from freegaze.evaluation.compare import compare
from freegaze.quality.checks import QualityReport, check_quality
from freegaze.reports import write_comparison_page, write_quality_page
from report_runs import HOSTILE, make_run, make_session


def badges(html):
    return re.findall(r'badge badge--([a-z-]+)">([A-Z][a-z ]+)<', html)


def test_every_check_is_shown_with_status_and_sentence(tmp_path):
    recording = make_session(n_bins=6000)
    report = check_quality(recording)
    html = write_quality_page(recording, report, tmp_path / "q.html").read_text()
    words = {"green": "Green", "amber": "Amber", "red": "Red", "not available": "Not made"}
    assert badges(html) == [(c.status.replace(" ", "-"), words[c.status]) for c in report.checks]
    for check in report.checks:
        assert check.title in html
    assert "5.0 min of video" in html
    assert "Rates of the units" in html


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("red", "Mend what is red before fitting."),
        ("amber", "Usable; some checks are amber."),
        ("green", "Every check is green."),
        ("not available", "No check could be made."),
    ],
)
def test_verdict_is_that_of_the_worst_check(status, verdict, tmp_path):
    recording = make_session()
    check = replace(check_quality(recording).checks[0], status=status)
    report = QualityReport("mouse", (check,))
    assert verdict in write_quality_page(recording, report, tmp_path / "q.html").read_text()


def test_faults_are_drawn(tmp_path):
    recording = make_session(n_bins=6000)
    frames = recording.frames.copy()
    frames[100:140] = frames[100]
    names = ("gz", "theta", "phi")
    recording = replace(recording, frames=frames, behavior_names=names)
    html = write_quality_page(recording, check_quality(recording), tmp_path / "q.html").read_text()
    for title in (
        "Missing values over time",
        "Tracking loss against movement",
        "Eye and gyro, whole session",
        "Rates over the session",
        "Video freezes",
    ):
        assert f"<h3>{title}</h3>" in html


def test_contents_are_listed_in_plain_words(tmp_path):
    recording = make_session(has_truth=True)
    recording = replace(
        recording,
        annotations={"light": np.zeros(recording.n_bins)},
        provenance={"options": {"size": (60, 80), "seed": 3, "trials": None}, "source": HOSTILE},
    )
    html = write_quality_page(recording, check_quality(recording), tmp_path / "q.html").read_text()
    assert "size 60 × 80, seed 3" in html
    assert f"light, {recording.n_bins} float64" in html
    assert "oracle, attainable" in html
    assert html.count("<script") == 1


def test_comparison_shows_every_difference(tmp_path):
    recordings = [make_session("one", 3), make_session("two", 2, seed=1)]
    runs = {
        name: [make_run(tmp_path / str(i), recordings, seed=i).evaluation]
        for i, name in enumerate(["first", HOSTILE])
    }
    found = compare(runs, draws=20)
    html = write_comparison_page(found, tmp_path / "c.html").read_text()
    rows = html.split("<tbody>")[1].split("</tbody>")[0].count("<tr>")
    assert rows == len(found.table)
    assert html.count("<figure") == found.table["metric"].nunique()
    assert html.count("<script") == 1
