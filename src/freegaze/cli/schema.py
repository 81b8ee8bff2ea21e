"""``freegaze schema``: settings of a run as a JSON schema, or as a page of tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

INTRODUCTION = """# Settings

This page is written by `freegaze schema --markdown`. `freegaze schema` writes the same settings as
a JSON schema, which editors use to complete and check YAML files.

A setting is given as `--set a.b=value`, as a line of the YAML file of `--config`, or in Python as
`settings={"a.b": value}`. Each run records all its settings in `config.yaml`.
"""


def command(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write tables in Markdown, not a JSON schema.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file.")] = None,
) -> None:
    """Print every setting of a fit as a JSON schema, for editors that check YAML files.

    For example:

        freegaze schema --out run.schema.json
    """
    import json

    from freegaze.files.atomic import atomic_file

    text = _page() if markdown else json.dumps(_run_schema(), indent=2) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    with atomic_file(out, overwrite=True) as partial:
        partial.write_text(text, encoding="utf-8")
    typer.echo(str(out))


def _run_schema() -> dict[str, Any]:
    """Return the schema of a run's YAML; ``model`` is one of the registered encoders."""
    from freegaze.config_table import json_schema
    from freegaze.models.encoder import MODELS
    from freegaze.runs.config import RunConfig

    schema = json_schema(RunConfig)
    choices = []
    for name in MODELS:
        model = json_schema(MODELS.get(name).Config)
        schema.setdefault("$defs", {}).update(model.pop("$defs", {}))
        model["properties"] = {"name": {"const": name}, **model.get("properties", {})}
        choices.append({**model, "required": ["name"]})
    schema["properties"]["model"]["anyOf"] = choices
    return schema


def _page() -> str:
    from freegaze.config_table import option_rows
    from freegaze.explanation.config import ExplainConfig
    from freegaze.models.encoder import MODELS
    from freegaze.runs.config import RunConfig

    parts = [INTRODUCTION, "## Settings of `freegaze train`\n", _table(option_rows(RunConfig))]
    for name in MODELS:
        parts += [f"## Settings of the encoder `{name}`\n"]
        rows = option_rows(MODELS.get(name).Config, "model.")
        parts.append(_table(rows) if rows else "None.\n")
    parts += ["## Settings of `freegaze explain`\n", _table(option_rows(ExplainConfig))]
    return "\n".join(parts)


def _table(rows: list[Any]) -> str:
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for row in rows:
        default = f"`{row.default}`" if row.default else ""
        cells = (f"`{row.name}`", default, row.description.replace("``", "`"))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
