"""A small recording of made-up numbers, from which sources write their example files."""

from __future__ import annotations

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
