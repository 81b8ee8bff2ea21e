"""Trials of a sweep in Optuna's journal, a file that all processes of the sweep append to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freegaze.errors import ConfigError
from freegaze.files.claims import Claim, claimed
from freegaze.studies.sweep_space import SweepConfig, distributions

if TYPE_CHECKING:
    import optuna

NAME = "sweep"

STARTUP_TRIALS = 5
"""Trials that end before others are compared with them; Optuna's own default."""


def require_optuna() -> None:
    """Check that Optuna is installed.

    Raises:
        ConfigError: If it is not.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigError(
            "a sweep needs Optuna; install it with `pip install freegaze[sweep]`"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Journal:
    """The journal of a sweep.

    Args:
        path: File of the journal.
        config: The sweep's configuration.
    """

    path: Path
    config: SweepConfig

    def study(self, number: int = 0) -> optuna.Study:
        """Open the journal, or begin it.

        Args:
            number: Number of the trial that is to be drawn. The sampler's draws depend on it, on
                the seed and on the trials so far only, so that a sweep that was stopped goes on as
                one that was not.
        """
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        seed = self.config.seed + 1000 * number
        startup = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        is_tpe = self.config.sampler == "tpe"
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(self.path), _journal_lock(self.path))),
            study_name=NAME,
            load_if_exists=True,
            direction="minimize",
            sampler=startup if is_tpe else optuna.samplers.RandomSampler(seed=seed),
            pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS)
            if self.config.pruning
            else optuna.pruners.NopPruner(),
        )

    def alone(self) -> AbstractContextManager[Claim]:
        """Return a context in which no other process draws a trial."""
        return claimed(self.path.with_name(".draw.claim"), math.inf)

    def draw(self, taken: set[int]) -> int:
        """Return the number of a trial that no process works on: a forgotten one, or a new one.

        Args:
            taken: Numbers of trials that have a folder.
        """
        from optuna.trial import TrialState

        study = self.study()
        for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            if trial.number not in taken:  # its process ended before it had noted the number
                return trial.number
        study = self.study(len(study.get_trials(deepcopy=False)))
        return study.ask(distributions(self.config.space)).number

    def enqueue(self, grid: list[dict[str, Any]]) -> None:
        """Put the combinations of a grid into the journal, once.

        Args:
            grid: Values as Optuna has them, see ``distributions``.
        """
        study = self.study()
        for values in grid[len(study.get_trials(deepcopy=False)) :]:
            study.enqueue_trial(values)

    def trial(self, number: int) -> optuna.trial.FrozenTrial:
        """Return what is known of a trial."""
        return self.study().get_trials(deepcopy=False)[number]

    def pruner(self, number: int) -> Callable[[Mapping[str, Any]], None]:
        """Return a function that notes the validation loss of a trial's passes.

        It raises ``optuna.TrialPruned`` when the trial is to end.

        Args:
            number: Number of the trial.
        """
        import optuna

        study = self.study()
        frozen = study.get_trials(deepcopy=False)[number]
        trial, known = optuna.Trial(study, frozen._trial_id), set(frozen.intermediate_values)

        def note(line: Mapping[str, Any]) -> None:
            if line["pass"] not in known:  # a trial that goes on repeats no pass
                trial.report(line["validation_loss"], line["pass"])
            if trial.should_prune():
                raise optuna.TrialPruned

        return note


def _journal_lock(path: Path) -> Any:
    """Return a lock of the journal; half a line of a process that was killed is removed."""
    from optuna.storages.journal import JournalFileSymlinkLock

    class Lock(JournalFileSymlinkLock):
        def __init__(self) -> None:
            self._claim = Claim(path.with_name(".journal.claim"))

        def acquire(self) -> bool:
            self._claim.acquire(math.inf)
            if path.is_file():
                content = path.read_bytes()
                if not content.endswith(b"\n") and content:
                    with path.open("rb+") as file:
                        file.truncate(content.rfind(b"\n") + 1)
            return True

        def release(self) -> None:
            self._claim.release()

    return Lock()
