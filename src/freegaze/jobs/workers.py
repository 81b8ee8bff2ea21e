"""Worker processes that share the fits of a grid."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, Literal, Protocol, runtime_checkable

import torch

from freegaze.allocator import keep_freed_memory
from freegaze.jobs.fits import Fit, Outcome, Work, run_fit

REPORT_EVERY_S = 0.3
"""Least time between two reports of a worker."""


@dataclass(frozen=True)
class FitProgress:
    """Progress of a fit.

    Args:
        fit: The fit.
        what: ``running``, or the outcome.
        description: Description of the work.
        done: Steps done.
        total: Steps in all.
    """

    fit: Fit
    what: Literal["running", "done", "failed", "taken"]
    description: str = ""
    done: int = 0
    total: int = 0


Watch = Callable[[FitProgress], None]


@runtime_checkable
class Engine(Protocol):
    """What runs fits: ``LocalPool`` here, ``freegaze.jobs.slurm.SlurmArray`` on a cluster."""

    @property
    def n_workers(self) -> int:
        """Most fits that run at the same time."""
        ...

    def run(self, work: Work, fits: Sequence[Fit], watch: Watch) -> dict[str, Outcome]:
        """Do the work of fits, report their progress, and return the outcome of each by name."""
        ...


@dataclass(frozen=True)
class LocalPool:
    """Worker processes of this machine that do the work of fits.

    Args:
        n_workers: Number of processes.
    """

    n_workers: int = 1

    def run(
        self, work: Work, fits: Sequence[Fit], watch: Watch = lambda _: None
    ) -> dict[str, Outcome]:
        """Do the work of fits; see ``run_fits``.

        Args:
            work: What is done for each fit.
            fits: The fits.
            watch: Called with the progress of each fit.

        Returns:
            Outcome of each fit, by name.
        """
        return run_fits(work, fits, self.n_workers, watch)


def run_fits(
    work: Work, fits: Sequence[Fit], n_workers: int = 1, watch: Watch = lambda _: None
) -> dict[str, Outcome]:
    """Do the work of fits in worker processes, each of which takes the next fit when it is free.

    A worker that dies, killed for memory for example, fails its fit and is replaced.

    Args:
        work: Work on each fit.
        fits: The fits, in order; those that are done are passed over.
        n_workers: Number of processes.
        watch: Called with the progress of each fit.

    Returns:
        Outcome of each fit, by name.
    """
    todo = [fit for fit in fits if not work.is_done(fit)]
    outcomes: dict[str, Outcome] = {fit.name: "done" for fit in fits if fit not in todo}
    n_threads = max(1, (os.cpu_count() or 1) // n_workers)
    with ExitStack() as stack:
        workers = [_Worker(work, n_threads) for _ in range(min(n_workers, len(todo)))]
        for worker in workers:
            stack.callback(worker.stop)
        while todo or any(worker.fit for worker in workers):
            for worker in workers:
                if worker.fit is None and todo:
                    worker.give(todo.pop(0))
            by_pipe: dict[Any, _Worker] = {w.pipe: w for w in workers if w.fit is not None}
            for pipe in wait(list(by_pipe)):
                news = by_pipe[pipe].read()
                if news.what != "running":
                    outcomes[news.fit.name] = news.what
                watch(news)
    return outcomes


class _Worker:
    """A process that does the work of the fits it is given, seen from outside."""

    def __init__(self, work: Work, n_threads: int) -> None:
        self.work, self.n_threads = work, n_threads
        self.fit: Fit | None = None
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")  # a fork would inherit the threads of the first fit
        self.pipe, theirs = context.Pipe()
        arguments = (self.work, self.n_threads, theirs)
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()

    def give(self, fit: Fit) -> None:
        self.fit = fit
        self.pipe.send(fit)

    def read(self) -> FitProgress:
        """Return the worker's next report on its fit; a worker that died fails it."""
        fit = self.fit
        assert fit is not None, "only a busy worker reports"
        try:
            news = FitProgress(fit, *self.pipe.recv())
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            fit.write_error(f"its process ended with status {code} (-9: killed, as for memory)")
            self._start()
            news = FitProgress(fit, "failed")
        if news.what != "running":
            self.fit = None
        return news

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join()


def _serve(work: Work, n_threads: int, pipe: Connection) -> None:
    """Do the work of the fits that arrive through a pipe, until the sending process ends this."""
    _end_with_parent()
    keep_freed_memory()
    torch.set_num_threads(n_threads)
    last = 0.0

    def report(description: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= REPORT_EVERY_S:
            last = time.monotonic()
            _send(pipe, "running", description, done, total)

    while True:
        _send(pipe, run_fit(work, pipe.recv(), report))


def _send(pipe: Connection, *news: Any) -> None:
    """Send to the process at the other end; end this one if it is gone, which fails no fit."""
    try:
        pipe.send(news)
    except OSError:
        os._exit(1)


def _end_with_parent() -> None:
    """End this process with the one that started it, so that an orphan holds no fit.

    Ending at once is safe: what a fit has on disk is whole at any moment.
    """
    parent = parent_process()
    assert parent is not None, "only workers call this"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
