"""Tables of a bench on disk, and as a page."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from freegaze.evaluation.compare import ALL_SESSIONS, to_markdown
from freegaze.files.artifact import write_sealed
from freegaze.metrics.intervals import LEVEL
from freegaze.reports.page import Page, Panel, Section, write_page
from freegaze.reports.sections.comparison import build_differences
from freegaze.reports.sections.grid import (
    build_failures,
    failures_markdown,
    missing_fits,
    row_scores,
    score_panel,
)
from freegaze.reports.wording import count, duration, fixed, interval, listing
from freegaze.studies.bench_result import COMPARED, BenchResult

SUMS = "bench.sha256"
"""Checksums of the tables, in the bench's folder."""

LABELS = {"correlation": "correlation of single bins", "bits_per_spike": "bits per spike"}

HEADER = (
    *("encoder", "session", "correlation", f"{LEVEL:.0%} interval", "bits per spike"),
    *("share of ceiling", "difference", f"{LEVEL:.0%} interval", "fit", "weights", "settings"),
)


def save_result(result: BenchResult) -> list[Path]:
    """Write the tables of a bench into its folder, as CSV, Markdown and a page.

    Args:
        result: From ``freegaze.studies.bench_result.collect``.

    Returns:
        The files.

    Raises:
        DataError: If they cannot be written.
    """
    folder = result.bench.path
    contents = {
        "bench.csv": result.table.to_csv(index=False),
        "differences.csv": result.differences.to_csv(index=False),
        "bench.md": markdown(result),
    }
    write_sealed(folder, {name: text.encode() for name, text in contents.items()}, SUMS)
    return [*(folder / name for name in contents), write_bench_page(result)]


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


def write_bench_page(result: BenchResult) -> Path:
    """Write the tables of a bench, with figures, as ``bench.html`` in its folder.

    Args:
        result: From ``freegaze.studies.bench_result.collect``.

    Returns:
        The file written.

    Raises:
        DataError: If it cannot be written.
    """
    bench = result.bench
    n_done = len(bench.fits) - len(result.failures) - result.n_missing
    sections = [_scores(result)] if len(result.table) else []
    if len(result.differences):
        is_pooled = ALL_SESSIONS in set(result.differences["session_id"])
        drawn = ALL_SESSIONS if is_pooled else None
        sections.append(build_differences(result.differences, drawn=drawn))
    sections += build_failures(result.failures)
    page = Page(
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
    return write_page(page, bench.path / "bench.html")


def _scores(result: BenchResult) -> Section:
    return Section(
        "grid",
        "Scores",
        {
            "lead": "Means over neurons on test bins. Bars are intervals over blocks of time; the "
            "dark line is the mean over recordings.",
            "panels": [
                _panel(result, name) for name in COMPARED if bool(result.table[name].notna().any())
            ],
            "header": HEADER,
            "rows": [_cells(line) for line in result.table.to_dict("records")],
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
    n_weights = line["n_weights"]
    return [
        line["encoder"],
        line["session_id"],
        fixed(line["correlation"]),
        interval(line["correlation_low"], line["correlation_high"]),
        fixed(line["bits_per_spike"]),
        fixed(line["share_of_ceiling"]),
        fixed(line["difference"]),
        interval(line["difference_low"], line["difference_high"]),
        duration(line["seconds"]),
        "" if pd.isna(n_weights) else f"{int(n_weights):,}",
        "" if pd.isna(line["adapted"]) else line["adapted"],
    ]
