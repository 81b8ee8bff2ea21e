"""Several evaluations cut down to what they share: the same bins and neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from jaxtyping import Float, Integer

from freegaze.errors import DataError
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.scored_session import ScoredSession
from freegaze.metrics.blocks import TimeBlocks
from freegaze.metrics.comparison import PairedRecording


@dataclass(frozen=True)
class SharedSession:
    """One session with the predictions of every model, on the same bins and neurons.

    Args:
        session: The shared bins; its rates are those of the first model's first run.
        rates: Predictions of each model, one table per run (seed).
        n_left_out: Bins that some run scored but not all.
        clusters: The order of the bins and their blocks in this order, if other blocks than blocks
            of time are resampled.
    """

    session: ScoredSession
    rates: Mapping[str, Float[np.ndarray, "seed window neuron"]]
    n_left_out: int
    clusters: tuple[Integer[np.ndarray, " window"], TimeBlocks] | None = None

    @property
    def blocks(self) -> TimeBlocks:
        """Blocks that are resampled."""
        return self.session.blocks if self.clusters is None else self.clusters[1]

    def paired(self, first: str, second: str) -> PairedRecording:
        """Return two models as a pair to compare; positive differences favor the second.

        Args:
            first: Name of a model.
            second: Name of another model.
        """
        order = slice(None) if self.clusters is None else self.clusters[0]
        context = self.session.context
        return PairedRecording(
            predicted_a=self.rates[second][:, order],
            predicted_b=self.rates[first][:, order],
            observed=self.session.observed[order],
            context=replace(context, segment_ids=context.segment_ids[order]),
            blocks=self.blocks,
        )


def share_sessions(models: Mapping[str, Sequence[Evaluation]]) -> dict[str, SharedSession]:
    """Cut all evaluations down to the bins and neurons that all of them scored.

    Args:
        models: Evaluations of each model by name, one for each seed it was fitted with.

    Returns:
        Shared sessions by id, in the first evaluation's order.

    Raises:
        DataError: If no session, or no bin or neuron of a session, is in all; or if the same bins
            hold different recorded responses.
    """
    runs = [(name, evaluation) for name, group in models.items() for evaluation in group]
    ids = [s.session_id for s in runs[0][1].sessions]
    shared = [i for i in ids if all(i in {s.session_id for s in e.sessions} for _, e in runs)]
    if not shared:
        held = "; ".join(f"{n}: {', '.join(s.session_id for s in e.sessions)}" for n, e in runs)
        raise DataError(f"the runs share no session ({held}); compare runs on the same data")
    return {session_id: _share(session_id, models) for session_id in shared}


def _share(session_id: str, models: Mapping[str, Sequence[Evaluation]]) -> SharedSession:
    by_model = {n: [e.session(session_id) for e in group] for n, group in models.items()}
    every = [session for group in by_model.values() for session in group]
    bins = reduce(np.intersect1d, [s.targets for s in every])
    units = [u for u in every[0].unit_ids if all(u in s.unit_ids for s in every)]
    if not len(bins) or not units:
        raise DataError(
            f"session {session_id!r}: the runs share {len(bins)} scored bins and {len(units)} "
            "neurons; compare runs with the same split and the same neurons"
        )
    cut = {n: [_cut(s, bins, units) for s in group] for n, group in by_model.items()}
    first = next(iter(cut.values()))[0]
    for name, group in cut.items():
        for other in group:
            _check_same_recording(first, other, name)
    n_left_out = len(reduce(np.union1d, [s.targets for s in every])) - len(bins)
    rates = {name: np.stack([s.rates for s in group]) for name, group in cut.items()}
    return SharedSession(first, rates, n_left_out)


def _cut(session: ScoredSession, bins: np.ndarray, units: Sequence[str]) -> ScoredSession:
    place = {unit: i for i, unit in enumerate(session.unit_ids)}
    rows = np.searchsorted(session.targets, bins)
    return session.select(rows, np.array([place[unit] for unit in units]))


def _check_same_recording(first: ScoredSession, other: ScoredSession, name: str) -> None:
    where = f"session {first.session_id!r}: run {name!r}"
    if (first.bin_width_s, first.response_kind) != (other.bin_width_s, other.response_kind):
        raise DataError(
            f"{where} has {other.response_kind} in bins of {other.bin_width_s:g} s, the first run "
            f"{first.response_kind} in bins of {first.bin_width_s:g} s; compare runs on the same "
            "data"
        )
    if not np.array_equal(first.observed, other.observed):
        bin_, neuron = np.argwhere(first.observed != other.observed)[0]
        raise DataError(
            f"{where} was scored on other recorded responses than the first run (neuron "
            f"{first.unit_ids[neuron]!r} in bin {first.targets[bin_]}: "
            f"{other.observed[bin_, neuron]} instead of {first.observed[bin_, neuron]}); "
            "fit and evaluate both on the same data"
        )
