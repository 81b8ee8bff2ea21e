"""Rows of the paper's tables and figures, and their configurations.

Each row comes in two versions. ``paper`` has every quirk of the original that can be reproduced.
``default`` is this package's encoder of the same kind in one common recipe, so that rows differ
only in the factor that the table studies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import pandas as pd

from freegaze.config import StrictConfig, build_config
from freegaze.errors import ConfigError, RegistryError
from freegaze.models.encoder import MODELS
from freegaze.registry import Registry, require_name
from freegaze.runs.config import RunConfig, resolve_config

Version = Literal["default", "paper"]


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Args:
        name: Short name, used for folders.
        label: Name in tables and figures.
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
        title: Subject of the table or figure.
        rows: Rows of the table or figure, in order.
        pairs: Names of rows to compare, (first, second): differences are second minus first.
        varies_history: Whether rows differ in their history, which then is the row's own in both
            versions.
        has_all_seeds: Whether every seed of its rows is shown, not the first only.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    varies_history: bool = False
    has_all_seeds: bool = True
    is_figure: ClassVar[bool] = False

    def row(self, name: str) -> Row:
        """Return a row by name.

        Raises:
            RegistryError: If there is none.
        """
        rows = {row.name: row for row in self.rows}
        require_name(name, rows, f"{self.name} has no row", RegistryError)
        return rows[name]

    @property
    def frame(self) -> pd.DataFrame:
        """The rows, one line each."""
        return pd.DataFrame(
            {
                "row": row.name,
                "label": row.label,
                "model": row.model,
                "behavior": row.behavior,
                "shifter": "yes" if row.is_shifted else "no",
                "in the paper": "yes" if row.is_printed else "no",
            }
            for row in self.rows
        )

    def configure(self, version: Version, scale: str, settings: Mapping[str, Any]) -> Any:
        """Return the figure in one version with its settings; ``None`` for a table.

        Args:
            version: ``default`` or ``paper``.
            scale: ``tiny``, ``small`` or ``full``.
            settings: Settings other than those of the scale.

        Raises:
            ConfigError: If there is no such setting.
        """
        if settings:
            raise ConfigError(f"{self.name} is no figure; leave --set figure.... out")
        return None


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


FIGURES: Registry[Table] = Registry("figure", "freegaze.paper.figures")
"""The figures by name, each a file of ``freegaze.paper.figures``, with the rows they show."""


def find_table(name: str) -> Table:
    """Return a table, or a figure with the rows that it shows, by name.

    Raises:
        RegistryError: If there is none.
    """
    if name in TABLES:
        return TABLES[name]
    require_name(name, [*TABLES, *FIGURES], "no table or figure", RegistryError)
    return FIGURES.get(name)


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
    require_name(version, get_args(Version), "no version", RegistryError)
    found = find_table(table)
    values = (_paper_values if version == "paper" else _default_values)(found, found.row(row))
    return resolve_config(build_config(RunConfig, values, where=f"preset {table}/{row}"))


def paper_config(
    model: str, behavior: str | tuple[str, ...] | None = None, is_shifted: bool = True
) -> StrictConfig:
    """Return the original's configuration of a model.

    Args:
        model: One of ``RECIPES``.
        behavior: Behavior set that ``cnn_gru`` reads; ``all_prod`` by default, ``()`` for none.
        is_shifted: Whether it has a shifter.

    Raises:
        RegistryError: If the original has no such model.
    """
    require_name(model, RECIPES, "the original has no model", RegistryError)
    kind: Any = MODELS.get(model).Config
    if model == "cnn_gru":
        return kind.paper("all_prod" if behavior is None else behavior, is_shifted)
    return kind.paper(is_shifted)


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
            "average_decay": 0.0,
            "refit": False,
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
