"""Scores of a grid: each row and session, and differences between rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import pandas as pd

from freegaze.evaluation.compare import compare, to_markdown
from freegaze.evaluation.evaluation import Evaluation, interval_text
from freegaze.evaluation.scored_session import ScoredSession
from freegaze.jobs.states import FitState, State
from freegaze.metrics.bootstrap import draw_blocks, resample_blocks
from freegaze.metrics.intervals import mean_interval, t_interval
from freegaze.metrics.metric import METRICS
from freegaze.metrics.sampled_scores import LEVEL
from freegaze.paper.grid import Grid
from freegaze.paper.presets import Row, reads_photographs
from freegaze.paper.printed import printed
from freegaze.paper.scores import smooth_paper
from freegaze.reports.sections.grid import failures_markdown, missing_fits
from freegaze.studies.fitting import load_evaluations

HEADLINES = ("bits_per_spike", "correlation", "smoothed_correlation")
"""Scores of each row and session, besides the original's own two."""

PAPER_SCORES = {"paper_correlation": "correlation", "paper_mse": "mse"}
"""The original's scores, and the registered scores that they are after its smoothing (Q29)."""

COMPARED = ("bits_per_spike", "correlation")
"""Scores by which rows are compared."""

ATTAINABLE = "attainable_correlation"
"""A simulation's best possible score, to read the others against."""

_ENTRY = ("mean", "mean_low", "mean_high", "n_neurons")


@dataclass(frozen=True)
class GridResult:
    """Tables of a grid, of the fits that are done.

    Args:
        grid: The grid.
        scores: One line per row, session and score: ``row``, ``label``, ``session_id``, ``metric``,
            ``value`` (mean over neurons, then seeds), ``block_low`` and ``block_high`` (interval
            over blocks of time for these seeds: the mean of each seed's), ``seed_low`` and
            ``seed_high`` (interval over seeds by Student's t; NaN with one seed), ``n_seeds``,
            ``n_neurons``, ``printed`` (by the original; beside its own sessions only),
            ``printed_sd`` (over neurons) and ``difference`` (ours minus printed).
        differences: Paired differences between rows, as `freegaze.evaluation.compare` makes them.
        failures: Name of each failed fit, and the reason.
        n_missing: Fits that were not run yet.
    """

    grid: Grid
    scores: pd.DataFrame
    differences: pd.DataFrame
    failures: dict[str, str]
    n_missing: int

    @property
    def metrics(self) -> list[str]:
        """Names of the scores, in order."""
        return list(self.scores["metric"].unique()) if len(self.scores) else []

    def wide(self, metric: str) -> pd.DataFrame:
        """Return one score as a printable table: a line per row, a column per session."""
        part = self.scores[self.scores["metric"] == metric]
        texts = {(line["row"], line["session_id"]): _text(line) for _, line in part.iterrows()}
        sessions = self.grid.session_ids
        return pd.DataFrame(
            {
                "row": row_label(self.grid, row),
                **{session: texts.get((row.name, session), "") for session in sessions},
            }
            for row in self.grid.rows
        )

    @property
    def caption(self) -> str:
        """One paragraph about what was run."""
        grid, config = self.grid, self.grid.config
        encoders = {
            "default": "this package's encoders in one recipe",
            "paper": "the original's encoders and recipes",
        }
        parts = [f"{grid.description}; {encoders[config.version]}."]
        if any(reads_photographs(row) for row in grid.rows):
            start = "ImageNet weights" if config.pretrained else "random weights, not ImageNet's"
            parts.append(f"ResNet-18 and EfficientNet-B0 start from {start}.")
        if config.settings:
            changed = ", ".join(f"{key} = {value}" for key, value in config.settings.items())
            parts.append(f"Settings of every run: {changed}.")
        parts.append(
            f"Values are means over neurons; intervals ({LEVEL:.0%}) are over blocks of time of "
            "these neurons and, with several seeds, over seeds."
        )
        parts += missing_fits(self.failures, self.n_missing)
        return " ".join(parts)


def collect(grid: Grid, draws: int | None = None) -> GridResult:
    """Gather the scores of a grid.

    Args:
        grid: The grid; fits that are not done are left out and counted.
        draws: Bootstrap draws for differences and the original's scores; the scale's by default.

    Returns:
        Its tables.

    Raises:
        CheckpointError: If the evaluation of a fit is broken; the message names it.
    """
    draws = draws or grid.scale.draws
    done = load_evaluations(grid.fits)
    lines = [
        line
        for row in grid.rows
        for session in grid.session_ids
        if (row.name, session) in done
        for line in _score_lines(grid, row, session, done[row.name, session], draws)
    ]
    return GridResult(
        grid=grid,
        scores=pd.DataFrame(lines),
        differences=_differences(grid, done, draws),
        failures={fit.name: fit.error for fit in grid.fits if fit.state == "failed"},
        n_missing=sum(fit.state == "waiting" for fit in grid.fits),
    )


def state_frame(states: Sequence[FitState]) -> pd.DataFrame:
    """Return the number of fits by row and state.

    Args:
        states: The states of fits.
    """
    rows = pd.Series([state.fit.row for state in states], name="row")
    counts = pd.crosstab(rows, pd.Series([state.state for state in states]))
    always = ["done", "failed", "waiting"]
    columns = always + [n for n in get_args(State) if n in counts and n not in always]
    return counts.reindex(columns=columns, fill_value=0).reset_index()


def markdown(result: GridResult) -> str:
    """Return a grid's tables in Markdown."""
    table = result.grid.table
    number, title = table.name.removeprefix("table"), table.title
    parts = [f"# Table {number}: {title[0].lower()}{title[1:]}\n", result.caption + "\n"]
    for metric in result.metrics:
        parts += [f"## {metric}\n", to_markdown(result.wide(metric))]
    if len(result.differences):
        parts += ["## Paired differences\n", to_markdown(difference_frame(result))]
    return "\n".join([*parts, *failures_markdown(result.failures)])


def difference_frame(result: GridResult) -> pd.DataFrame:
    """Return paired differences as a printable table, with intervals as text."""
    labels = {row.name: row_label(result.grid, row) for row in result.grid.rows}
    return pd.DataFrame(
        {
            "rows": f"{labels[line['second']]} − {labels[line['first']]}",
            "session": line["session_id"],
            "score": line["metric"],
            "difference": f"{line['difference']:+.4f}",
            "interval": interval_text(line["difference_low"], line["difference_high"]),
            "p": f"{line['p']:.2g}",
        }
        for line in result.differences.to_dict("records")
    )


def row_label(grid: Grid, row: Row) -> str:
    """Return the printed name of a row, with its shifter if rows differ in it."""
    differs = len({own.is_shifted for own in grid.table.rows}) > 1
    shifter = (", shifter" if row.is_shifted else ", no shifter") if differs else ""
    return f"{row.label}{shifter}" + ("" if row.is_printed else " (not in the paper)")


def join_sessions(sessions: Sequence[Sequence[Evaluation]]) -> list[Evaluation]:
    """Turn evaluations of one session each into one of all sessions, for each seed.

    Args:
        sessions: For each session one evaluation per seed.
    """
    return [
        Evaluation(pd.concat([e.table for e in seed]), {}, tuple(e.sessions[0] for e in seed))
        for seed in zip(*sessions, strict=True)
    ]


def _score_lines(
    grid: Grid, row: Row, session_id: str, evaluations: Sequence[Evaluation], draws: int
) -> list[dict[str, Any]]:
    original = printed(grid.table.name, row.name, session_id)
    lines = []
    for metric, values in _values(session_id, evaluations, draws).items():
        mean, low, high, _ = values.mean(0)
        known = PAPER_SCORES.get(metric, "")
        one: float = getattr(original, known, np.nan)
        seed_low, seed_high = t_interval(values[:, 0])
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
                "printed": one,
                "printed_sd": getattr(original, f"{known}_sd", np.nan),
                "difference": mean - one,
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
        session = evaluation.session(session_id)
        own = {name: scores[name] for name in (*HEADLINES, ATTAINABLE) if name in scores}
        entries = {name: [entry[key] for key in _ENTRY] for name, entry in own.items()}
        bound = {ATTAINABLE: entries.pop(ATTAINABLE)} if ATTAINABLE in entries else {}
        original = {n: _paper_entry(session, m, draws) for n, m in PAPER_SCORES.items()}
        for name, entry in (entries | original | bound).items():
            values.setdefault(name, []).append(entry)
    return {name: np.array(rows) for name, rows in values.items()}


def _paper_entry(session: ScoredSession, name: str, draws: int) -> list[float]:
    """Score as the original does, with an interval over blocks of its smoothed traces."""
    metric, blocks = METRICS.get(name), session.blocks
    smoothed = smooth_paper(session.rates), smooth_paper(session.observed)
    sums_of = partial(metric.statistics, *smoothed, session.context)
    counts = draw_blocks(blocks.n_blocks, draws, np.random.default_rng(0))
    drawn = resample_blocks(blocks, sums_of, metric.from_statistics, counts)
    interval = mean_interval(drawn)
    n_neurons = float(np.isfinite(drawn.value).sum())
    return [float(interval.value), float(interval.low), float(interval.high), n_neurons]


def _differences(
    grid: Grid, done: Mapping[tuple[str, str], list[Evaluation]], draws: int
) -> pd.DataFrame:
    """Compare pairs of rows, on the sessions in which both were run with every seed."""
    complete = {key: found for key, found in done.items() if len(found) == grid.config.seeds}
    tables = []
    for pair in grid.table.pairs:
        shared = [s for s in grid.session_ids if all((name, s) in complete for name in pair)]
        if shared:
            models = {name: join_sessions([complete[name, s] for s in shared]) for name in pair}
            tables.append(compare(models, metrics=COMPARED, draws=draws).table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _text(line: pd.Series) -> str:
    text = f"{line['value']:.3f}"
    for kind, start in (("time", "block"), ("seeds", "seed")):
        if np.isfinite(line[f"{start}_low"]):
            text += f" ({kind} {line[f'{start}_low']:.3f} to {line[f'{start}_high']:.3f})"
    if np.isfinite(line["printed"]):
        text += f"; printed {line['printed']:.3f}, {line['difference']:+.3f}"
    return text
