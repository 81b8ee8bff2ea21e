"""Models, sources, metrics and targets by name, of this package and of others."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Generic, TypeVar

from freegaze.entries import Entry, read_entries
from freegaze.errors import DataError, FreegazeError, RegistryError
from freegaze.plugins import is_of_own_file, is_own

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


def nearest_names(name: str, known: list[str]) -> str:
    """Name the known names that are most similar to ``name``, for an error message.

    Args:
        name: The name that the user wrote.
        known: The names that exist.

    Returns:
        ``"nearest: a, b, c"``: at most three names, or the first three of all names where none is
        similar.
    """
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.3) or sorted(known)
    return "nearest: " + ", ".join(close[:3]) if known else "none is registered"


def require_name(
    name: str,
    known: Collection[str],
    what: str,
    error: type[FreegazeError] = DataError,
    remedy: str = "",
) -> None:
    """Raise an error that lists the nearest names, unless a name is known.

    Args:
        name: The name that the user wrote.
        known: The names that exist.
        what: Start of the message, which the name follows: ``"mouse.npz has no array"``.
        error: Class of the error.
        remedy: End of the message.

    Raises:
        FreegazeError: An error of the class ``error``, if the name is not known.

    Example:
        >>> require_name("phi", ("theta", "phi"), "there is no column")
    """
    require_names([name], known, what, error, remedy)


def require_names(
    names: Iterable[str],
    known: Collection[str],
    what: str,
    error: type[FreegazeError] = DataError,
    remedy: str = "",
) -> None:
    """Raise an error about the first of some names that is not known; see ``require_name``.

    Args:
        names: The names that the user wrote.
        known: The names that exist.
        what: Start of the message, which the name follows.
        error: Class of the error.
        remedy: End of the message.

    Raises:
        FreegazeError: An error of the class ``error``, if a name is not known.
    """
    for name in names:
        if name not in known:
            raise error(f"{what} {name!r} ({nearest_names(name, list(known))}){remedy}")


class Registry(Generic[T]):
    """A table from names to things of one kind.

    Names come from three places: things registered so far in this process; modules of ``package``,
        whose source is read for names and which are imported when they are used; and entry points
        of the group ``freegaze.KINDs`` of installed packages.

    Args:
        kind: The kind of the things, in the singular ("model").
        package: Package whose modules register things; ``freegaze.KINDs`` by default.
        option: Option for a thing in a file of the user; by default ``--KIND FILE.py:NAME``.

    Example:
        >>> registry = Registry("fruit")
        >>> registry.register("apple")("a red one")
        'a red one'
        >>> registry.get("apple")
        'a red one'
    """

    def __init__(self, kind: str, package: str | None = None, option: str | None = None) -> None:
        self.kind = kind
        self.option = option or f"--{kind} FILE.py:NAME"
        self.package = package or f"freegaze.{kind}s"
        self._things: dict[str, T] = {}

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Things that the package registers, by name, read without importing it."""
        return read_entries(self.kind, self.package)

    @cached_property
    def plugins(self) -> dict[str, EntryPoint]:
        """Entry points of installed packages, by name, read without importing them."""
        from importlib.metadata import entry_points  # a tenth of the time of `--help`

        return {point.name: point for point in entry_points(group=f"freegaze.{self.kind}s")}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that enters a thing under ``name``.

        A class or function from a file given as ``FILE.py:NAME`` is not registered: it has only
        that name.

        Raises:
            RegistryError: If the name is taken by something else.
        """

        def enter(thing: T) -> T:
            if is_of_own_file(thing):
                return thing
            if self._things.get(name, thing) is not thing:
                raise RegistryError(
                    f"the {self.kind} name {name!r} is already taken by {self._things[name]!r}; "
                    "choose another name"
                )
            self._things[name] = thing
            return thing

        return enter

    def lend(self, name: str, thing: T) -> None:
        """Enter a thing of the user's own for this process, in place of an earlier one."""
        self._things[name] = thing

    def is_installed(self, name: str) -> bool:
        """Return whether freegaze or another installed package has a thing of that name."""
        return name in self.entries or name in self.plugins

    def is_own(self, name: str) -> bool:
        """Return whether a thing is known in this process only, as the user's own."""
        return name in self._things and not self.is_installed(name)

    def name_of(self, thing: T) -> str | None:
        """Return the name of a thing that is known in this process, or ``None``."""
        return next((name for name, known in self._things.items() if known is thing), None)

    def get(self, name: str) -> T:
        """Return the thing called ``name``, and import its module if that was not done yet.

        Raises:
            RegistryError: If there is none, with the three nearest names; or if an installed
                package declares the name and does not register it.
        """
        if name not in self._things and name in self.plugins:
            self._load_plugin(self.plugins[name])
        elif name not in self._things and name in self.entries:
            import_module(self.entries[name].module)
        if name not in self._things and is_own(name):
            raise RegistryError(
                f"the {self.kind} {name!r} is in a file, which is not imported because a "
                f"configuration names it; give it with {self.option}"
            )
        if name not in self._things:
            raise RegistryError(
                f"unknown {self.kind} {name!r} ({nearest_names(name, self.names())}); "
                f"`freegaze {self.kind}s` lists all"
            )
        return self._things[name]

    def names(self) -> list[str]:
        """Return all names in alphabetical order."""
        return sorted({*self._things, *self.entries, *self.plugins})

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def _load_plugin(self, point: EntryPoint) -> None:
        """Load an entry point of an installed package, which must register its name."""
        where = f"package {point.dist.name if point.dist else '?'}, entry point {point.name!r}"
        if point.name in self.entries:
            raise RegistryError(
                f"{where}: freegaze has a {self.kind} of that name; rename or remove the package's"
            )
        try:
            point.load()
        except (ImportError, AttributeError) as error:
            raise RegistryError(f"{where} cannot be loaded ({error}); install it again") from error
        if point.name not in self._things:
            raise RegistryError(
                f"{where}: {point.value} registers no {self.kind} {point.name!r}; put "
                f"@register_{self.kind}({point.name!r}) on it"
            )
