"""Configuration: strict models read from YAML, with ``--set a.b=c`` on top."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from freegaze.errors import ConfigError
from freegaze.registry import nearest_names


class StrictConfig(BaseModel):
    """Base of every configuration: frozen, no unknown key, no guessed conversion of a value.

    A part that comes in several kinds is a union of configurations that differ by their literal
    field ``kind``. It may be given by its kind alone (``readout: gaussian``), and options without a
    kind, or of the default's kind, are put on top of the default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _complete_kinds(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: _complete_kind(cls._default_part(name), v) for name, v in values.items()}

    @classmethod
    def _default_part(cls, name: str) -> BaseModel | None:
        """Return the default of a field that comes in several kinds."""
        field = cls.model_fields.get(name)
        default = None if field is None else field.default
        return default if isinstance(default, BaseModel) and hasattr(default, "kind") else None


C = TypeVar("C", bound=StrictConfig)


def read_config(kind: type[C], path: Path | None = None, overrides: Sequence[str] = ()) -> C:
    """Read a configuration from YAML, apply overrides, and check it.

    Args:
        kind: The configuration to build.
        path: YAML file; ``None`` for the defaults.
        overrides: ``a.b=c`` each, as given to ``--set``; the value is read as YAML.

    Returns:
        The checked configuration.

    Raises:
        ConfigError: Naming the file, the line and the key that is wrong, and the nearest known key.
    """
    values, lines = ({}, {}) if path is None else _read_yaml(path)
    for override in overrides:
        _apply_override(values, override)
    return build_config(kind, values, where=str(path or "configuration"), lines=lines)


def build_config(
    kind: type[C],
    values: Mapping[str, Any],
    where: str = "configuration",
    lines: Mapping[tuple[str, ...], int] | None = None,
) -> C:
    """Check plain values and build the configuration.

    Args:
        kind: The configuration to build.
        values: Nested plain values.
        where: File name for messages.
        lines: Line of each key path, where the values were read from a file.

    Raises:
        ConfigError: One line about the first wrong key.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(_explain(kind, error, where, lines or {})) from None


def config_hash(config: StrictConfig) -> str:
    """Return a short hash of a resolved configuration, the same on every machine."""
    text = json.dumps(config.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def dump_yaml(config: StrictConfig) -> str:
    """Return the resolved configuration as YAML, in the order of its fields."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except FileNotFoundError:
        raise ConfigError(f"no configuration file {path}; give the path of a YAML file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        first = str(error).replace("\n", " ")
        raise ConfigError(f"{path} cannot be read as YAML: {first}") from None
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected `key: value` lines, got {type(values).__name__}")
    lines: dict[tuple[str, ...], int] = {}
    _collect_lines(root, (), lines)
    return values, lines


def _collect_lines(node: Any, at: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, str(key.value))
            lines[here] = key.start_mark.line + 1
            _collect_lines(value, here, lines)


def read_setting(setting: str, flag: str = "--set") -> tuple[str, Any]:
    """Read one ``a.b=c``, as given to ``--set``.

    Args:
        setting: The key's path, and a value in YAML.
        flag: How the user gave it, for messages.

    Returns:
        The path as written, and the value.

    Raises:
        ConfigError: If it is not of that form.
    """
    key, separator, text = setting.partition("=")
    if not separator or not all(key.strip().split(".")):
        raise ConfigError(f"{flag} expects a.b=value, got {setting!r}")
    try:
        return key.strip(), yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"{flag} {key}: {text!r} is not a YAML value") from None


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, value = read_setting(override)
    parts = key.split(".")
    node = values
    for part in parts[:-1]:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise ConfigError(f"--set {key}: {part!r} holds a value, not further keys")
    node[parts[-1]] = value


def _explain(
    kind: type[BaseModel],
    error: ValidationError,
    where: str,
    lines: Mapping[tuple[str, ...], int],
) -> str:
    first = error.errors(include_url=False)[0]
    at, within = _locate(kind, tuple(str(part) for part in first["loc"]))
    line = next((lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in lines), None)
    place = f"{where}, line {line}" if line else where
    name = ".".join(at)
    if first["type"] == "extra_forbidden":
        known = list(within.model_fields) if within is not None else []
        return f"{place}: unknown key {name!r} ({nearest_names(at[-1], known)})"
    return f"{place}: {name}: {first['msg']}, got {first['input']!r}"


def _locate(
    kind: type[BaseModel], at: tuple[str, ...]
) -> tuple[tuple[str, ...], type[BaseModel] | None]:
    """Return an error's path as the user wrote it, and the configuration its last key belongs to.

    Within a part that comes in several kinds, pydantic's path also names the kind.
    """
    keys: list[str] = []
    within: type[BaseModel] | None = kind
    members: list[type[BaseModel]] = []
    for i, part in enumerate(at):
        chosen = [m for m in members if _kind_of(m) == part]
        if chosen:
            within, members = chosen[0], []
            continue
        keys.append(part)
        if i == len(at) - 1:
            break
        field = within.model_fields.get(part) if within is not None else None
        annotation = field.annotation if field is not None else None
        members = _configs_in(annotation)
        within = members[0] if len(members) == 1 else None
    return tuple(keys), within


def _configs_in(annotation: Any) -> list[type[BaseModel]]:
    parts = (annotation, *get_args(annotation))
    return [p for p in parts if isinstance(p, type) and issubclass(p, BaseModel)]


def _kind_of(config: type[BaseModel]) -> str | None:
    field = config.model_fields.get("kind")
    return None if field is None else field.default


def _complete_kind(default: BaseModel | None, value: Any) -> Any:
    if default is None:
        return value
    if isinstance(value, str):
        return {"kind": value}
    usual = getattr(default, "kind", None)
    if isinstance(value, Mapping) and value.get("kind", usual) == usual:
        return {**default.model_dump(), **value}
    return value
