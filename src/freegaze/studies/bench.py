"""Bench: every encoder fitted to every recording of a folder, with the same splits."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freegaze.files.atomic import write_file
from freegaze.fitted.storage import load_encoder
from freegaze.jobs.fits import Fit, run_fit
from freegaze.jobs.workers import Watch, run_fits
from freegaze.metrics.bootstrap import DRAWS
from freegaze.progress import Progress
from freegaze.runs.config import RunConfig
from freegaze.runs.run_folder import RunFolder
from freegaze.studies.bench_page import save_result
from freegaze.studies.bench_result import COST_FILE, BenchResult, collect
from freegaze.studies.config import BenchConfig, find_recordings, read_encoders
from freegaze.studies.fitting import evaluate_fit, fit_or_resume
from freegaze.studies.folder import Bench, start_bench


@dataclass(frozen=True)
class BenchWork:
    """The work of each fit of a bench; see ``freegaze.jobs.fits.Work``.

    Args:
        bench: The bench.
    """

    bench: Bench

    def is_done(self, fit: Fit) -> bool:
        """Return whether a fit is evaluated."""
        return fit.state == "done"

    def __call__(self, fit: Fit, progress: Progress | None) -> None:
        """Fit, keep what it cost, and evaluate; or continue where this was stopped.

        Raises:
            FreegazeError: If the fit or the evaluation fails.
        """
        recording = self.bench.recording(fit.session_id)
        config, run = self.bench.run_config(fit, recording), fit.run
        spent, began = _seconds_logged(run), time.monotonic()
        fit_or_resume([recording], config, run.path, progress)
        if not (run.path / COST_FILE).is_file():
            _write_cost(run, config, spent + time.monotonic() - began)
        options = {"draws": self.bench.config.draws, "condition": self.bench.config.condition}
        evaluate_fit(run.path, [recording], config, progress, **options)


def bench(
    path: Path | str,
    models: Sequence[str],
    out: Path | str,
    *,
    source: str = "auto",
    options: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    seeds: int = 1,
    condition: str | None = None,
    clusters: str | None = None,
    draws: int = DRAWS,
    workers: int = 0,
    watch: Watch = lambda _: None,
) -> BenchResult:
    """Fit encoders to all recordings of a folder, and compare them on the same test bins.

    A bench that was stopped goes on; fits that are done are kept. Encoders, recordings and seeds
    may be added to a bench that was begun.

    Args:
        path: Folder of the recordings, or the file of one.
        models: Encoders: registered names, ``FILE.py:CLASS``, or YAML files with settings of a run.
            Where a file has a ``search``, the options are chosen on validation bins.
        out: Folder of the bench.
        source: Format of the recordings, or ``auto`` to find out that of each.
        options: Options of the source.
        settings: Settings of all fits by dotted name; ``model.X`` applies to the encoders that have
            the option X.
        seeds: Fits of each encoder and recording.
        condition: Annotation that names the stimulus of each trial.
        clusters: Annotation whose values are resampled in the place of blocks of time.
        draws: Resampled recordings that intervals are made of.
        workers: Worker processes; 0 fits in this process.
        watch: Called with the progress of fits in worker processes.

    Returns:
        Scores and differences of the fits that are done; they are also written to ``out``.

    Raises:
        ConfigError: If a setting is wrong, or the folder holds a bench with other settings.
        RegistryError: If an encoder is unknown.
        DataError: If the recordings cannot be opened, or the disk refuses.

    Example:
        >>> settings = {"training.max_passes": 1, "data.history": 4}
        >>> result = bench("data", ["mean_rate", "glm"], "bench", settings=settings, draws=20)
        >>> list(result.table["encoder"])
        ['mean_rate', 'glm']
    """
    config = BenchConfig(
        encoders=read_encoders(models),
        recordings=find_recordings(Path(path), source, options),
        settings=dict(settings or {}),
        seeds=seeds,
        condition=condition,
        clusters=clusters,
        draws=draws,
    )
    result = run_bench(start_bench(Path(out), config), workers, watch)
    save_result(result)
    return result


def run_bench(bench: Bench, workers: int = 0, watch: Watch = lambda _: None) -> BenchResult:
    """Run the fits of a bench that are not done, and gather the scores of all.

    Args:
        bench: Benchmark from ``start_bench``.
        workers: Worker processes; 0 fits in this process.
        watch: Called with the progress of fits in worker processes.

    Returns:
        Scores and differences of the fits that are done.

    Raises:
        DataError: If a recording cannot be opened any more.
    """
    work = BenchWork(bench)
    if workers:
        run_fits(work, bench.fits, workers, watch)
    else:
        for fit in bench.fits:
            run_fit(work, fit)
    return collect(bench)


def _seconds_logged(run: RunFolder) -> float:
    """Return the seconds of the passes of a fit that was begun, and of its search's trials."""
    runs = [run, *(RunFolder(p) for p in sorted((run.path / "search").glob("*")))]
    return sum(one.seconds() for one in runs)


def _write_cost(run: RunFolder, config: RunConfig, seconds: float) -> None:
    encoder = load_encoder(run.path, "cpu").encoder
    n_weights = sum(weight.numel() for weight in encoder.parameters())
    values = {"seconds": seconds, "n_weights": n_weights}
    write_file(run.path / COST_FILE, json.dumps(values) + "\n")
