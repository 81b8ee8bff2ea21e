"""The quality check of one recording as a page of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freegaze.dataset.splits import describe_split
from freegaze.quality.checks import QualityReport
from freegaze.quality.summary import summarize
from freegaze.recording.recording import Recording
from freegaze.reports.page import Page, Section, write_page
from freegaze.reports.sections.quality import quality_section
from freegaze.reports.wording import count, duration, number


def write_quality_page(recording: Recording, report: QualityReport, out: Path | str) -> Path:
    """Write a recording's quality check as one HTML file.

    Args:
        recording: Checked recording.
        report: The checks, from ``check_quality``.
        out: HTML file to write; an existing one is replaced.

    Returns:
        The file written.

    Raises:
        DataError: If the file cannot be written.

    Example:
        >>> from freegaze.quality.checks import check_quality
        >>> write_quality_page(recording, check_quality(recording), "quality.html").name
        'quality.html'
    """
    height, width = recording.frame_size
    page = Page(
        kicker="freegaze quality check",
        title=recording.session_id,
        summary=f"{_verdict(report)} {duration(recording.duration_s)} of video "
        f"({width} × {height} px), {count(len(recording.behavior_names), 'behavior signal')} and "
        f"{count(recording.n_neurons, 'neuron')}.",
        facts=[],
        sections=[quality_section([(recording, report)]), _contents(recording)],
        footer="Written by freegaze inspect.",
    )
    return write_page(page, Path(out))


def _verdict(report: QualityReport) -> str:
    n, left_out = len(report.checks), report.n_not_checked
    verdict = {
        "green": "Every check that was made is green." if left_out else "Every check is green.",
        "amber": "Usable; some checks are amber.",
        "red": "Mend what is red before fitting.",
    }.get(report.status, "No check could be made.")
    return f"{verdict} Not checked: {left_out} of {n}." if left_out else verdict


def _contents(recording: Recording) -> Section:
    """List what the recording holds: numbers come from its summary."""
    summary = summarize(recording)
    header = ("signal", "unit", "mean", "sd", "1 %", "median", "99 %", "missing", "longest gap (s)")
    rows = [
        [
            name,
            column["unit"],
            *(number(column[key]) for key in ("mean", "sd", "percentile_1", "median")),
            number(column["percentile_99"]),
            f"{100 * column['missing_share']:.1f} %",
            number(column["longest_gap_s"], 2),
        ]
        for name, column in summary["behavior"].items()
    ]
    facts = [*_segment_facts(summary["segments"]), *_response_facts(summary["responses"])]
    facts += [
        ("annotation", f"{name}, {' × '.join(map(str, found['shape']))} {found['dtype']}")
        for name, found in summary["annotations"].items()
    ]
    if summary["reference_rates"]:
        facts.append(("known rates", ", ".join(summary["reference_rates"])))
    facts += [(f"default split, {key}", value) for key, value in describe_split(recording).items()]
    facts += [(key, _plain(value)) for key, value in summary["provenance"].items() if _plain(value)]
    return Section(
        "contents", "What the recording holds", {"facts": facts, "header": header, "rows": rows}
    )


def _plain(value: Any) -> str:
    """Write options in words; options that were not given are left out."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_plain(item)}" for k, item in value.items() if _plain(item))
    if isinstance(value, list | tuple):
        return " × ".join(_plain(item) for item in value)
    return "" if value is None else str(value)


def _segment_facts(segments: Mapping[str, Any]) -> list[tuple[str, str]]:
    shortest, longest = number(segments["shortest_s"]), number(segments["longest_s"])
    lengths = f"{shortest} s each" if shortest == longest else f"{shortest} to {longest} s long"
    facts = [("segments", f"{segments['n_segments']}, {lengths}")]
    if segments["n_trials"]:
        facts.append(("trials", str(segments["n_trials"])))
    facts += [
        (
            f"{role} bins",
            f"{part['n_bins']:,} in {count(part['n_segments'], 'segment')}, "
            f"{duration(part['duration_s'])}",
        )
        for role, part in segments["roles"].items()
    ]
    return facts


def _response_facts(responses: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [("responses", responses["kind"].replace("_", " "))]
    facts.append(("neurons", str(responses["n_neurons"])))
    if "median_rate_hz" in responses:
        names = ("lowest", "median", "highest")
        low, middle, high = (number(responses[f"{name}_rate_hz"]) for name in names)
        facts.append(("rates", f"{low} to {high} Hz, median {middle} Hz"))
        below = f"{responses['n_below_min_rate']} below {responses['min_rate_hz']:g} Hz"
        facts.append(("quiet neurons", below))
    return facts
