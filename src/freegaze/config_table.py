"""Options of a configuration as rows of a table, from its fields and its docstring."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from freegaze.config import StrictConfig


class OptionRow(NamedTuple):
    """One option.

    Args:
        name: The option; ``section.name`` in a section.
        default: Default of the option, as the command line would take it.
        description: Entry of the option under ``Args`` of the docstring.
    """

    name: str
    default: str
    description: str


def option_rows(kind: type[BaseModel], before: str = "") -> list[OptionRow]:
    """List the options of a configuration and of its sections.

    Args:
        kind: The configuration.
        before: Put in front of every name, for example ``"training."``.

    Returns:
        One row per option, in the order of the fields; a section is listed option by option.
    """
    rows: list[OptionRow] = []
    for name, field in kind.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, StrictConfig) and not hasattr(default, "kind"):
            rows += option_rows(type(default), f"{before}{name}.")
            continue
        if isinstance(default, BaseModel):
            default = default.model_dump(mode="json")
        if not isinstance(default, str):
            default = json.dumps(default, default=str)
        text = "" if field.is_required() else default
        rows.append(OptionRow(f"{before}{name}", text, _descriptions(kind).get(name, "")))
    return rows


def json_schema(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a configuration, with the descriptions of its docstrings.

    Args:
        kind: The configuration.
    """
    return kind.model_json_schema(schema_generator=_DescribingSchema)


class _DescribingSchema(GenerateJsonSchema):
    def model_schema(self, schema: Any) -> dict[str, Any]:
        """Add the entry under ``Args`` to each property."""
        found = super().model_schema(schema)
        found["description"] = (inspect.getdoc(schema["cls"]) or "").partition("\n")[0]
        for name, text in _descriptions(schema["cls"]).items():
            if name in found.get("properties", {}):
                found["properties"][name]["description"] = text
        return found


def _descriptions(kind: type[BaseModel]) -> dict[str, str]:
    """Entries under ``Args`` in the docstrings of a class and of its base classes."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        section = re.search(r"^Args:\n((?: .*\n?|\n)+)", text, re.MULTILINE)
        for entry in re.split(r"^ {4}(?=\w)", section[1] if section else "", flags=re.MULTILINE)[
            1:
        ]:
            name, _, description = entry.partition(":")
            found[name] = " ".join(description.split())
    return found
