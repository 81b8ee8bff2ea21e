"""The virtual mouse head-fixed before a screen of white noise, with the same neurons."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.simulation.camera import deg_per_px
from freegaze.simulation.population import unit_names
from freegaze.simulation.processes import BIN_S, STEPS_PER_BIN
from freegaze.simulation.rates import MEAN_GRAY, SIGNAL_CENTER, FilterBank, expected_counts
from freegaze.simulation.session import draw_population
from freegaze.simulation.spiking import draw_spikes
from freegaze.simulation.tracks import SimulationConfig

GRAIN_PX = 1.0
"""Standard deviation of the blur of the noise; finer grain drives no neuron."""

CONTRAST = 0.2
"""Standard deviation of brightness, which goes from 0 to 1."""

_BINS_AT_ONCE = 1024
_JITTER = {"theta": 1.0, "phi": 1.0, "pupil_radius": 1.0}
"""A head-fixed mouse hardly moves its eyes; standard deviations in deg and px."""


def show_white_noise(
    config: SimulationConfig, minutes: float | None = None, seed: int = 0
) -> Recording:
    """Record the neurons of a simulated session while white noise is shown.

    The mouse is head-fixed, stands still and looks straight at the screen. Each neuron keeps its
    receptive field, kernel, nonlinearity and mean rate.

    Args:
        config: Configuration of the session whose neurons these are.
        minutes: Length; that of the session by default.
        seed: Seed of noise and spikes.

    Returns:
        A recording with the session's name and units; columns of the eye, none of head and running.

    Example:
        >>> config = SimulationConfig(minutes=0.5, n_neurons=3, frame_size=(12, 16))
        >>> show_white_noise(config).behavior_names
        ('theta', 'phi', 'pupil_radius')
    """
    population = draw_population(config)
    rng = np.random.default_rng([config.seed, seed])
    n_bins = round(60 * (config.minutes if minutes is None else minutes) / BIN_S)
    noise = gaussian_filter(rng.normal(size=(n_bins, *config.frame_size)), (0, GRAIN_PX, GRAIN_PX))
    brightness = np.clip(0.5 + CONTRAST * noise / noise.std(), 0, 1)
    frames = np.round(255 * brightness).astype(np.uint8)
    starts = range(0, n_bins, _BINS_AT_ONCE)
    pieces = (frames[start : start + _BINS_AT_ONCE] for start in starts)
    seen = (torch.from_numpy(piece.astype(np.float32) / 255 - MEAN_GRAY) for piece in pieces)
    drives = FilterBank(population).see_frames(seen)
    still = {name: np.full(n_bins * STEPS_PER_BIN, v) for name, v in SIGNAL_CENTER.items()}
    counts, _ = expected_counts(population, drives, still)
    eyes = [SIGNAL_CENTER[n] + sd * rng.standard_normal(n_bins) for n, sd in _JITTER.items()]
    return Recording(
        session_id=config.session_id,
        bin_width_s=BIN_S,
        frames=frames,
        frame_index=np.arange(n_bins),
        behavior=np.column_stack(eyes).astype(np.float32),
        behavior_names=tuple(_JITTER),
        behavior_units=("deg", "deg", "px"),
        responses=draw_spikes(counts, BIN_S, config.spiking, rng),
        response_kind=ResponseKind.SPIKE_COUNTS,
        unit_ids=unit_names(config.n_neurons),
        segments=(Segment(0, n_bins),),
        deg_per_px=deg_per_px(config.frame_size),
        provenance={"source": "simulation", "stimulus": "white noise", "seed": seed},
    )
