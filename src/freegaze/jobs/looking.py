"""Progress of fits from their files: states, passes and losses so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from freegaze.errors import CheckpointError
from freegaze.jobs.fits import Fit, Work
from freegaze.jobs.states import FitState, State, fit_states
from freegaze.progress import Progress

ORDER: tuple[State, ...] = ("running", "queued")
"""States that come first in a table; those of fits that ended without a result follow."""

LAST: tuple[State, ...] = ("waiting", "done")
"""States that come last."""


class RunFit(Fit):
    """A run folder outside of a grid, as one fit.

    Example:
        >>> RunFit.of(Path("runs/first")).name
        'first'
    """

    @classmethod
    def of(cls, path: Path) -> RunFit:
        """Return the fit in a run folder.

        Args:
            path: The run folder.
        """
        path = path.resolve()
        return cls(path.name, "", 0, path.parent)

    @property
    def name(self) -> str:
        """Name of the run folder."""
        return self.row


class RunWork:
    """Work of a run folder outside of a grid: the fit alone; see ``freegaze.jobs.fits.Work``."""

    def is_done(self, fit: Fit) -> bool:
        """Return whether the encoder is fitted."""
        return fit.run.is_finished

    def __call__(self, fit: Fit, progress: Progress | None) -> None:
        """Refuse, as ``freegaze train`` does this work.

        Raises:
            CheckpointError: Always.
        """
        raise CheckpointError(f"continue it with `freegaze train --resume {fit.run.path}`")


@dataclass(frozen=True)
class Look:
    """How far a fit is.

    Args:
        state: State of the fit.
        passes: Finished passes over the training windows.
        refit_passes: Finished passes over training and validation windows together.
        train_loss: Training loss of the last pass; ``None`` before the first one ended.
        validation_loss: Validation loss of the last pass.
        best_loss: Lowest validation loss so far.
        correlation: Validation correlation of the last pass; ``None`` also where it has no value.
        problem: Reason why its passes could not be read; empty where they could.
    """

    state: FitState
    passes: int = 0
    refit_passes: int = 0
    train_loss: float | None = None
    validation_loss: float | None = None
    best_loss: float | None = None
    correlation: float | None = None
    problem: str = ""


def look_at(work: Work, fits: Sequence[Fit]) -> list[Look]:
    """Read how far fits are, those that are worked on first and those that are done last.

    It reads the folders of the fits alone, and asks neither processes nor a queue.

    Args:
        work: What is done for each fit.
        fits: The fits.
    """
    looks = [_look(state) for state in fit_states(work, fits)]
    return sorted(looks, key=lambda look: _place(look.state.state))


def count_states(looks: Sequence[Look]) -> str:
    """Return the number of fits in each state, in words.

    Args:
        looks: How far the fits are.

    Example:
        >>> count_states([Look(FitState(RunFit.of(Path("runs/first")), "done"))])
        '1 done of 1'
    """
    counts: Counter[State] = Counter(look.state.state for look in looks)
    parts = [f"{counts[state]} {state}" for state in sorted(counts, key=_place)]
    return f"{', '.join(parts)} of {len(looks)}"


def _place(state: State) -> int:
    if state in ORDER:
        return ORDER.index(state)
    return len(ORDER) + (1 + LAST.index(state) if state in LAST else 0)


def _look(state: FitState) -> Look:
    run = state.fit.run
    try:
        passes, refits = run.metrics(), run.refit.metrics(is_validated=False)
    except CheckpointError as error:
        return Look(state, problem=str(error))
    if not passes:
        return Look(state)
    last = passes[-1]
    return Look(
        state,
        passes=len(passes),
        refit_passes=len(refits),
        train_loss=last["train_loss"],
        validation_loss=last["validation_loss"],
        best_loss=min(line["validation_loss"] for line in passes),
        correlation=last.get("validation_correlation"),
    )
