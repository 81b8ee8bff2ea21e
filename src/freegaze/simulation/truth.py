"""Truth of a simulated session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

import numpy as np

from freegaze.errors import DataError, ShapeError
from freegaze.simulation.tracks import Binning


@dataclass(frozen=True)
class Truth:
    """The truth of one session. Per neuron: first axis neuron. Per bin: first axis time.

    Args:
        kind: "simple" or "complex", (n_neurons,); without visual drive only a name.
        modulation: "multiplicative", "additive", "mixed", "visual_only", "behavior_only",
            "untuned".
        receptive_field: Field on the retina, cosine and sine phase, (n_neurons, 2, height, width),
            at ``deg_per_px``; the sine phase is zero for simple cells, both are without visual
            drive.
        temporal_kernel: Response to a flash at every 16 ms after it, (n_neurons, taps).
        latency_s: Time of the kernel's peak.
        behavior_coefficients: For each signal: effect of a standard deviation on the log gain
            (speed, pupil_radius) or on the drive of position tuning (pitch, roll, theta, phi),
            (n_neurons,).
        position_share: Share of the mean rate that comes from position tuning.
        mean_rate_hz: Mean rate.
        latent_coefficient: Effect of the shared latent on the log rate.
        oracle: True expected count of each bin, (time, n_neurons).
        attainable: Expected count given only what was recorded, (time, n_neurons).
        retinal_rotation_deg: theta, phi, torsion of the eye in the middle of each bin, (time, 3).
        best_affine: x_px, y_px, rotation_deg that carry the camera's frame onto the retina (the
            convention is in ``freegaze.simulation.retina``), (time, 3).
        is_tracked: Whether the eye was tracked, (time,).
        latent: The shared latent, (time,).
        alternative_frames: The video binned the other way, uint8, (time, height, width).
        alternative_binning: Name of this second way.
        path: Signals at every 16 ms step by name, true (``true_*``) and measured.
        redraws: Further draws of spikes, (n_redraws, time, n_neurons), uint8.
        deg_per_px: Scale of frames and receptive fields.
        spiking: Law by which spikes were drawn: that of the configuration, or "history".
        seed: Seed of the session.
        track: Track of the session.
        version: Version of the virtual mouse.
        traits: Further properties of the neurons of ``VM-2`` by name, (n_neurons,) each.
    """

    kind: np.ndarray
    modulation: np.ndarray
    receptive_field: np.ndarray
    temporal_kernel: np.ndarray
    latency_s: np.ndarray
    behavior_coefficients: Mapping[str, np.ndarray]
    position_share: np.ndarray
    mean_rate_hz: np.ndarray
    latent_coefficient: np.ndarray
    oracle: np.ndarray
    attainable: np.ndarray
    retinal_rotation_deg: np.ndarray
    best_affine: np.ndarray
    is_tracked: np.ndarray
    latent: np.ndarray
    alternative_frames: np.ndarray
    alternative_binning: Binning
    path: Mapping[str, np.ndarray]
    redraws: np.ndarray
    deg_per_px: float
    spiking: str
    seed: int
    track: str
    version: str = field(default="VM-1")
    traits: Mapping[str, np.ndarray] = field(default_factory=dict)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return everything as a flat dictionary of plain arrays, for any file format.

        Returns:
            Arrays by name; mappings are flattened to ``field/key``.
        """
        arrays: dict[str, np.ndarray] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Mapping):
                arrays |= {f"{f.name}/{key}": np.asarray(v) for key, v in value.items()}
            else:
                arrays[f.name] = np.asarray(value)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Truth:
        """Rebuild the truth from ``to_arrays``.

        Args:
            arrays: Result of ``to_arrays``.

        Returns:
            The same truth.

        Raises:
            DataError: If a field is missing.
            ShapeError: If an array has another shape than its field.
        """
        values: dict[str, object] = {}
        for f in fields(cls):
            prefix = f"{f.name}/"
            nested = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
            if nested:
                values[f.name] = nested
            elif f.name in arrays:
                value = np.asarray(arrays[f.name])
                values[f.name] = value.item() if value.ndim == 0 else value
            elif f.default_factory is MISSING:
                raise DataError(
                    f"truth of a simulation: field {f.name!r} is missing; simulate again"
                )
        _check_shapes(values)
        return cls(**values)  # type: ignore[arg-type]

    def select_neurons(self, keep: np.ndarray) -> Truth:
        """Return the truth of some neurons, as ``Recording.select_neurons`` does.

        Args:
            keep: Column numbers or a boolean mask.

        Returns:
            Their truth.
        """
        last = ("oracle", "attainable", "redraws")
        first = ("kind", "modulation", "receptive_field", "temporal_kernel", "latency_s")
        first += ("position_share", "mean_rate_hz", "latent_coefficient")
        chosen = {name: getattr(self, name)[keep] for name in first}
        chosen |= {name: getattr(self, name)[..., keep] for name in last}
        coefficients = {name: value[keep] for name, value in self.behavior_coefficients.items()}
        traits = {name: value[keep] for name, value in self.traits.items()}
        return replace(self, behavior_coefficients=coefficients, traits=traits, **chosen)


_AXES = {
    **dict.fromkeys(("kind", "modulation", "latency_s", "behavior_coefficients"), "neuron"),
    "traits": "neuron",
    **dict.fromkeys(("position_share", "mean_rate_hz", "latent_coefficient"), "neuron"),
    "receptive_field": "neuron phase height width",
    "temporal_kernel": "neuron tap",
    "oracle": "time neuron",
    "attainable": "time neuron",
    "retinal_rotation_deg": "time angle",
    "best_affine": "time part",
    "is_tracked": "time",
    "latent": "time",
    "alternative_frames": "time height width",
    "path": "step",
    "redraws": "redraw time neuron",
    **dict.fromkeys(("alternative_binning", "deg_per_px", "spiking"), ""),
    **dict.fromkeys(("seed", "track", "version"), ""),
}
"""Axes of each field; those of the same name have the same length."""

_LENGTHS = {"phase": 2, "angle": 3, "part": 3}


def _check_shapes(values: Mapping[str, Any]) -> None:
    known = dict(_LENGTHS)
    for name, axes in _AXES.items():
        value = values.get(name, {})
        parts = value if isinstance(value, Mapping) else {"": value}
        for key, part in parts.items():
            where = f"{name}/{key}" if key else name
            shape, wanted = np.shape(part), axes.split()
            if len(shape) != len(wanted):
                raise ShapeError(
                    f"truth of a simulation: {where} must have the axes ({', '.join(wanted)}), got "
                    f"shape {shape}; simulate again"
                )
            for axis, length in zip(wanted, shape, strict=True):
                if known.setdefault(axis, length) != length:
                    raise ShapeError(
                        f"truth of a simulation: {where} has {length} along {axis}, other fields "
                        f"have {known[axis]}; simulate again"
                    )
