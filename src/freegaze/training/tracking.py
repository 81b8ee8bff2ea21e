"""Trackers of experiments that follow the passes of a fit: TensorBoard, MLflow, Weights & Biases.

They are off by default, and nothing in the package reads what they write. ``metrics.jsonl`` in the
run folder has the same numbers.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freegaze.errors import ConfigError, DataWarning
from freegaze.progress import PassHook
from freegaze.registry import require_names
from freegaze.runs.config import RunConfig
from freegaze.runs.run_folder import RunFolder
from freegaze.training.processes import is_first_process

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

TRACKERS = ("tensorboard", "mlflow", "wandb")
"""Names of trackers, which are also those of their packages and of the extras to install."""

FOLDER = "tracking"
"""Folder within the run folder, for a tracker that writes files there."""

PROJECT = "freegaze"
"""Experiment of MLflow and project of Weights & Biases that runs belong to."""


@contextmanager
def tracking(names: Sequence[str], folder: Path, config: RunConfig) -> Iterator[PassHook | None]:
    """Follow a fit with trackers while the block runs.

    A tracker starts after the first pass. It then gets all passes so far, so that it also has those
    from before a fit was continued. One that fails is left out from then on with a warning, and the
    fit continues. Where several processes share a fit, the first one tracks it.

    Args:
        names: Names of trackers; may be empty.
        folder: The run folder.
        config: The run's configuration, which trackers show beside the passes.

    Yields:
        The hook to give to the fit; ``None`` without trackers.

    Raises:
        ConfigError: If a name is unknown, its package is missing, or the run consists of many fits.
    """
    require_names(names, TRACKERS, "--track names no tracker", ConfigError)
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"--track {name} needs the package {name}; install it with `pip install "
                f"freegaze[{name}]`"
            )
    if names and (config.search or config.training.seeds > 1):
        raise ConfigError(
            "--track follows the passes of one fit; leave it out, or fit without `search`, "
            "--core-from and several seeds"
        )
    if not names or not is_first_process():
        yield None
        return
    trackers = _Trackers(names, RunFolder(folder), config)
    try:
        yield trackers
    finally:
        trackers.finish()


class _Trackers:
    """Trackers of one fit that start when its first pass has ended."""

    def __init__(self, names: Sequence[str], run: RunFolder, config: RunConfig) -> None:
        self.names, self.run, self.config = names, run, config
        self._running: dict[str, GeneralTracker] | None = None

    def __call__(self, line: Mapping[str, Any]) -> None:
        passes: Sequence[Mapping[str, Any]] = [line]
        if self._running is None:
            self._running = {}
            passes = self.run.metrics()
            for name in self.names:
                with _surviving(name):
                    tracker = _start(name, self.run)
                    tracker.store_init_configuration(_flat(self.config.model_dump(mode="json")))
                    self._running[name] = tracker
        for name, tracker in list(self._running.items()):
            with _surviving(name, self._running):
                for logged in passes:
                    tracker.log(_numbers(logged), step=logged["pass"])

    def finish(self) -> None:
        for name, tracker in (self._running or {}).items():
            with _surviving(name):
                tracker.finish()


@contextmanager
def _surviving(name: str, running: dict[str, GeneralTracker] | None = None) -> Iterator[None]:
    """Turn the failure of a tracker, as of its server, into a warning, and leave it out."""
    try:
        yield
    except Exception as error:  # libraries of others raise what they like
        if running is not None:
            del running[name]
        why = " ".join(f"{type(error).__name__}: {error}".split())
        warnings.warn(
            f"{name} failed ({why}); the fit continues without it; metrics.jsonl has all passes",
            DataWarning,
            stacklevel=2,
        )


def _start(name: str, run: RunFolder) -> GeneralTracker:
    from accelerate.tracking import MLflowTracker, TensorBoardTracker, WandBTracker

    place = run.path / FOLDER
    if name == "tensorboard":
        # Readers leave out what an earlier process wrote, as all passes are written again.
        tracker = TensorBoardTracker(name, place, purge_step=1)
    elif name == "mlflow":
        tracker = MLflowTracker(PROJECT, run_name=run.path.name)
    else:
        place.mkdir(exist_ok=True)
        tracker = WandBTracker(PROJECT, name=run.path.name, dir=place)
    tracker.start()
    return tracker


def _numbers(line: Mapping[str, Any]) -> dict[str, float]:
    return {key: value for key, value in line.items() if key != "pass" and value is not None}


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return settings by dotted name, as trackers take no nested ones."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{key}.")
        else:
            is_plain = isinstance(value, bool | int | float | str)
            found[f"{before}{key}"] = value if is_plain else str(value)
    return found
