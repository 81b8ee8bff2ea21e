"""Tables of a bench on disk, and as a page."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from freegaze.evaluation.compare import ALL_SESSIONS, to_markdown
from freegaze.files.artifact import write_sealed
from freegaze.metrics.intervals import LEVEL
from freegaze.reports.figures.rows import RowScores, draw_rows
from freegaze.reports.page import Page, Panel, Section, wide_panel, write_page
from freegaze.reports.sections.comparison import build_differences
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
    if result.failures:
        lines = "".join(f"* `{name}`: {why}\n" for name, why in result.failures.items())
        parts += ["## Failed fits\n", lines]
    return "\n".join(parts)


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
    if result.failures or result.n_missing:
        parts.append(f"{len(result.failures)} fits failed, {result.n_missing} were not run.")
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
    if result.failures:
        sections.append(Section("failures", "Failed fits", {"rows": list(result.failures.items())}))
    page = Page(
        kicker="freegaze bench",
        title=listing(list(bench.config.encoders), most=4),
        summary=caption(result),
        facts=[
            (f"{n_done} of {len(bench.fits)}", "fits done"),
            (count(len(bench.config.encoders), "encoder"), "compared"),
            (count(len(bench.config.recordings), "recording"), "fitted"),
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
    rows = [_row_scores(result.table, e, metric, sessions) for e in result.bench.config.encoders]
    label = LABELS[metric]
    return wide_panel(
        lambda width: draw_rows(rows, sessions, label, width),
        f"bench-{metric}",
        f"{label}: "
        + "; ".join(f"{r.label}: {', '.join(fixed(v) for v in r.values)}" for r in rows),
        title=label[:1].upper() + label[1:],
    )


def _row_scores(table: pd.DataFrame, encoder: str, metric: str, sessions: list[str]) -> RowScores:
    columns = [metric, f"{metric}_low", f"{metric}_high"]
    own = table[table["encoder"] == encoder].set_index("session_id")[columns].reindex(sessions)
    values, lows, highs = (own[name].tolist() for name in columns)
    return RowScores(encoder, values, lows, highs, [float("nan")] * len(sessions))


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
