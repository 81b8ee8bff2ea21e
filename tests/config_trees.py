"""All configurations that a configuration is made of."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

from freegaze.config import StrictConfig


def inner_configs(annotation: Any) -> Iterator[type[StrictConfig]]:
    """Give every configuration that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, StrictConfig):
        yield annotation
    for part in typing.get_args(annotation):
        yield from inner_configs(part)


def all_configs(root: type[StrictConfig]) -> set[type[StrictConfig]]:
    found, left = set(), [root]
    while left:
        config = left.pop()
        if config not in found:
            found.add(config)
            for field in config.model_fields.values():
                left += inner_configs(field.annotation)
    return found
