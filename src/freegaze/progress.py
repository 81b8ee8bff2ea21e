"""Progress of long work, reported to whoever asked for it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all).

It may raise ``StopRequestError``; a fit then writes its checkpoint and passes it on.
"""
