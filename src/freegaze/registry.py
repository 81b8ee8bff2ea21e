"""One small way to find models, sources and metrics by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from freegaze.errors import RegistryError

T = TypeVar("T")


def nearest_names(name: str, known: list[str]) -> str:
    """Say which known names are most like ``name``, for an error message.

    Args:
        name: What the user wrote.
        known: The names that exist.

    Returns:
        ``"nearest: a, b, c"``, three names at most, or all of them when none is alike.
    """
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.3) or sorted(known)
    return "nearest: " + ", ".join(close[:3]) if known else "none is registered"


class Registry(Generic[T]):
    """A table from names to things of one kind.

    Args:
        kind: What the things are, in the singular, for messages ("model").
        discover: Called once before the first lookup, to import the modules that register things,
            so that nothing is imported before somebody asks.

    Example:
        >>> registry = Registry("fruit")
        >>> registry.register("apple")("a red one")
        'a red one'
        >>> registry.get("apple")
        'a red one'
    """

    def __init__(self, kind: str, discover: Callable[[], None] | None = None) -> None:
        self.kind = kind
        self._discover = discover
        self._things: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that enters a thing under ``name``.

        Raises:
            RegistryError: If the name is taken by something else.
        """

        def enter(thing: T) -> T:
            if self._things.get(name, thing) is not thing:
                raise RegistryError(
                    f"the {self.kind} name {name!r} is already taken by {self._things[name]!r}; "
                    "choose another name"
                )
            self._things[name] = thing
            return thing

        return enter

    def get(self, name: str) -> T:
        """Return the thing called ``name``.

        Raises:
            RegistryError: If there is none; the message names the three nearest.
        """
        self._load()
        if name not in self._things:
            raise RegistryError(
                f"unknown {self.kind} {name!r} ({nearest_names(name, list(self._things))}); "
                f"`freegaze {self.kind}s` lists all"
            )
        return self._things[name]

    def names(self) -> list[str]:
        """Return all names in alphabetical order."""
        self._load()
        return sorted(self._things)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._things

    def _load(self) -> None:
        if self._discover is not None:
            discover, self._discover = self._discover, None
            discover()
