"""Fits as array jobs of SLURM, by ``sbatch``, ``squeue`` and ``scontrol`` alone.

::

    jobs/000001/fits.txt          names of the fits, one per task
    jobs/000001/submit.sh         the script
    jobs/000001/submission.json   SLURM's number of the job, once it was submitted
    jobs/000001/INDEX.log         what a task printed
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, PositiveFloat, PositiveInt

from freegaze.config import StrictConfig, build_config, read_setting
from freegaze.errors import ConfigError, StopRequestError
from freegaze.files.atomic import visible_folders, write_file
from freegaze.files.owners import BEAT_S, LIMIT_S
from freegaze.jobs.fits import Fit, Outcome, Work, run_fit
from freegaze.jobs.records import task_name
from freegaze.jobs.states import AGAIN, FitState, Task, fit_states
from freegaze.jobs.stopping import stopping_at_signal
from freegaze.jobs.workers import FitProgress, Watch
from freegaze.progress import Progress

FORGOTTEN = "Invalid job id"
"""Part of what ``squeue`` says about jobs that ended long ago."""

LATE_S = 60.0
"""Longest time until files that a task of another machine has written are seen here."""

TRIES = 5
"""Tries of a command that fails, as where SLURM is busy."""


class SlurmConfig(StrictConfig):
    """What is requested of SLURM for each fit.

    Args:
        partition: Partition; the cluster's own by default.
        account: Account that is charged.
        qos: Quality of service.
        constraint: Features that nodes must have.
        time: Time limit such as ``04:00:00``. A fit that needs longer is continued by a new task.
        cpus: Processors, which is also the number of threads.
        gpus: GPUs.
        memory: Memory such as ``8G``.
        at_once: Most tasks that run at the same time; ``None`` for no limit.
        array_size: Most tasks of one array (a cluster's MaxArraySize - 1).
        lead_s: Seconds before the time limit at which a fit writes its checkpoint and requeues.
        poll_s: Seconds between two looks at the queue.
        options: Further options of ``sbatch``, such as ``["--exclude=n7"]``.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: str | None = None
    cpus: PositiveInt = 1
    gpus: int = Field(default=0, ge=0)
    memory: str | None = None
    at_once: PositiveInt | None = None
    array_size: PositiveInt = 1000
    lead_s: PositiveInt = 120
    poll_s: PositiveFloat = 5.0
    options: list[str] = Field(default_factory=list)

    @property
    def directives(self) -> list[str]:
        """Options of ``sbatch``."""
        named = ("partition", "account", "qos", "constraint", "time")
        found = [f"--{key}={value}" for key in named if (value := getattr(self, key)) is not None]
        found.append(f"--cpus-per-task={self.cpus}")
        if self.gpus:
            found.append(f"--gpus={self.gpus}")
        if self.memory is not None:
            found.append(f"--mem={self.memory}")
        return [*found, f"--signal=B:USR1@{self.lead_s}", "--requeue", "--open-mode=append"]


def read_slurm_config(settings: Sequence[str]) -> SlurmConfig:
    """Read settings of SLURM, ``NAME=VALUE`` each.

    Values are text: YAML would read ``10:00:00`` as a number and a partition ``no`` as false.

    Args:
        settings: Settings as the user gave them; ``options`` is a list in YAML.

    Raises:
        ConfigError: If a setting is unknown or wrong.

    Example:
        >>> read_slurm_config(["time=10:00:00", "cpus=4"]).directives[:2]
        ['--time=10:00:00', '--cpus-per-task=4']
    """
    values: dict[str, Any] = {}
    for setting in settings:
        name, value = read_setting(setting, "--set")
        values[name] = value if isinstance(value, list) else setting.partition("=")[2].strip()
    return build_config(SlurmConfig, values, where="slurm")


@dataclass
class SlurmArray:
    """Array jobs that do the work of fits.

    Args:
        folder: Folder of submissions.
        command: What a task runs; ``--fit NAME`` comes behind it.
        config: What is requested.
    """

    folder: Path
    command: Sequence[str]
    config: SlurmConfig = field(default_factory=SlurmConfig)

    @property
    def n_workers(self) -> int:
        """Most fits that run at the same time, as far as it is this package that bounds them."""
        return self.config.at_once or self.config.array_size

    def run(
        self, work: Work, fits: Sequence[Fit], watch: Watch = lambda _: None
    ) -> dict[str, Outcome]:
        """Submit the fits that are neither done nor in the queue, and wait for all of them.

        The tasks do not depend on this process: it may be ended, and the same call waits again.

        Args:
            work: What is done for each fit.
            fits: The fits.
            watch: Called with the progress of each fit.

        Returns:
            Outcome of each fit, by name; ``failed`` for all that are not done in the end.

        Raises:
            ConfigError: If SLURM refuses the job or does not answer.
            DataError: If the disk refuses.
        """
        states = fit_states(work, fits, self.tasks())
        idle = [s.fit for s in states if s.state not in ("done", "queued", "running")]
        self.submit(idle)
        outcomes: dict[str, Outcome] = {s.fit.name: "done" for s in states if s.state == "done"}
        ended_at: dict[str, float] = {}
        while left := [fit for fit in fits if fit.name not in outcomes]:
            tasks = self.tasks()
            for state in fit_states(work, left, tasks):
                name = state.fit.name
                if state.state in AGAIN and tasks[name].state == "COMPLETED":
                    waited = time.monotonic() - ended_at.setdefault(name, time.monotonic())
                    if waited < LATE_S and state.state != "failed":
                        continue
                outcome = self._report(state, watch)
                if outcome is not None:
                    outcomes[name] = outcome
            if len(outcomes) < len(fits):
                time.sleep(self.config.poll_s)
        return outcomes

    def submit(self, fits: Sequence[Fit]) -> list[str]:
        """Submit fits as arrays, and return SLURM's numbers of the jobs.

        Raises:
            ConfigError: If SLURM refuses the job or does not answer.
            DataError: If the disk refuses.
        """
        size = self.config.array_size
        return [self._submit(fits[i : i + size]) for i in range(0, len(fits), size)]

    def tasks(self) -> dict[str, Task]:
        """Return the last task of each fit that was submitted, by the fit's name.

        Raises:
            ConfigError: If SLURM does not answer.
        """
        folders = visible_folders(self.folder) if self.folder.is_dir() else []
        submitted = {
            fit: f"{job}_{index}"
            for job, fits in map(_read_submission, folders)
            for index, fit in enumerate(fits)
        }
        known = queue(sorted({name.partition("_")[0] for name in submitted.values()}))
        return {fit: known.get(name, Task(name)) for fit, name in submitted.items()}

    def _submit(self, fits: Sequence[Fit]) -> str:
        number = 1 + len(visible_folders(self.folder)) if self.folder.is_dir() else 1
        place = (self.folder / f"{number:06d}").resolve()
        place.mkdir(parents=True)
        names = [fit.name for fit in fits]
        write_file(place / "fits.txt", "".join(f"{name}\n" for name in names))
        most = "" if self.config.at_once is None else f"%{self.config.at_once}"
        options = [
            *self.config.directives,
            f"--array=0-{len(fits) - 1}{most}",
            f"--output={place}/%a.log",
            "--job-name=freegaze",
            *self.config.options,
        ]
        listed = f'"$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {shlex.quote(str(place))}/fits.txt)"'
        script = f"#!/bin/bash\nexec {shlex.join(self.command)} --fit {listed}\n"
        path = write_file(place / "submit.sh", script)
        job = _call("sbatch", "--parsable", *options, str(path)).partition(";")[0].strip()
        write_file(place / "submission.json", json.dumps({"job": job, "fits": names}))
        return job

    def _report(self, state: FitState, watch: Watch) -> Outcome | None:
        """Report a fit's progress, and return its outcome if it has one."""
        if state.state == "queued":
            return None
        if state.state == "running":
            watch(FitProgress(state.fit, "running", state.detail, state.done, state.total))
            return None
        outcome: Outcome = "done" if state.state == "done" else "failed"
        watch(FitProgress(state.fit, outcome))
        return outcome


def run_task(work: Work, fit: Fit, progress: Progress | None = None) -> Outcome | None:
    """Do the work of one fit in this process, which a scheduler has started.

    A task of an array has as many threads as processors. At the signal before its time limit it
    keeps what it has and is put into the queue again. It waits until the claim of a task that was
    killed on another machine is stale.

    Args:
        work: What is done.
        fit: The fit.
        progress: Called after every step.

    Returns:
        See ``freegaze.jobs.fits.run_fit``; ``None`` if the fit was stopped.

    Raises:
        ConfigError: If SLURM does not put the task into its queue again.
    """
    is_task = bool(task_name())
    if is_task:
        cpus = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE", "1")
        torch.set_num_threads(int(cpus))
    try:
        with stopping_at_signal(progress) as report:
            return run_fit(work, fit, report, LIMIT_S + 2 * BEAT_S if is_task else 0.0)
    except StopRequestError:
        if is_task:
            _call("scontrol", "requeue", task_name())
        return None


def queue(jobs: Sequence[str]) -> dict[str, Task]:
    """Return the tasks of array jobs that SLURM knows, by ``JOB_INDEX``.

    Args:
        jobs: SLURM's numbers of the jobs.

    Raises:
        ConfigError: If SLURM does not answer.
    """
    found: dict[str, Task] = {}
    for job in jobs:  # one by one, as a job that SLURM has forgotten is an error
        text = _call(
            *("squeue", "--noheader", "--array", "--states=all", f"--jobs={job}"),
            "--format=%F_%K|%T|%r|%N",
            unless=FORGOTTEN,
        )
        for line in text.splitlines():
            name, state, reason, node = line.split("|", 3)
            found[name] = Task(name, state, "" if reason == "None" else reason, node)
    return found


def _read_submission(folder: Path) -> tuple[str, list[str]]:
    """Return the job of a submission, and the names of its fits; none if there was no job."""
    try:
        values = json.loads((folder / "submission.json").read_text(encoding="utf-8"))
        return values["job"], values["fits"]
    except (OSError, ValueError, KeyError):  # sbatch had refused, or had not answered yet
        return "", []


def _call(*words: str, unless: str = "\0") -> str:
    """Run a command of SLURM and return what it prints; nothing if its error has some words."""
    why = ""
    for number in range(1 if words[0] == "sbatch" else TRIES):  # a second job may be one too many
        time.sleep(number)
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise ConfigError(
                f"there is no {words[0]} on this machine; run this where SLURM is, or use --on "
                "local or --emit-jobs"
            ) from None
        if done.returncode == 0:
            return done.stdout
        why = " ".join(done.stderr.split()) or f"status {done.returncode}"
        if unless in why:
            return ""
    raise ConfigError(
        f"{words[0]} failed: {why}; check the slurm.* settings and `sinfo`, and run this again"
    )
