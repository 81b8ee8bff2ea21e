"""Section of the report: quality of the recording, as checks with their time courses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure

from freegaze.quality.checks import QualityReport, check_quality
from freegaze.quality.grades import Check
from freegaze.quality.plausibility import recorded_streams
from freegaze.quality.units import DRIFT_CHANGE, DRIFT_P, MIN_RATE_HZ
from freegaze.recording.recording import Recording, ResponseKind
from freegaze.reports.figures.quality import (
    draw_eye_gyro_correlation,
    draw_eye_gyro_lag,
    draw_freezes,
    draw_loss_by_movement,
    draw_lost_tracking,
    draw_rate_drift,
    draw_rates,
    draw_streams,
)
from freegaze.reports.page import Panel, Section, panel
from freegaze.reports.wording import count

Draw = Callable[[Recording, Check], Figure | None]


def build_quality(recordings: Sequence[Recording]) -> Section:
    """Check every recording and show the results."""
    return quality_section([(recording, check_quality(recording)) for recording in recordings])


def quality_section(checked: Sequence[tuple[Recording, QualityReport]]) -> Section:
    """Show the results of checks.

    Args:
        checked: Recordings with their checks.
    """
    sessions = [
        {
            "name": recording.session_id,
            "checks": report.checks,
            "panels": quality_panels(recording, report, f"quality-{i}"),
        }
        for i, (recording, report) in enumerate(checked)
    ]
    return Section(
        "quality", "Quality of the recording", {"lead": _lead(checked), "sessions": sessions}
    )


def quality_panels(recording: Recording, report: QualityReport, name: str) -> list[Panel]:
    """Draw the time courses behind the checks; checks without data have no figure."""
    panels = []
    for key, title, draw in FIGURES:
        found = [check for check in report.checks if check.name == key and check.data]
        figure = draw(recording, found[0]) if found else None
        if figure is not None:
            told = f"{title}. {found[0].sentence}"
            panels.append(panel(figure, f"{name}-{len(panels)}", told, title=title))
    return panels


def _lead(checked: Sequence[tuple[Recording, QualityReport]]) -> str:
    found = Counter(check.status for _, report in checked for check in report.checks)
    sentence = f"{count(sum(found.values()), 'check')}: {found['green']} green"
    sentence += f", {found['amber']} amber (look at it), {found['red']} red (mend it first)"
    if found["not available"]:
        sentence += f"; {found['not available']} could not be made on these data"
    return sentence + "."


def _missing(recording: Recording, check: Check) -> Figure | None:
    share = check.data["share_over_time"]
    if not share.any():
        return None
    return draw_lost_tracking(check.data["time_s"], share, recording.behavior_names)


def _loss(_: Recording, check: Check) -> Figure | None:
    names = [key.removesuffix("_loss") for key in check.data if key.endswith("_loss")]
    loss = {name: check.data[f"{name}_loss"] for name in names}
    return draw_loss_by_movement(loss) if any(np.nansum(v) for v in loss.values()) else None


def _lag(recording: Recording, check: Check) -> Figure:
    limits_s = (check.amber * recording.bin_width_s, check.red * recording.bin_width_s)
    return draw_eye_gyro_lag(check.data["time_s"], check.data["lag_s"], *limits_s)


def _lag_curve(_: Recording, check: Check) -> Figure:
    return draw_eye_gyro_correlation(check.data["lags_s"], check.data["r_by_lag"])


def _drift(recording: Recording, check: Check) -> Figure:
    has_drift = (np.abs(check.data["relative_change"]) >= DRIFT_CHANGE) & (
        check.data["p"] < DRIFT_P
    )
    is_relative = recording.response_kind is not ResponseKind.FLUORESCENCE
    rates = check.data["rate_over_time"]
    return draw_rate_drift(rates, has_drift, recording.duration_s, is_relative)


def _rates(_: Recording, check: Check) -> Figure:
    return draw_rates(check.data["rate_hz"], MIN_RATE_HZ)


def _freezes(recording: Recording, check: Check) -> Figure | None:
    start_s = check.data["start_bin"] * recording.bin_width_s
    if not len(start_s):
        return None
    return draw_freezes(start_s, check.data["length_s"], recording.duration_s)


def _streams(recording: Recording, check: Check) -> Figure | None:
    streams = recorded_streams(recording)
    if "start_s" not in check.data:
        return None
    spans = np.column_stack([check.data["start_s"], check.data["stop_s"]])
    names = [str(stream["name"]) for stream in streams]
    return draw_streams(names, spans, [stream.get("gaps_s", []) for stream in streams])


FIGURES: tuple[tuple[str, str, Draw], ...] = (
    ("stream_spans", "When each stream was recorded", _streams),
    ("missing_values", "Missing values over time", _missing),
    ("loss_against_behavior", "Tracking loss against movement", _loss),
    ("eye_gyro", "Eye behind gyro, minute by minute", _lag),
    ("eye_gyro", "Eye and gyro, whole session", _lag_curve),
    ("quiet_units", "Rates of the units", _rates),
    ("rate_drift", "Rates over the session", _drift),
    ("video_freezes", "Video freezes", _freezes),
)
"""Check, heading and drawing of each figure, in the order of the page."""
