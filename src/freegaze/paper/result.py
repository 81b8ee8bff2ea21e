"""What came out of a grid: scores of each row and session, and differences between rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from freegaze.errors import DataError
from freegaze.evaluation.compare import compare, to_markdown
from freegaze.evaluation.evaluation import Evaluation, interval_text
from freegaze.evaluation.scored_session import ScoredSession
from freegaze.evaluation.storage import load_evaluation
from freegaze.files.artifact import write_sealed
from freegaze.metrics.bootstrap import draw_blocks, resample
from freegaze.metrics.intervals import LEVEL, mean_interval
from freegaze.metrics.metric import METRICS
from freegaze.metrics.paper import PAPER_WIDTH_BINS, smooth_paper
from freegaze.paper.grid import Grid
from freegaze.paper.presets import Row, reads_photographs
from freegaze.paper.printed import Printed, printed

HEADLINES = ("bits_per_spike", "correlation", "smoothed_correlation")
"""Scores of each row and session, besides the original's own two."""

PAPER_SCORES = {"paper_correlation": "correlation", "paper_mse": "mse"}
"""The original's scores, and the registered scores that they are after its smoothing (Q29)."""

SUMS = "table.sha256"
"""Checksums of the tables, in the grid's folder."""

COMPARED = ("bits_per_spike", "correlation")
"""Scores by which rows are compared."""

ATTAINABLE = "attainable_correlation"


@dataclass(frozen=True)
class GridResult:
    """Tables of a grid, of the cells that are done.

    Args:
        grid: The grid.
        scores: One line a row, session and score: ``row``, ``label``, ``session_id``, ``metric``,
            ``value`` (mean over neurons, then seeds), ``block_low`` and ``block_high`` (interval
            over blocks of time for these seeds: the mean of each seed's), ``seed_low`` and
            ``seed_high`` (interval over seeds by Student's t; NaN with one seed), ``n_seeds``,
            ``n_neurons``, ``printed`` (by the original; beside its own sessions only),
            ``printed_sd`` (over neurons) and ``difference`` (ours minus printed).
        differences: Paired differences between rows, as `freegaze.evaluation.compare` makes them.
        failures: Name of each failed cell, and why.
        n_missing: Cells that were not run yet.
    """

    grid: Grid
    scores: pd.DataFrame
    differences: pd.DataFrame
    failures: dict[str, str]
    n_missing: int

    @property
    def caption(self) -> str:
        """One paragraph that says what was run."""
        return _caption(self)

    @property
    def metrics(self) -> list[str]:
        """Names of the scores, in order."""
        return list(dict.fromkeys(self.scores["metric"])) if len(self.scores) else []

    def of_metric(self, metric: str) -> pd.DataFrame:
        """Return the lines of one score."""
        return self.scores.loc[self.scores["metric"] == metric]

    def wide(self, metric: str) -> pd.DataFrame:
        """Return one score for people: a line a row, a column a session, intervals as text."""
        part = self.of_metric(metric)
        rows = []
        for row in self.grid.rows:
            line: dict[str, Any] = {"row": row_label(self.grid, row)}
            for session in self.grid.session_ids:
                line[session] = _cell_text(part, row.name, session)
            rows.append(line)
        return pd.DataFrame(rows)


def collect(grid: Grid, draws: int | None = None) -> GridResult:
    """Gather what the cells of a grid have come to.

    Args:
        grid: The grid; cells that are not done are left out and counted.
        draws: Bootstrap draws for differences and the original's scores; the scale's by default.

    Returns:
        Its tables.

    Raises:
        CheckpointError: If the evaluation of a cell is broken; the message says which.
    """
    draws = draws or grid.scale.draws
    evaluations = _load(grid)
    lines = [
        line
        for (row, session), found in evaluations.items()
        for line in _score_lines(grid, row, session, found, draws)
    ]
    failures = {c.name: c.error for c in grid.cells if c.state == "failed"}
    n_missing = sum(cell.state == "waiting" for cell in grid.cells)
    differences = _differences(grid, evaluations, draws)
    return GridResult(grid, pd.DataFrame(lines), differences, failures, n_missing)


def save_result(result: GridResult) -> list[Path]:
    """Write a grid's tables beside its cells, as CSV and Markdown.

    Args:
        result: From ``collect``.

    Returns:
        The files.

    Raises:
        DataError: If they cannot be written.
    """
    contents = {
        "table.csv": result.scores.to_csv(index=False),
        "differences.csv": result.differences.to_csv(index=False),
        "table.md": markdown(result),
    }
    write_sealed(result.grid.path, {k: text.encode() for k, text in contents.items()}, SUMS)
    return [result.grid.path / name for name in contents]


def markdown(result: GridResult) -> str:
    """Return a grid's tables in Markdown."""
    parts = [f"# {_title(result.grid)}\n", result.caption + "\n"]
    for metric in result.metrics:
        parts += [f"## {metric}\n", to_markdown(result.wide(metric))]
    if len(result.differences):
        parts += ["## Paired differences\n", to_markdown(difference_frame(result))]
    if result.failures:
        parts += ["## Failed cells\n"]
        parts += ["".join(f"* `{name}`: {why}\n" for name, why in result.failures.items())]
    return "\n".join(parts)


def difference_frame(result: GridResult) -> pd.DataFrame:
    """Return paired differences for people, intervals as text."""
    labels = {row.name: row_label(result.grid, row) for row in result.grid.rows}
    table = result.differences
    return pd.DataFrame(
        {
            "rows": [
                f"{labels[b]} − {labels[a]}"
                for a, b in zip(table["first"], table["second"], strict=True)
            ],
            "session": table["session_id"],
            "score": table["metric"],
            "difference": [f"{v:+.4f}" for v in table["difference"]],
            "interval": [
                interval_text(a, b)
                for a, b in zip(table["difference_low"], table["difference_high"], strict=True)
            ],
            "p": [f"{p:.2g}" for p in table["p"]],
        }
    )


def _load(grid: Grid) -> dict[tuple[Row, str], list[Evaluation]]:
    rows = {row.name: row for row in grid.rows}
    found: dict[tuple[Row, str], list[Evaluation]] = {
        (row, session): [] for row in grid.rows for session in grid.session_ids
    }
    for cell in grid.cells:
        if cell.state == "done":
            found[rows[cell.row], cell.session_id].append(load_evaluation(cell.run.path))
    return {key: evaluations for key, evaluations in found.items() if evaluations}


def _score_lines(
    grid: Grid, row: Row, session_id: str, evaluations: Sequence[Evaluation], draws: int
) -> list[dict[str, Any]]:
    original = printed(grid.table.name, row.name, session_id)
    lines = []
    for metric, values in _values(session_id, evaluations, draws).items():
        mean, low, high = values[:, :3].mean(0)
        seed_low, seed_high = _seed_interval(values[:, 0])
        lines.append(
            {
                "row": row.name,
                "label": row_label(grid, row),
                "session_id": session_id,
                "metric": metric,
                "value": mean,
                "block_low": low,
                "block_high": high,
                "seed_low": seed_low,
                "seed_high": seed_high,
                "n_seeds": len(values),
                "n_neurons": int(values[0, 3]),
                **_printed_columns(original, metric, mean),
            }
        )
    return lines


def _values(
    session_id: str, evaluations: Sequence[Evaluation], draws: int
) -> dict[str, np.ndarray]:
    """Return (seed, [mean, low, high, n_neurons]) of each score."""
    values: dict[str, list[list[float]]] = {}
    for evaluation in evaluations:
        scores = evaluation.summary["sessions"][session_id]["scores"]
        for name in HEADLINES:
            if name in scores:
                values.setdefault(name, []).append(_entry(scores[name]))
        session = evaluation.session(session_id)
        for name, metric in PAPER_SCORES.items():
            values.setdefault(name, []).append(_paper_entry(session, metric, draws))
        if ATTAINABLE in scores:  # a simulation's best possible score, to read the others against
            values.setdefault(ATTAINABLE, []).append(_entry(scores[ATTAINABLE]))
    return {name: np.array(rows) for name, rows in values.items()}


def _entry(score: dict[str, float]) -> list[float]:
    return [score["mean"], score["mean_low"], score["mean_high"], score["n_neurons"]]


def _paper_entry(session: ScoredSession, name: str, draws: int) -> list[float]:
    """Score as the original does, with an interval over blocks of its smoothed traces."""
    if len(session.targets) < PAPER_WIDTH_BINS:
        raise DataError(
            f"session {session.session_id!r}: the paper's scores smooth over {PAPER_WIDTH_BINS} "
            f"bins, only {len(session.targets)} are scored; use longer sessions"
        )
    metric, blocks = METRICS.get(name), session.blocks
    smoothed = smooth_paper(session.rates), smooth_paper(session.observed)
    statistics = metric.statistics(*smoothed, session.context, blocks)
    counts = draw_blocks(blocks.n_blocks, draws, np.random.default_rng(0))
    drawn = resample(statistics, metric.from_statistics, counts)
    interval = mean_interval(drawn)
    n_neurons = float(np.isfinite(drawn.value).sum())
    return [float(interval.value), float(interval.low), float(interval.high), n_neurons]


def _seed_interval(values: np.ndarray) -> tuple[float, float]:
    if len(values) < 2:
        return float("nan"), float("nan")
    error = values.std(ddof=1) / np.sqrt(len(values))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * error)
    return float(values.mean()) - reach, float(values.mean()) + reach


def _printed_columns(original: Printed | None, metric: str, value: float) -> dict[str, float]:
    nothing = {"printed": float("nan"), "printed_sd": float("nan"), "difference": float("nan")}
    if original is None or metric not in PAPER_SCORES:
        return nothing
    if metric == "paper_mse":
        return {**nothing, "printed": original.mse, "difference": value - original.mse}
    return {
        "printed": original.correlation,
        "printed_sd": original.correlation_sd,
        "difference": value - original.correlation,
    }


def _differences(
    grid: Grid, evaluations: dict[tuple[Row, str], list[Evaluation]], draws: int
) -> pd.DataFrame:
    """Compare pairs of rows, on the sessions in which both were run with every seed."""
    complete = {
        (row.name, session): found
        for (row, session), found in evaluations.items()
        if len(found) == grid.config.seeds
    }
    tables = []
    for pair in grid.table.pairs:
        shared = [s for s in grid.session_ids if all((name, s) in complete for name in pair)]
        if shared:
            models = {name: join_sessions([complete[name, s] for s in shared]) for name in pair}
            tables.append(compare(models, metrics=COMPARED, draws=draws).table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def join_sessions(sessions: Sequence[Sequence[Evaluation]]) -> list[Evaluation]:
    """Turn evaluations of one session each into one of all sessions, for each seed.

    Args:
        sessions: For each session one evaluation a seed.
    """
    return [
        Evaluation(pd.concat([e.table for e in seed]), {}, tuple(e.sessions[0] for e in seed))
        for seed in zip(*sessions, strict=True)
    ]


def _title(grid: Grid) -> str:
    number = grid.table.name.removeprefix("table")
    return f"Table {number}: {grid.table.title[0].lower()}{grid.table.title[1:]}"


def row_label(grid: Grid, row: Row) -> str:
    """Return how a row is named for people, with its shifter where rows differ in it."""
    differs = len({r.is_shifted for r in grid.table.rows}) > 1
    shifter = (", shifter" if row.is_shifted else ", no shifter") if differs else ""
    return f"{row.label}{shifter}" + ("" if row.is_printed else " (not in the paper)")


def _cell_text(part: pd.DataFrame, row: str, session_id: str) -> str:
    found = part[(part["row"] == row) & (part["session_id"] == session_id)]
    if not len(found):
        return ""
    line = found.iloc[0]
    text = f"{line['value']:.3f}"
    for kind, low, high in (
        ("time", line["block_low"], line["block_high"]),
        ("seeds", line["seed_low"], line["seed_high"]),
    ):
        if np.isfinite(low):
            text += f" ({kind} {low:.3f} to {high:.3f})"
    if np.isfinite(line["printed"]):
        text += f"; printed {line['printed']:.3f}, {line['difference']:+.3f}"
    return text


def _caption(result: GridResult) -> str:
    grid, config = result.grid, result.grid.config
    versions = {
        "default": "our encoders in one recipe",
        "paper": "the original's encoders and recipes",
    }
    where = (
        f"{len(grid.session_ids)} simulated sessions (scale {config.scale})"
        if grid.is_simulated
        else f"{len(grid.session_ids)} sessions of source {grid.source.name!r} (scale "
        f"{config.scale})"
    )
    n_seeds = "one seed" if config.seeds == 1 else f"{config.seeds} seeds"
    parts = [f"Version {config.version}: {versions[config.version]}; {where}, {n_seeds}."]
    if any(reads_photographs(row) for row in grid.rows):
        start = "ImageNet weights" if config.pretrained else "random weights, not ImageNet's"
        parts.append(f"ResNet-18 and EfficientNet-B0 start from {start}.")
    if config.settings:
        changed = ", ".join(f"{key} = {value}" for key, value in config.settings.items())
        parts.append(f"Settings of every run: {changed}.")
    parts.append(
        "Values are means over neurons; intervals (95 %) are over blocks of time of these "
        "neurons and, with several seeds, over seeds."
    )
    if result.failures or result.n_missing:
        parts.append(f"{len(result.failures)} cells failed, {result.n_missing} were not run.")
    return " ".join(parts)
