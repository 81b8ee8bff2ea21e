"""A scored session made of plain arrays, for tests of what an evaluation computes from it."""

import numpy as np

from freegaze.evaluation.chance import unknown_chance
from freegaze.evaluation.repeats import NOT_REPEATED
from freegaze.evaluation.scored_session import ScoredSession


def scored_arrays(predicted, observed, context, *, is_trial=False, is_tracked=None):
    """Return a session that was scored on all bins; ``context`` is what metrics take."""
    n_bins, n_neurons = np.shape(observed)
    return ScoredSession(
        session_id="s",
        unit_ids=tuple(f"unit_{i}" for i in range(n_neurons)),
        targets=np.arange(n_bins),
        rates=predicted,
        observed=observed,
        baseline=np.asarray(context.baseline_rate, dtype=np.float64),
        segment_ids=context.segment_ids,
        is_trial=np.full(n_bins, is_trial),
        is_tracked=np.ones(n_bins, dtype=bool) if is_tracked is None else is_tracked,
        repeat_cells=np.full(n_bins, NOT_REPEATED),
        bin_width_s=context.bin_width_s,
        response_kind=context.response_kind,
        chance=unknown_chance(n_neurons, "made up"),
    )
