"""Parts of a simulated recording: segments, signals at every step, and the recording itself."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from freegaze.recording.recording import Recording, ResponseKind, Segment
from freegaze.simulation.body import Body
from freegaze.simulation.camera import deg_per_px
from freegaze.simulation.eye import Eye, pupil_radius
from freegaze.simulation.measurement import BEHAVIOR_NAMES, BEHAVIOR_UNITS, measure
from freegaze.simulation.population import unit_names
from freegaze.simulation.processes import BIN_S
from freegaze.simulation.tracks import SimulationConfig, Track

TRAIN_SHARE = 0.7
"""Of each segment; the rest is test, as in the original."""


def make_segments(n_bins: int, n_segments: int) -> tuple[Segment, ...]:
    """Cut a session into equal segments of 70 % training then 30 % test.

    Args:
        n_bins: Length of the session.
        n_segments: Number of segments.

    Returns:
        Twice as many segments, training and test in turn.
    """
    edges = np.linspace(0, n_bins, n_segments + 1).round().astype(int)
    segments: list[Segment] = []
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        border = start + round(TRAIN_SHARE * (stop - start))
        segments += [Segment(start, border, "train"), Segment(border, stop, "test")]
    return tuple(segments)


def measured_path(
    body: Body,
    eye: Eye,
    brightness: np.ndarray,
    lost: np.ndarray,
    track: Track,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Return the signals at every step, measured by name and true as ``true_*``.

    Args:
        body: True movements of body and head.
        eye: True movements of the eye.
        brightness: Mean brightness of the view at each step, 0..1.
        lost: Whether the eye is not tracked, at each step.
        track: Gives noise and delay of the instruments.
        rng: Source of the noise.

    Returns:
        Arrays of shape (n_steps,).
    """
    pupil = pupil_radius(body, brightness, track.pupil_brightness_px)
    measured = measure(
        body=body,
        eye=eye,
        pupil_px=pupil,
        lost=lost,
        eye_noise_deg=track.eye_noise_deg,
        eye_delay_steps=track.eye_delay_steps,
        rng=rng,
    )
    return measured | {
        "true_x_cm": body.position_cm[:, 0],
        "true_y_cm": body.position_cm[:, 1],
        "true_z_cm": body.position_cm[:, 2],
        "true_yaw": body.yaw_deg,
        "true_pitch": body.pitch_deg,
        "true_roll": body.roll_deg,
        "true_speed": body.speed_cm_s,
        "true_theta": eye.theta_deg,
        "true_phi": eye.phi_deg,
        "true_torsion": eye.torsion_deg,
        "true_pupil_radius": pupil,
        "true_saccade": eye.is_saccade,
    }


def make_recording(
    config: SimulationConfig,
    frames: np.ndarray,
    recorded: dict[str, np.ndarray],
    spikes: np.ndarray,
    rates: dict[str, np.ndarray],
    segments: tuple[Segment, ...],
) -> Recording:
    """Put a session's parts together.

    Args:
        config: Its configuration.
        frames: Recorded video, uint8 (time, height, width).
        recorded: Behavior columns by name, (time,) each.
        spikes: Counts, (time, n_neurons).
        rates: Reference rates by name, (time, n_neurons) each.
        segments: Training and test segments.

    Returns:
        The recording.
    """
    return Recording(
        session_id=config.session_id,
        bin_width_s=BIN_S,
        frames=frames,
        frame_index=np.arange(config.n_bins),
        behavior=np.column_stack([recorded[n] for n in BEHAVIOR_NAMES]).astype(np.float32),
        behavior_names=BEHAVIOR_NAMES,
        behavior_units=BEHAVIOR_UNITS,
        responses=spikes,
        response_kind=ResponseKind.SPIKE_COUNTS,
        unit_ids=unit_names(config.n_neurons),
        segments=segments,
        reference_rates=rates,
        deg_per_px=deg_per_px(config.frame_size),
        provenance={"source": "simulation", "options": asdict(config)},
    )
