"""How large a reproduction is: a glance, an hour, or the paper itself."""

from __future__ import annotations

from dataclasses import dataclass

from freegaze.errors import RegistryError
from freegaze.registry import nearest_names
from freegaze.simulation.tracks import STANDARD_SESSIONS, SimulationConfig


@dataclass(frozen=True)
class Scale:
    """Sizes of a reproduction.

    Args:
        max_passes: Passes over the training windows at most; ``None`` leaves the recipe's own.
        minutes: Length of each simulated session; ``None`` for the standard ones' own.
        n_neurons: Units of each simulated session; ``None`` for the standard ones' own, of which
            the filter at 3 Hz leaves as many as in the original.
        frame_size: (height, width) of simulated frames in pixels.
        n_segments: Stretches of each simulated session, 70 % training and 30 % test.
        draws: Bootstrap draws.
    """

    max_passes: int | None
    minutes: float | None
    n_neurons: tuple[int, int, int] | None
    frame_size: tuple[int, int]
    n_segments: int
    draws: int

    def simulations(self, frame_size: tuple[int, int] | None = None) -> list[SimulationConfig]:
        """Return the configurations of the three simulated sessions.

        Args:
            frame_size: (height, width) of their frames, where not the scale's own.
        """
        numbers = self.n_neurons or (None, None, None)
        return [
            SimulationConfig(
                minutes=self.minutes or standard.minutes,
                n_neurons=n or standard.n_neurons,
                seed=standard.seed,
                track=standard.track,
                frame_size=frame_size or self.frame_size,
                n_segments=self.n_segments,
                session_id=f"mouse_{standard.seed}",
            )
            for standard, n in zip(STANDARD_SESSIONS.values(), numbers, strict=True)
        ]


SCALES: dict[str, Scale] = {
    "tiny": Scale(3, 3.0, (8, 8, 8), (30, 40), 6, 200),
    "small": Scale(6, 10.0, (105, 50, 76), (60, 80), 10, 1000),
    "full": Scale(None, None, None, (60, 80), 10, 1000),
}
"""``tiny`` shows that everything works, ``small`` shows what is what, ``full`` is the paper."""


def find_scale(name: str) -> Scale:
    """Return a scale by name.

    Raises:
        RegistryError: If there is none.
    """
    if name not in SCALES:
        raise RegistryError(f"no scale {name!r} ({nearest_names(name, list(SCALES))})")
    return SCALES[name]
