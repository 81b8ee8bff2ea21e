"""The virtual mouse head-fixed before a screen of white noise, with the same neurons.

The eye of VM-1 is still. That of VM-2 moves, and its screen is rolled if the violation
``camera_pitch`` is on, so that fields that are found on the screen are turned against those of the
freely moving mouse.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.simulation.camera import deg_per_px
from freegaze.simulation.population import unit_names
from freegaze.simulation.processes import BIN_S, STEPS_PER_BIN, ornstein_uhlenbeck
from freegaze.simulation.rates import MEAN_GRAY, SIGNAL_CENTER, FilterBank, expected_counts
from freegaze.simulation.retina import affine_of_gaze, warp
from freegaze.simulation.session import draw_population
from freegaze.simulation.spiking import draw_spikes
from freegaze.simulation.tracks import VERSION, SimulationConfig
from freegaze.simulation.vm2.session import respond_to_screen

GRAIN_PX = 1.0
"""Standard deviation of the blur of the noise; finer grain drives no neuron."""

CONTRAST = 0.2
"""Standard deviation of brightness, which goes from 0 to 1."""

SCREEN_ROLL_DEG = 10.0
"""Angle by which the picture turns clockwise on the retina, where the screen is rolled."""

GAZE_SD_DEG, GAZE_S = 3.0, 2.0
"""Movement of the eye of VM-2 about its rest, and its time constant. Awake head-fixed mice move
their eyes by a few degrees."""

_BINS_AT_ONCE = 1024
_JITTER = {"theta": 1.0, "phi": 1.0, "pupil_radius": 1.0}
"""A head-fixed mouse hardly moves its eyes; standard deviations in deg and px."""


def show_white_noise(
    config: SimulationConfig, minutes: float | None = None, seed: int = 0
) -> Recording:
    """Record the neurons of a simulated session while white noise is shown.

    The mouse is head-fixed and stands still. Each neuron keeps its receptive field, kernel,
    nonlinearity and mean rate.

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
    rng = np.random.default_rng([config.seed, seed])
    n_bins = round(60 * (config.minutes if minutes is None else minutes) / BIN_S)
    noise = gaussian_filter(rng.normal(size=(n_bins, *config.frame_size)), (0, GRAIN_PX, GRAIN_PX))
    brightness = np.clip(0.5 + CONTRAST * noise / noise.std(), 0, 1)
    frames = np.round(255 * brightness).astype(np.uint8)
    still = {name: np.full(n_bins * STEPS_PER_BIN, v) for name, v in SIGNAL_CENTER.items()}
    eyes = {n: SIGNAL_CENTER[n] + sd * rng.standard_normal(n_bins) for n, sd in _JITTER.items()}
    if config.mouse == VERSION:
        population = draw_population(config)
        drives = FilterBank(population).see_frames(_seen(frames, None))
        counts, _ = expected_counts(population, drives, still)
        spikes = draw_spikes(counts, BIN_S, config.spiking, rng)
    else:
        moved = {name: _gaze(n_bins, rng) for name in ("theta", "phi")}
        roll = SCREEN_ROLL_DEG if "camera_pitch" in (config.violations or ()) else 0.0
        eyes |= {name: eyes[name] + angle for name, angle in moved.items()}
        theta, phi = (SIGNAL_CENTER[name] + moved[name] for name in ("theta", "phi"))
        affine = affine_of_gaze(theta, phi, np.full(n_bins, roll), deg_per_px(config.frame_size))
        spikes = respond_to_screen(config, _seen(frames, affine), still, rng)
    return Recording(
        session_id=config.session_id,
        bin_width_s=BIN_S,
        frames=frames,
        frame_index=np.arange(n_bins),
        behavior=np.column_stack(list(eyes.values())).astype(np.float32),
        behavior_names=tuple(_JITTER),
        behavior_units=("deg", "deg", "px"),
        responses=spikes,
        response_kind=ResponseKind.SPIKE_COUNTS,
        unit_ids=unit_names(config.n_neurons),
        segments=(Segment(0, n_bins),),
        deg_per_px=deg_per_px(config.frame_size),
        provenance={"source": "simulation", "stimulus": "white noise", "seed": seed},
    )


def _gaze(n_bins: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one angle of a moving eye in each bin, about its rest."""
    steps = ornstein_uhlenbeck(rng, n_bins * STEPS_PER_BIN, GAZE_S)[:, 0]
    return GAZE_SD_DEG * steps[STEPS_PER_BIN // 2 :: STEPS_PER_BIN]


def _seen(frames: np.ndarray, affine: np.ndarray | None) -> Iterator[torch.Tensor]:
    """Give retinal frames minus gray, some at a time; those of the screen without an affine."""
    for start in range(0, len(frames), _BINS_AT_ONCE):
        bins = slice(start, start + _BINS_AT_ONCE)
        shown = torch.from_numpy(frames[bins].astype(np.float32) / 255 - MEAN_GRAY)
        yield shown if affine is None else warp(shown, affine[bins])
