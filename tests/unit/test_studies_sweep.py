"""Sweeps: spaces, trials that are drawn once, and the score at the end."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="sweeps need the extra `sweep`")

from optuna.storages.journal._storage import JournalOperation
from optuna.trial import TrialState

from freegaze.config import build_config
from freegaze.errors import ConfigError, NumericsError, RegistryError
from freegaze.jobs.fits import Fit, run_fit
from freegaze.jobs.workers import LocalPool
from freegaze.progress import Progress
from freegaze.runs.config import RunConfig
from freegaze.simulation import SimulationConfig, simulate
from freegaze.sources.simulation import write_simulation
from freegaze.studies.sweep import Sweep, SweepWork, open_sweep, run_sweep, start_sweep
from freegaze.studies.sweep_page import importance, save_sweep, trial_frame
from freegaze.studies.sweep_space import SweepConfig, distributions, grid_of, settings_of
from freegaze.training.search import combinations, with_settings

SPACE = {
    "training.learning_rate": {"low": 1e-3, "high": 0.1, "log": True},
    "data.history": {"low": 1, "high": 4},
    "training.batch_windows": [16, 64],
}


@pytest.fixture(scope="module")
def mouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = SimulationConfig(minutes=1.2, n_neurons=3, frame_size=(12, 16), session_id="mouse")
    folder = tmp_path_factory.mktemp("sessions")
    write_simulation(*simulate(config), folder)
    return folder / "mouse"


def config(mouse: Path | None, **changes: Any) -> SweepConfig:
    run = {
        "source": {"name": "simulation", "path": mouse},
        "model": {"name": "behavior_only"},
        "data": {"min_rate_hz": 0},
        "split": {"gap_s": 0.5},
        "training": {"max_passes": 2, "device": "cpu"},
    }
    values = {"run": run, "space": SPACE, "trials": 4, **changes}
    return build_config(SweepConfig, values, where="sweep")


def test_a_space_is_ranges_and_choices() -> None:
    space = config(None, space={**SPACE, "model.core.channels": [[4], [8, 8]]}).space
    found = distributions(space)
    drawn = {name: d.to_external_repr(d.to_internal_repr(_low(d))) for name, d in found.items()}
    assert settings_of(space, drawn) == {
        "training.learning_rate": 1e-3,
        "data.history": 1,
        "training.batch_windows": 16,
        "model.core.channels": [4],
    }
    assert isinstance(settings_of(space, drawn)["data.history"], int)


def _low(distribution: Any) -> Any:
    return distribution.choices[0] if hasattr(distribution, "choices") else distribution.low


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({}, "space"),
        ({"data.history": []}, "data.history has no choices"),
        ({"data.history": {"low": 3, "high": 1}}, "expected low <= high"),
        ({"data.history": {"low": 0, "high": 1, "log": True}}, "log needs a low above 0"),
        ({"data.history": {"lowest": 0, "high": 1}}, "lowest"),
    ],
)
def test_a_wrong_space_is_refused(space: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config(None, space=space)


def test_a_wrong_name_is_refused_before_anything_is_written(mouse: Path, tmp_path: Path) -> None:
    for name, words in (("training.rate", "rate"), ("source.path", "expected model.x")):
        with pytest.raises(ConfigError, match=words):
            start_sweep(tmp_path / "sweep", config(mouse, space={name: [1]}))
    with pytest.raises(ConfigError, match="needs a list of choices for training.learning_rate"):
        start_sweep(tmp_path / "sweep", config(mouse, sampler="grid"))
    with pytest.raises(ConfigError, match="has 2 combinations, requested are 4"):
        start_sweep(
            tmp_path / "sweep", config(mouse, space={"data.history": [1, 2]}, sampler="grid")
        )
    assert not (tmp_path / "sweep").exists()


def test_combinations_and_their_configurations() -> None:
    run = RunConfig()
    found = [
        with_settings(run, values, number)
        for number, values in enumerate(
            combinations({"data.history": [2, 3], "model.core.dropout": [0.1, 0.2]})
        )
    ]
    assert [(c.data.history, c.model["core"]["dropout"]) for c in found] == [
        *((2, 0.1), (2, 0.2)),
        *((3, 0.1), (3, 0.2)),
    ]
    assert run.data.history == RunConfig().data.history
    for name, words in (("model.nothing.here", "nothing"), ("data.lag.here", "is within")):
        with pytest.raises(ConfigError, match=words):
            with_settings(run, {name: 1}, 0)


def test_trials_are_chosen_on_validation_bins_and_one_is_scored(
    mouse: Path, tmp_path: Path
) -> None:
    sweep = start_sweep(tmp_path, config(mouse))
    assert run_sweep(sweep, LocalPool(1))
    frame = trial_frame(sweep)
    assert len(frame) == 4
    known = frame.dropna(subset="validation_loss")
    losses = {
        trial.name: trial.run.kept_pass()["validation_loss"]
        for trial in sweep.trials
        if trial.end is not None and trial.end["state"] == "complete"
    }
    best = min(losses, key=losses.__getitem__)
    assert known["trial"].iloc[0] == best
    assert (sweep.best.path / "evaluation" / "summary.json").is_file()
    assert sweep.best.config() == sweep.trial(best).run.config()
    assert not list((tmp_path / "trials").rglob("evaluation"))  # test bins are used once
    for path in save_sweep(sweep):
        assert path.read_text()
    assert run_sweep(open_sweep(tmp_path), LocalPool(1))  # nothing is left
    with pytest.raises(ConfigError, match="seed 0, requested is 1"):
        start_sweep(tmp_path, config(mouse, seed=1))
    assert len(start_sweep(tmp_path, config(mouse, trials=5)).trials) == 5
    with pytest.raises(RegistryError, match="trial-0000"):
        sweep.trial("trial-9")


def test_a_grid_runs_every_combination_in_order(mouse: Path, tmp_path: Path) -> None:
    space = {"data.history": [2, 1], "training.learning_rate": [0.01, 0.02]}
    chosen = config(mouse, space=space, sampler="grid", trials=4, pruning=False)
    for _ in range(2):  # what is there already is not put in again
        sweep = start_sweep(tmp_path, chosen)
    for trial in sweep.trials:
        assert run_fit(SweepWork(sweep), trial) == "done", trial.error
    frame = trial_frame(sweep).sort_values("trial")
    drawn = list(zip(frame["data.history"], frame["training.learning_rate"], strict=True))
    assert drawn == [tuple(one.values()) for one in grid_of(chosen.space)]
    assert set(importance(sweep)) == set(space)


def test_settings_that_diverge_fail_and_the_others_go_on(
    mouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = start_sweep(tmp_path, config(mouse, trials=2))

    def diverge(*_: object) -> None:
        raise NumericsError("the loss is nan")

    monkeypatch.setattr(SweepWork, "_fit", diverge)
    with pytest.raises(NumericsError, match="no trial of .*: the loss is nan; change the space"):
        run_sweep(sweep, InThisProcess())
    states = [trial.state for trial in sweep.journal.study().get_trials()]
    assert states == [TrialState.FAIL] * 2


class InThisProcess:
    """An engine that is no process of its own."""

    n_workers = 1

    def run(self, work: Any, fits: Any, watch: Any) -> dict[str, Any]:
        return {fit.name: run_fit(work, fit) for fit in fits}


class QuickWork(SweepWork):
    """Trials whose loss is that of their settings, after some passes."""

    def _fit(self, fit: Fit, known: Any, progress: Progress | None) -> float:
        note = self.sweep.journal.pruner(known.number)
        with (fit.run.path / "begun").open("a") as file:
            file.write("x")
        for number in range(1, 4):
            note({"pass": number, "validation_loss": known.params["data.history"]})
        return float(known.params["data.history"])


def work_on(sweep: Sweep, first: int) -> None:
    """Run trials one after another, from some number on."""
    for trial in [*sweep.trials[first:], *sweep.trials[:first]]:
        run_fit(QuickWork(sweep), trial, wait_s=0)


@pytest.mark.parametrize("n_trials", [10, pytest.param(40, marks=pytest.mark.slow)])
def test_two_processes_that_are_killed_twice_run_each_trial_once(
    mouse: Path, tmp_path: Path, n_trials: int
) -> None:
    sweep = start_sweep(tmp_path, config(mouse, trials=n_trials))
    context = multiprocessing.get_context("fork")
    n_kills = 0
    while any(trial.end is None for trial in sweep.trials):
        tasks = [context.Process(target=work_on, args=(sweep, k * n_trials // 2)) for k in range(2)]
        for task in tasks:
            task.start()
        for task in tasks:
            task.join(n_trials / 40 if n_kills < 4 else None)
            if task.is_alive():
                assert task.pid is not None
                os.kill(task.pid, signal.SIGKILL)
                n_kills += 1
                task.join()
    assert n_kills >= 2
    check_once(sweep)


@pytest.mark.slow
def test_forty_fits_by_two_workers_that_are_killed_twice_run_once_each(
    mouse: Path, tmp_path: Path
) -> None:
    sweep = start_sweep(tmp_path, config(mouse, trials=40))
    command = [sys.executable, "-m", "freegaze", "sweep", "--out", str(tmp_path)]
    command += ["--workers", "2", "--quiet"]

    def n_ended() -> int:
        return sum(trial.end is not None for trial in sweep.trials)

    for _ in range(2):
        enough = n_ended() + 8
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        while n_ended() < enough:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert n_ended() < 40
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    check_once(sweep)
    assert (sweep.best.path / "evaluation" / "summary.json").is_file()


def check_once(sweep: Sweep) -> None:
    """Check that all trials have ended, and each of them once."""
    n_trials = sweep.config.trials
    trials = sweep.journal.study().get_trials()
    assert [trial.number for trial in trials] == list(range(n_trials))
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
    ends = [trial.end for trial in sweep.trials]
    assert sorted(end["number"] for end in ends if end is not None) == list(range(n_trials))
    entries = [json.loads(line) for line in sweep.journal.path.read_text().splitlines()]
    finished = [
        entry["trial_id"]
        for entry in entries
        if entry["op_code"] == JournalOperation.SET_TRIAL_STATE_VALUES
        and TrialState(entry["state"]).is_finished()
    ]
    assert sorted(finished) == list(range(n_trials))


def test_half_a_line_of_a_killed_process_is_removed(mouse: Path, tmp_path: Path) -> None:
    sweep = start_sweep(tmp_path, config(mouse))
    number = sweep.journal.draw(set())
    with sweep.journal.path.open("a") as file:
        file.write('{"op_code": 5, "tri')
    assert sweep.journal.draw(set()) == number  # it is nobody's
    assert sweep.journal.draw({number}) == number + 1
    lines = sweep.journal.path.read_text().splitlines()
    assert all(json.loads(line) for line in lines)
