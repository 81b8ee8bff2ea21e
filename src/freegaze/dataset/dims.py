"""Sizes and names that an encoder takes from one session's data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freegaze.dataset.features import expand_sets, unroll_circular
from freegaze.errors import ConfigError
from freegaze.recording.recording import ResponseKind


@dataclass(frozen=True)
class EncoderDims:
    """Sizes and names that come from one session's data, never from a configuration file.

    Args:
        n_neurons: Number of neurons.
        behavior_names: Name of each behavior feature that the encoder is given, in order.
        frame_size: (height, width) of the video in pixels.
        history: Input bins of a window.
        response_kind: Kind of the responses; decides the response link.
        recorded: Behavior columns that the feature set ``recorded`` stands for; if empty, it stands
            for ``behavior_names``.
    """

    n_neurons: int
    behavior_names: tuple[str, ...]
    frame_size: tuple[int, int]
    history: int
    response_kind: ResponseKind = ResponseKind.SPIKE_COUNTS
    recorded: tuple[str, ...] = ()

    def columns(self, features: str | Sequence[str], part: str) -> list[int]:
        """Return the positions of some features among the behavior features.

        Args:
            features: Features that a part of an encoder reads, by set or by name.
            part: Name of that part, for the message.

        Raises:
            ConfigError: If a feature is missing.
        """
        recorded = self.recorded or self.behavior_names
        names = [
            part
            for name in expand_sets(features, recorded)
            for part in ([name] if name in self.behavior_names else unroll_circular(name, recorded))
        ]
        missing = [name for name in names if name not in self.behavior_names]
        if missing:
            raise ConfigError(
                f"{part} reads behavior {missing[0]!r}, which the data lacks (given: "
                f"{', '.join(self.behavior_names) or 'none'}); name other features"
                + (", or choose `shifter: none`" if part == "the shifter" else "")
            )
        return [self.behavior_names.index(name) for name in names]
