"""Rows of the paper's tables with their configurations, and the scales of a reproduction.

Each row comes in two versions. ``paper`` has every quirk of the original that can be reproduced.
``default`` is this package's encoder of the same kind in one common recipe, so that rows differ
only in what the table is about.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import Any, Literal, get_args

from freegaze.config import build_config
from freegaze.errors import RegistryError
from freegaze.models.encoder import MODELS
from freegaze.paper.published import paper_config
from freegaze.registry import Registry, nearest_names
from freegaze.runs.config import RunConfig, resolve_config
from freegaze.simulation.tracks import STANDARD_SESSIONS, SimulationConfig

Version = Literal["default", "paper"]


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Args:
        name: Short name, used for folders.
        label: What a reader sees.
        model: Registered name of the encoder.
        behavior: Feature set that ``cnn_gru`` reads; empty for none.
        history: Input bins in the original.
        is_shifted: Whether gaze is corrected for.
        is_printed: Whether the row is in the paper; if not, it is a control that the paper lacks.
    """

    name: str
    label: str
    model: str
    behavior: str = ""
    history: int = 1
    is_shifted: bool = True
    is_printed: bool = True


@dataclass(frozen=True)
class Table:
    """A table of the paper, or the rows that one of its figures is drawn from.

    Args:
        name: ``table1`` for example, or ``figure3``.
        title: What it is about.
        rows: Its rows, in order.
        pairs: Names of rows to compare, (first, second): differences are second minus first.
        varies_history: Whether rows differ in their history, which then is the row's own in both
            versions.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    varies_history: bool = False

    def row(self, name: str) -> Row:
        """Return a row by name.

        Raises:
            RegistryError: If there is none.
        """
        rows = {row.name: row for row in self.rows}
        if name not in rows:
            raise RegistryError(f"{self.name} has no row {name!r} ({nearest_names(name, [*rows])})")
        return rows[name]


RECIPES: dict[str, dict[str, Any]] = {
    "cnn": {"learning_rate": 1e-4, "patience": 6, "max_passes": 100},
    "autoencoder": {"learning_rate": 1e-4, "patience": 6, "max_passes": 50},
    "resnet18": {"learning_rate": 1e-4, "patience": 5, "max_passes": 100},
    "efficientnet_b0": {"learning_rate": 1e-4, "patience": 5, "max_passes": 100},
    "cnn_gru": {"learning_rate": 2e-4, "patience": 5, "max_passes": 50},
    "sensorium": {"learning_rate": 9e-3, "patience": 5, "max_passes": 100},
    "sensorium_plus": {"learning_rate": 9e-3, "patience": 5, "max_passes": 100},
}
"""Settings of training that the original chose by encoder (deviation Q21).

Source: Xu et al. (2023), code.
"""

VISION_MODELS = {
    "cnn": "CNN",
    "autoencoder": "Autoencoder",
    "resnet18": "ResNet-18",
    "efficientnet_b0": "EfficientNet-B0",
    "sensorium": "Sensorium",
}
BEHAVIOR_SETS = ("S", "orig", "velo", "all", "orig_prod", "velo_prod", "all_prod")


_VISION_ROWS = tuple(
    Row(f"{model}_shifter_{'on' if on else 'off'}", label, model, is_shifted=on)
    for model, label in VISION_MODELS.items()
    for on in (False, True)
)
_BEHAVIOR_ROWS = (
    Row("cnn", "CNN", "cnn"),
    Row("no_behavior", "CNN-GRU, no behavior", "cnn_gru", is_printed=False),
    *(Row(name, f"CNN-GRU, {name}", "cnn_gru", name) for name in BEHAVIOR_SETS),
    Row("sensorium_plus", "Sensorium+", "sensorium_plus"),
)
_HISTORY_ROWS = tuple(
    Row(f"history_{n}", f"history {n}", "cnn_gru", "all_prod", history=n) for n in range(1, 9)
)

TABLES: dict[str, Table] = {
    "table1": Table(
        "table1",
        "Vision only, without and with a shifter",
        _VISION_ROWS,
        (
            *((f"{model}_shifter_off", f"{model}_shifter_on") for model in VISION_MODELS),
            *(("cnn_shifter_on", f"{m}_shifter_on") for m in VISION_MODELS if m != "cnn"),
        ),
    ),
    "table2": Table(
        "table2",
        "Which behavior helps",
        _BEHAVIOR_ROWS,
        (
            ("cnn", "no_behavior"),
            *(("no_behavior", name) for name in BEHAVIOR_SETS),
            ("all_prod", "sensorium_plus"),
        ),
    ),
    "table3": Table(
        "table3",
        "How much history helps",
        _HISTORY_ROWS,
        tuple(("history_1", f"history_{n}") for n in range(2, 9)),
        varies_history=True,
    ),
}
"""The tables by name. In the original, Tables 1 and 2 use one bin of history (deviation Q17)."""

VISION_ONLY = TABLES["table1"].row("cnn_shifter_on")
MULTIMODAL = TABLES["table2"].row("all_prod")


def _import_figures() -> None:
    package = importlib.import_module("freegaze.paper.figures")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"{package.__name__}.{module.name}")


FIGURES: Registry[Table] = Registry("figure", _import_figures)
"""The figures by name, each a file of ``freegaze.paper.figures``, with the rows they show."""


def find_table(name: str) -> Table:
    """Return a table, or a figure with the rows that it shows, by name.

    Raises:
        RegistryError: If there is none.
    """
    if name in TABLES:
        return TABLES[name]
    if name in FIGURES:
        return FIGURES.get(name)
    known = nearest_names(name, [*TABLES, *FIGURES])
    raise RegistryError(f"no table or figure {name!r} ({known})")


def preset(table: str, row: str, version: Version = "default") -> RunConfig:
    """Return the configuration of a run that makes one row of a table.

    The source is left open, and neurons are filtered at 3 Hz as in the original.

    Args:
        table: ``table1``, ``table2`` or ``table3``, or a figure.
        row: Name of the row, ``cnn_shifter_off`` or ``all_prod`` for example.
        version: ``default``, or ``paper`` for the original's encoder, data handling and recipe.

    Returns:
        The configuration, with every option of the encoder spelled out.

    Raises:
        RegistryError: If table, row or version are unknown.

    Source: Xu et al. (2023), Tables 1 to 3.

    Example:
        >>> preset("table3", "history_4", "paper").data.history
        4
    """
    if version not in get_args(Version):
        raise RegistryError(f"no version {version!r}; choose {' or '.join(get_args(Version))}")
    found = find_table(table)
    values = (_paper_values if version == "paper" else _default_values)(found, found.row(row))
    return resolve_config(build_config(RunConfig, values, where=f"preset {table}/{row}"))


def _paper_values(table: Table, row: Row) -> dict[str, Any]:
    is_sensorium = row.model.startswith("sensorium")
    behavior = row.behavior if row.behavior or row.model != "cnn_gru" else ()
    return {
        "model": {
            "name": row.model,
            **paper_config(row.model, behavior, row.is_shifted).model_dump(mode="json"),
        },
        "data": {
            "history": row.history,
            "nan_policy": "zero",
            "derivative": "paper",
            "standardize": "segment_sd" if is_sensorium else False,
            "video": "minmax_segment",
        },
        "split": {"method": "paper_tail"},
        "training": {
            **RECIPES[row.model],
            "weight_decay": 0.0,
            "gradient_clip": None,
            "schedule": "constant",
            "batch_windows": 256,
            "stretch_windows": 1,
            "validation_mean": "batches",
            **(_SENSORIUM_TRAINER if is_sensorium else {}),
        },
    }


_SENSORIUM_TRAINER: dict[str, Any] = {
    "schedule": "plateau",
    "monitor": "correlation",
    "rounds": 4,
    "loss": "poisson_sum",
}


def _default_values(table: Table, row: Row) -> dict[str, Any]:
    model: dict[str, Any] = {"name": row.model}
    if not row.is_shifted:
        model["shifter"] = "none"
    if row.model == "cnn_gru":
        model["features"] = row.behavior or []
    values: dict[str, Any] = {"model": model}
    if table.varies_history:
        values["data"] = {"history": row.history}
    return values


def reads_photographs(row: Row) -> bool:
    """Return whether the row's encoder starts from weights that were trained on photographs."""
    core = MODELS.get(row.model).Config.model_fields.get("core")
    return core is not None and getattr(core.default, "kind", "") == "timm"


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
