"""Scores of each neuron of one session, one row per neuron.

Columns, where X is the name of a registered metric that applies to the kind of response:

session_id, unit_id, rate_hz, n_bins   which neuron; mean rate in training; scored bins
stimuli_seen                           share of scored bins whose frame training bins show, without
                                       blank frames
X, X_low, X_high                       score with its 95 % interval (resampling blocks of time)
no_interval                            why scores of this neuron have no interval, and which
n_bins_tracked, X_tracked, ..._low, ..._high   the same over bins whose inputs were all tracked
correlation_null                       correlation by chance (shifted, or against other trials)
correlation_p, correlation_p_least     probability of one as high as the true one, and the least
                                       possible; NaN where it was not tested
correlation_q                          correlation_p adjusted over neurons, where that was asked for
noise_ceiling, feve, cc_norm           where trials repeat a stimulus (neurons with enough signal)
R_X                                    score of a reference R (a simulation's oracle, attainable;
                                       condition_mean where a condition is given; with_history and
                                       with_coupling where controls are asked for)
condition_mean_without_noise_correlation
                                       correlation that the condition mean would reach without the
                                       noise of few trials: a perfect stimulus-locked prediction
trial_to_trial_correlation             correlation after condition means were taken out of both
trial_to_trial_p, trial_to_trial_p_least, follows_trials
                                       its probability by chance, the least possible, the answer
                                       (yes, no, not tested; false discovery rate 5 % over neurons)
X_fraction, _low, _high                score / score of ``attainable`` (correlation, bits per spike)
E_...                                  scores that the caller adds (``ExtraScores`` of name E)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float

from freegaze.evaluation.repeats import NOT_REPEATED
from freegaze.evaluation.scored_session import ScoredSession
from freegaze.metrics.blocks import TimeBlocks
from freegaze.metrics.bootstrap import BlockDraws, draw_blocks, resample_blocks
from freegaze.metrics.ceilings import cc_norm, feve, noise_ceiling
from freegaze.metrics.intervals import neuron_intervals
from freegaze.metrics.metric import METRICS, SPIKES, Metric, metrics_for
from freegaze.metrics.scales import IDENTITY, Scale

ATTAINABLE = "attainable"
"""Name of the reference that fractions are of."""

SMALLEST_ATTAINABLE = {"correlation": 0.05, "bits_per_spike": 0.01}
"""A fraction of less than this is NaN: both parts are then noise (a correlation of 0.05 is two
standard errors from zero over 1,600 independent bins)."""

SMALLEST_EXPLAINABLE = 0.15
"""FEVE and CC_norm of neurons with a smaller share of explainable variance are NaN, as their
denominators may be anything. Source: Cadena et al. (2019), PLOS Comput. Biol. 15, e1006897."""


@dataclass(frozen=True)
class ExtraScores:
    """Scores of one session that the caller of an evaluation adds.

    Args:
        name: Prefix of the columns, and name of their summary.
        columns: Scores of each neuron by name, (neuron,) each.
        summary: Scores of the session by name.
    """

    name: str
    columns: Mapping[str, Float[np.ndarray, " neuron"]]
    summary: Mapping[str, float]


ExtraScore = Callable[[ScoredSession], ExtraScores]
"""Computes further scores from the scored bins of a session."""


@dataclass
class NeuronScores:
    """Scores of one session's neurons, as they are gathered.

    Args:
        columns: Columns of the table by name, (neuron,) each.
        draws: Resampled scores by name, of those that have intervals.
        reasons: For each score by name, (neuron,) each: the reason why a neuron has no interval.
        extra: Scores that the caller added, if any.
    """

    columns: dict[str, np.ndarray]
    draws: dict[str, BlockDraws] = field(default_factory=dict)
    reasons: dict[str, np.ndarray] = field(default_factory=dict)
    extra: ExtraScores | None = None

    def add(self, name: str, draws: BlockDraws, scale: Scale, n_varying: np.ndarray) -> None:
        """Add a score with its interval; ``n_varying`` blocks carry that of each neuron."""
        interval = neuron_intervals(draws, scale, n_varying=n_varying)
        self.draws[name], self.reasons[name] = draws, interval.reason
        self.columns |= {
            name: interval.value,
            f"{name}_low": interval.low,
            f"{name}_high": interval.high,
        }

    def table(self) -> pd.DataFrame:
        """Return one row per neuron."""
        return pd.DataFrame(self.columns)


def score_neurons(
    session: ScoredSession,
    draws: int,
    rng: np.random.Generator,
    extra_score: ExtraScore | None = None,
) -> NeuronScores:
    """Compute every score of every neuron of a session.

    Args:
        session: The scored bins.
        draws: Number of resampled recordings.
        rng: Source of chance.
        extra_score: Computes further scores.

    Returns:
        Columns of the table and resampled scores.
    """
    scores = NeuronScores(_identity(session))
    blocks, keep = session.blocks, session.is_tracked
    counts = draw_blocks(blocks.n_blocks, draws, rng)
    _add_metrics(scores, session, blocks, counts)
    if not keep.all():
        scores.columns["n_bins_tracked"] = np.full(len(session.unit_ids), keep.sum())
    if keep.any() and not keep.all():  # blocks are cut before bins are left out, to stay long
        tracked = blocks.select(keep)
        again = draw_blocks(tracked.n_blocks, draws, rng)
        _add_metrics(scores, session.select(keep), tracked, again, "_tracked")
    scores.columns |= session.chance.columns() | _ceilings(session)
    _add_references(scores, session, counts)
    if session.trials is not None:
        scores.columns |= session.trials.columns()
    scores.columns["no_interval"] = _join_reasons(scores.reasons, len(session.unit_ids))
    if extra_score is not None:
        scores.extra = extra_score(session)
        scores.columns |= {f"{scores.extra.name}_{k}": v for k, v in scores.extra.columns.items()}
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
        "stimuli_seen": np.full(n, session.seen.frames),
    }


def _metrics(session: ScoredSession) -> list[Metric]:
    return [METRICS.get(name) for name in metrics_for(session.response_kind)]


def _add_metrics(
    scores: NeuronScores,
    session: ScoredSession,
    blocks: TimeBlocks,
    counts: np.ndarray,
    suffix: str = "",
) -> None:
    n_varying = blocks.n_varying(session.observed)
    for metric in _metrics(session):
        sums_of = partial(metric.statistics, session.rates, session.observed, session.context)
        drawn = resample_blocks(blocks, sums_of, metric.from_statistics, counts)
        scores.add(f"{metric.name}{suffix}", drawn, metric.scale, n_varying)


def _join_reasons(reasons: Mapping[str, np.ndarray], n_neurons: int) -> np.ndarray:
    """Write why scores have no interval, one text per neuron: reason (scores); ..."""
    texts = []
    for i in range(n_neurons):
        names: dict[str, list[str]] = {}
        for name, by_neuron in reasons.items():
            if by_neuron[i]:
                names.setdefault(by_neuron[i], []).append(name)
        texts.append("; ".join(f"{reason} ({', '.join(n)})" for reason, n in names.items()))
    return np.array(texts, dtype=object)


def _ceilings(session: ScoredSession) -> dict[str, np.ndarray]:
    keep = session.repeat_cells != NOT_REPEATED
    groups = session.repeat_cells[keep]
    if len(np.unique(groups)) < 2:
        return {}
    rates, observed = session.rates[keep], session.observed[keep]
    ceiling = noise_ceiling(observed, groups)
    has_signal = ceiling**2 >= SMALLEST_EXPLAINABLE
    return {
        "noise_ceiling": ceiling,
        "feve": np.where(has_signal, feve(rates, observed, groups), np.nan),
        "cc_norm": np.where(has_signal, cc_norm(rates, observed, groups), np.nan),
    }


def _add_references(scores: NeuronScores, session: ScoredSession, counts: np.ndarray) -> None:
    for reference, rates in session.references.items():
        for metric in _metrics(session):
            value = metric(rates, session.observed, session.context)
            scores.columns[f"{reference}_{metric.name}"] = value
    if ATTAINABLE in session.references:
        for metric in _metrics(session):
            if metric.name in SMALLEST_ATTAINABLE:
                fraction = _fraction_draws(session, metric, counts)
                n_varying = session.blocks.n_varying(session.observed)
                scores.add(f"{metric.name}_fraction", fraction, IDENTITY, n_varying)


def _fraction_draws(session: ScoredSession, metric: Metric, counts: np.ndarray) -> BlockDraws:
    """Resample score / attainable score, both from the same blocks."""
    smallest = SMALLEST_ATTAINABLE[metric.name]

    def sums_of(blocks: TimeBlocks) -> np.ndarray:
        both = (session.rates, session.references[ATTAINABLE])
        sums = [metric.statistics(x, session.observed, session.context, blocks) for x in both]
        return np.concatenate(sums, axis=1)

    def fraction(statistics: np.ndarray) -> np.ndarray:
        score, attainable = (metric.from_statistics(s) for s in np.split(statistics, 2, axis=-2))
        is_large = attainable >= smallest
        return np.where(is_large, score / np.where(is_large, attainable, 1), np.nan)

    return resample_blocks(session.blocks, sums_of, fraction, counts)
