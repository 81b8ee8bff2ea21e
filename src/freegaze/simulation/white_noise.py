"""The virtual mouse head-fixed before a screen of white noise: the same neurons, another world."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.simulation.camera import deg_per_px
from freegaze.simulation.population import make_population
from freegaze.simulation.processes import BIN_S, STEPS_PER_BIN
from freegaze.simulation.rates import (
    MEAN_GRAY,
    SIGNAL_CENTER,
    Drives,
    FilterBank,
    expected_counts,
)
from freegaze.simulation.spiking import draw_spikes
from freegaze.simulation.streams import random_streams
from freegaze.simulation.tracks import TRACKS, SimulationConfig

GRAIN_PX = 1.0
"""Standard deviation of the blur of the noise; finer grain drives no cell."""

CONTRAST = 0.2
"""Standard deviation of brightness, which goes from 0 to 1."""

_BINS_AT_ONCE = 1024
_JITTER = {"theta": 1.0, "phi": 1.0, "pupil_radius": 1.0}
"""A head-fixed mouse hardly moves its eyes; standard deviations in deg and px."""


def show_white_noise(config: SimulationConfig, minutes: float, seed: int = 0) -> Recording:
    """Show white noise to the neurons of a simulated session.

    The retina looks straight at the screen; the mouse stands still. Each neuron keeps its field,
    kernel and nonlinearity, and its mean rate.

    Args:
        config: Of the session whose neurons these are.
        minutes: Length.
        seed: Of noise and spikes.

    Returns:
        A recording with the session's name and units; eyes and pupil, no head and no running.
    """
    track = TRACKS[config.track]
    population = make_population(
        config.n_neurons,
        config.frame_size,
        random_streams(config.seed)["population"],
        is_vision_only=track.is_vision_only,
        latent_strength=track.latent_strength,
        drift_strength=track.drift_strength,
    )
    rng = np.random.default_rng([config.seed, seed])
    n_bins = round(60 * minutes / BIN_S)
    noise = gaussian_filter(rng.normal(size=(n_bins, *config.frame_size)), (0, GRAIN_PX, GRAIN_PX))
    brightness = np.clip(0.5 + CONTRAST * noise / noise.std(), 0, 1)
    frames = np.round(255 * brightness).astype(np.uint8)
    bank = FilterBank(population)
    parts = []
    for start in range(0, n_bins, _BINS_AT_ONCE):
        seen = frames[start : start + _BINS_AT_ONCE].astype(np.float32) / 255 - MEAN_GRAY
        parts.append(bank.see(torch.from_numpy(seen)))
    drives = Drives(
        *(np.concatenate([getattr(p, k) for p in parts]) for k in ("cosine", "sine", "contrast"))
    ).repeated(STEPS_PER_BIN)
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
        unit_ids=tuple(f"unit_{i:03d}" for i in range(config.n_neurons)),
        segments=(Segment(0, n_bins),),
        deg_per_px=deg_per_px(config.frame_size),
        provenance={"source": "simulation", "stimulus": "white noise", "seed": seed},
    )
