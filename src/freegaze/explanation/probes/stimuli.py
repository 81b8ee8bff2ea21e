"""Stimuli shown to an encoder: level and contrast of typical frames, waves, and the rates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from freegaze.errors import ConfigError, ShapeError
from freegaze.models.callables import Predict, rates_of, seen_by_retina, undisturbed

LEAST_CHANGE = 1e-5
"""Share of the largest rate below which a response counts as none: the precision of a rate."""


def typical_level(
    video: Float[Tensor, "window history 1 height width"],
    behavior: Float[Tensor, "window history feature"],
    contrast: float = 1.0,
) -> tuple[float, float]:
    """Return the mean level of typical frames, and their median contrast times a factor.

    Args:
        video: Typical retinal frames, scaled as for the fit.
        behavior: Features of the same windows.
        contrast: Factor of the contrast.

    Returns:
        The mean over all pixels, and the median over frames of the standard deviation over pixels
        times ``contrast``.

    Raises:
        ShapeError: If video and behavior differ in windows or bins.
        ConfigError: If the contrast is not positive.

    Example:
        >>> level, sd = typical_level(torch.randn(3, 2, 1, 16, 16), torch.zeros(3, 2, 1))
    """
    if video.shape[:2] != behavior.shape[:2] or not len(video):
        raise ShapeError(
            f"expected video and behavior of the same windows and bins, got {tuple(video.shape)} "
            f"and {tuple(behavior.shape)}"
        )
    if not contrast > 0:
        raise ConfigError(f"the contrast of a stimulus must be positive, got {contrast}")
    sd = float(video.flatten(-2).std(-1, correction=0).median())
    return float(video.mean()), contrast * sd


def rates_for(
    predict: Predict,
    windows: Callable[[range], Float[Tensor, "window history 1 height width"]],
    n: int,
    behavior: Float[Tensor, "1 history feature"],
    *,
    session: str | None = None,
    batch: int = 64,
) -> Float[np.ndarray, "window neuron"]:
    """Show windows on the retina, and return the rates.

    Args:
        predict: The encoder.
        windows: Makes the windows of some numbers below ``n``.
        n: Number of windows.
        behavior: Features of the bins of one window, shown with every window.
        session: Session of the neurons; may be left out where there is one session.
        batch: Windows at a time.

    Raises:
        DataError: If the function does not return rates (window, neuron).

    Example:
        >>> def brightness(video, behavior):
        ...     return video.mean((1, 2, 3, 4))[:, None]
        >>> flashes = lambda numbers: torch.ones(len(numbers), 2, 1, 4, 4)
        >>> rates_for(brightness, flashes, 3, torch.zeros(1, 2, 1)).tolist()
        [[1.0], [1.0], [1.0]]
    """
    call, rates = rates_of(predict, session), []
    with torch.no_grad(), undisturbed(predict), seen_by_retina(predict):
        for first in range(0, n, batch):
            shown = windows(range(first, min(first + batch, n)))
            rates.append(call(shown, behavior.expand(len(shown), -1, -1)).double().cpu())
    return torch.cat(rates).numpy()


def drifting_waves(
    directions_deg: Float[np.ndarray, " window"],
    frequencies_cpp: Float[np.ndarray, " window"],
    temporal_hz: Float[np.ndarray, " window"],
    phases: Float[np.ndarray, " window"],
    *,
    history: int,
    bin_width_s: float,
    x: Float[Tensor, " width"],
    y: Float[Tensor, " height"],
) -> Float[Tensor, "window history height width"]:
    """Return cosines between -1 and 1.

    Args:
        directions_deg: Directions of drift; 0 is to the right, 90 is down.
        frequencies_cpp: Spatial frequencies in cycles per pixel.
        temporal_hz: Temporal frequencies.
        phases: Phases in cycles, at ``x = y = 0`` in the latest frame.
        history: Bins of a window.
        bin_width_s: Width of a bin in seconds.
        x: Horizontal positions of the pixels in pixels.
        y: Vertical positions, down.

    Example:
        >>> one, x = np.ones(1), torch.arange(4.0)
        >>> wave = drifting_waves(0 * one, 0.25 * one, 0 * one, 0 * one, history=1,
        ...     bin_width_s=0.05, x=x, y=torch.zeros(1))
        >>> wave.flatten().round().int().tolist()
        [1, 0, -1, 0]
    """
    angle = torch.from_numpy(np.deg2rad(directions_deg))
    cycles = torch.from_numpy(frequencies_cpp)[:, None, None]
    along = torch.cos(angle)[:, None, None] * x + torch.sin(angle)[:, None, None] * y[:, None]
    ago_s = torch.arange(1 - history, 1, dtype=torch.float64) * bin_width_s
    turned = torch.from_numpy(phases)[:, None] - torch.from_numpy(temporal_hz)[:, None] * ago_s
    return torch.cos(2 * torch.pi * ((cycles * along)[:, None] + turned[:, :, None, None]))
