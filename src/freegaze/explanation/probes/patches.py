"""Patches of gratings at a neuron's place, and its tuning to their size and contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from freegaze.errors import ConfigError, ShapeError
from freegaze.explanation.probes.gratings import N_PHASES
from freegaze.explanation.probes.stimuli import (
    LEAST_CHANGE,
    drifting_waves,
    rates_for,
    typical_level,
)
from freegaze.models.callables import Predict

SMALLEST_PX = 4.0
"""Diameter of the smallest patch."""

OCTAVES = 0.5
"""Step between diameters."""

CONTRASTS = (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0)
"""Contrasts, relative to typical frames; sizes are compared at a contrast of 1."""

FULL = 0.95
"""Share of the largest response at which a patch counts as large enough."""


@dataclass(frozen=True)
class PatchGrating:
    """Grating and place of the patches of one neuron.

    Args:
        direction_deg: Direction of drift; 0 is to the right, 90 is down.
        frequency_cpp: Spatial frequency in cycles per pixel.
        temporal_hz: Temporal frequency; 0 is static.
        x_px: Horizontal middle in pixels; 0 is the middle of the first pixel.
        y_px: Vertical middle, down.
        is_first_harmonic: Whether the response is the first harmonic of the rate over the phases,
            as in simple cells, or the rise of its mean.
    """

    direction_deg: float
    frequency_cpp: float
    temporal_hz: float
    x_px: float
    y_px: float
    is_first_harmonic: bool = False


@dataclass(frozen=True, eq=False)
class PatchTuning:
    """Tuning of one neuron to the size and contrast of patches.

    Args:
        diameters_px: Diameters shown, at a contrast of 1.
        by_size: Response by diameter, per bin.
        contrasts: Contrasts shown, relative to typical frames.
        by_contrast: Response by contrast, at the diameter with the largest response.
        diameter_px: Smallest diameter with 95 % of the largest response, interpolated; NaN for a
            neuron that no patch drives.
        suppression: 1 - response to the largest patch / largest response.
        contrast_half: Contrast with half of the largest response over contrasts, interpolated.
    """

    diameters_px: Float[np.ndarray, " size"]
    by_size: Float[np.ndarray, " size"]
    contrasts: Float[np.ndarray, " contrast"]
    by_contrast: Float[np.ndarray, " contrast"]
    diameter_px: float
    suppression: float
    contrast_half: float


def default_diameters(frame_size: tuple[int, int]) -> Float[np.ndarray, " size"]:
    """Return diameters half an octave apart, from 4 px to twice the frame's longer side.

    A patch of the largest diameter covers the frame, wherever its middle is.

    Args:
        frame_size: (height, width) in pixels.

    Example:
        >>> default_diameters((12, 16)).round(1).tolist()
        [4.0, 5.7, 8.0, 11.3, 16.0, 22.6, 32.0]
    """
    n = int(np.ceil(np.log2(2 * max(frame_size) / SMALLEST_PX) / OCTAVES - 1e-9)) + 1
    return SMALLEST_PX * 2 ** (OCTAVES * np.arange(n))


def show_patches(
    predict: Predict,
    video: Float[Tensor, "window history 1 height width"],
    behavior: Float[Tensor, "window history feature"],
    gratings: Sequence[PatchGrating | None],
    *,
    bin_width_s: float,
    diameters_px: Float[np.ndarray, " size"] | None = None,
    contrasts: Sequence[float] = CONTRASTS,
    session: str | None = None,
    batch: int = 64,
) -> list[PatchTuning | None]:
    """Show every neuron patches of its own grating, by size and then by contrast.

    A patch is a grating inside of a disc; its edge falls from 1 to 0 over one pixel. Outside, the
    frame is uniform.

    Args:
        predict: The encoder.
        video: Typical retinal frames, scaled as for the fit. Patches have their mean level; at a
            contrast of 1 the whole grating has the median of their standard deviations over pixels.
        behavior: Features of the same windows; patches are shown in those of the first window.
        gratings: One per neuron; ``None`` leaves a neuron out.
        bin_width_s: Width of a bin in seconds.
        diameters_px: Diameters, ascending; by default ``default_diameters``.
        contrasts: Contrasts, ascending.
        session: Session of the neurons; may be left out where there is one session.
        batch: Windows at a time.

    Returns:
        One tuning per neuron; ``None`` where there is no grating.

    Raises:
        ShapeError: If video and behavior differ in windows or bins, or the number of gratings is
            not that of the neurons.
        ConfigError: If diameters or contrasts are not positive and ascending.
        DataError: If the function does not return rates (window, neuron).

    Source: diameter and suppression as in J. R. Cavanaugh et al. (2002), J Neurophysiol 88:2530.

    Example:
        >>> video, behavior = torch.randn(3, 2, 1, 32, 32), torch.zeros(3, 2, 1)
        >>> def disc(video, behavior):  # contrast energy of an area of 10 x 10 px
        ...     return (video[:, -1, 0, 11:21, 11:21] - video.mean()).square().mean((1, 2))[:, None]
        >>> grating = PatchGrating(0.0, 0.2, 0.0, 15.5, 15.5)
        >>> (found,) = show_patches(disc, video, behavior, [grating], bin_width_s=0.05)
        >>> 8 < found.diameter_px < 16
        True
    """
    level, sd = typical_level(video, behavior)
    height, width = video.shape[-2:]
    diameters = default_diameters((height, width)) if diameters_px is None else diameters_px
    steps = np.asarray(contrasts, dtype=np.float64)
    for name, values in (("diameters", diameters), ("contrasts", steps)):
        if not len(values) or not values[0] > 0 or not (np.diff(values) > 0).all():
            raise ConfigError(
                f"{name} of patches must be positive and ascending, got "
                f"{np.asarray(values).tolist()}"
            )
    options = {"session": session, "batch": batch}
    state, uniform = behavior[:1], torch.full_like(video[:1], level)
    (blank,) = rates_for(predict, lambda _: uniform, 1, state, **options)
    if len(blank) != len(gratings):
        raise ShapeError(
            f"expected one grating for each of {len(blank)} neurons, got {len(gratings)}"
        )
    x = torch.arange(width, dtype=torch.float64)
    y = torch.arange(height, dtype=torch.float64)
    phases = np.arange(N_PHASES) / N_PHASES

    def respond(
        neuron: int, grating: PatchGrating, sizes: np.ndarray, factors: np.ndarray
    ) -> Float[np.ndarray, " stimulus"]:
        """Return the responses of one neuron to patches of some sizes and contrasts."""
        from_x, from_y = x - grating.x_px, y - grating.y_px
        all_phases = np.ones(N_PHASES)
        waves = drifting_waves(
            grating.direction_deg * all_phases,
            grating.frequency_cpp * all_phases,
            grating.temporal_hz * all_phases,
            phases,
            history=video.shape[1],
            bin_width_s=bin_width_s,
            x=from_x,
            y=from_y,
        )
        distance = torch.sqrt(from_x**2 + from_y[:, None] ** 2)

        def windows(numbers: range) -> Tensor:
            stimulus, phase = np.divmod(np.array(numbers), N_PHASES)
            radius = torch.from_numpy(sizes[stimulus] / 2)[:, None, None]
            disc = (radius + 0.5 - distance).clamp(0, 1)
            height_of = torch.from_numpy(np.sqrt(2) * sd * factors[stimulus])
            shown = waves[torch.from_numpy(phase)] * (height_of[:, None, None] * disc)[:, None]
            return (level + shown).to(video)[:, :, None]

        rates = rates_for(predict, windows, len(sizes) * N_PHASES, state, **options)[:, neuron]
        by_phase = rates.reshape(len(sizes), N_PHASES)
        if grating.is_first_harmonic:
            return np.abs(2 * (by_phase * np.exp(2j * np.pi * phases)).mean(1))
        return np.maximum(by_phase.mean(1) - blank[neuron], 0.0)

    found: list[PatchTuning | None] = []
    for neuron, grating in enumerate(gratings):
        if grating is None:
            found.append(None)
            continue
        by_size = respond(neuron, grating, diameters, np.ones(len(diameters)))
        best = np.full(len(steps), diameters[int(by_size.argmax())])
        by_contrast = respond(neuron, grating, best, steps)
        highest = max(abs(blank[neuron]), by_size.max(), by_contrast.max())
        found.append(_described(diameters, by_size, steps, by_contrast, highest))
    return found


def _described(
    diameters: np.ndarray,
    by_size: np.ndarray,
    contrasts: np.ndarray,
    by_contrast: np.ndarray,
    highest: float,
) -> PatchTuning:
    values = {"diameter_px": np.nan, "suppression": np.nan, "contrast_half": np.nan}
    if by_size.max() > LEAST_CHANGE * highest:
        values["diameter_px"] = _first_above(diameters, by_size, FULL)
        values["suppression"] = float(1 - by_size[-1] / by_size.max())
    if by_contrast.max() > LEAST_CHANGE * highest:
        values["contrast_half"] = _first_above(contrasts, by_contrast, 0.5)
    return PatchTuning(diameters, by_size, contrasts, by_contrast, **values)


def _first_above(levels: np.ndarray, values: np.ndarray, share: float) -> float:
    """Return the level at which values first reach a share of the largest; in logarithms."""
    limit = share * values.max()
    first = int((values >= limit).argmax())
    if first == 0:
        return float(levels[0])
    low, high = values[first - 1], values[first]
    between = (limit - low) / (high - low)
    return float(levels[first - 1] * (levels[first] / levels[first - 1]) ** between)
