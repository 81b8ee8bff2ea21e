"""The convex encoder beside a run: fitted to the same bins, evaluated, kept in the run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from freegaze.config import build_config
from freegaze.evaluation.storage import is_evaluated
from freegaze.progress import Progress
from freegaze.recording.recording import Recording
from freegaze.runs.config import RunConfig, resolve_config
from freegaze.runs.run_folder import RunFolder
from freegaze.studies.config import can_read_shifter
from freegaze.studies.fitting import evaluate_fit, fit_or_resume

BASELINE = "local_energy"
"""Encoder that a report shows beside every other."""


def fit_baseline(
    run: Path, recordings: Sequence[Recording], progress: Progress | None = None
) -> Path:
    """Fit and evaluate the baseline of a run in its folder, or continue where that was stopped.

    Args:
        run: The run folder.
        recordings: Sessions of the run.
        progress: Called with (description, done, total) after each step.

    Returns:
        The folder of the evaluated baseline.

    Raises:
        FreegazeError: If the baseline cannot be fitted or scored.
    """
    folder = baseline_folder(run)
    if not is_evaluated(folder):
        config = baseline_config(RunFolder(run).config(), recordings)
        folder.parent.mkdir(exist_ok=True)
        fit_or_resume(recordings, config, folder, progress)
        evaluate_fit(folder, recordings, config, progress)
    return folder


def baseline_folder(run: Path) -> Path:
    """Return the folder of a run's baseline, which may not exist."""
    return run / "baseline" / BASELINE


def baseline_config(config: RunConfig, recordings: Sequence[Recording]) -> RunConfig:
    """Return the configuration of the baseline of a run: source, data and split are the run's.

    There is no shifter where the run has none, or where a recording lacks what the shifter reads.

    Args:
        config: The run's configuration.
        recordings: Sessions of the run.
    """
    values = {
        "source": config.source.model_dump(mode="json"),
        "data": config.data.model_dump(mode="json"),
        "split": config.split.model_dump(mode="json"),
        "model": {"name": BASELINE},
        "training": {"seed": config.training.seed, "device": config.training.device},
    }
    own = config.model.get("shifter")
    is_left_out = isinstance(own, dict) and own.get("kind") == "none"
    chosen = build_config(RunConfig, values, where="baseline")
    if is_left_out or not all(can_read_shifter(chosen, r) for r in recordings):
        values["model"] = {"name": BASELINE, "shifter": {"kind": "none"}}
    return resolve_config(build_config(RunConfig, values, where="baseline"))
