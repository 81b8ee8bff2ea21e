"""Drifting and static gratings shown to an encoder, and the tuning of its rates to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from freegaze.errors import ConfigError
from freegaze.explanation.probes.stimuli import (
    LEAST_CHANGE,
    drifting_waves,
    rates_for,
    typical_level,
)
from freegaze.models.callables import Predict

N_DIRECTIONS, N_PHASES = 16, 8
"""Directions of drift, 22.5 degrees apart (with 30 degrees, narrow tuning errs by 2 degrees), and
phases at which each grating is shown. Eight phases separate the mean and the first harmonic of a
rate from its harmonics up to the sixth."""

OCTAVES = 0.5
"""Step between spatial frequencies."""

HIGHEST_CPP = 0.25
"""Highest spatial frequency in cycles per pixel: 4 pixels per cycle."""

TEMPORAL_HZ = (0.0, 1.5, 3.0, 6.0)
"""Temporal frequencies; 0 is a static grating."""

HIGHEST_CYCLES = 0.4
"""Highest temporal frequency in cycles per bin."""

MEAN, FIRST, NONE = "mean", "first harmonic", "none"
"""Values of ``GratingTuning.response``."""


@dataclass(frozen=True, eq=False)
class Gratings:
    """A set of gratings: every direction with every spatial and temporal frequency.

    Args:
        directions_deg: Directions of drift, evenly spaced over 360 degrees from 0 (to the right),
            turning clockwise as displayed (y is down); even in number.
        frequencies_cpp: Spatial frequencies in cycles per pixel, ascending.
        temporal_hz: Temporal frequencies, ascending; 0 is static.
        n_phases: Evenly spaced phases at which each grating is shown.
    """

    directions_deg: Float[np.ndarray, " direction"]
    frequencies_cpp: Float[np.ndarray, " frequency"]
    temporal_hz: Float[np.ndarray, " temporal"]
    n_phases: int = N_PHASES

    def __post_init__(self) -> None:
        n = len(self.directions_deg)
        if n < 4 or n % 2 or not np.allclose(self.directions_deg, np.arange(n) * 360 / n):
            raise ConfigError(
                "directions of gratings must be an even number, at least 4, evenly spaced over "
                f"360 degrees from 0; got {np.asarray(self.directions_deg).tolist()}"
            )
        if self.n_phases < 3:
            raise ConfigError(f"a first harmonic needs at least 3 phases, got {self.n_phases}")
        if not len(self.frequencies_cpp) or not len(self.temporal_hz):
            raise ConfigError("gratings need at least one spatial and one temporal frequency")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of directions, spatial and temporal frequencies."""
        return len(self.directions_deg), len(self.frequencies_cpp), len(self.temporal_hz)


def default_gratings(frame_size: tuple[int, int], bin_width_s: float) -> Gratings:
    """Return the gratings that fit into a frame and a bin.

    Spatial frequencies are half an octave apart, from one cycle per longer side of the frame to 4
    pixels per cycle.

    Args:
        frame_size: (height, width) in pixels.
        bin_width_s: Width of a bin in seconds.

    Example:
        >>> gratings = default_gratings((60, 80), 0.048)
        >>> gratings.shape, gratings.temporal_hz.tolist()
        ((16, 9, 4), [0.0, 1.5, 3.0, 6.0])
    """
    lowest = min(1 / max(frame_size), HIGHEST_CPP)
    n = int(np.floor(np.log2(HIGHEST_CPP / lowest) / OCTAVES + 1e-9)) + 1
    temporal = np.array(TEMPORAL_HZ)
    return Gratings(
        np.arange(N_DIRECTIONS) * 360 / N_DIRECTIONS,
        lowest * 2 ** (OCTAVES * np.arange(n)),
        temporal[temporal * bin_width_s <= HIGHEST_CYCLES],
    )


@dataclass(frozen=True, eq=False)
class GratingResponses:
    """Rates for each grating, over its phases. A phase is a moment of a drifting grating.

    Args:
        gratings: The gratings.
        mean: Mean rate (F0), (neuron, direction, frequency, temporal).
        harmonic: First harmonic: its size is the amplitude of the rate's cosine (F1), its angle the
            phase of the grating in the middle of the latest frame at which the rate is highest.
        blank: Rate for a uniform frame of the same mean level, (neuron,).
        highest: Highest rate for any frame shown, (neuron,).
    """

    gratings: Gratings
    mean: Float[np.ndarray, "neuron direction frequency temporal"]
    harmonic: Complex[np.ndarray, "neuron direction frequency temporal"]
    blank: Float[np.ndarray, " neuron"]
    highest: Float[np.ndarray, " neuron"]


@dataclass(frozen=True, eq=False)
class GratingTuning:
    """Tuning of one neuron to gratings, through the grating that drives it most.

    The response is the mean rate above that of a uniform frame, or the first harmonic of the rate
    where this is larger, as for simple cells.

    Args:
        response: ``mean`` or ``first harmonic``.
        orientation_deg: Direction in which the preferred wave runs, 0 to 180, as in
            ``freegaze.explanation.fields.gabor.Gabor``.
        direction_deg: Preferred direction of drift, one of the two along this orientation; NaN
            without moving gratings.
        frequency_cpp: Preferred spatial frequency, interpolated between those shown.
        temporal_hz: Preferred temporal frequency of those shown.
        phase_deg: Phase in the middle of the frame, -180 to 180, of the best static grating; NaN
            without static gratings.
        osi: (preferred - orthogonal) / (preferred + orthogonal) orientation, at least 0.
        dsi: (preferred - opposite) / (preferred + opposite) direction.
        f1_f0: First harmonic over mean rate above that of a uniform frame; infinite where the mean
            does not rise.
        largest: Response to the best grating, per bin.
        by_direction: Response by direction at the best frequencies.
        by_frequency: Response by spatial frequency at the best direction.
        by_temporal: Response by temporal frequency at the best direction.
    """

    response: str
    orientation_deg: float
    direction_deg: float
    frequency_cpp: float
    temporal_hz: float
    phase_deg: float
    osi: float
    dsi: float
    f1_f0: float
    largest: float
    by_direction: Float[np.ndarray, " direction"]
    by_frequency: Float[np.ndarray, " frequency"]
    by_temporal: Float[np.ndarray, " temporal"]


def show_gratings(
    predict: Predict,
    video: Float[Tensor, "window history 1 height width"],
    behavior: Float[Tensor, "window history feature"],
    *,
    bin_width_s: float,
    gratings: Gratings | None = None,
    contrast: float = 1.0,
    session: str | None = None,
    batch: int = 64,
) -> GratingResponses:
    """Show gratings across the whole retinal frame, and return the rates.

    Each grating is shown at evenly spaced phases. For an encoder with a finite window these are the
    moments of a grating that has drifted for longer than the window. The function need not be
    differentiable.

    Args:
        predict: The encoder.
        video: Typical retinal frames, scaled as for the fit. Gratings have their mean level, and at
            a contrast of 1 the median of their standard deviations over pixels.
        behavior: Features of the same windows; all gratings are shown in those of the first window.
        bin_width_s: Width of a bin in seconds.
        gratings: The set; by default ``default_gratings``.
        contrast: Standard deviation of a grating over pixels, relative to typical frames.
        session: Session of the neurons; may be left out where there is one session.
        batch: Windows at a time.

    Returns:
        The rates.

    Raises:
        ShapeError: If video and behavior differ in windows or bins.
        ConfigError: If the contrast is not positive.
        DataError: If the function does not return rates (window, neuron).

    Example:
        >>> video, behavior = torch.randn(3, 2, 1, 16, 16), torch.zeros(3, 2, 1)
        >>> def column(video, behavior):
        ...     return video[:, -1, 0, :, 5:6].mean(1)
        >>> found = show_gratings(column, video, behavior, bin_width_s=0.05)
        >>> round(describe_gratings(found, 0).orientation_deg, 3) % 180
        0.0
    """
    level, sd = typical_level(video, behavior, contrast)
    height, width = video.shape[-2:]
    gratings = gratings or default_gratings((height, width), bin_width_s)
    shape = (*gratings.shape, gratings.n_phases)

    def windows(numbers: range) -> Tensor:
        direction, frequency, temporal, phase = np.unravel_index(np.array(numbers), shape)
        waves = drifting_waves(
            gratings.directions_deg[direction],
            gratings.frequencies_cpp[frequency],
            gratings.temporal_hz[temporal],
            phase / gratings.n_phases,
            history=video.shape[1],
            bin_width_s=bin_width_s,
            x=torch.arange(width, dtype=torch.float64) - (width - 1) / 2,
            y=torch.arange(height, dtype=torch.float64) - (height - 1) / 2,
        )
        return (level + np.sqrt(2) * sd * waves).to(video)[:, :, None]

    options = {"session": session, "batch": batch}
    uniform = torch.full_like(video[:1], level)
    (blank,) = rates_for(predict, lambda _: uniform, 1, behavior[:1], **options)
    rates = rates_for(predict, windows, int(np.prod(shape)), behavior[:1], **options)
    by_phase = rates.T.reshape(-1, *shape)
    turn = np.exp(2j * np.pi * np.arange(gratings.n_phases) / gratings.n_phases)
    highest = np.maximum(np.abs(by_phase).max((1, 2, 3, 4)), np.abs(blank))
    return GratingResponses(
        gratings, by_phase.mean(-1), 2 * (by_phase * turn).mean(-1), blank, highest
    )


def describe_gratings(found: GratingResponses, neuron: int) -> GratingTuning:
    """Return the tuning of one neuron.

    Args:
        found: Rates for all gratings.
        neuron: Number of the neuron.

    Returns:
        Its tuning; NaN throughout for a neuron that no grating drives above a uniform frame.

    Source: selectivity indices as in C. M. Niell and M. P. Stryker (2008), J Neurosci 28:7520;
    F1/F0 as in B. C. Skottun et al. (1991), Vision Res 31:1079.
    """
    gratings = found.gratings
    rise = np.maximum(found.mean[neuron] - found.blank[neuron], 0.0)
    first = np.abs(found.harmonic[neuron])
    best = np.unravel_index(np.maximum(rise, first).argmax(), rise.shape)
    is_first = bool(first[best] > rise[best])
    response = first if is_first else rise
    if not response.max() > LEAST_CHANGE * found.highest[neuron]:
        return _undriven(gratings)
    direction, frequency, temporal = np.unravel_index(response.argmax(), response.shape)
    by_direction = response[:, frequency, temporal]
    orientation = _mean_angle(by_direction, 2)
    preferred, dsi = _direction(response, gratings, int(frequency), orientation)
    static = np.flatnonzero(gratings.temporal_hz == 0)
    phase = np.nan
    if len(static):
        still = found.harmonic[neuron, :, frequency, static[0]]
        # The opposite direction shows the same frames with phases of the other sign.
        half = len(still) // 2
        phase = float(np.rad2deg(np.angle(still[int(np.abs(still[:half]).argmax())])))
    orthogonal = _at_angle(by_direction, orientation + 90) + _at_angle(
        by_direction, orientation + 270
    )
    along = _at_angle(by_direction, orientation) + _at_angle(by_direction, orientation + 180)
    size = float(rise[best])
    return GratingTuning(
        response=FIRST if is_first else MEAN,
        orientation_deg=orientation,
        direction_deg=preferred,
        frequency_cpp=_peak(gratings.frequencies_cpp, response[direction, :, temporal]),
        temporal_hz=float(gratings.temporal_hz[temporal]),
        phase_deg=phase,
        osi=max(_contrast(along, orthogonal), 0.0),
        dsi=dsi,
        f1_f0=float(first[best]) / size if size > 0 else np.inf,
        largest=float(response.max()),
        by_direction=by_direction,
        by_frequency=response[direction, :, temporal],
        by_temporal=response[direction, frequency],
    )


def _undriven(gratings: Gratings) -> GratingTuning:
    n_directions, n_frequencies, n_temporal = gratings.shape
    return GratingTuning(
        response=NONE,
        **dict.fromkeys(("orientation_deg", "direction_deg", "frequency_cpp"), np.nan),
        **dict.fromkeys(("temporal_hz", "phase_deg", "osi", "dsi", "f1_f0"), np.nan),
        largest=0.0,
        by_direction=np.zeros(n_directions),
        by_frequency=np.zeros(n_frequencies),
        by_temporal=np.zeros(n_temporal),
    )


def _direction(
    response: np.ndarray, gratings: Gratings, frequency: int, orientation: float
) -> tuple[float, float]:
    """Return the preferred direction along an orientation and its index, of moving gratings."""
    moving = np.flatnonzero(gratings.temporal_hz > 0)
    if not len(moving):
        return np.nan, np.nan
    curves = response[:, frequency, moving]
    curve = curves[:, int(curves.max(0).argmax())]
    one, other = _at_angle(curve, orientation), _at_angle(curve, orientation + 180)
    preferred = orientation if one >= other else orientation + 180
    return preferred, _contrast(max(one, other), min(one, other))


def _mean_angle(curve: np.ndarray, n_fold: int) -> float:
    """Return the angle of the n-fold vector sum of a curve over the circle, in degrees."""
    turn = np.exp(2j * np.pi * n_fold * np.arange(len(curve)) / len(curve))
    angle = float(np.rad2deg(np.angle((curve * turn).sum())) / n_fold)
    angle = round(angle, 9) + 0.0  # rounding errors around 0 must not become 180
    return angle % (360 / n_fold)


def _at_angle(curve: np.ndarray, angle_deg: float) -> float:
    """Interpolate a curve over the circle by its Fourier series; never below zero."""
    terms = np.fft.rfft(curve) / len(curve)
    weights = np.full(len(terms), 2.0)
    weights[0] = 1.0
    if len(curve) % 2 == 0:
        weights[-1] = 1.0
    turn = np.exp(1j * np.deg2rad(angle_deg) * np.arange(len(terms)))
    return max(float((weights * (terms * turn).real).sum()), 0.0)


def _contrast(high: float, low: float) -> float:
    return (high - low) / (high + low) if high + low > 0 else np.nan


def _peak(levels: np.ndarray, values: np.ndarray) -> float:
    """Return the peak of a parabola through the highest value and its neighbors, in logarithms."""
    top = int(values.argmax())
    if top in (0, len(values) - 1):
        return float(levels[top])
    x, y = np.log(levels[top - 1 : top + 2]), values[top - 1 : top + 2]
    curvature = y[0] - 2 * y[1] + y[2]
    shift = 0.5 * (y[0] - y[2]) / curvature if curvature < 0 else 0.0
    return float(np.exp(x[1] + shift * (x[1] - x[0])))
