"""Squares flashed on a uniform frame, and the maps of an encoder's rates to light and dark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from scipy.ndimage import label
from torch import Tensor

from freegaze.errors import ConfigError
from freegaze.explanation.probes.stimuli import LEAST_CHANGE, rates_for, typical_level
from freegaze.models.callables import Predict

SQUARES_ACROSS = 20
"""Squares along the longer side of the frame."""

SMALLEST_PX = 2

CONTRAST = 2.0
"""Difference of a square from the uniform frame, in standard deviations of typical frames."""

HALF = 0.5
"""Share of the largest response above which places belong to the center of a map."""


@dataclass(frozen=True, eq=False)
class SquareResponses:
    """Changes of rate for each square, relative to the uniform frame. One square, one bin.

    Args:
        light: Change for a light square, (neuron, history, row, column); the square is shown in one
            bin of the window, the oldest first.
        dark: Change for a dark square.
        blank: Rate for the uniform frame, (neuron,).
        x_px: Middles of the columns in pixels; 0 is the middle of the first pixel.
        y_px: Middles of the rows in pixels.
        size_px: Side of a square in pixels; squares at the right and lower border may be cut.
    """

    light: Float[np.ndarray, "neuron history row column"]
    dark: Float[np.ndarray, "neuron history row column"]
    blank: Float[np.ndarray, " neuron"]
    x_px: Float[np.ndarray, " column"]
    y_px: Float[np.ndarray, " row"]
    size_px: int


@dataclass(frozen=True)
class SquareTuning:
    """Place and sign of one neuron's responses to squares.

    Args:
        x_px: Horizontal middle of the responses in pixels.
        y_px: Vertical middle, down.
        bins_ago: Bins before the latest bin of the window at which a square changes the rate most.
        light: Largest rise of the rate for a light square, per bin.
        dark: Largest rise for a dark square.
        polarity: (light - dark) / (light + dark): 1 for a neuron that only light excites, -1 for
            one that only darkness excites.
    """

    x_px: float
    y_px: float
    bins_ago: float
    light: float
    dark: float
    polarity: float


def show_squares(
    predict: Predict,
    video: Float[Tensor, "window history 1 height width"],
    behavior: Float[Tensor, "window history feature"],
    *,
    size_px: int | None = None,
    contrast: float = CONTRAST,
    session: str | None = None,
    batch: int = 64,
) -> SquareResponses:
    """Flash light and dark squares one by one, each for one bin, and return the changes of rate.

    This is sparse noise with one square at a time, in every bin of the window.

    Args:
        predict: The encoder.
        video: Typical retinal frames, scaled as for the fit; the uniform frame has their level.
        behavior: Features of the same windows; squares are shown in those of the first window.
        size_px: Side of a square in pixels; by default a twentieth of the frame's longer side.
        contrast: Difference of a square from the uniform frame, in median standard deviations of
            the typical frames.
        session: Session of the neurons; may be left out where there is one session.
        batch: Windows at a time.

    Returns:
        The changes of rate.

    Raises:
        ShapeError: If video and behavior differ in windows or bins.
        ConfigError: If contrast or size are not positive.
        DataError: If the function does not return rates (window, neuron).

    Source: J. P. Jones and L. A. Palmer (1987), J Neurophysiol 58:1187, without noise.

    Example:
        >>> video, behavior = torch.randn(3, 2, 1, 16, 16), torch.zeros(3, 2, 1)
        >>> def corner(video, behavior):
        ...     return 1 + video[:, -1, 0, :4, 12:].clamp(min=0).mean((1, 2))[:, None]
        >>> found = describe_squares(show_squares(corner, video, behavior, size_px=4), 0)
        >>> found.x_px, found.y_px, found.bins_ago, found.polarity > 0.5
        (13.5, 1.5, 0.0, True)
    """
    level, step = typical_level(video, behavior, contrast)
    height, width = video.shape[-2:]
    size = size_px or max(SMALLEST_PX, round(max(height, width) / SQUARES_ACROSS))
    if size < 1:
        raise ConfigError(f"the side of a square must be at least 1 px, got {size}")
    tops, lefts = np.arange(0, height, size), np.arange(0, width, size)
    shape = (2, video.shape[1], len(tops), len(lefts))

    def windows(numbers: range) -> Tensor:
        sign, age, row, column = np.unravel_index(np.array(numbers), shape)
        shown = torch.full_like(video[:1], level).repeat(len(numbers), 1, 1, 1, 1)
        for n in range(len(numbers)):
            top, left = tops[row[n]], lefts[column[n]]
            square = shown[n, age[n], 0, top : top + size, left : left + size]
            square += step * (1 - 2 * int(sign[n]))
        return shown

    n = int(np.prod(shape))
    options = {"session": session, "batch": batch}
    rates = rates_for(predict, windows, n, behavior[:1], **options)
    blank = torch.full_like(video[:1], level)
    (still,) = rates_for(predict, lambda _: blank, 1, behavior[:1], **options)
    light, dark = (rates - still).T.reshape(-1, *shape).swapaxes(0, 1)
    return SquareResponses(light, dark, still, _middles(lefts, width), _middles(tops, height), size)


def _middles(starts: Integer[np.ndarray, " square"], length: int) -> Float[np.ndarray, " square"]:
    ends = np.append(starts[1:], length)
    return (starts + ends - 1) / 2


def describe_squares(found: SquareResponses, neuron: int) -> SquareTuning:
    """Return the place and sign of one neuron's responses.

    The place is the center of mass of the connected squares whose squared changes, summed over bins
    and both signs, exceed half of the largest.

    Args:
        found: Changes of rate for all squares.
        neuron: Number of the neuron.

    Returns:
        Its tuning; NaN throughout for a neuron that no square changes.

    Example:
        >>> light = np.zeros((1, 2, 2, 3))
        >>> light[0, 0, 1, 2] = 0.5
        >>> found = SquareResponses(light, 0 * light, np.ones(1), np.arange(3.0), np.arange(2.0), 1)
        >>> describe_squares(found, 0)
        SquareTuning(x_px=2.0, y_px=1.0, bins_ago=1.0, light=0.5, dark=0.0, polarity=1.0)
    """
    light, dark = found.light[neuron], found.dark[neuron]
    by_bin = light**2 + dark**2
    size = np.sqrt(by_bin.max())
    if not size > LEAST_CHANGE * max(abs(found.blank[neuron]), size):
        return SquareTuning(*[np.nan] * 6)
    energy = by_bin.sum(0)
    parts = np.zeros(energy.shape, dtype=np.int64)
    label(energy >= HALF * energy.max(), output=parts)
    is_center = parts == parts.flat[int(energy.argmax())]
    weights = np.where(is_center, energy, 0.0)
    rise, fall = max(float(light.max()), 0.0), max(float(dark.max()), 0.0)
    latest = light.shape[0] - 1
    return SquareTuning(
        x_px=float((weights.sum(0) * found.x_px).sum() / weights.sum()),
        y_px=float((weights.sum(1) * found.y_px).sum() / weights.sum()),
        bins_ago=float(latest - int(by_bin.max((1, 2)).argmax())),
        light=rise,
        dark=fall,
        polarity=(rise - fall) / (rise + fall) if rise + fall > 0 else np.nan,
    )
