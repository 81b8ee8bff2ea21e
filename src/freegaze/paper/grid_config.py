"""Configuration of a grid and of each of its fits, and the scales of a reproduction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt

from freegaze.config import StrictConfig, build_config, read_config
from freegaze.errors import CheckpointError, ConfigError, RegistryError
from freegaze.paper.presets import Table, Version, find_table, preset, reads_photographs
from freegaze.registry import require_name
from freegaze.runs.config import RunConfig, SourceConfig, resolve_config
from freegaze.simulation.tracks import STANDARD_SESSIONS, SimulationConfig

GRID_FILE = "grid.yaml"
PAPER_FRAME_SIZE = (60, 80)
"""(height, width) that the original's encoders need: three strides of 2 leave 3 x 5."""


@dataclass(frozen=True)
class Scale:
    """Sizes of a reproduction.

    Args:
        max_passes: Passes over the training windows at most; ``None`` leaves the recipe's own.
        minutes: Length of each simulated session; ``None`` for the standard ones' own.
        n_neurons: Units of each simulated session. With ``None``, the filter at 3 Hz leaves as many
            as in the original.
        frame_size: (height, width) of simulated frames in pixels.
        n_segments: Segments of each simulated session, 70 % training and 30 % test.
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
"""``tiny`` is for trying, ``small`` gives comparable scores, ``full`` has the paper's sizes."""


def find_scale(name: str) -> Scale:
    """Return a scale by name.

    Raises:
        RegistryError: If there is none.
    """
    require_name(name, SCALES, "no scale", RegistryError)
    return SCALES[name]


class GridConfig(StrictConfig):
    """Configuration of a grid.

    Args:
        table: ``table1``, ``table2`` or ``table3``; or a figure, whose rows it then runs.
        scale: ``tiny``, ``small`` or ``full``; sizes of simulated sessions, and most passes.
        version: ``default``, or ``paper`` for the original's encoders and recipes.
        rows: Names of the rows to run; all by default.
        seeds: Fits of each row and session; the seeds are 0, 1, ...
        pretrained: Whether networks made for photographs start from ImageNet weights, which are
            downloaded once, or from random ones.
        source: Recordings to run on; simulated sessions by default.
        settings: Settings of every run by dotted name, ``{"training.precision": "bfloat16"}``.
    """

    table: str
    scale: str = "small"
    version: Version = "default"
    rows: tuple[str, ...] = ()
    seeds: PositiveInt = 1
    pretrained: bool = True
    source: SourceConfig | None = None
    settings: dict[str, Any] = Field(default_factory=dict)

    @property
    def simulations(self) -> list[SimulationConfig]:
        """Configurations of the simulated sessions; none where a source is given."""
        if self.source is not None:
            return []
        size = PAPER_FRAME_SIZE if self.version == "paper" else None
        return find_scale(self.scale).simulations(size)


def grid_config(
    path: Path, table: Table, asked: Mapping[str, Any], rows: Sequence[str] = ()
) -> GridConfig:
    """Return the configuration of a grid from options; an existing grid fills in the others.

    Args:
        path: Folder of the grid.
        table: The table or figure that is reproduced.
        asked: Fields of ``GridConfig``; ``None`` for those that are left out.
        rows: Rows of a new grid; all by default. An existing one keeps its own.

    Raises:
        ConfigError: If an option is wrong.
    """
    is_begun = (path / GRID_FILE).is_file()
    values = read_grid_config(path).model_dump(mode="json") if is_begun else {"rows": rows}
    if not (is_begun and table.is_figure):  # a figure is drawn from grids of other names too
        values["table"] = table.name
    values |= {key: value for key, value in asked.items() if value is not None}
    return build_config(GridConfig, values, where="reproduce")


def read_grid_config(path: Path) -> GridConfig:
    """Read the configuration of a grid.

    Raises:
        CheckpointError: If there is no grid in the folder.
        ConfigError: If its file is damaged.
    """
    if not (path / GRID_FILE).is_file():
        raise CheckpointError(f"{path} holds no grid (no {GRID_FILE}); check the path")
    return read_config(GridConfig, path / GRID_FILE)


def fit_config(
    config: GridConfig, source: SourceConfig, row: str, session_id: str, seed: int
) -> RunConfig:
    """Return the configuration of one fit of a grid.

    Args:
        config: The grid's configuration.
        source: Source of its sessions.
        row: Name of the row.
        session_id: The session.
        seed: Seed of the fit.

    Raises:
        ConfigError: If the grid's settings do not fit the row's encoder.
        RegistryError: If a name is unknown.
    """
    values = preset(config.table, row, config.version).model_dump(mode="json")
    options = {**source.options, "sessions": [session_id]}
    if config.version == "paper" and source.name == "xu2023":
        options = {"units": "paper", **options}
        values["data"]["min_rate_hz"] = 0.0  # the original's own lists of units, not a rate
    values["source"] = {"name": source.name, "path": source.path, "options": options}
    values["training"]["seed"] = seed
    most = find_scale(config.scale).max_passes
    if most is not None:
        values["training"]["max_passes"] = min(most, values["training"]["max_passes"])
    if not config.pretrained and reads_photographs(find_table(config.table).row(row)):
        values["model"]["core"]["weights"] = "none"
    for key, value in config.settings.items():
        _set(values, key, value)
    return resolve_config(build_config(RunConfig, values, where=f"row {row!r}"))


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    node: Any = values
    for part in path:
        node = node.get(part) if isinstance(node, Mapping) else None
    if not isinstance(node, dict) or not path:
        raise ConfigError(f"settings: no option {key!r}; name one such as training.precision")
    node[last] = value
