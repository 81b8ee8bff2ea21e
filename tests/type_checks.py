"""Shapes and types are checked in tests, against the annotations, at every call of the package.

`conftest` installs a hook that puts `check` on every function and dataclass of freegaze when it is
imported. Annotations of the package's own classes in the file that defines them stay unchecked, as
they cannot be resolved yet when the hook looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from beartype import BeartypeConf, beartype
from jaxtyping import config

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""Where an annotation says ``float``, an ``int`` will do, as for any type checker."""


@contextmanager
def unchecked() -> Iterator[None]:
    """Break annotations on purpose, to see what the package itself says to a user who does.

    Also a decorator of tests: ``@unchecked()``.
    """
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)
