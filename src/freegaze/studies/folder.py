"""The folder of a bench: its configuration and its fits.

::

    bench.yaml                               the configuration
    fits/ENCODER/SESSION/seed-K/             an ordinary run folder with its evaluation
    fits/ENCODER/SESSION/seed-K/cost.json    seconds and weights of the fit
    fits/ENCODER/SESSION/seed-K.error.txt    why a fit failed, until it is tried again
    bench.csv, bench.md, bench.html          scores of each encoder and recording
    differences.csv                          paired differences from the first encoder
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from freegaze.config import dump_yaml, read_config
from freegaze.errors import CheckpointError, ConfigError
from freegaze.files.atomic import write_file
from freegaze.jobs.fits import Fit
from freegaze.recording.recording import Recording
from freegaze.runs.config import RunConfig
from freegaze.runs.recordings import open_source
from freegaze.studies.config import BenchConfig, check_settings, fit_config

BENCH_FILE = "bench.yaml"


@dataclass(frozen=True)
class Bench:
    """A bench on disk; ``start_bench`` and ``open_bench`` make one.

    Args:
        path: Folder of the bench.
        config: Configuration of the bench.
    """

    path: Path
    config: BenchConfig

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        """All fits: the first seed of every encoder and recording comes before the second."""
        return tuple(
            Fit(encoder, session, seed, self.path / "fits")
            for seed in range(self.config.seeds)
            for session in self.config.recordings
            for encoder in self.config.encoders
        )

    def recording(self, session_id: str) -> Recording:
        """Open one of its recordings.

        Raises:
            FreegazeError: If it cannot be opened any more.
        """
        (recording,) = open_source(self.config.recordings[session_id])
        return recording

    def run_config(self, fit: Fit, recording: Recording) -> RunConfig:
        """Return the configuration of a fit; see ``freegaze.studies.config.fit_config``."""
        return fit_config(self.config, fit.row, recording, fit.seed)


def start_bench(path: Path, config: BenchConfig) -> Bench:
    """Begin a bench, or continue and extend the one in the folder.

    Args:
        path: The bench's folder.
        config: Configuration of the bench.

    Raises:
        ConfigError: If a setting is wrong, or the folder holds a bench with other settings.
        RegistryError: If an encoder is unknown.
        DataError: If the disk refuses.
    """
    path = path.expanduser()
    if (path / BENCH_FILE).is_file():
        config = _extended(path, open_bench(path).config, config)
    check_settings(config)
    write_file(path / BENCH_FILE, dump_yaml(config))
    return Bench(path, config)


def open_bench(path: Path) -> Bench:
    """Open a bench that was begun.

    Raises:
        CheckpointError: If there is none in the folder.
        ConfigError: If its file is damaged.
    """
    if not (path / BENCH_FILE).is_file():
        raise CheckpointError(f"{path} holds no bench (no {BENCH_FILE}); check the path")
    return Bench(path, read_config(BenchConfig, path / BENCH_FILE))


def _extended(path: Path, before: BenchConfig, asked: BenchConfig) -> BenchConfig:
    """Return the configuration of a bench, extended by what is requested."""
    for key in ("settings", "condition", "clusters", "draws"):
        _check_same(path, key, getattr(before, key), getattr(asked, key))
    for part in ("encoders", "recordings"):
        known, more = getattr(before, part), getattr(asked, part)
        for name in known.keys() & more.keys():
            _check_same(path, f"{part} {name}", known[name], more[name])
    return before.model_copy(
        update={
            "encoders": {**before.encoders, **asked.encoders},
            "recordings": {**before.recordings, **asked.recordings},
            "seeds": max(before.seeds, asked.seeds),
        }
    )


def _check_same(path: Path, what: str, before: object, asked: object) -> None:
    if before != asked:
        raise ConfigError(
            f"{path} holds a bench with {what} {before!r}, requested is {asked!r}; choose another "
            "folder with --out"
        )
