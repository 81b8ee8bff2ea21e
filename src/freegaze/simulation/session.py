"""Simulation of one session of the virtual mouse: the recording, and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from freegaze.progress import Progress
from freegaze.recording.recording import Recording
from freegaze.simulation.attainable import attainable_counts, fill_lost, recorded_affine
from freegaze.simulation.body import Body, make_body
from freegaze.simulation.camera import Renderer
from freegaze.simulation.eye import Eye, make_eye
from freegaze.simulation.measurement import BEHAVIOR_NAMES, to_bins, tracking_lost
from freegaze.simulation.population import Population, make_population
from freegaze.simulation.processes import (
    BIN_S,
    STEPS_PER_BIN,
    bin_mean,
    ornstein_uhlenbeck,
)
from freegaze.simulation.rates import SIGNAL_SCALE, FilterBank, Normalization, expected_counts
from freegaze.simulation.recorded import make_recording, make_segments, measured_path
from freegaze.simulation.spiking import draw_spikes
from freegaze.simulation.streams import random_streams
from freegaze.simulation.tracks import TRACKS, VERSION, SimulationConfig, Track
from freegaze.simulation.truth import Truth
from freegaze.simulation.views import Views, glance_of_mouse, look, single_threaded
from freegaze.simulation.vm2.session import simulate_vm2
from freegaze.simulation.world import make_world
from freegaze.standard_scores import standardize

LATENT_S, DRIFT_S = 1.5, 300.0
"""Time constants of the shared latent and of the drift of each neuron's rate."""


@dataclass(frozen=True)
class _Animal:
    """Parts that are drawn before anything is rendered."""

    body: Body
    eye: Eye
    population: Population
    renderer: Renderer


def simulate(config: SimulationConfig, progress: Progress | None = None) -> tuple[Recording, Truth]:
    """Simulate one session.

    Args:
        config: Length, neurons, seed, track and the rest.
        progress: Called with (stage, done, total); stages are "render" and "rates".

    Returns:
        The recording, with ``oracle`` and ``attainable`` among its reference rates, and the truth.

    Example:
        >>> config = SimulationConfig(minutes=0.5, n_neurons=3, frame_size=(12, 16))
        >>> recording, truth = simulate(config)
        >>> recording.n_bins, truth.oracle.shape
        (625, (625, 3))
    """
    with single_threaded() as n_workers:
        make = _simulate if config.mouse == VERSION else simulate_vm2
        return make(config, n_workers, progress)


def _simulate(
    config: SimulationConfig, n_workers: int, progress: Progress | None
) -> tuple[Recording, Truth]:
    track, streams = TRACKS[config.track], random_streams(config.seed)
    animal = _draw_animal(config, track, streams)
    bank = FilterBank(animal.population)
    glance = partial(glance_of_mouse, animal.renderer, animal.body, animal.eye, track.retina)
    views = look(
        glance=glance,
        bank=bank,
        n_bins=config.n_bins,
        frame_size=config.frame_size,
        n_workers=n_workers,
        progress=progress,
    )
    body, eye = animal.body, animal.eye
    lost = tracking_lost(eye, body, track.loss_share, streams["loss"])
    path = measured_path(body, eye, views.brightness, lost, track, streams["noise"])
    recorded = {name: to_bins(path[name]) for name in BEHAVIOR_NAMES}
    segments = make_segments(config.n_bins, config.n_segments)
    frames = views.mean_frames if config.frame_binning == "mean" else views.middle_frames
    report = progress or (lambda *_: None)
    report("rates", 0, 1)
    oracle, constants, latent = _true_rates(animal, views, path, streams)
    train = np.concatenate([s.bins() for s in segments if s.role == "train"])
    attainable = _attainable(animal, track, views, frames, recorded, constants, oracle, train)
    rates = {"oracle": oracle, "attainable": attainable}
    spikes = draw_spikes(oracle, BIN_S, config.spiking, streams["spikes"])
    recording = make_recording(config, frames, recorded, spikes, rates, segments)
    truth = _truth(config, animal, views, rates, latent, recorded, path, streams["redraws"])
    report("rates", 1, 1)
    return recording, truth


def draw_population(config: SimulationConfig) -> Population:
    """Draw the neurons of a session, which depend only on its configuration."""
    track = TRACKS[config.track]
    return make_population(
        config.n_neurons,
        config.frame_size,
        random_streams(config.seed)["population"],
        is_vision_only=track.is_vision_only,
        latent_strength=track.latent_strength,
        drift_strength=track.drift_strength,
    )


def _draw_animal(
    config: SimulationConfig, track: Track, streams: dict[str, np.random.Generator]
) -> _Animal:
    body = make_body(config.n_bins * STEPS_PER_BIN, streams["walk"], streams["head"])
    eye = make_eye(body, streams["eye"], track.torsion_gain)
    renderer = Renderer(make_world(streams["world"]), config.frame_size)
    return _Animal(body, eye, draw_population(config), renderer)


def _true_rates(
    animal: _Animal,
    views: Views,
    path: dict[str, np.ndarray],
    streams: dict[str, np.random.Generator],
) -> tuple[np.ndarray, Normalization, np.ndarray]:
    """Return the true expected counts, the constants behind them, and the latent at each bin."""
    population, n_steps = animal.population, len(views.brightness)
    latent = standardize(ornstein_uhlenbeck(streams["latent"], n_steps, LATENT_S)[:, 0])
    drift = standardize(
        ornstein_uhlenbeck(streams["drift"], n_steps, DRIFT_S, len(population.kind))
    )
    nuisance = (
        latent[:, None] * population.latent_coefficient + drift * population.drift_coefficient
    )
    behavior = {name: path[f"true_{name}"] for name in SIGNAL_SCALE}
    oracle, constants = expected_counts(population, views.drives, behavior, nuisance)
    return oracle.astype(np.float32), constants, bin_mean(latent).astype(np.float32)


def _attainable(
    animal: _Animal,
    track: Track,
    views: Views,
    frames: np.ndarray,
    recorded: dict[str, np.ndarray],
    constants: Normalization,
    oracle: np.ndarray,
    train: np.ndarray,
) -> np.ndarray:
    """Return the expected counts given only what was recorded."""
    filled = {name: fill_lost(signal) for name, signal in recorded.items()}
    affine = recorded_affine(
        behavior=filled,
        retina=track.retina,
        best_affine=views.best_affine,
        train=train,
        scale_deg=animal.renderer.scale_deg,
        torsion_gain=track.torsion_gain,
    )
    return attainable_counts(animal.population, constants, frames, affine, filled, oracle, train)


def _truth(
    config: SimulationConfig,
    animal: _Animal,
    views: Views,
    rates: dict[str, np.ndarray],
    latent: np.ndarray,
    recorded: dict[str, np.ndarray],
    path: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> Truth:
    """Collect the truth, and draw the wanted number of further spikes."""
    p, eye = animal.population, animal.eye
    middle = slice(STEPS_PER_BIN // 2, None, STEPS_PER_BIN)
    redraws = np.zeros((config.redraws, *rates["oracle"].shape), dtype=np.uint8)
    for i in range(config.redraws):
        redraws[i] = draw_spikes(rates["oracle"], BIN_S, config.spiking, rng)
    is_mean = config.frame_binning == "mean"
    return Truth(
        kind=p.kind,
        modulation=p.modulation,
        receptive_field=p.receptive_field.astype(np.float32),
        temporal_kernel=p.temporal_kernel,
        latency_s=p.latency_s,
        behavior_coefficients=p.behavior_coefficients,
        position_share=p.position_share,
        mean_rate_hz=p.mean_rate_hz,
        latent_coefficient=p.latent_coefficient,
        oracle=rates["oracle"],
        attainable=rates["attainable"],
        retinal_rotation_deg=np.column_stack(
            [eye.theta_deg[middle], eye.phi_deg[middle], eye.torsion_deg[middle]]
        ),
        best_affine=views.best_affine,
        is_tracked=np.isfinite(recorded["theta"]),
        latent=latent,
        alternative_frames=views.middle_frames if is_mean else views.mean_frames,
        alternative_binning="middle" if is_mean else "mean",
        path={name: signal.astype(np.float32) for name, signal in path.items()},
        redraws=redraws,
        deg_per_px=animal.renderer.scale_deg,
        spiking=config.spiking,
        seed=config.seed,
        track=config.track,
        version=config.mouse,
    )
