"""Run the cells of a grid: in this process, or in several that share the work."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, Literal, Protocol, runtime_checkable

import torch

from freegaze.allocator import keep_freed_memory
from freegaze.errors import FreegazeError
from freegaze.evaluation.evaluate import evaluate
from freegaze.evaluation.storage import save_evaluation
from freegaze.files.atomic import remove_leftovers, write_file
from freegaze.fitted.encoder import FittedEncoder
from freegaze.fitted.storage import load_encoder
from freegaze.paper.grid import Cell, Grid
from freegaze.progress import Progress
from freegaze.recording.recording import Recording
from freegaze.sources import open_recordings
from freegaze.training.fit import resume, train
from freegaze.training.processes import make_accelerator

Outcome = Literal["done", "failed", "taken"]

REPORT_EVERY_S = 0.3
"""A worker reports its steps at most this often."""


@dataclass(frozen=True)
class CellProgress:
    """What a cell has come to.

    Args:
        cell: The cell.
        what: ``running``, ``done``, ``failed``, or ``taken`` (another process works on it).
        description: What is being done.
        done: Steps done.
        total: Steps in all.
    """

    cell: Cell
    what: Literal["running", "done", "failed", "taken"]
    description: str = ""
    done: int = 0
    total: int = 0


Watch = Callable[[CellProgress], None]


@runtime_checkable
class CellStep(Protocol):
    """What else is done with a cell that is fitted and evaluated, and kept in its run folder.

    Worker processes are given a copy, so it holds plain values and functions of modules.
    """

    def is_done(self, cell: Cell) -> bool:
        """Whether nothing is left to do."""
        ...

    def __call__(self, grid: Grid, cell: Cell, progress: Progress | None) -> None:
        """Do it, or go on where it was stopped."""
        ...


def is_done(cell: Cell, step: CellStep | None = None) -> bool:
    """Whether a cell is fitted and evaluated, and the step after that is done too."""
    return cell.state == "done" and (step is None or step.is_done(cell))


def run_cell(
    grid: Grid, cell: Cell, progress: Progress | None = None, step: CellStep | None = None
) -> Outcome:
    """Fit and evaluate one cell, or go on where it was stopped.

    A failure is kept in the cell's error file and does not raise; a cell that is done is left as
    it is. A cell that failed before is tried again.

    Args:
        grid: The grid.
        cell: One of its cells.
        progress: Told of every step.
        step: What is done afterwards.

    Returns:
        ``done``, ``failed``, or ``taken`` if another process works on it.
    """
    with cell.claimed() as is_ours:
        if not is_ours:
            return "taken"
        if is_done(cell, step):
            return "done"
        cell.error_file.unlink(missing_ok=True)
        remove_leftovers(cell.error_file)
        try:
            if cell.state != "done":
                _fit_and_evaluate(grid, cell, progress)
            if step is not None:
                step(grid, cell, progress)
        except FreegazeError as error:
            _write_error(cell, " ".join(str(error).split()))
            return "failed"
        except Exception as error:  # a bug in one cell must not end the others; it is kept whole
            _write_error(cell, f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}")
            return "failed"
        return "done"


def run_cells(
    grid: Grid,
    cells: Sequence[Cell],
    jobs: int = 1,
    watch: Watch | None = None,
    step: CellStep | None = None,
) -> dict[str, Outcome]:
    """Run cells in worker processes, each of which takes the next cell when it is done with one.

    A worker that dies, killed for memory for example, fails its cell and is replaced.

    Args:
        grid: The grid.
        cells: Cells to run, in order; those that are done are passed over.
        jobs: Worker processes.
        watch: Told what becomes of each cell.
        step: What is done with each cell afterwards.

    Returns:
        What became of each cell, by name.
    """
    watch = watch or (lambda _: None)
    todo = [cell for cell in cells if not is_done(cell, step)]
    outcomes: dict[str, Outcome] = {c.name: "done" for c in cells if c not in todo}
    n_threads = max(1, (os.cpu_count() or 1) // jobs)
    with _workers(grid, min(jobs, len(todo)), n_threads, step) as workers:
        while todo or any(worker.cell for worker in workers):
            for worker in workers:
                if worker.cell is None and todo:
                    worker.give(todo.pop(0))
            for worker in _ready(workers):
                news = worker.read()
                if news.what != "running":
                    outcomes[news.cell.name] = news.what
                watch(news)
    return outcomes


def job_commands(
    grid: Grid, cells: Sequence[Cell], verb: str, program: str = "freegaze"
) -> list[str]:
    """Return one command a cell, each independent of the others.

    Args:
        grid: The grid.
        cells: The cells that are not done.
        verb: What is reproduced, and its options.
        program: How the command line is called.
    """
    start = f"{program} reproduce {verb} --out {grid.path.resolve()} --quiet"
    return [f"{start} --cell {cell.name}" for cell in cells]


def cell_recordings(grid: Grid, cell: Cell) -> list[Recording]:
    """Open the recordings that a cell is fitted on.

    Raises:
        DataError: If the source cannot be opened.
    """
    source = grid.run_config(cell).source
    assert source.path is not None, "a grid's source has a path"
    return open_recordings(source.name, source.path, **source.options)


def cell_encoder(grid: Grid, cell: Cell) -> FittedEncoder:
    """Load the fitted encoder of a cell onto the device that its fit asks for.

    Raises:
        CheckpointError: If the fit is not finished, or broken.
    """
    device = make_accelerator(grid.run_config(cell).training).device
    return load_encoder(cell.run.path, device)


def _fit_and_evaluate(grid: Grid, cell: Cell, progress: Progress | None) -> None:
    config = grid.run_config(cell)
    recordings = cell_recordings(grid, cell)
    if (cell.run.path / "config.yaml").is_file():
        resume(cell.run.path, recordings, progress)
    else:
        train(recordings, config, cell.run.path, progress)
    if progress is not None:
        progress("evaluating", 0, 1)
    result = evaluate(cell_encoder(grid, cell), recordings, draws=grid.scale.draws, paper=True)
    save_evaluation(cell.run.path, result)


def _write_error(cell: Cell, text: str) -> None:
    write_file(cell.error_file, text + "\n")


class _Worker:
    """A process that runs the cells it is given, seen from outside."""

    def __init__(self, grid: Grid, n_threads: int, step: CellStep | None) -> None:
        self.grid, self.n_threads, self.step = grid, n_threads, step
        self.cell: Cell | None = None
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")  # a fork would inherit the threads of the first fit
        self.pipe, theirs = context.Pipe()
        arguments = (self.grid, self.n_threads, self.step, theirs)
        self.process = context.Process(target=_work, args=arguments, daemon=True)
        self.process.start()
        theirs.close()

    def give(self, cell: Cell) -> None:
        self.cell = cell
        self.pipe.send(cell.name)

    def read(self) -> CellProgress:
        """Take the worker's next word about its cell, which may be that it died."""
        cell = self.cell
        assert cell is not None, "only a busy worker speaks"
        try:
            news = CellProgress(cell, *self.pipe.recv())
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            _write_error(cell, f"its process ended with status {code} (-9: killed, as for memory)")
            self._start()
            news = CellProgress(cell, "failed")
        if news.what != "running":
            self.cell = None
        return news

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join()


@contextmanager
def _workers(grid: Grid, n: int, n_threads: int, step: CellStep | None) -> Iterator[list[_Worker]]:
    workers = [_Worker(grid, n_threads, step) for _ in range(n)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def _ready(workers: Sequence[_Worker]) -> list[_Worker]:
    by_pipe: dict[Any, _Worker] = {w.pipe: w for w in workers if w.cell is not None}
    return [by_pipe[pipe] for pipe in wait(list(by_pipe))]


def _work(grid: Grid, n_threads: int, step: CellStep | None, pipe: Connection) -> None:
    """Run the cells that are named through a pipe, until the process that names them ends this."""
    _end_with_parent()
    keep_freed_memory()
    torch.set_num_threads(n_threads)
    last = 0.0

    def report(description: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= REPORT_EVERY_S:
            last = time.monotonic()
            _tell(pipe, "running", description, done, total)

    while True:
        name = pipe.recv()
        _tell(pipe, run_cell(grid, grid.cell(name), report, step))


def _tell(pipe: Connection, *news: Any) -> None:
    """Tell the process at the other end; end this one if it is gone, which is no cell's failure."""
    try:
        pipe.send(news)
    except OSError:
        os._exit(1)


def _end_with_parent() -> None:
    """End this process with the one that started it, so that an orphan holds no cell.

    Ending at once is safe: what a fit has on disk is whole at any moment.
    """
    parent = parent_process()
    assert parent is not None, "only workers call this"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
