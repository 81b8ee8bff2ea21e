"""Visual drive of VM-2: luminance adaptation, time, phases, normalization, contrast adaptation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from freegaze.simulation.processes import low_pass
from freegaze.simulation.rates import MEAN_GRAY, Drives, FilterBank, filter_in_time
from freegaze.simulation.vm2.neurons import Neurons

DARKEST = 0.15
"""Least brightness, of the mean gray, that adaptation divides by."""

TYPICAL_DRIVE = 0.8
"""Mean absolute value of a standard normal drive; contrast adaptation leaves it unchanged."""


@dataclass(frozen=True)
class LitDrives(Drives):
    """Responses of the filters, and local brightness.

    Args:
        luminance: Mean of the frame over each neuron's pool, minus gray, (n_steps, n_neurons).
    """

    luminance: np.ndarray


class LitFilterBank(FilterBank):
    """Receptive fields and pools as matrices, with local brightness."""

    def see(self, pictures: torch.Tensor) -> LitDrives:
        """Filter frames.

        Args:
            pictures: Brightness minus ``MEAN_GRAY``, shape (time, height, width).

        Returns:
            Drives of shape (time, n_neurons).
        """
        return LitDrives(*self.filter(pictures))


@dataclass(frozen=True)
class VisualScale:
    """Constants of the visual part, (n_neurons,) each, learned from what truly happened.

    Args:
        drive_mean: Mean of the drive before the nonlinearity.
        drive_sd: Its standard deviation.
        contrast_mean: Mean contrast of the pool.
        luminance_mean: Mean of local brightness in time, of neurons that it drives.
        luminance_sd: Its standard deviation.
        visual_mean: Mean after the nonlinearity.
    """

    drive_mean: np.ndarray
    drive_sd: np.ndarray
    contrast_mean: np.ndarray
    luminance_mean: np.ndarray
    luminance_sd: np.ndarray
    visual_mean: np.ndarray


def visual_part(
    neurons: Neurons, drives: Drives, scale: VisualScale | None = None
) -> tuple[Float[np.ndarray, "step n"], VisualScale]:
    """Return the visual part of the rate, of mean 1 where the scale is learned.

    Args:
        neurons: The neurons.
        drives: ``LitDrives``, responses of their filters at each step.
        scale: Constants from an earlier call; learned from this input by default.

    Returns:
        The visual part, and the constants.
    """
    assert isinstance(drives, LitDrives)
    drive, contrast_mean = _drive(neurons, drives, scale)
    mean = drive.mean(axis=0) if scale is None else scale.drive_mean
    sd = np.maximum(drive.std(axis=0), 1e-12) if scale is None else scale.drive_sd
    energy = (drive - mean) / sd
    brightness, luminance_mean, luminance_sd = _brightness(neurons, drives, scale)
    weight = neurons.traits["luminance_drive"]
    joint = (energy + weight * brightness) / np.sqrt(1 + weight**2)
    scaled = _contrast_adapted(neurons, joint)
    soft = np.logaddexp(0.0, 2.5 * (scaled - neurons.threshold)) / 2.5
    visual = soft**neurons.steepness
    visual = visual / (1 + visual / neurons.traits["saturation"])
    visual_mean = visual.mean(axis=0) if scale is None else scale.visual_mean
    part = neurons.baseline + (1 - neurons.baseline) * visual / visual_mean
    constants = (mean, sd, contrast_mean, luminance_mean, luminance_sd, visual_mean)
    return part, VisualScale(*constants)


def low_pass_each(
    signal: Float[np.ndarray, "step n"], time_constant_s: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "step n"]:
    """Smooth each column causally with its own time constant.

    Args:
        signal: One column per neuron.
        time_constant_s: Of each column; few different values.
    """
    out = np.empty(signal.shape, dtype=np.float32)
    for value in np.unique(time_constant_s):
        columns = time_constant_s == value
        out[:, columns] = low_pass(signal[:, columns], float(value))
    return out


def _drive(
    neurons: Neurons, drives: LitDrives, scale: VisualScale | None
) -> tuple[np.ndarray, np.ndarray]:
    """Adapt to brightness, filter in time, join phases, divide by contrast."""
    cosine, sine = _luminance_adapted(neurons, drives)
    kernel = neurons.temporal_kernel
    drive = filter_in_time(cosine, kernel)
    energy = neurons.kind == "complex"
    second = filter_in_time(sine[:, energy], kernel[energy])
    directed = neurons.family[energy] == "direction"
    if directed.any():
        # Energy of movement: both phases in both time courses (Adelson and Bergen 1985).
        moving = neurons.family == "direction"
        later = neurons.quadrature_kernel[moving]
        first = drive[:, moving] + filter_in_time(sine[:, moving], later)
        second[:, directed] -= filter_in_time(cosine[:, moving], later)
        drive[:, moving] = first
    drive[:, energy] = np.hypot(drive[:, energy], second)
    positive = np.maximum(kernel, 0.0)
    contrast = filter_in_time(drives.contrast, positive / positive.sum(axis=1, keepdims=True))
    mean = contrast.mean(axis=0) if scale is None else scale.contrast_mean
    relative = contrast / np.where(mean > 0, mean, 1.0)
    return drive / (1.0 + neurons.pool_strength * relative), mean


def _brightness(
    neurons: Neurons, drives: LitDrives, scale: VisualScale | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return local brightness in time in standard deviations, where it drives a neuron, else 0."""
    driven = neurons.traits["luminance_drive"] != 0
    out = np.zeros(drives.luminance.shape, dtype=np.float32)
    out[:, driven] = filter_in_time(drives.luminance[:, driven], neurons.temporal_kernel[driven])
    mean = out.mean(axis=0) if scale is None else scale.luminance_mean
    sd = out.std(axis=0) if scale is None else scale.luminance_sd
    return (out - mean) / np.where(sd > 0, sd, 1.0), mean, sd


def _luminance_adapted(neurons: Neurons, drives: LitDrives) -> tuple[np.ndarray, np.ndarray]:
    """Subtract and divide by local brightness of the last seconds, as strongly as each does."""
    strength = neurons.traits["luminance_adaptation"]
    if not strength.any():
        return drives.cosine, drives.sine
    past = low_pass_each(drives.luminance, neurons.traits["luminance_adaptation_s"])
    divisor = np.maximum(1 + strength * past / MEAN_GRAY, DARKEST)
    total = neurons.receptive_field.sum(axis=(2, 3))
    phases = (drives.cosine, drives.sine)
    cosine, sine = (
        ((phase - strength * total[:, i] * past) / divisor).astype(np.float32)
        for i, phase in enumerate(phases)
    )
    return cosine, sine


def _contrast_adapted(neurons: Neurons, drive: np.ndarray) -> np.ndarray:
    """Divide a standard drive by its own size in the last seconds."""
    strength = neurons.traits["contrast_adaptation"]
    if not strength.any():
        return drive
    past = low_pass_each(np.abs(drive), neurons.traits["contrast_adaptation_s"])
    return drive * (1 + strength * TYPICAL_DRIVE) / (1 + strength * past)
