"""Tracks of difficulty, and the configuration of one simulated session."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from freegaze.errors import ConfigError
from freegaze.registry import require_name, require_names
from freegaze.simulation.processes import BIN_S
from freegaze.simulation.retina import RetinaKind
from freegaze.simulation.spiking import Spiking
from freegaze.simulation.vm2.violations import VIOLATIONS

VERSION = "VM-1"
"""Frozen: the same mouse, configuration and seed give the same session."""

VERSION_2 = "VM-2"
"""The mouse whose neurons and instruments no encoder describes exactly."""

Mouse = Literal["VM-1", "VM-2"]

TrackName = Literal["affine", "standard", "hard", "null"]
Binning = Literal["mean", "middle"]


@dataclass(frozen=True)
class Track:
    """Settings that make a session easy or hard.

    Args:
        retina: Where receptive fields look.
        torsion_gain: Factor on eye torsion.
        latent_strength: Median over neurons of the effect of the shared latent on log rates.
        drift_strength: Median over neurons of the standard deviation of slow drift of log rates.
        loss_share: Share of steps in which the eye is not tracked.
        eye_noise_deg: Noise of tracked eye angles at each 16 ms sample.
        eye_delay_steps: Delay of the eye camera behind the gyroscope in steps of 16 ms.
        pupil_brightness_px: Strength with which the pupil shrinks with brightness.
        is_vision_only: Whether no neuron depends on behavior.
    """

    retina: RetinaKind = "sphere"
    torsion_gain: float = 1.0
    latent_strength: float = 0.15
    drift_strength: float = 0.15
    loss_share: float = 0.06
    eye_noise_deg: float = 0.4
    eye_delay_steps: int = 1
    pupil_brightness_px: float = 1.0
    is_vision_only: bool = False


TRACKS: dict[str, Track] = {
    "standard": Track(),
    "affine": Track(
        retina="affine", latent_strength=0.0, drift_strength=0.0, loss_share=0.03, eye_delay_steps=0
    ),
    "hard": Track(torsion_gain=1.6, latent_strength=0.35, drift_strength=0.35, loss_share=0.12),
    # The pupil mostly follows brightness, so that behavior is correlated with the scene.
    "null": Track(is_vision_only=True, pupil_brightness_px=4.0),
}
"""The four tracks; ``affine`` has neither latent nor drift, so that what is left is the gaze."""


@dataclass(frozen=True)
class SimulationConfig:
    """Everything that decides a simulated session.

    Args:
        minutes: Length, at least half a minute.
        n_neurons: Number of neurons before any rate filter.
        seed: The same seed gives the same body, world, neurons and spikes. The path does not
            depend on the number of neurons.
        track: "affine", "standard", "hard" or "null"; ``VM-2`` has "standard" only.
        frame_size: (height, width) with a ratio of 3 to 4; the field of view stays 90 x 120
            degrees.
        frame_binning: "mean" of a bin's three frames, with its motion blur, or the "middle" one.
            The other kind is kept in the truth.
        redraws: Number of further draws of spikes from the same rates, kept in the truth.
        n_segments: Number of segments, each 70 % training then 30 % test.
        session_id: Name of the session; made of the other fields by default.
        spiking: "poisson", "refractory" or "gamma_poisson"; ``VM-2`` has "poisson" only, and the
            violation "history".
        mouse: "VM-1" or "VM-2".
        violations: Names of ``VIOLATIONS``, which ``VM-2`` takes; by default all of them, for
            ``VM-1`` none.

    Raises:
        ConfigError: If a value is impossible.
    """

    minutes: float = 10.0
    n_neurons: int = 60
    seed: int = 0
    track: TrackName = "standard"
    frame_size: tuple[int, int] = (60, 80)
    frame_binning: Binning = "mean"
    redraws: int = 0
    n_segments: int = 10
    session_id: str = ""
    spiking: Spiking = "poisson"
    mouse: Mouse = VERSION
    violations: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.violations is None:
            chosen = tuple(VIOLATIONS) if self.mouse == VERSION_2 else ()
            object.__setattr__(self, "violations", chosen)
        _check_config(self)
        if not self.session_id:
            name = (
                f"{self.mouse}_{self.track}_{self.minutes:g}min_{self.n_neurons}n_seed{self.seed}"
            )
            object.__setattr__(self, "session_id", name + self._violations_suffix())

    def _violations_suffix(self) -> str:
        """Return an ending for the name of sessions that do not have all violations."""
        violations = self.violations or ()
        if self.mouse == VERSION or len(violations) == len(VIOLATIONS):
            return ""
        return "_" + ("-".join(violations[:3]) or "plain") + ("-more" if violations[3:] else "")

    @property
    def n_bins(self) -> int:
        """Number of whole 48 ms bins."""
        return int(self.minutes * 60 / BIN_S)

    def scaled(
        self, minutes: float | None = None, n_neurons: int | None = None
    ) -> SimulationConfig:
        """Return the same session, shorter or with fewer neurons.

        Args:
            minutes: New length; unchanged by default.
            n_neurons: New number of neurons; unchanged by default.

        Returns:
            A new configuration.
        """
        return replace(
            self,
            minutes=self.minutes if minutes is None else minutes,
            n_neurons=self.n_neurons if n_neurons is None else n_neurons,
        )


def _check_config(config: SimulationConfig) -> None:
    def demand(is_good: bool, field: str, expected: str) -> None:
        if not is_good:
            raise ConfigError(
                f"simulation `{field}` must be {expected}, got {getattr(config, field)!r}"
            )

    require_name(config.track, TRACKS, "unknown simulation track", ConfigError)
    height, width = config.frame_size
    demand(0.5 <= config.minutes < 24 * 60, "minutes", "between 0.5 and 1440")
    demand(config.n_neurons >= 1, "n_neurons", "at least 1")
    demand(config.seed >= 0, "seed", "a whole number >= 0")
    demand(height >= 6 and 4 * height == 3 * width, "frame_size", "(height, width) in ratio 3 : 4")
    demand(config.frame_binning in ("mean", "middle"), "frame_binning", "'mean' or 'middle'")
    demand(config.redraws >= 0, "redraws", "at least 0")
    demand(config.n_segments >= 1, "n_segments", "at least 1")
    demand(
        config.n_bins >= 10 * config.n_segments, "n_segments", "such that each has 10 bins or more"
    )
    demand(
        config.spiking in ("poisson", "refractory", "gamma_poisson"),
        "spiking",
        "'poisson', 'refractory' or 'gamma_poisson'",
    )
    demand(config.mouse in (VERSION, VERSION_2), "mouse", f"{VERSION!r} or {VERSION_2!r}")
    if config.mouse == VERSION_2:
        demand(config.track == "standard", "track", f"'standard' for {VERSION_2}")
        demand(config.spiking == "poisson", "spiking", f"'poisson' for {VERSION_2}")
    else:
        demand(not config.violations, "violations", f"empty for {VERSION}")
    require_names(config.violations or (), VIOLATIONS, "unknown violation", ConfigError)


STANDARD_SESSIONS: dict[str, SimulationConfig] = {
    name: SimulationConfig(minutes, n_neurons, seed, session_id=f"{VERSION}_{name}")
    for name, minutes, n_neurons, seed in (
        ("standard_1", 43.0, 108, 1),
        ("standard_2", 47.0, 52, 2),
        ("standard_3", 61.0, 63, 3),
    )
}
"""The three standard sessions: as long and with as many units as the three real ones."""
