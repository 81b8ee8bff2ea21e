"""Configuration: strict models read from YAML, with ``--set a.b=c`` on top."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from freegaze.errors import ConfigError
from freegaze.registry import nearest_names

_MOST_VALUES = 1_000_000
"""Of a YAML file, so that a few lines of nested aliases cannot fill the memory."""


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


def read_config(
    kind: type[C],
    start: Path | str | C | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
) -> C:
    """Read a configuration from YAML, apply settings, and check it.

    Args:
        kind: The configuration to build.
        start: YAML file, or a configuration to start from; ``None`` for the defaults.
        settings: Values by dotted name; or ``a.b=c`` each, as given to ``--set``, where the value
            is read as YAML.

    Returns:
        The checked configuration.

    Raises:
        ConfigError: Naming the file, the line and the key that is wrong, and the nearest known key.
    """
    values: dict[str, Any] = {}
    lines: dict[tuple[str, ...], int] = {}
    where = "configuration"
    if isinstance(start, Path | str):
        values, lines, where = *_read_yaml(Path(start)), str(start)
    elif start is not None:
        values = start.model_dump(mode="json")
    given = settings if isinstance(settings, Mapping) else dict(map(read_setting, settings))
    for key, value in given.items():
        _set(values, key, json.loads(json.dumps(value, default=str)))
    return build_config(kind, values, where=where, lines=lines)


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
        if _size(root, {}) > _MOST_VALUES:
            raise ValueError(f"its anchors unfold into more than {_MOST_VALUES} values")
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


def _size(node: Any, known: dict[int, float]) -> float:
    """Count values with every alias unfolded; infinite where one holds itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")  # until counted
        parts = getattr(node, "value", None)
        parts = parts if isinstance(parts, list) else []  # of nodes, or of pairs of them
        flat = [n for part in parts for n in (part if isinstance(part, tuple) else (part,))]
        known[id(node)] = 1 + sum(_size(n, known) for n in flat)
    return known[id(node)]


def _collect_lines(node: Any, at: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, str(key.value))
            lines[here] = key.start_mark.line + 1
            _collect_lines(value, here, lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            here = (*at, str(i))
            lines[here] = value.start_mark.line + 1
            _collect_lines(value, here, lines)


def read_setting(setting: str, flag: str = "--set") -> tuple[str, Any]:
    """Read one ``a.b=c``, as given to ``--set``.

    Args:
        setting: The key's path, and a value in YAML.
        flag: The user's option, for messages.

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


def _set(values: dict[str, Any], key: str, value: Any) -> None:
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
    message = " ".join(first["msg"].split())
    return f"{place}: {name}: {message}, got {first['input']!r}"


def _locate(
    kind: type[BaseModel], at: tuple[str, ...]
) -> tuple[tuple[str, ...], type[BaseModel] | None]:
    """Return an error's path as the user wrote it, and the configuration its last key belongs to.

    Within a part that comes in several kinds, pydantic's path also names the kind.
    """
    keys: list[str] = []
    within: type[BaseModel] | None = kind
    here: Any = kind  # annotation of what the path has led to
    for part in at:
        members = _configs_in(here)
        chosen = [m for m in members if part in _kinds_of(m)]
        if chosen:
            here = chosen[0]
            continue
        keys.append(part)
        within = members[0] if len(members) == 1 else None
        field = within.model_fields.get(part) if within is not None else None
        here = _element_of(here) if within is None else field and field.annotation
    return tuple(keys), within


def _configs_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return [config for part in get_args(annotation) for config in _configs_in(part)]
    return []


def _element_of(annotation: Any) -> Any:
    """Return what a dictionary or list holds, ``None`` if the annotation is neither."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType, Annotated):
        return next((e for part in parts if (e := _element_of(part)) is not None), None)
    return parts[-1] if origin is dict else parts[0] if origin in (list, tuple) else None


def _kinds_of(config: type[BaseModel]) -> tuple[str, ...]:
    """Return the kinds that a configuration stands for; none if it comes in no kinds."""
    field = config.model_fields.get("kind")
    return () if field is None else get_args(field.annotation)


def _complete_kind(default: BaseModel | None, value: Any) -> Any:
    if default is None:
        return value
    if isinstance(value, str):
        return {"kind": value}
    usual = getattr(default, "kind", None)
    if isinstance(value, Mapping) and value.get("kind", usual) == usual:
        return {**default.model_dump(), **value}
    return value
