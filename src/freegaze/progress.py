"""Progress of long work, reported to whoever asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all).

It may raise ``StopRequestError``; a fit then writes its checkpoint and passes it on.
"""

PassHook = Callable[[Mapping[str, Any]], None]
"""Called with what is logged after each pass of a fit, such as ``validation_loss``.

What it raises ends the fit, which can be continued.
"""
