"""Small invented recordings and raw streams, from which sources write their example files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freegaze.recording.columns import find_column
from freegaze.recording.recording import Recording, ResponseKind, Segment

XU_BIN_WIDTH_S = 0.048
"""Bin width of Xu et al. (2023)."""

_COLUMNS = {
    "speed": (5.0, 3.0),
    "gz": (0.0, 100.0),
    "pitch": (-18.0, 21.0),
    "roll": (5.0, 12.0),
    "phi": (7.0, 10.0),
    "theta": (9.0, 12.0),
    "pupil_radius": (15.0, 2.0),
}
"""Mean and standard deviation of each signal, as measured in freely moving mice."""

DURATION_S = 12.0
FRAME_RATE_HZ = 60.0
IMU_RATE_HZ = 300.0


@dataclass(frozen=True)
class TinyStreams:
    """Raw streams of a session at their own rates, before they are aligned.

    Args:
        spike_times: Spike times of four units, in seconds.
        frames: (time, 12, 16) at 60 Hz.
        frame_times: Times of the frames, and of the eye camera.
        gaze: theta and phi in degrees, (time, 2); lost for some time.
        pupil_radius: Radius in px; lost together with gaze.
        imu_times: 300 Hz.
        imu: pitch, roll in degrees and gz in degrees per second, (time, 3).
        speed: Speed in cm/s, at the times of the frames.
    """

    spike_times: tuple[np.ndarray, ...]
    frames: np.ndarray
    frame_times: np.ndarray
    gaze: np.ndarray
    pupil_radius: np.ndarray
    imu_times: np.ndarray
    imu: np.ndarray
    speed: np.ndarray


def make_tiny_recording(seed: int, session_id: str = "tiny") -> Recording:
    """Make 5 neurons, 12 x 16 px, lost tracking, and twice 84 training then 36 test bins.

    Args:
        seed: Any integer; the same numbers for the same seed.
        session_id: Name of the session.
    """
    rng = np.random.default_rng(seed)
    ends = np.cumsum([0, 84, 36, 84, 36])
    n_bins = int(ends[-1])
    behavior = np.stack([rng.normal(mean, sd, n_bins) for mean, sd in _COLUMNS.values()], axis=1)
    behavior[:, 0] = np.abs(behavior[:, 0])
    behavior[50:56, 4:] = np.nan
    rates_hz = np.array([4.0, 6.0, 8.0, 10.0, 12.0])
    roles = ("train", "test", "train", "test")
    return Recording(
        session_id=session_id,
        bin_width_s=XU_BIN_WIDTH_S,
        frames=rng.integers(0, 256, (n_bins, 12, 16)).astype(np.uint8),
        frame_index=np.arange(n_bins),
        behavior=behavior.astype(np.float32),
        behavior_names=tuple(_COLUMNS),
        behavior_units=tuple(find_column(name).unit for name in _COLUMNS),
        responses=rng.poisson(rates_hz * XU_BIN_WIDTH_S, (n_bins, 5)).astype(np.float32),
        response_kind=ResponseKind.SPIKE_COUNTS,
        unit_ids=tuple(str(i) for i in range(5)),
        segments=tuple(
            Segment(int(start), int(stop), role)  # type: ignore[arg-type]
            for start, stop, role in zip(ends, ends[1:], roles, strict=False)
        ),
        provenance={"source": "made up", "seed": seed},
    )


def make_tiny_streams(seed: int) -> TinyStreams:
    """Make a dozen seconds of raw streams; the same numbers for the same seed."""
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
    """Return a sum of slow waves, of sd 1."""
    rates_hz = rng.uniform(0.1, 1.0, 3)
    phases = rng.uniform(0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * rates_hz * times[:, None] + phases)
    return waves.sum(1) * np.sqrt(2 / 3)
