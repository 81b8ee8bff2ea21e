"""Refits of a run on halves of its recordings with other seeds, and how far they agree.

RUN/refits/0, 1, ...   run folder of each refit, with its explanation
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Float

from freegaze.errors import ConfigError
from freegaze.evaluation.displacement import DisplacementFit, compare_displacement
from freegaze.explanation.config import ExplainConfig
from freegaze.explanation.explain import explain
from freegaze.explanation.stability import (
    PARTS,
    WHOLE,
    Refit,
    Stability,
    compare_refits,
    save_stability,
)
from freegaze.fitted.storage import load_encoder
from freegaze.progress import Progress
from freegaze.recording.recording import Recording
from freegaze.runs.config import RunConfig
from freegaze.runs.own_code import require_loss
from freegaze.runs.run_folder import RunFolder
from freegaze.studies.cross_validation import numbered_progress, require_same_fits
from freegaze.studies.fitting import fit_or_resume

FOLDER = "refits"


def stability_of(
    run_folder: Path | str,
    recordings: Sequence[Recording],
    n_refits: int,
    config: ExplainConfig | None = None,
    progress: Progress | None = None,
    *,
    parts: Sequence[str] = PARTS,
) -> list[Stability]:
    """Refit a run on halves of its recordings, explain the refits, and compare explanations.

    Refits with even numbers are fitted to the first of two folds, others to the second; every two
    refits have a new seed. Both halves are made of blocks of time or whole trials of the whole
    session. Refits that are done are kept, and one that was stopped goes on.

    Args:
        run_folder: The run. An encoder or a loss of your own must be known in this process
            (``load_encoder``).
        recordings: The sessions of the run.
        n_refits: Number of refits, at least 2.
        config: Settings of the explanations of the refits.
        progress: Called with (description, done, total) after each step.
        parts: Parts of the explanations to compare; others are NaN. What the run's own explanation
            lacks of them is added to it.

    Returns:
        The stability of each session, which is also written beside its explanation.

    Raises:
        ConfigError: If there are fewer than two refits, or the folder holds refits of another
            configuration.
        CheckpointError: If there is no run, or a refit is broken.
        DataError: If a refit cannot be fitted or explained.

    Example:
        >>> quick = ExplainConfig(n_windows=3, n_shifts=2, n_saliency_windows=5)
        >>> [stability] = stability_of("runs/glm", recordings, 2, quick)
        >>> len(stability.table)
        6
    """
    if n_refits < 2:
        raise ConfigError(f"stability needs at least 2 refits, one on each half; got {n_refits}")
    run = RunFolder(Path(run_folder))
    run_config = run.config()
    require_loss(run, run_config.training.loss, None, accepts_change=False)
    configs = refit_configs(run_config, n_refits)
    folder = run.path / FOLDER
    require_same_fits(folder, configs, "fit that run again in another folder")
    own = load_encoder(run.path, run_config.training.device)
    wholes = [explain(own, r, run.path, config, progress, only=parts) for r in recordings]
    found: list[list[Refit]] = [[] for _ in recordings]
    displaced: list[list[np.ndarray | None]] = [[] for _ in recordings]
    for number, refit_config in enumerate(configs):
        told = numbered_progress(progress, number, n_refits, "refit")
        fit_or_resume(recordings, refit_config, folder / str(number), told)
        encoder = load_encoder(folder / str(number), refit_config.training.device)
        for place, recording in enumerate(recordings):
            explanation = explain(
                encoder, recording, folder / str(number), config, told, only=parts
            )
            found[place].append(Refit(explanation, refit_config.split.fold))
            displaced[place].append(encoder.displacement(recording))
    stabilities = []
    for recording, whole, refits, moved in zip(recordings, wholes, found, displaced, strict=True):
        fits = _common_displacements(refits, own.displacement(recording), moved)
        units = own.session(recording).unit_ids
        stability = compare_refits(whole, refits, units, fits, _shifter_differences(fits))
        save_stability(run.path, stability)
        stabilities.append(stability)
    return stabilities


def refit_configs(config: RunConfig, n_refits: int) -> list[RunConfig]:
    """Return the configuration of each refit: that of the run on one half, with another seed.

    Args:
        config: The configuration of the run.
        n_refits: Number of refits.
    """
    configs = []
    for number in range(n_refits):
        split = config.split.model_copy(
            update={"method": "folds", "n_folds": 2, "fold": number % 2}
        )
        seed = config.training.seed + 1 + number // 2
        training = config.training.model_copy(update={"seed": seed})
        configs.append(config.model_copy(update={"split": split, "training": training}))
    return configs


def _common_displacements(
    refits: Sequence[Refit],
    own: Float[np.ndarray, "time 3"] | None,
    displacements: Sequence[Float[np.ndarray, "time 3"] | None],
) -> dict[tuple[int, int], DisplacementFit]:
    """Fit the displacement from the second retina of each pair to the first, on tracked bins.

    Pairs are the run and each refit, and refits on different halves; none without a shifter.
    """
    places, fits = {WHOLE: own, **dict(enumerate(displacements))}, {}
    for i, j in combinations(places, 2):
        ours, theirs = places[i], places[j]
        is_apart = i == WHOLE or refits[i].half != refits[j].half
        if not is_apart or ours is None or theirs is None:
            continue
        ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
        is_known = np.array(np.isfinite(np.concatenate([ours, theirs], axis=1)).all(axis=1))
        fits[i, j] = compare_displacement(ours, theirs, is_known)
    return fits


def _shifter_differences(
    fits: dict[tuple[int, int], DisplacementFit],
) -> dict[str, float | None]:
    """Return the median over pairs of refits of the root mean square difference."""
    between = [fit for (i, _), fit in fits.items() if i != WHOLE]
    if not between:
        return {"shifter_rms_px": None, "shifter_rms_deg": None}
    px = [float(np.hypot(fit.rms[0], fit.rms[1])) for fit in between]
    return {
        "shifter_rms_px": float(np.median(px)),
        "shifter_rms_deg": float(np.median([fit.rms[2] for fit in between])),
    }
