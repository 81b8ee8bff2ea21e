"""One row of scores a neuron, for one session.

Columns, where X is the name of a registered metric that applies to the kind of response:

session_id, unit_id, rate_hz, n_bins   which neuron; mean rate in training; scored bins
X, X_low, X_high                       score with its 95 % interval (resampling blocks of time)
n_bins_tracked, X_tracked, ..._low, ..._high   the same over bins whose inputs were all tracked
correlation_null, correlation_p        correlation by chance (shifted, or against other trials), and
                                       the probability of one as high as the true one
noise_ceiling, feve, cc_norm           where trials repeat a stimulus (neurons with enough signal)
R_X                                    score of a reference R (a simulation's oracle, attainable)
X_fraction, _low, _high                score / score of ``attainable`` (correlation, bits per spike)
paper_correlation, paper_mse           the original's own (option)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from freegaze.evaluation.paper_scores import paper_scores
from freegaze.evaluation.repeats import NOT_REPEATED
from freegaze.evaluation.scored_session import ScoredSession
from freegaze.metrics.bootstrap import BlockDraws, draw_counts, resample
from freegaze.metrics.intervals import neuron_intervals
from freegaze.metrics.metric import METRICS, SPIKES, Metric, metrics_for
from freegaze.metrics.repeated_trials import trial_cc_norm, trial_ceiling, trial_feve
from freegaze.metrics.scales import IDENTITY, Scale

ATTAINABLE = "attainable"
"""Name of the reference that fractions are of."""

SMALLEST_ATTAINABLE = {"correlation": 0.05, "bits_per_spike": 0.01}
"""A fraction of less than this is NaN: both parts are then noise (a correlation of 0.05 is two
standard errors from zero over 1,600 independent bins), and their ratio says nothing."""

SMALLEST_EXPLAINABLE = 0.15
"""FEVE and CC_norm of neurons with a smaller share of explainable variance are NaN, as their
denominators may be anything. Source: Cadena et al. (2019), PLOS Comput. Biol. 15, e1006897."""


@dataclass
class SessionScores:
    """Scores of one session, as they are gathered.

    Args:
        columns: Columns of the table by name, (neuron,) each.
        draws: Resampled scores by name, of those that have intervals.
        paper: The original's scores of the session; empty without the option.
    """

    columns: dict[str, np.ndarray] = field(default_factory=dict)
    draws: dict[str, BlockDraws] = field(default_factory=dict)
    paper: Mapping[str, float] = field(default_factory=dict)

    def add(self, name: str, draws: BlockDraws, scale: Scale) -> None:
        """Add a score with its interval."""
        interval = neuron_intervals(draws, scale)
        self.draws[name] = draws
        self.columns |= {
            name: interval.value,
            f"{name}_low": interval.low,
            f"{name}_high": interval.high,
        }

    def table(self) -> pd.DataFrame:
        """Return one row a neuron."""
        return pd.DataFrame(self.columns)


def score_session(
    session: ScoredSession, draws: int, rng: np.random.Generator, paper: bool = False
) -> SessionScores:
    """Compute every score of every neuron.

    Args:
        session: The scored bins.
        draws: Number of resampled recordings.
        rng: Source of chance.
        paper: Whether to add the original's own scores.

    Returns:
        Columns of the table, resampled scores, and the session's paper scores.
    """
    scores = SessionScores(_identity(session))
    counts = draw_counts(session.blocks.n_blocks, draws, rng)
    _add_metrics(scores, session, counts)
    _add_tracked(scores, session, draws, rng)
    scores.columns |= session.chance.columns()
    _add_ceilings(scores, session)
    _add_references(scores, session, counts)
    if paper:
        found = paper_scores(session.rates, session.observed)
        scores.columns |= {f"paper_{name}": values for name, values in found.columns.items()}
        scores.paper = found.summary
    return scores


def _identity(session: ScoredSession) -> dict[str, np.ndarray]:
    n = len(session.unit_ids)
    is_spiking = session.response_kind in SPIKES
    rate_hz = session.baseline / session.bin_width_s
    return {
        "session_id": np.full(n, session.session_id, dtype=object),
        "unit_id": np.array(session.unit_ids, dtype=object),
        "rate_hz": rate_hz if is_spiking else np.full(n, np.nan),
        "n_bins": np.full(n, len(session.targets)),
    }


def _metrics(session: ScoredSession) -> list[Metric]:
    return [METRICS.get(name) for name in metrics_for(session.response_kind)]


def _add_metrics(scores: SessionScores, session: ScoredSession, counts: np.ndarray) -> None:
    for metric in _metrics(session):
        sums = metric.statistics(session.rates, session.observed, session.context, session.blocks)
        scores.add(metric.name, resample(sums, metric.from_statistics, counts), metric.scale)


def _add_tracked(
    scores: SessionScores, session: ScoredSession, draws: int, rng: np.random.Generator
) -> None:
    """Score the bins with good tracking alone; blocks are cut before, so that they stay long."""
    keep = session.is_tracked
    if keep.all():
        return
    scores.columns["n_bins_tracked"] = np.full(len(session.unit_ids), keep.sum())
    if not keep.any():
        return
    blocks, context = session.blocks.select(keep), session.context.select_bins(keep)
    counts = draw_counts(blocks.n_blocks, draws, rng)
    for metric in _metrics(session):
        sums = metric.statistics(session.rates[keep], session.observed[keep], context, blocks)
        drawn = resample(sums, metric.from_statistics, counts)
        scores.add(f"{metric.name}_tracked", drawn, metric.scale)


def _add_ceilings(scores: SessionScores, session: ScoredSession) -> None:
    keep = session.repeat_cells != NOT_REPEATED
    cells = session.repeat_cells[keep]
    if len(np.unique(cells)) < 2:
        return
    rates, observed = session.rates[keep], session.observed[keep]
    ceiling = trial_ceiling(observed, cells)
    has_signal = ceiling**2 >= SMALLEST_EXPLAINABLE
    scores.columns |= {
        "noise_ceiling": ceiling,
        "feve": np.where(has_signal, trial_feve(rates, observed, cells), np.nan),
        "cc_norm": np.where(has_signal, trial_cc_norm(rates, observed, cells), np.nan),
    }


def _add_references(scores: SessionScores, session: ScoredSession, counts: np.ndarray) -> None:
    for reference, rates in session.references.items():
        for metric in _metrics(session):
            value = metric(rates, session.observed, session.context)
            scores.columns[f"{reference}_{metric.name}"] = value
    if ATTAINABLE in session.references:
        for metric in _metrics(session):
            if metric.name in SMALLEST_ATTAINABLE:
                fraction = _fraction_draws(session, metric, counts)
                scores.add(f"{metric.name}_fraction", fraction, IDENTITY)


def _fraction_draws(session: ScoredSession, metric: Metric, counts: np.ndarray) -> BlockDraws:
    """Resample score / attainable score, both from the same blocks."""
    sums = [
        metric.statistics(rates, session.observed, session.context, session.blocks)
        for rates in (session.rates, session.references[ATTAINABLE])
    ]
    n_each, smallest = sums[0].shape[1], SMALLEST_ATTAINABLE[metric.name]

    def ratio(statistics: np.ndarray) -> np.ndarray:
        score = metric.from_statistics(statistics[..., :n_each, :])
        attainable = metric.from_statistics(statistics[..., n_each:, :])
        is_large = attainable >= smallest
        return np.where(is_large, score / np.where(is_large, attainable, 1), np.nan)

    return resample(np.concatenate(sums, axis=1), ratio, counts)
