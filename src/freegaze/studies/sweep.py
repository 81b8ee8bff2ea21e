"""Sweep: settings chosen on validation bins, and one score on test bins at the end.

::

    sweep.yaml                the configuration
    journal.log               Optuna's journal of all trials
    trials/trial-0007/        run folder of a trial; trial.json has its number in the journal
    best/                     the best trial with its evaluation on test bins
    sweep.csv, sweep.html     all trials, importance of settings
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from freegaze.config import dump_yaml, read_config
from freegaze.errors import CheckpointError, ConfigError, NumericsError, RegistryError
from freegaze.files.atomic import atomic_folder, write_file
from freegaze.jobs.fits import Fit
from freegaze.jobs.workers import Engine, Watch
from freegaze.progress import Progress
from freegaze.runs.recordings import open_source
from freegaze.runs.run_folder import CLAIM, RunFolder
from freegaze.studies.fitting import evaluate_fit, fit_or_resume
from freegaze.studies.sweep_journal import Journal, require_optuna
from freegaze.studies.sweep_space import SweepConfig, grid_of, settings_of
from freegaze.training.search import with_settings

SWEEP_FILE, NUMBER_FILE, END_FILE = "sweep.yaml", "trial.json", "end.json"


class Trial(Fit):
    """One trial of a sweep; ``seed`` counts them."""

    @property
    def name(self) -> str:
        """Name on the command line, ``trial-NUMBER``."""
        return f"trial-{self.seed:04d}"

    @property
    def end(self) -> dict[str, Any] | None:
        """Number in the journal, state and value of a trial that has ended."""
        path = self.run.path / END_FILE
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


@dataclass(frozen=True)
class Sweep:
    """A sweep on disk; ``start_sweep`` and ``open_sweep`` make one.

    Args:
        path: Folder of the sweep.
        config: Configuration of the sweep.
    """

    path: Path
    config: SweepConfig

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, those to come too."""
        numbers = range(self.config.trials)
        return tuple(Trial("trial", "", n, self.path / "trials") for n in numbers)

    @property
    def journal(self) -> Journal:
        """The trials in Optuna's journal."""
        return Journal(self.path / "journal.log", self.config)

    @property
    def best(self) -> RunFolder:
        """Run folder of the best trial, once all have ended."""
        return RunFolder(self.path / "best")

    def trial(self, name: str) -> Trial:
        """Return a trial by name.

        Raises:
            RegistryError: If the sweep has none of that name.
        """
        for trial in self.trials:
            if trial.name == name:
                return trial
        raise RegistryError(f"{self.path} has no trial {name!r}; they are trial-0000 and so on")


@dataclass(frozen=True)
class SweepWork:
    """The work of each trial of a sweep; see ``freegaze.jobs.fits.Work``.

    Args:
        sweep: The sweep.
    """

    sweep: Sweep

    def is_done(self, fit: Fit) -> bool:
        """Return whether a trial has ended, pruned or not."""
        return (fit.run.path / END_FILE).is_file()

    def __call__(self, fit: Fit, progress: Progress | None) -> None:
        """Draw settings and fit, or continue where this was stopped.

        Raises:
            FreegazeError: If the recordings cannot be opened, or the disk refuses.
        """
        import optuna
        from optuna.trial import TrialState

        require_optuna()
        journal, number = self.sweep.journal, self._number(fit)
        known = journal.trial(number)
        state, value, why = TrialState.COMPLETE, None, ""
        if known.state.is_finished():  # it was killed before it had written so
            state, value = known.state, known.value
        else:
            try:
                value = self._fit(fit, known, progress)
            except optuna.TrialPruned:
                state = TrialState.PRUNED
            except (ConfigError, NumericsError) as error:  # settings that do not go together
                state, why = TrialState.FAIL, " ".join(str(error).split())
            journal.study().tell(number, value, state)
        end = {"number": number, "state": state.name.lower(), "validation_loss": value, "why": why}
        write_file(fit.run.path / END_FILE, json.dumps(end))

    def _fit(self, fit: Fit, known: Any, progress: Progress | None) -> float:
        config = self.sweep.config
        settings = settings_of(config.space, known.params)
        run = with_settings(config.run, settings, known.number)
        note = self.sweep.journal.pruner(known.number)
        fitted = fit_or_resume(open_source(run.source), run, fit.run.path, progress, note)
        return fitted.kept_pass()["validation_loss"]

    def _number(self, fit: Fit) -> int:
        """Return the number of a trial in the journal, which is drawn at its first start."""
        path = fit.run.path / NUMBER_FILE
        if not path.is_file():
            with self.sweep.journal.alone():
                noted = [trial.run.path / NUMBER_FILE for trial in self.sweep.trials]
                taken = {_read_number(file) for file in noted if file.is_file()}
                number = self.sweep.journal.draw(taken)
                write_file(path, json.dumps({"number": number}))
        return _read_number(path)


def start_sweep(path: Path, config: SweepConfig) -> Sweep:
    """Begin a sweep, or continue the one in the folder, also with more trials.

    Args:
        path: Folder of the sweep.
        config: Configuration of the sweep.

    Raises:
        ConfigError: If the folder holds a sweep with other settings, a setting is wrong, or Optuna
            is missing.
        DataError: If the disk refuses.
    """
    require_optuna()
    if (path / SWEEP_FILE).is_file():
        before, asked = (c.model_dump(mode="json") for c in (open_sweep(path).config, config))
        for key, value in asked.items():
            if before[key] != value and not (key == "trials" and value > before[key]):
                raise ConfigError(
                    f"{path} holds a sweep with {key} {before[key]!r}, requested is {value!r}; "
                    "choose another folder with --out"
                )
    first = settings_of(config.space, _any_of(config))
    with_settings(config.run, first, 0)  # a wrong name shows before hours of work
    grid = grid_of(config.space) if config.sampler == "grid" else []
    if grid and len(grid) != config.trials:
        raise ConfigError(
            f"the grid has {len(grid)} combinations, requested are {config.trials} trials; leave "
            "the number of trials out"
        )
    write_file(path / SWEEP_FILE, dump_yaml(config))
    sweep = Sweep(path, config)
    with sweep.journal.alone():
        sweep.journal.enqueue([{k: json.dumps(v) for k, v in one.items()} for one in grid])
    return sweep


def open_sweep(path: Path) -> Sweep:
    """Open a sweep that was begun.

    Raises:
        CheckpointError: If there is none in the folder.
        ConfigError: If its file is damaged, or Optuna is missing.
    """
    require_optuna()
    if not (path / SWEEP_FILE).is_file():
        raise CheckpointError(f"{path} holds no sweep (no {SWEEP_FILE}); check the path")
    return Sweep(path, read_config(SweepConfig, path / SWEEP_FILE))


def run_sweep(
    sweep: Sweep, engine: Engine, trials: Sequence[Trial] = (), watch: Watch = lambda _: None
) -> bool:
    """Run the trials that have not ended, then score the best one on test bins, once.

    Args:
        sweep: The sweep.
        engine: What runs them.
        trials: Trials to run; all by default.
        watch: Called with the progress of trials.

    Returns:
        Whether all trials have ended and the best one is scored.

    Raises:
        FreegazeError: If the recordings cannot be opened, no trial was successful, or the disk
            refuses.
    """
    engine.run(SweepWork(sweep), trials or sweep.trials, watch)
    ends = {trial: trial.end for trial in sweep.trials}
    complete = {t: e for t, e in ends.items() if e is not None and e["state"] == "complete"}
    if None in ends.values():
        return False
    if not complete:
        why = next((e["why"] for e in ends.values() if e is not None and e["why"]), "all pruned")
        raise NumericsError(f"no trial of {sweep.path} came to its end: {why}; change the space")
    best = min(complete, key=lambda trial: (complete[trial]["validation_loss"], trial.seed))
    _score(sweep, best)
    return True


def _score(sweep: Sweep, best: Trial) -> None:
    kept = sweep.best.path
    mark = kept / NUMBER_FILE
    if not mark.is_file() or _read_number(mark) != _read_number(best.run.path / NUMBER_FILE):
        with atomic_folder(kept, may_replace=lambda _: True) as folder:
            ignored = shutil.ignore_patterns(CLAIM, END_FILE)
            shutil.copytree(best.run.path, folder, dirs_exist_ok=True, ignore=ignored)
    if not (kept / "evaluation" / "summary.json").is_file():
        config = sweep.best.config()
        evaluate_fit(kept, open_source(config.source), config)


def _any_of(config: SweepConfig) -> dict[str, Any]:
    """Return one value of each setting."""
    space = config.space
    return {
        name: json.dumps(values[0]) if isinstance(values, list) else values.low
        for name, values in space.items()
    }


def _read_number(path: Path) -> int:
    return int(json.loads(path.read_text(encoding="utf-8"))["number"])
