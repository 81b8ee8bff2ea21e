"""A dozen seconds of made-up streams at native rates, from which sources write their examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DURATION_S = 12.0
FRAME_RATE_HZ = 60.0
IMU_RATE_HZ = 300.0


@dataclass(frozen=True)
class TinyStreams:
    """What an experimenter has before anything is aligned.

    Args:
        spike_times: Of four units, in seconds.
        frames: (time, 12, 16) at 60 Hz.
        frame_times: Of the frames, and of the eye camera.
        gaze: theta and phi in degrees, (time, 2); lost for a while.
        pupil_radius: In px; lost as gaze is.
        imu_times: 300 Hz.
        imu: pitch, roll in degrees and gz in degrees a second, (time, 3).
        speed: In cm/s, at the times of the frames.
    """

    spike_times: tuple[np.ndarray, ...]
    frames: np.ndarray
    frame_times: np.ndarray
    gaze: np.ndarray
    pupil_radius: np.ndarray
    imu_times: np.ndarray
    imu: np.ndarray
    speed: np.ndarray


def make_tiny_streams(seed: int) -> TinyStreams:
    """Make them; the same numbers for the same seed."""
    rng = np.random.default_rng(seed)
    n_frames, n_imu = round(DURATION_S * FRAME_RATE_HZ), round(DURATION_S * IMU_RATE_HZ)
    frame_times = (np.arange(n_frames) + 0.5) / FRAME_RATE_HZ
    imu_times = (np.arange(n_imu) + 0.5) / IMU_RATE_HZ
    waves = [_waves(rng, frame_times) for _ in range(4)]
    gaze = np.stack([12 * waves[0], 10 * waves[1]], axis=1)
    radius = 15 + 2 * waves[2]
    gaze[200:230] = np.nan
    radius[200:230] = np.nan
    return TinyStreams(
        spike_times=tuple(
            np.sort(rng.uniform(0, DURATION_S, rng.poisson(rate * DURATION_S)))
            for rate in (4.0, 6.0, 9.0, 12.0)
        ),
        frames=rng.integers(0, 256, (n_frames, 12, 16)).astype(np.uint8),
        frame_times=frame_times,
        gaze=gaze,
        pupil_radius=radius,
        imu_times=imu_times,
        imu=np.stack([s * _waves(rng, imu_times) for s in (21.0, 12.0, 100.0)], axis=1),
        speed=np.abs(5 + 3 * waves[3]),
    )


def _waves(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """A few slow waves, of sd 1."""
    rates_hz = rng.uniform(0.1, 1.0, 3)
    phases = rng.uniform(0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * rates_hz * times[:, None] + phases)
    return waves.sum(1) * np.sqrt(2 / 3)
