"""Simulation of one session of VM-2: the recording, and the truth."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from freegaze.progress import Progress
from freegaze.recording.recording import Recording
from freegaze.simulation.attainable import BINS_PER_BATCH, calibrate, fill_lost, recorded_affine
from freegaze.simulation.body import Body, make_body
from freegaze.simulation.eye import Eye, make_eye
from freegaze.simulation.measurement import BEHAVIOR_NAMES, to_bins, tracking_lost
from freegaze.simulation.processes import BIN_S, STEPS_PER_BIN, bin_mean
from freegaze.simulation.rates import MEAN_GRAY
from freegaze.simulation.recorded import make_recording, make_segments, measured_path
from freegaze.simulation.retina import warp
from freegaze.simulation.streams import random_streams
from freegaze.simulation.tracks import TRACKS, SimulationConfig
from freegaze.simulation.truth import Truth
from freegaze.simulation.views import Views, look
from freegaze.simulation.vm2.behavior import BEHAVIOR_SIGNALS
from freegaze.simulation.vm2.gaze_shifts import draw_gain, gaze_events, read_events, yaw_velocity
from freegaze.simulation.vm2.history import History, simulate_spikes
from freegaze.simulation.vm2.instruments import (
    HeadCamera,
    exposed,
    misread_eye,
    tracking_lost_in_behavior,
)
from freegaze.simulation.vm2.latents import draw_latents
from freegaze.simulation.vm2.neurons import Neurons, make_neurons
from freegaze.simulation.vm2.rates import (
    RateScale,
    oracle_counts,
    recorded_counts,
    true_rates,
)
from freegaze.simulation.vm2.visual import LitFilterBank
from freegaze.simulation.world import make_world

Streams = dict[str, np.random.Generator]


@dataclass(frozen=True)
class _Animal:
    """Parts that are drawn before anything is rendered."""

    body: Body
    eye: Eye
    events: dict[str, np.ndarray]
    neurons: Neurons
    camera: HeadCamera


def simulate_vm2(
    config: SimulationConfig, n_workers: int, progress: Progress | None
) -> tuple[Recording, Truth]:
    """Simulate one session of VM-2; see ``freegaze.simulation.simulate``.

    Args:
        config: Configuration with ``mouse="VM-2"``.
        n_workers: Batches rendered, and simulations made, at a time.
        progress: Called with (stage, done, total).

    Returns:
        The recording and the truth.

    Example:
        >>> from freegaze.simulation import SimulationConfig
        >>> config = SimulationConfig(0.5, 3, frame_size=(12, 16), mouse="VM-2")
        >>> recording, truth = simulate_vm2(config, 1, None)
        >>> truth.version, recording.session_id
        ('VM-2', 'VM-2_standard_0.5min_3n_seed0')
    """
    violations, streams = config.violations or (), random_streams(config.seed, config.mouse)
    animal = _draw_animal(config, violations, streams)
    bank = LitFilterBank(animal.neurons)
    glance = partial(animal.camera.glance, animal.body, animal.eye)
    views = look(glance, bank, config.n_bins, config.frame_size, n_workers, progress)
    if "exposure" in violations:
        mean, middle = (exposed(f) for f in _frames(views))
        views = replace(views, mean_frames=mean, middle_frames=middle)
    report = progress or (lambda *_: None)
    report("rates", 0, 1)
    path = _path(animal, views, violations, streams)
    recorded = {name: to_bins(path[name]) for name in BEHAVIOR_NAMES}
    segments = make_segments(config.n_bins, config.n_segments)
    is_mean = config.frame_binning == "mean"
    frames = views.mean_frames if is_mean else views.middle_frames
    signals = {name: path[f"true_{name}"] for name in BEHAVIOR_SIGNALS}
    log_latents, latent = draw_latents(animal.neurons, len(path["theta"]), streams["latent"])
    rate, scale = true_rates(
        animal.neurons, views.drives, signals, log_latents, streams["calibration"]
    )
    oracle = oracle_counts(animal.neurons, rate, streams["averaging"], n_workers)
    train = np.concatenate([s.bins() for s in segments if s.role == "train"])
    raw = _recorded_counts(
        animal, scale, bank, views, frames, recorded, train, streams["averaging"], n_workers
    )
    rates = {"oracle": oracle, "attainable": calibrate(raw, oracle, train)}
    history = History.from_traits(animal.neurons.traits)
    spikes, _ = simulate_spikes(rate, history, streams["spikes"])
    recording = make_recording(config, frames, recorded, spikes, rates, segments)
    truth = _truth(config, animal, views, rates, bin_mean(latent), recorded, path)
    redraws = np.zeros((config.redraws, *oracle.shape), dtype=np.uint8)
    for i in range(config.redraws):
        redraws[i] = simulate_spikes(rate, history, streams["redraws"])[0]
    report("rates", 1, 1)
    return recording, replace(truth, redraws=redraws)


def respond_to_screen(
    config: SimulationConfig,
    seen: Iterable[torch.Tensor],
    signals: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Let the neurons of a session see other frames, with latents and drift of their own.

    Args:
        config: Configuration with ``mouse="VM-2"``.
        seen: Retinal frames minus gray, some at a time, (time, height, width) each.
        signals: Behavior at each step, that of VM-1; the head does not turn.
        rng: Source of randomness.

    Returns:
        Counts, (time, n_neurons).
    """
    population = random_streams(config.seed, config.mouse)["population"]
    chosen = (config.n_neurons, config.frame_size, config.violations or ())
    neurons = make_neurons(*chosen, population)
    drives = LitFilterBank(neurons).see_frames(seen)
    n_steps = len(drives.cosine)
    whole = {name: np.zeros(n_steps) for name in BEHAVIOR_SIGNALS} | dict(signals)
    log_latents, _ = draw_latents(neurons, n_steps, rng)
    rate, _ = true_rates(neurons, drives, whole, log_latents, rng)
    return simulate_spikes(rate, History.from_traits(neurons.traits), rng)[0]


def _frames(views: Views) -> tuple[np.ndarray, np.ndarray]:
    return views.mean_frames, views.middle_frames


def _draw_animal(
    config: SimulationConfig, violations: Collection[str], streams: Streams
) -> _Animal:
    body = make_body(config.n_bins * STEPS_PER_BIN, streams["walk"], streams["head"])
    yaw_gain, is_alone = draw_gain(body.yaw_deg, streams["gaze_shifts"])
    eye = make_eye(body, streams["eye"], yaw_gain=yaw_gain)
    neurons = make_neurons(config.n_neurons, config.frame_size, violations, streams["population"])
    camera = HeadCamera(make_world(streams["world"]), config.frame_size, violations)
    return _Animal(body, eye, gaze_events(body.yaw_deg, eye, is_alone), neurons, camera)


def _path(
    animal: _Animal, views: Views, violations: Collection[str], streams: Streams
) -> dict[str, np.ndarray]:
    """Return all signals at every step, with the errors of the instruments that are on."""
    body, eye, track = animal.body, animal.eye, TRACKS["standard"]
    if "behavior_loss" in violations:
        lost = tracking_lost_in_behavior(eye, body, streams["loss"])
    else:
        lost = tracking_lost(eye, body, track.loss_share, streams["loss"])
    path = measured_path(body, eye, views.brightness, lost, track, streams["noise"])
    path |= misread_eye(path, violations, streams["instruments"])
    path["true_gz"] = yaw_velocity(body.yaw_deg)
    return path | {f"true_{name}": event for name, event in animal.events.items()}


def _recorded_counts(
    animal: _Animal,
    scale: RateScale,
    bank: LitFilterBank,
    views: Views,
    frames: np.ndarray,
    recorded: Mapping[str, np.ndarray],
    train: np.ndarray,
    rng: np.random.Generator,
    n_workers: int,
) -> np.ndarray:
    """Return the mean of expected counts given recorded frames and behavior alone.

    Gaze shifts are read off the recorded eye and head, at the middle step of their first bin.
    """
    filled = {name: fill_lost(signal) for name, signal in recorded.items()}
    affine = recorded_affine(
        behavior=filled,
        retina="sphere",
        best_affine=views.best_affine,
        train=train,
        scale_deg=animal.camera.scale_deg,
        torsion_gain=1.0,
    )
    batches = (
        slice(start, start + BINS_PER_BATCH) for start in range(0, len(frames), BINS_PER_BATCH)
    )
    seen = (
        warp(torch.from_numpy(frames[bins]).float() / 255 - MEAN_GRAY, affine[bins])
        for bins in batches
    )
    drives = bank.see_frames(seen)
    signals = {name: np.repeat(filled[name], STEPS_PER_BIN) for name in filled}
    for name, event in read_events(filled["theta"], filled["gz"], BIN_S).items():
        signals[name] = np.zeros(len(event) * STEPS_PER_BIN)
        signals[name][STEPS_PER_BIN // 2 :: STEPS_PER_BIN] = event
    return recorded_counts(animal.neurons, scale, drives, signals, rng, n_workers)


def _truth(
    config: SimulationConfig,
    animal: _Animal,
    views: Views,
    rates: dict[str, np.ndarray],
    latent: np.ndarray,
    recorded: Mapping[str, np.ndarray],
    path: Mapping[str, np.ndarray],
) -> Truth:
    """Collect the truth, without redraws."""
    neurons, eye = animal.neurons, animal.eye
    middle = slice(STEPS_PER_BIN // 2, None, STEPS_PER_BIN)
    is_mean = config.frame_binning == "mean"
    return Truth(
        kind=neurons.kind,
        modulation=neurons.modulation,
        receptive_field=neurons.receptive_field.astype(np.float32),
        temporal_kernel=neurons.temporal_kernel,
        latency_s=neurons.latency_s,
        behavior_coefficients=neurons.behavior_coefficients,
        position_share=neurons.position_share,
        mean_rate_hz=neurons.mean_rate_hz,
        latent_coefficient=neurons.latent_coefficient,
        oracle=rates["oracle"],
        attainable=rates["attainable"],
        retinal_rotation_deg=np.column_stack(
            [eye.theta_deg[middle], eye.phi_deg[middle], eye.torsion_deg[middle]]
        ),
        best_affine=views.best_affine,
        is_tracked=np.isfinite(recorded["theta"]),
        latent=latent.astype(np.float32),
        alternative_frames=views.middle_frames if is_mean else views.mean_frames,
        alternative_binning="middle" if is_mean else "mean",
        path={name: signal.astype(np.float32) for name, signal in path.items()},
        redraws=np.zeros((0, *rates["oracle"].shape), dtype=np.uint8),
        deg_per_px=animal.camera.scale_deg,
        spiking="poisson" if History.from_traits(neurons.traits).is_none else "history",
        seed=config.seed,
        track=config.track,
        version=config.mouse,
        traits=neurons.traits,
    )
