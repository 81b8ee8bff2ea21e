"""Tables of a bench on disk, and as a page."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from freegaze.evaluation.compare import ALL_SESSIONS, to_markdown
from freegaze.files.artifact import write_sealed
from freegaze.metrics.sampled_scores import LEVEL
from freegaze.reports.page import Page, Panel, Section, render_page
from freegaze.reports.sections.comparison import build_differences
from freegaze.reports.sections.grid import (
    NumberTable,
    build_failures,
    failures_markdown,
    missing_fits,
    row_scores,
    score_panel,
)
from freegaze.reports.wording import count, duration, fixed, interval, listing
from freegaze.studies.bench_result import COMPARED, BenchResult

SUMS = "bench.sha256"
"""Checksums of what is written, in the bench's folder."""

LABELS = {"correlation": "correlation of single bins", "bits_per_spike": "bits per spike"}

HEADER = (
    *("encoder", "session", "correlation", f"{LEVEL:.0%} interval", "bits per spike"),
    *("share of ceiling", "difference", f"{LEVEL:.0%} interval"),
)

FITS_HEADER = ("encoder", "session", "settings", "time to fit", "weights", "seeds")


def save_result(result: BenchResult) -> list[Path]:
    """Write the tables of a bench into its folder, as CSV, Markdown and a page.

    Args:
        result: Result of ``freegaze.studies.bench_result.collect``.

    Returns:
        The files.

    Raises:
        DataError: If they cannot be written.
    """
    contents = {
        "bench.csv": result.table.to_csv(index=False),
        "differences.csv": result.differences.to_csv(index=False),
        "bench.html": render_page(_page(result)),
        "bench.md": markdown(result),
    }
    return write_sealed(result.bench.path, contents, SUMS)


def markdown(result: BenchResult) -> str:
    """Return the tables of a bench in Markdown."""
    parts = ["# Bench of encoders\n", caption(result) + "\n", to_markdown(result.headline)]
    return "\n".join([*parts, *failures_markdown(result.failures)])


def caption(result: BenchResult) -> str:
    """Return one paragraph about what was run."""
    config = result.bench.config
    first = next(iter(config.encoders))
    resampled = (
        f"values of the annotation {config.clusters!r}" if config.clusters else "blocks of time"
    )
    parts = [
        f"{count(len(config.encoders), 'encoder')} on {count(len(config.recordings), 'recording')}"
        f", {count(config.seeds, 'seed')}; every encoder has the same training, validation and "
        "test bins.",
        f"Differences are in correlation, from {first}, on the same test bins of the same neurons; "
        f"their {LEVEL:.0%} intervals resample {resampled}, then neurons, then seeds.",
        "The share of the ceiling is the mean correlation over the mean ceiling: the correlation "
        "of the best prediction from what was recorded (simulations), or of the mean response to "
        "each stimulus (repeated trials).",
    ]
    if config.settings:
        changed = ", ".join(f"{key} = {value}" for key, value in config.settings.items())
        parts.append(f"Settings of all fits: {changed}.")
    parts += missing_fits(result.failures, result.n_missing)
    return " ".join(parts)


def _page(result: BenchResult) -> Page:
    bench = result.bench
    n_done = len(bench.fits) - len(result.failures) - result.n_missing
    sections = [_scores(result)] if len(result.table) else []
    if len(result.differences):
        is_pooled = ALL_SESSIONS in set(result.differences["session_id"])
        drawn = ALL_SESSIONS if is_pooled else None
        sections.append(build_differences(result.differences, drawn=drawn))
    sections += build_failures(result.failures)
    return Page(
        kicker="freegaze bench",
        title=listing(list(bench.config.encoders), most=4),
        summary=caption(result),
        facts=[
            (f"{n_done} of {len(bench.fits)}", "fits done"),
            (str(len(bench.config.encoders)), "encoders"),
            (str(len(bench.config.recordings)), "recordings"),
        ],
        sections=sections,
        footer="Written by freegaze bench.",
    )


def _scores(result: BenchResult) -> Section:
    lines = result.table.to_dict("records")
    return Section(
        "grid",
        "Scores",
        {
            "lead": "Means over neurons on test bins. Bars are intervals over blocks of time; the "
            "dark line is the mean over recordings.",
            "panels": [
                _panel(result, name) for name in COMPARED if bool(result.table[name].notna().any())
            ],
            "tables": [
                NumberTable("In numbers", HEADER, [_cells(line) for line in lines], n_names=2),
                NumberTable("Fits", FITS_HEADER, [_fit_cells(line) for line in lines], n_names=3),
            ],
        },
    )


def _panel(result: BenchResult, metric: str) -> Panel:
    sessions = list(result.bench.config.recordings)
    columns = (metric, f"{metric}_low", f"{metric}_high")
    rows = [
        row_scores(result.table.loc[result.table["encoder"] == name], name, sessions, columns)
        for name in result.bench.config.encoders
    ]
    return score_panel(f"bench-{metric}", LABELS[metric], rows, sessions)


def _cells(line: Mapping[Hashable, Any]) -> list[str]:
    return [
        line["encoder"],
        line["session_id"],
        fixed(line["correlation"]),
        interval(line["correlation_low"], line["correlation_high"]),
        fixed(line["bits_per_spike"]),
        fixed(line["share_of_ceiling"]),
        fixed(line["difference"]),
        interval(line["difference_low"], line["difference_high"]),
    ]


def _fit_cells(line: Mapping[Hashable, Any]) -> list[str]:
    n_weights = line["n_weights"]
    return [
        line["encoder"],
        line["session_id"],
        "" if pd.isna(line["adapted"]) else line["adapted"],
        duration(line["seconds"]),
        "" if pd.isna(n_weights) else f"{int(n_weights):,}",
        str(line["n_seeds"]),
    ]
