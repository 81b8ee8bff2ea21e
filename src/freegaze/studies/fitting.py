"""Fits of a grid or bench: fitted, evaluated, continued, and their evaluations gathered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from freegaze.evaluation.evaluate import evaluate
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.storage import load_evaluation, save_evaluation
from freegaze.fitted.storage import load_encoder
from freegaze.jobs.fits import Fit
from freegaze.progress import PassHook, Progress
from freegaze.recording.recording import Recording
from freegaze.runs.config import RunConfig
from freegaze.runs.run_folder import RunFolder
from freegaze.training.fit import resume, train
from freegaze.training.processes import make_accelerator


def fit_or_resume(
    recordings: Sequence[Recording],
    config: RunConfig,
    folder: Path,
    progress: Progress | None = None,
    on_pass: PassHook | None = None,
) -> RunFolder:
    """Fit an encoder in a run folder; a fit that was stopped there goes on.

    Args:
        recordings: The sessions.
        config: Configuration of a new run; one that was begun keeps its own.
        folder: The run folder.
        progress: Called with (description, done, total) after each step.
        on_pass: Called with what is logged after each pass.

    Raises:
        FreegazeError: In the same cases as ``freegaze.training.fit.train`` and ``resume``.
    """
    if (folder / "config.yaml").is_file():
        return resume(folder, recordings, progress, on_pass)
    return train(recordings, config, folder, progress, on_pass)


def evaluate_fit(
    folder: Path,
    recordings: Sequence[Recording],
    config: RunConfig,
    progress: Progress | None = None,
    **options: Any,
) -> None:
    """Evaluate a finished fit on the device that its training uses; keep the result in its folder.

    Args:
        folder: The run folder.
        recordings: The sessions.
        config: The run's configuration.
        progress: Called before the evaluation.
        **options: Arguments of ``freegaze.evaluation.evaluate.evaluate``.

    Raises:
        FreegazeError: If the fit cannot be loaded, or there is nothing to score.
    """
    if progress is not None:
        progress("evaluating", 0, 1)
    encoder = load_encoder(folder, make_accelerator(config.training).device)
    save_evaluation(folder, evaluate(encoder, recordings, **options))


def load_evaluations(fits: Iterable[Fit]) -> dict[tuple[str, str], list[Evaluation]]:
    """Load the evaluations of the fits that are done.

    Args:
        fits: Fits of a grid or a bench; those that are not done are left out.

    Returns:
        One evaluation per seed, by row and session.

    Raises:
        CheckpointError: If an evaluation is broken; the message names it.
    """
    done: dict[tuple[str, str], list[Evaluation]] = {}
    for fit in fits:
        if fit.state == "done":
            done.setdefault((fit.row, fit.session_id), []).append(load_evaluation(fit.run.path))
    return done
