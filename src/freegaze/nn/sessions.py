"""One module a session, under names that PyTorch accepts whatever the session is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar, cast

from torch import nn

M = TypeVar("M", bound=nn.Module)


def session_key(session: str) -> str:
    """Return a session's name as part of a parameter name.

    It holds no dot, is like no attribute of a module, and differs for different sessions.

    Example:
        >>> session_key("mouse.1")
        's:mouse%2E1'
    """
    return "s:" + session.replace("%", "%25").replace(".", "%2E")


class PerSession(nn.Module, Generic[M]):
    """Holds one module a session.

    Args:
        modules: The modules by session name.
    """

    def __init__(self, modules: Mapping[str, M]) -> None:
        super().__init__()
        for session, module in modules.items():
            self.add_module(session_key(session), module)

    def of(self, session: str) -> M:
        """Return one session's module."""
        return cast(M, self.get_submodule(session_key(session)))
