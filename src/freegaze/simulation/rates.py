"""Expected spike counts, computed from frames and behavior.

One pipeline serves twice: fed with what truly happened it gives ``oracle``, fed with what was
recorded it gives the raw material of ``attainable``. Only the normalization is learned, once, from
the truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from freegaze.simulation.body import PITCH_MEAN_DEG, ROLL_MEAN_DEG
from freegaze.simulation.population import GAIN_SIGNALS, POSITION_SIGNALS, Population
from freegaze.simulation.processes import BIN_S, STEPS_PER_BIN, bin_mean, low_pass
from freegaze.simulation.rotation import REST_PHI_DEG, REST_THETA_DEG

SIGNAL_CENTER = {
    "speed": 0.0,
    "pupil_radius": 21.0,
    "pitch": PITCH_MEAN_DEG,
    "roll": ROLL_MEAN_DEG,
    "theta": REST_THETA_DEG,
    "phi": REST_PHI_DEG,
}
SIGNAL_SCALE = {
    "speed": 8.0,
    "pupil_radius": 3.0,
    "pitch": 21.0,
    "roll": 12.0,
    "theta": 12.0,
    "phi": 10.0,
}
"""About one standard deviation of each signal (of speed, its median while walking)."""

BEHAVIOR_DELAY_S = 0.08
"""Behavior acts on cortex through a low pass of this time constant."""

MEAN_GRAY = 0.42
"""Subtracted from frames, and assumed where a frame ends: about the mean brightness of the
box."""


@dataclass(frozen=True)
class Drives:
    """Responses of the filters at each step, shape (n_steps, n_neurons) each.

    Args:
        cosine: Receptive field in cosine phase times frame.
        sine: The same in sine phase (zero for simple cells).
        contrast: Local root mean square contrast in the pool (zero where there is none).
    """

    cosine: np.ndarray
    sine: np.ndarray
    contrast: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[Drives], repeats: int = 1) -> Drives:
        """Put drives one after the other; every row holds for ``repeats`` steps."""
        names = [field.name for field in fields(cls)]
        whole = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
        return cls(*(np.repeat(array, repeats, axis=0) for array in whole))


class FilterBank:
    """The receptive fields of a population as matrices.

    Args:
        population: The neurons.
    """

    def __init__(self, population: Population) -> None:
        receptive = population.receptive_field
        self._n, _, height, width = receptive.shape
        self._has_sine = np.flatnonzero(receptive[:, 1].any(axis=(1, 2)))
        self._has_pool = np.flatnonzero(population.pool.any(axis=(1, 2)))
        linear = np.concatenate(
            [
                a.reshape(len(a), height * width)
                for a in (
                    receptive[:, 0],
                    receptive[self._has_sine, 1],
                    population.pool[self._has_pool],
                )
            ]
        )
        self._linear = torch.from_numpy(linear.T.astype(np.float32))
        pool = population.pool[self._has_pool].reshape(len(self._has_pool), height * width)
        self._pool = torch.from_numpy(pool.T.astype(np.float32))

    def see_frames(self, frames: Iterable[torch.Tensor]) -> Drives:
        """Filter frames of whole bins, some at a time; each holds for all steps of its bin.

        Args:
            frames: Brightness minus ``MEAN_GRAY``, shape (time, height, width) each.

        Returns:
            Drives of shape (n_steps, n_neurons).
        """
        parts = [self.see(part) for part in frames]
        return type(parts[0]).joined(parts, STEPS_PER_BIN)

    def see(self, pictures: torch.Tensor) -> Drives:
        """Filter frames.

        Args:
            pictures: Brightness minus ``MEAN_GRAY``, shape (time, height, width).

        Returns:
            Drives of shape (time, n_neurons).
        """
        cosine, sine, contrast, _ = self.filter(pictures)
        return Drives(cosine, sine, contrast)

    def filter(
        self, pictures: torch.Tensor
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return cosine, sine, local contrast and local mean of frames, (time, n_neurons) each.

        Args:
            pictures: Brightness minus ``MEAN_GRAY``, shape (time, height, width).
        """
        flat = pictures.reshape(len(pictures), -1)
        linear = (flat @ self._linear).numpy()
        square = (flat.square() @ self._pool).numpy()
        n, n_sine = self._n, len(self._has_sine)
        sine, contrast, mean = np.zeros((3, len(flat), n), dtype=np.float32)
        sine[:, self._has_sine] = linear[:, n : n + n_sine]
        local_mean = linear[:, n + n_sine :]
        contrast[:, self._has_pool] = np.sqrt(np.maximum(square - local_mean**2, 0.0))
        mean[:, self._has_pool] = local_mean
        return linear[:, :n].copy(), sine, contrast, mean


@dataclass(frozen=True)
class Normalization:
    """Constants that give a neuron's parts the scale of its parameters, (n_neurons,) each.

    Args:
        drive_mean: Mean of the drive after time and contrast.
        drive_sd: Standard deviation of this drive.
        contrast_mean: Mean local contrast.
        visual_mean: Mean of the visual part of the rate.
        position_mean: Mean of the part of the rate that eye and head position drive.
        rate_mean: Mean of the rate: the sum of both parts, times all other factors.
    """

    drive_mean: np.ndarray
    drive_sd: np.ndarray
    contrast_mean: np.ndarray
    visual_mean: np.ndarray
    position_mean: np.ndarray
    rate_mean: np.ndarray


def expected_counts(
    population: Population,
    drives: Drives,
    behavior: Mapping[str, np.ndarray],
    log_nuisance: np.ndarray | None = None,
    normalization: Normalization | None = None,
) -> tuple[np.ndarray, Normalization]:
    """Return the expected spike count of every bin.

    Args:
        population: The neurons.
        drives: Drive of their filters at each step.
        behavior: Signals by name, each step, shape (n_steps,).
        log_nuisance: Latent and drift on the log rate, shape (n_steps, n_neurons); none by default.
        normalization: Constants from an earlier call; learned from this input by default.

    Returns:
        Expected counts (n_bins, n_neurons), and the constants used.
    """
    drive, contrast_mean = _drive_in_time(population, drives, normalization)
    given = normalization
    drive_mean = drive.mean(axis=0) if given is None else given.drive_mean
    drive_sd = np.maximum(drive.std(axis=0), 1e-12) if given is None else given.drive_sd
    visual = _nonlinearity(population, (drive - drive_mean) / drive_sd)
    visual_mean = visual.mean(axis=0) if given is None else given.visual_mean
    scaled = scaled_signals(behavior)
    position = position_tuning(population.behavior_coefficients, scaled)
    position_mean = position.mean(axis=0) if given is None else given.position_mean
    share = population.position_share
    gain = np.exp(
        sum(scaled[s][:, None] * population.behavior_coefficients[s] for s in GAIN_SIGNALS)
    )
    visual = population.baseline + (1 - population.baseline) * visual / visual_mean
    rate = (1 - share) * visual * gain + share * (position / position_mean)
    if log_nuisance is not None:
        rate *= np.exp(log_nuisance)
    rate_mean = rate.mean(axis=0) if given is None else given.rate_mean
    counts = bin_mean(rate) * (population.mean_rate_hz * BIN_S / rate_mean)
    constants = Normalization(
        drive_mean, drive_sd, contrast_mean, visual_mean, position_mean, rate_mean
    )
    return counts, constants


def _drive_in_time(
    population: Population, drives: Drives, normalization: Normalization | None
) -> tuple[np.ndarray, np.ndarray]:
    """Filter in time, take the energy of complex cells, divide by contrast."""
    kernel = population.temporal_kernel
    drive = filter_in_time(drives.cosine, kernel)
    is_complex = population.kind == "complex"
    sine = filter_in_time(drives.sine[:, is_complex], kernel[is_complex])
    drive[:, is_complex] = np.hypot(drive[:, is_complex], sine)
    positive = np.maximum(kernel, 0.0)
    contrast = filter_in_time(drives.contrast, positive / positive.sum(axis=1, keepdims=True))
    mean = contrast.mean(axis=0) if normalization is None else normalization.contrast_mean
    relative = contrast / np.where(mean > 0, mean, 1.0)
    return drive / (1.0 + population.pool_strength * relative), mean


def filter_in_time(signal: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve each column with its own causal kernel; before the start the first value holds.

    Args:
        signal: Shape (n_steps, n).
        kernel: Shape (n, n_taps); tap k weighs the signal k steps earlier.

    Returns:
        Shape (n_steps, n), float32.
    """
    n_taps = kernel.shape[1]
    padded = np.concatenate([np.repeat(signal[:1], n_taps - 1, axis=0), signal]).astype(np.float32)
    out = np.zeros(signal.shape, dtype=np.float32)
    for lag, weight in enumerate(kernel.T.astype(np.float32)):
        start = n_taps - 1 - lag
        out += padded[start : start + len(signal)] * weight
    return out


def _nonlinearity(population: Population, drive: np.ndarray) -> np.ndarray:
    """Soft threshold and power; a drive of 1 is a standard deviation."""
    soft = np.logaddexp(0.0, 2.5 * (drive - population.threshold)) / 2.5
    return soft**population.steepness


def scaled_signals(behavior: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return behavior as it acts on cortex: in about standard deviations, a little later.

    Args:
        behavior: Signals by name, each step.
    """
    scaled = {}
    for name in (*GAIN_SIGNALS, *POSITION_SIGNALS):
        value = (behavior[name] - SIGNAL_CENTER[name]) / SIGNAL_SCALE[name]
        value = np.tanh(value) if name == "speed" else value  # gain saturates with speed
        scaled[name] = low_pass(value, BEHAVIOR_DELAY_S)
    return scaled


def position_tuning(
    coefficients: Mapping[str, np.ndarray], scaled: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return what head and eye position add to the rate, up to its mean, (n_steps, n_neurons).

    Args:
        coefficients: Effect of each signal on the drive, (n_neurons,) each.
        scaled: Result of ``scaled_signals``.
    """
    drive = sum(scaled[s][:, None] * coefficients[s] for s in POSITION_SIGNALS)
    return np.logaddexp(0.0, 2.0 * drive) / 2.0
