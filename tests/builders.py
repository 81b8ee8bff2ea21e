"""Small made-up recordings for tests; `from builders import make_recording` in any test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from freegaze.recording.recording import Recording, ResponseKind, Role, Segment
from freegaze.sources.source import SOURCES

THIRDS: tuple[Role, ...] = ("train", "validation", "test")


def make_recording(
    *,
    n_bins: int = 400,
    n_neurons: int = 4,
    seed: int = 0,
    session_id: str = "s",
    bin_width_s: float = 0.05,
    kind: ResponseKind = ResponseKind.SPIKE_COUNTS,
    roles: Sequence[Role | None] = THIRDS,
    segments: Sequence[Segment] | None = None,
    frame_size: tuple[int, int] = (6, 8),
    lost_share: float = 0.0,
) -> Recording:
    """Make a recording whose neurons follow a slow signal; ``reference_rates["oracle"]`` has it.

    Args:
        n_bins: Number of bins.
        n_neurons: Number of neurons.
        seed: Decides everything drawn.
        session_id: Name of the session.
        bin_width_s: Width of a bin.
        kind: Kind of the responses.
        roles: One segment each, equally long (unless ``segments`` are given).
        segments: The segments themselves.
        frame_size: (height, width) of the video.
        lost_share: Share of bins in which theta and phi are lost, in stretches of 5.
    """
    rng = np.random.default_rng(seed)
    behavior = _slow_signals(rng, n_bins, 3)
    oracle = np.exp(0.4 * _slow_signals(rng, n_bins, n_neurons) + rng.normal(-0.3, 0.3, n_neurons))
    for first in rng.choice(n_bins // 5, round(lost_share * n_bins / 5), replace=False) * 5:
        behavior[first : first + 5, 1:] = np.nan
    if segments is None:
        edges = np.linspace(0, n_bins, len(roles) + 1).astype(int)
        segments = [
            Segment(int(a), int(b), role)
            for a, b, role in zip(edges[:-1], edges[1:], roles, strict=True)
        ]
    return Recording(
        session_id=session_id,
        bin_width_s=bin_width_s,
        frames=rng.integers(0, 256, (n_bins, *frame_size), dtype=np.uint8),
        frame_index=np.arange(n_bins),
        behavior=behavior.astype(np.float32),
        behavior_names=("speed", "theta", "phi"),
        behavior_units=("cm/s", "deg", "deg"),
        responses=_responses(rng, oracle, kind).astype(np.float32),
        response_kind=kind,
        unit_ids=tuple(f"unit_{i}" for i in range(n_neurons)),
        segments=tuple(segments),
        reference_rates={"oracle": oracle.astype(np.float32)},
    )


def make_trial_recording(
    *,
    n_trials: int = 24,
    n_bins: int = 20,
    n_conditions: int = 3,
    n_neurons: int = 4,
    seed: int = 0,
    kind: ResponseKind = ResponseKind.FLUORESCENCE,
) -> Recording:
    """Make trials (half train, a quarter validation, a quarter test) of repeated conditions.

    Trials of a condition share their frames and the mean response ``reference_rates["oracle"]``;
    the annotation ``stimulus_direction_deg`` names it.
    """
    rng = np.random.default_rng(seed)
    condition = np.arange(n_trials) % n_conditions
    bounds = (n_trials // 2, n_trials - n_trials // 4)
    roles = [THIRDS[(i >= bounds[0]) + (i >= bounds[1])] for i in range(n_trials)]
    segments = [Segment(i * n_bins, (i + 1) * n_bins, r, True) for i, r in enumerate(roles)]
    base = make_recording(
        n_bins=n_trials * n_bins, n_neurons=n_neurons, seed=seed, kind=kind, segments=segments
    )
    mean = rng.gamma(2.0, 0.5, (n_conditions, n_bins, n_neurons))
    oracle = mean[condition].reshape(-1, n_neurons)
    frames = (condition[:, None] * n_bins + np.arange(n_bins)).ravel()
    return replace(
        base,
        frame_index=frames,
        responses=_responses(rng, oracle, kind).astype(np.float32),
        annotations={"stimulus_direction_deg": np.repeat(condition * 45.0, n_bins)},
        reference_rates={"oracle": oracle.astype(np.float32)},
    )


def _slow_signals(rng: np.random.Generator, n_bins: int, n_signals: int) -> np.ndarray:
    """Autoregressive signals of sd 1 with a memory of 10 bins."""
    memory = np.exp(-1 / 10)
    signal = rng.normal(size=(n_bins, n_signals))
    signal[1:] *= np.sqrt(1 - memory**2)
    for t in range(1, n_bins):
        signal[t] += memory * signal[t - 1]
    return signal


def _responses(rng: np.random.Generator, oracle: np.ndarray, kind: ResponseKind) -> np.ndarray:
    if kind is ResponseKind.SPIKE_COUNTS:
        return rng.poisson(oracle)
    noisy = oracle + rng.normal(0, oracle.std() or 1.0, oracle.shape)
    return np.maximum(noisy, 0) if kind is ResponseKind.INFERRED_SPIKES else noisy


@cache
def _tiny(source: str, seed: int) -> tuple[tempfile.TemporaryDirectory, Path]:
    """Write the small files of a source once per process; they are removed at its end."""
    folder = tempfile.TemporaryDirectory()
    return folder, SOURCES.get(source)().write_tiny(Path(folder.name), seed)


def copy_tiny(source: str, folder: Path, seed: int = 0) -> Path:
    """Copy the small files of a source into an empty folder; return what to open there."""
    written, path = _tiny(source, seed)
    shutil.copytree(written.name, folder, dirs_exist_ok=True)
    return folder / path.relative_to(written.name)
