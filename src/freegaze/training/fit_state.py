"""Progress of a fit that is saved with each checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from freegaze.training.optimizer import (
    PLATEAU_FACTOR,
    PLATEAU_LOWEST,
    PLATEAU_PATIENCE,
    PLATEAU_THRESHOLD,
)


@dataclass
class FitState:
    """Progress of a fit: plain values, saved with every checkpoint.

    Args:
        passes: Finished passes.
        step: Finished steps of the pass under way.
        sums: Sums over those steps of each logged quantity.
        best: Lowest monitored value so far (for a correlation: its negative).
        best_pass: The pass it was reached in, from 1.
        round: The round under way, from 1.
        round_start: Passes that were finished when it began.
        rate: Factor of a plateau schedule on the learning rate.
        plateau_best: Lowest monitored value by that schedule's threshold.
        plateau_waited: Passes since then, or since the rate was last lowered.
        history: Logged values of each pass.
    """

    passes: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best: float = math.inf
    best_pass: int = 0
    round: int = 1
    round_start: int = 0
    rate: float = 1.0
    plateau_best: float = math.inf
    plateau_waited: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def lower_rate_on_plateau(state: FitState, monitored: float, learning_rate: float) -> None:
    """Lower the factor on the learning rate when the monitored value no longer falls.

    Args:
        state: Progress of the fit, changed in place.
        monitored: Value after a pass.
        learning_rate: Highest learning rate.
    """
    if monitored < state.plateau_best - PLATEAU_THRESHOLD:
        state.plateau_best, state.plateau_waited = monitored, 0
        return
    state.plateau_waited += 1
    if state.plateau_waited > PLATEAU_PATIENCE:
        lowest = min(1.0, PLATEAU_LOWEST / learning_rate)
        state.rate, state.plateau_waited = max(PLATEAU_FACTOR * state.rate, lowest), 0
