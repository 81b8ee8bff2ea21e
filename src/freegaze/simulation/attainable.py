"""The expected rate given only what was recorded.

``attainable`` uses the neuron (its receptive field, kernel and coefficients) but of the session
only the recorded video and behavior. It

1. fills lost eye tracking by linear interpolation,
2. guesses each bin's affine from the recorded gaze and head posture: by the affine retina's own
   rule, or, for the spherical retina, by the best quadratic regression of the true best affine on
   theta, phi, pitch and roll over training bins (so it has no parallax, which depends on
   the distance of the walls),
3. moves the recorded 48 ms frame by it, with gray where the camera saw nothing, and filters that,
4. runs the neuron's own pipeline on these drives and the recorded behavior, with latent and drift
   at their mean,
5. and scales the result by a linear regression of the true rate on it over training bins, one
   slope and one intercept per neuron, which shrinks what measurement noise has blurred (never below
   1 % of the mean rate).

It is a reference, not a proof of a bound: a model that infers more than these steps do could beat
it, yet never by much, as ``oracle`` is a bound.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from freegaze.simulation.body import PITCH_MEAN_DEG, ROLL_MEAN_DEG
from freegaze.simulation.eye import TORSION_ON_PITCH, TORSION_ON_ROLL
from freegaze.simulation.population import Population
from freegaze.simulation.processes import STEPS_PER_BIN
from freegaze.simulation.rates import MEAN_GRAY, FilterBank, Normalization, expected_counts
from freegaze.simulation.retina import RetinaKind, affine_of_gaze, warp
from freegaze.standard_scores import standardize

BINS_PER_BATCH = 64
"""Frames filtered at a time."""


def fill_lost(signal: np.ndarray) -> np.ndarray:
    """Interpolate NaN linearly, the nearest value at the ends.

    Args:
        signal: Shape (time,).

    Returns:
        Shape (time,), finite.
    """
    known = np.isfinite(signal)
    time = np.arange(len(signal))
    return np.interp(time, time[known], signal[known])


def recorded_affine(
    behavior: Mapping[str, np.ndarray],
    retina: RetinaKind,
    best_affine: np.ndarray,
    train: np.ndarray,
    scale_deg: float,
    torsion_gain: float,
) -> np.ndarray:
    """Guess each bin's affine from recorded gaze and posture.

    Args:
        behavior: Recorded signals without NaN, (time,) each.
        retina: Retina for which the affine is guessed.
        best_affine: True affine, (time, 3); only training bins are looked at.
        train: Numbers of the training bins.
        scale_deg: Degrees per pixel.
        torsion_gain: The track's factor on torsion.

    Returns:
        x_px, y_px, rotation_deg, (time, 3).
    """
    theta, phi, pitch, roll = (behavior[name] for name in ("theta", "phi", "pitch", "roll"))
    if retina == "affine":
        torsion = TORSION_ON_PITCH * (pitch - PITCH_MEAN_DEG) + TORSION_ON_ROLL * (
            roll - ROLL_MEAN_DEG
        )
        return affine_of_gaze(theta, phi, torsion_gain * torsion, scale_deg)
    linear = standardize(np.column_stack([theta, phi, pitch, roll]))
    products = [linear[:, i] * linear[:, j] for i in range(4) for j in range(i, 4)]
    design = np.column_stack([np.ones(len(linear)), linear, *products])
    weights = np.linalg.lstsq(design[train], best_affine[train], rcond=None)[0]
    return design @ weights


def attainable_counts(
    population: Population,
    normalization: Normalization,
    frames: np.ndarray,
    affine: np.ndarray,
    behavior: Mapping[str, np.ndarray],
    oracle: np.ndarray,
    train: np.ndarray,
) -> np.ndarray:
    """Compute the expected counts given the recorded video and behavior.

    Args:
        population: The neurons.
        normalization: Constants of the true rates.
        frames: Recorded video, uint8 (time, height, width).
        affine: Guessed affine of each bin, (time, 3).
        behavior: Recorded signals without NaN, (time,) each.
        oracle: True expected counts, (time, n_neurons); only training bins are looked at.
        train: Numbers of the training bins.

    Returns:
        Expected counts, (time, n_neurons).
    """
    starts = range(0, len(frames), BINS_PER_BATCH)
    batches = (slice(start, start + BINS_PER_BATCH) for start in starts)
    seen = (
        warp(torch.from_numpy(frames[bins]).float() / 255 - MEAN_GRAY, affine[bins])
        for bins in batches
    )
    drives = FilterBank(population).see_frames(seen)
    held = {name: np.repeat(signal, STEPS_PER_BIN) for name, signal in behavior.items()}
    raw, _ = expected_counts(population, drives, held, None, normalization)
    return calibrate(raw, oracle, train)


def calibrate(raw: np.ndarray, oracle: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Regress the true rate on the guess over training bins, neuron by neuron.

    Args:
        raw: Guessed counts, (time, n_neurons).
        oracle: True expected counts, the same shape; only training bins are looked at.
        train: Numbers of the training bins.

    Returns:
        Calibrated counts, at least 1 % of the mean of each neuron.
    """
    guess, true = raw[train], oracle[train]
    centered = guess - guess.mean(axis=0)
    variance = (centered**2).mean(axis=0)
    covariance = (centered * (true - true.mean(axis=0))).mean(axis=0)
    # A neuron that nothing drives has no variance to regress on: its mean rate is all there is.
    slope = np.where(variance > 1e-12, covariance / np.maximum(variance, 1e-12), 0.0)
    rate = true.mean(axis=0) + slope * (raw - guess.mean(axis=0))
    return np.maximum(rate, 0.01 * true.mean(axis=0)).astype(np.float32)
