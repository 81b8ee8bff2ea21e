"""Cross-validation of a run: the same configuration fitted to folds, each bin tested once.

RUN/folds/0, 1, ...   run folder of each fold
          evaluation/ scores of the test bins of all folds, as in ``RUN/evaluation``
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from freegaze.errors import ConfigError
from freegaze.evaluation.evaluation import Evaluation
from freegaze.evaluation.fold_scores import FoldPrediction, predict_fold, score_folds
from freegaze.evaluation.neuron_scores import ExtraScore
from freegaze.evaluation.storage import CROSS_VALIDATION_FOLDER
from freegaze.fitted.storage import load_encoder
from freegaze.metrics.bootstrap import DRAWS
from freegaze.progress import Progress
from freegaze.recording.recording import Recording
from freegaze.runs.config import RunConfig
from freegaze.runs.own_code import require_loss
from freegaze.runs.run_folder import RunFolder
from freegaze.studies.fitting import fit_or_resume


def cross_validate(
    run_folder: Path | str,
    recordings: Sequence[Recording],
    n_folds: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    condition: str | None = None,
    extra_score: ExtraScore | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Fit a run's configuration to each fold without its test bins, and score all test bins.

    Where the configuration searches options, they are chosen in each fold on its own validation
    bins. Folds are run folders inside the run; those that are done are kept, and a fold that was
    stopped goes on.

    Args:
        run_folder: The run; its own encoder is not used. An encoder or a loss of your own must be
            known in this process (``load_encoder``).
        recordings: The sessions of the run.
        n_folds: Number of folds, at least 2.
        draws: Resampled recordings that intervals are made of.
        seed: Fixes the draws.
        condition: Annotation that names the stimulus of each trial.
        extra_score: Computes further scores of each session.
        progress: Called with (description, done, total) after each step.

    Returns:
        The scores, see ``freegaze.evaluation.fold_scores.score_folds``.

    Raises:
        ConfigError: If there are fewer than two folds, or the folder holds folds of another number
            or configuration.
        CheckpointError: If there is no run, or a fold is broken.
        DataError: If a fold cannot be fitted.

    Example:
        >>> evaluation = cross_validate("runs/glm", recordings, 2, draws=20)
        >>> evaluation.summary["folds"]["n"]
        2
    """
    if n_folds < 2:
        raise ConfigError(f"cross-validation needs at least 2 folds, got {n_folds}")
    run = RunFolder(Path(run_folder))
    config = run.config()
    require_loss(run, config.training.loss, None, accepts_change=False)
    folder = run.path / CROSS_VALIDATION_FOLDER
    configs = fold_configs(config, n_folds)
    require_same_fits(folder, configs, f"give --folds {_n_folds_in(folder)}")
    predictions = _predict_folds(folder, configs, recordings, condition, progress)
    return score_folds(
        recordings,
        predictions,
        draws=draws,
        seed=seed,
        condition=condition,
        extra_score=extra_score,
    )


def fold_configs(config: RunConfig, n_folds: int) -> list[RunConfig]:
    """Return the configuration of each fold: that of the run with another split.

    Args:
        config: The configuration of the run.
        n_folds: Number of folds.
    """
    changes = [{"method": "folds", "n_folds": n_folds, "fold": fold} for fold in range(n_folds)]
    splits = [config.split.model_copy(update=change) for change in changes]
    return [config.model_copy(update={"split": split}) for split in splits]


def require_same_fits(folder: Path, configs: Sequence[RunConfig], cure: str) -> None:
    """Refuse a folder that holds fits of other configurations.

    Args:
        folder: Folder of the fits ``0``, ``1``, ...
        configs: Configurations of the fits.
        cure: Remedy, for the message.

    Raises:
        ConfigError: If a fit has another configuration than asked for.
    """
    for number, config in enumerate(configs):
        known = folder / str(number)
        if (known / "config.yaml").is_file() and RunFolder(known).config() != config:
            raise ConfigError(
                f"{known} was fitted with other settings than asked for now; {cure}, or remove "
                f"{folder} to fit anew"
            )


def numbered_progress(progress: Progress | None, number: int, n: int, what: str) -> Progress | None:
    """Return a progress whose descriptions begin with the number of a fit.

    Args:
        progress: Function that reports; ``None`` reports nothing.
        number: Number of the fit, from 0.
        n: Number of fits.
        what: Noun for one of them.
    """
    if progress is None:
        return None
    return lambda text, done, total: progress(f"{what} {number + 1} of {n}: {text}", done, total)


def _predict_folds(
    folder: Path,
    configs: Sequence[RunConfig],
    recordings: Sequence[Recording],
    condition: str | None,
    progress: Progress | None,
) -> Iterator[list[FoldPrediction]]:
    """Fit each fold that is not done, and predict its test bins."""
    for number, config in enumerate(configs):
        place = folder / str(number)
        told = numbered_progress(progress, number, len(configs), "fold")
        fit_or_resume(recordings, config, place, told)
        encoder = load_encoder(place, config.training.device)
        yield [predict_fold(encoder, recording, condition) for recording in recordings]


def _n_folds_in(folder: Path) -> int:
    known = RunFolder(folder / "0")
    is_begun = (known.path / "config.yaml").is_file()
    return known.config().split.n_folds if is_begun else 0
