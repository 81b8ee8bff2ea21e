"""Clocks of the YAML: stated, dated, or computed from sync pulses that both devices recorded."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, model_validator

from freegaze.config import StrictConfig
from freegaze.errors import ConfigError
from freegaze.sources.alignment.clock import ClockConfig
from freegaze.sources.sensors.pulses import clock_of_pulses

FileName = Annotated[str, Field(pattern=r"^[^\x00-\x1f]+$", max_length=4096)]
"""Path, relative to the YAML or absolute; control characters are refused."""


class StatedClockConfig(ClockConfig):
    """A clock whose offset is stated, or follows from dates; see ``ClockConfig``.

    Args:
        starts_at: Date and time at which this clock reads 0 (1970-01-01 for times that are dates
            themselves), instead of ``offset_s``. The session needs its own ``starts_at``, too.
    """

    kind: Literal["stated"] = "stated"
    starts_at: datetime | None = None

    @model_validator(mode="after")
    def _has_one_offset(self) -> StatedClockConfig:
        if self.starts_at is not None and self.offset_s != 0:
            raise ValueError("give `starts_at` or `offset_s`, not both")
        return self


class PulsesClockConfig(ClockConfig):
    """A clock whose offset and drift follow from sync pulses; see ``clock_of_pulses``.

    Args:
        own: File with the onsets of the pulses on this stream's clock, in its unit.
        session: File with the onsets of the same pulses on the session's clock, in seconds.
        own_column: Column of ``own``, given like ``timestamps_column``.
        session_column: Column of ``session``.
        near_offset_s: Rough offset; needed if pulses have equal intervals and some are missing.
        tolerance_s: Largest distance of a matched pulse from the line through all of them.
    """

    kind: Literal["pulses"] = "pulses"
    own: FileName
    session: FileName
    own_column: str | int | None = None
    session_column: str | int | None = None
    near_offset_s: float | None = None
    tolerance_s: float = Field(default=0.003, gt=0, le=0.1)

    @model_validator(mode="after")
    def _states_no_offset(self) -> PulsesClockConfig:
        stated = self.model_fields_set & {"offset_s", "drift"}
        if stated:
            raise ValueError(f"the pulses determine `{min(stated)}`; leave it out")
        return self


AnyClockConfig = Annotated[StatedClockConfig | PulsesClockConfig, Field(discriminator="kind")]

C = TypeVar("C", bound=StrictConfig)


def states_date(config: Any) -> bool:
    """Return whether a clock in any part of the YAML states its date."""
    if isinstance(config, StatedClockConfig):
        return config.starts_at is not None
    if isinstance(config, BaseModel):
        return any(states_date(getattr(config, name)) for name in type(config).model_fields)
    return isinstance(config, dict) and any(map(states_date, config.values()))


def resolve_clocks(
    config: C, folder: Path, starts_at: datetime | None
) -> tuple[C, dict[str, dict[str, float]]]:
    """Return a configuration in which every clock has an offset, and the quality of computed ones.

    Args:
        config: Any part of the YAML.
        folder: Folder that its paths are relative to.
        starts_at: Date and time at which the session's clock reads 0.

    Raises:
        ConfigError: If a clock has a date and the session has none, or one of both has no zone.
        DataError: If pulses are missing or do not match.
    """
    found: dict[str, dict[str, float]] = {}
    return _resolved(config, (), folder, starts_at, found), found


def _resolved(
    value: Any,
    at: tuple[str, ...],
    folder: Path,
    starts_at: datetime | None,
    found: dict[str, dict[str, float]],
) -> Any:
    if isinstance(value, PulsesClockConfig):
        clock, found[".".join(at[:-1])] = _by_pulses(value, folder)
        return clock
    if isinstance(value, StatedClockConfig):
        return _by_date(value, ".".join(at), starts_at)
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        new = _resolved(fields, at, folder, starts_at, found)
        changed = {name: part for name, part in new.items() if part is not fields[name]}
        return value.model_copy(update=changed) if changed else value
    if isinstance(value, dict):
        new = {k: _resolved(v, (*at, str(k)), folder, starts_at, found) for k, v in value.items()}
        return new if any(new[k] is not value[k] for k in value) else value
    return value


def _by_pulses(
    clock: PulsesClockConfig, folder: Path
) -> tuple[PulsesClockConfig, dict[str, float]]:
    from freegaze.sources.lab_files.times import read_timestamps  # which reads these configurations

    own = clock.scale_to_s * read_timestamps(folder / clock.own, clock.own_column)
    session = read_timestamps(folder / clock.session, clock.session_column)
    where = f"{folder / clock.own} and {folder / clock.session}"
    pulses = clock_of_pulses(own, session, clock.near_offset_s, clock.tolerance_s, where)
    update = {"offset_s": pulses.offset_s, "drift": pulses.drift}
    return clock.model_copy(update=update), pulses.quality()


def _by_date(clock: StatedClockConfig, where: str, starts_at: datetime | None) -> StatedClockConfig:
    if clock.starts_at is None:
        return clock
    if starts_at is None:
        raise ConfigError(
            f"{where}.starts_at is a date, so the session needs one too: state `starts_at`, the "
            "date and time at which the session's clock reads 0"
        )
    if (clock.starts_at.tzinfo is None) != (starts_at.tzinfo is None):
        raise ConfigError(
            f"{where}.starts_at is {clock.starts_at.isoformat()} but the session's `starts_at` is "
            f"{starts_at.isoformat()}; state the time zone of both (such as -08:00), or of none"
        )
    offset = (clock.starts_at - starts_at).total_seconds()
    return clock.model_copy(update={"offset_s": offset})
