"""Configurations that differ in some settings, for searches and sweeps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from freegaze.config import build_config
from freegaze.errors import ConfigError
from freegaze.runs.config import RunConfig, resolve_config
from freegaze.runs.run_folder import RunFolder


def combinations(search: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Return every combination of choices, the last setting varying fastest.

    Args:
        search: Choices by the setting's dotted name.

    Example:
        >>> list(combinations({"model.depth": [1, 2], "data.lag": [1]}))
        [{'model.depth': 1, 'data.lag': 1}, {'model.depth': 2, 'data.lag': 1}]
    """
    for values in itertools.product(*search.values()):
        yield dict(zip(search, values, strict=True))


def with_settings(config: RunConfig, settings: Mapping[str, Any], number: int) -> RunConfig:
    """Return a run's configuration with other settings and without a search.

    Args:
        config: The configuration.
        settings: Values by dotted name.
        number: Number of the trial, for messages.

    Raises:
        ConfigError: If a setting is unknown or wrong.
    """
    values = {**config.model_dump(), "search": {}}
    for key, value in settings.items():
        section, _, name = key.partition(".")
        if section not in ("model", "training", "data") or not name:
            raise ConfigError(f"search: expected model.x, training.x or data.x, got {key!r}")
        *path, last = name.split(".")
        node = values[section] = {**values[section]}
        for part in path:
            inner = node.get(part, {})
            if not isinstance(inner, Mapping):
                raise ConfigError(f"search: {key!r} is within the value {inner!r}, not a group")
            node[part] = node = {**inner}
        node[last] = value
    where = f"search, trial {number}"
    return resolve_config(build_config(RunConfig, values, where=where))


def trial_folder(run: RunFolder, number: int) -> RunFolder:
    """Return the run folder of one trial of a run's search, from 0."""
    return RunFolder(run.path / "search" / f"{number:03d}")


def searched(run: RunFolder) -> list[tuple[RunFolder, dict[str, Any]]]:
    """Return the run folder and the options of each trial of a run's search; empty without one."""
    return [
        (trial_folder(run, number), options)
        for number, options in enumerate(combinations(run.config().search))
        if options
    ]
