"""Spaces of settings that a sweep draws from, and the sweep's configuration."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import Field, PositiveInt, field_validator, model_validator

from freegaze.config import StrictConfig
from freegaze.errors import ConfigError
from freegaze.runs.config import RunConfig
from freegaze.training.search import combinations

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

SAMPLERS = ("tpe", "random", "grid")


class Range(StrictConfig):
    """An interval of numbers; of whole numbers if both ends are whole.

    Args:
        low: Lowest value.
        high: Highest value.
        log: Whether the logarithm is drawn uniformly.
        step: Distance of values; ``None`` for all.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @model_validator(mode="after")
    def _check(self) -> Range:
        if self.high < self.low or not math.isfinite(self.high - self.low):
            raise ValueError(f"expected low <= high, got {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0 and no step")
        return self


class SweepConfig(StrictConfig):
    """Configuration of a sweep.

    Args:
        run: Settings of all trials.
        space: For each setting by its dotted name a ``Range``, or a list of choices.
        sampler: ``tpe`` learns from the trials so far, ``random`` does not, and ``grid`` runs every
            combination of choices.
        trials: Number of trials; of ``grid`` the number of combinations.
        seed: Seed of the sampler.
        pruning: Whether trials end early whose validation loss after a pass is above the median of
            earlier trials after as many passes.
    """

    run: RunConfig
    space: dict[str, Range | list[Any]] = Field(min_length=1)
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    trials: PositiveInt
    seed: int = Field(default=0, ge=0)
    pruning: bool = True

    @field_validator("space")
    @classmethod
    def _check_choices(cls, space: dict[str, Range | list[Any]]) -> dict[str, Range | list[Any]]:
        for name, values in space.items():
            if isinstance(values, list) and not values:
                raise ValueError(f"{name} has no choices")
        return space


def read_space(path: Path) -> dict[str, Any]:
    """Read a space from a YAML file, as ``SweepConfig`` checks it.

    Args:
        path: Lines such as ``model.smoothness: {low: 0.01, high: 10, log: true}`` and
            ``data.history: [1, 4, 8]``.

    Raises:
        ConfigError: If the file cannot be read.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected lines such as `data.history: [1, 4, 8]`")
    return values


def grid_of(space: Mapping[str, Range | list[Any]]) -> list[dict[str, Any]]:
    """Return every combination of a space's choices.

    Raises:
        ConfigError: If it has a range.
    """
    choices = {name: values for name, values in space.items() if isinstance(values, list)}
    ranges = [name for name in space if name not in choices]
    if ranges:
        raise ConfigError(f"the sampler grid needs a list of choices for {ranges[0]}, not a range")
    return list(combinations(choices))


def distributions(space: Mapping[str, Range | list[Any]]) -> dict[str, BaseDistribution]:
    """Return a space as Optuna's distributions; choices are JSON texts, as it takes no lists."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    found: dict[str, BaseDistribution] = {}
    for name, values in space.items():
        if isinstance(values, list):
            found[name] = CategoricalDistribution([json.dumps(value) for value in values])
        elif isinstance(values.low, int) and isinstance(values.high, int):
            step = 1 if values.step is None else int(values.step)
            found[name] = IntDistribution(values.low, values.high, log=values.log, step=step)
        else:
            found[name] = FloatDistribution(
                values.low, values.high, log=values.log, step=values.step
            )
    return found


def settings_of(space: Mapping[str, Range | list[Any]], drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that Optuna has drawn from ``distributions``."""
    return {
        name: json.loads(value) if isinstance(space[name], list) else value
        for name, value in drawn.items()
    }
