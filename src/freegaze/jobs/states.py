"""States of fits, from their folders, their records and the queue of SLURM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from freegaze.files.claims import Claim
from freegaze.jobs.fits import Fit, Work
from freegaze.runs.run_folder import CLAIM

State = Literal[
    "done",
    "running",
    "queued",
    "waiting",
    "failed",
    "stopped",
    "killed",
    "preempted",
    "timed out",
    "node failed",
    "cancelled",
    "never started",
]
"""``waiting`` fits were never begun or submitted. ``killed`` ones ended without a word."""

AGAIN = tuple(s for s in get_args(State) if s not in ("done", "running", "queued", "waiting"))
"""States of fits that were begun or submitted and did not come to their end."""

_QUEUED = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "SUSPENDED", "STOPPED")
_ACTIVE = ("RUNNING", "CONFIGURING", "COMPLETING", "STAGE_OUT", "SIGNALING", "RESIZING")
_ENDS: dict[str, State] = {
    "TIMEOUT": "timed out",
    "DEADLINE": "timed out",
    "NODE_FAIL": "node failed",
    "BOOT_FAIL": "node failed",
    "PREEMPTED": "preempted",
    "CANCELLED": "cancelled",
    "REVOKED": "cancelled",
    "OUT_OF_MEMORY": "killed",
}


@dataclass(frozen=True)
class Task:
    """A task of an array of SLURM.

    Args:
        name: ``JOB_INDEX``.
        state: SLURM's word for its state; empty once SLURM has forgotten it.
        reason: SLURM's reason.
        node: Where it runs or ran.
    """

    name: str
    state: str = ""
    reason: str = ""
    node: str = ""


@dataclass(frozen=True)
class FitState:
    """State of a fit.

    Args:
        fit: The fit.
        state: State of the fit.
        detail: What it does, why it waits, or how it ended.
        starts: Number of times that a process began or continued it.
        done: Steps done, where it runs.
        total: Steps in all, where it runs.
    """

    fit: Fit
    state: State
    detail: str = ""
    starts: int = 0
    done: int = 0
    total: int = 0


def fit_states(
    work: Work, fits: Sequence[Fit], tasks: Mapping[str, Task] | None = None
) -> list[FitState]:
    """Return the states of fits.

    Args:
        work: What is done for each fit.
        fits: The fits.
        tasks: The last task of each fit that was submitted to SLURM, by the fit's name.
    """
    return [_state_of(work, fit, (tasks or {}).get(fit.name)) for fit in fits]


def _state_of(work: Work, fit: Fit, task: Task | None) -> FitState:
    record = fit.record
    starts = 0 if record is None else record.starts
    where = "" if task is None else " ".join(part for part in (task.name, task.node) if part)
    if work.is_done(fit):
        return FitState(fit, "done", where, starts)
    if is_held(fit):
        doing = "" if record is None else record.description
        steps = (0, 0) if record is None else (record.done, record.total)
        by = where or (_owner(fit) if record is None else record.process)
        return FitState(fit, "running", f"{doing} ({by})" if doing else by, starts, *steps)
    if task is not None and task.state in (*_QUEUED, *_ACTIVE):
        state: State = "queued" if task.state in _QUEUED else "running"
        return FitState(fit, state, f"{where}: {task.reason or task.state}", starts)
    if fit.error:
        return FitState(fit, "failed", fit.error, starts)
    if task is not None and task.state in _ENDS:
        return FitState(fit, _ENDS[task.state], f"{where}: {task.state}", starts)
    if record is not None:
        how: State = "stopped" if record.end == "stopped" else "killed"
        return FitState(fit, how, where or record.process, starts)
    if task is not None:
        return FitState(fit, "never started", f"{where}: {task.state or 'forgotten'}", starts)
    if (fit.run.path / "config.yaml").is_file():  # `freegaze train` keeps no record
        return FitState(fit, "stopped", "no process works on it")
    return FitState(fit, "waiting")


def is_held(fit: Fit) -> bool:
    """Return whether a process works on a fit and shows signs of life."""
    claim = Claim(fit.run.path / CLAIM)
    return fit.run.path.is_dir() and claim.is_held


def _owner(fit: Fit) -> str:
    owner = Claim(fit.run.path / CLAIM).owner
    return "" if owner is None else owner.description
