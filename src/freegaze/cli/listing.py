"""``freegaze models``, ``sources``, ``targets`` and ``metrics``: lists of names to choose from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from freegaze.cli.tables import print_rows
from freegaze.errors import ConfigError
from freegaze.registry import Registry

ModelName = Annotated[str | None, typer.Argument(help="List the options of this encoder.")]
SourceName = Annotated[str | None, typer.Argument(help="List the options of this source.")]


def models(name: ModelName = None) -> None:
    """List the encoders, or the options of one.

    For example:

        freegaze models glm
    """
    if name is not None:
        from freegaze.models.encoder import MODELS

        _print_options(f"Options of {name}, for --set model.OPTION=VALUE", MODELS.get(name).Config)
        return
    _print_names("model", ("reads", "description"), lambda e: (e.facts["inputs"], e.summary))


def metrics() -> None:
    """List the scores."""
    _print_names(
        "metric",
        ("label", "unit", "better"),
        lambda entry: (
            entry.facts["label"],
            entry.facts.get("unit", ""),
            "higher" if entry.facts.get("higher_is_better", True) else "lower",
        ),
    )


def sources(
    name: SourceName = None,
    example: Annotated[
        Path | None, typer.Option(help="Write a small example of its files into this new folder.")
    ] = None,
) -> None:
    """List the formats and data sets that can be read, or the options of one.

    For example:

        freegaze sources xu2023

        freegaze sources arrays --example data/example
    """
    if example is not None and name is None:
        raise ConfigError("--example needs the name of a source; `freegaze sources` lists them")
    if name is not None:
        from freegaze.sources import SOURCES
        from freegaze.sources.source import write_example

        if example is not None:
            options = SOURCES.get(name).tiny_options.items()
            stated = [f" --option '{key}={json.dumps(value)}'" for key, value in options]
            path = write_example(name, example)
            typer.echo(f"freegaze inspect {path} --source {name}{''.join(stated)}")
            return
        _print_options(f"Options of {name}, for --option OPTION=VALUE", SOURCES.get(name).Options)
        return
    _print_names(
        "source",
        ("description", "citation"),
        lambda entry: (entry.facts["description"], entry.facts.get("citation", "")),
    )


def targets() -> None:
    """List the formats that recordings can be written in."""
    _print_names(
        "target", ("description",), lambda e: (e.facts["description"],), package="freegaze.sources"
    )


def _print_names(
    kind: str,
    columns: tuple[str, ...],
    describe: Callable[[Any], tuple[str, ...]],
    package: str | None = None,
) -> None:
    """Print one row per registered name, without importing what is registered."""
    registry: Registry[Any] = Registry(kind, package)
    rows = {name: (name, *describe(entry)) for name, entry in registry.entries.items()}
    for name, point in registry.plugins.items():
        from_package = f"{point.value}, of package {point.dist.name if point.dist else '?'}"
        rows.setdefault(name, (name, from_package, *[""] * (len(columns) - 1)))
    print_rows(f"{kind.capitalize()}s", ("name", *columns), (rows[name] for name in sorted(rows)))


def _print_options(title: str, kind: Any) -> None:
    from freegaze.config_table import option_rows

    print_rows(title, ("option", "default", "description"), option_rows(kind))
