"""Fit and explain encoding models of visual cortex in freely moving animals.

Example:
    >>> import freegaze
    >>> recordings = freegaze.open_recordings("simulation", "data/mouse")  # doctest: +SKIP
    >>> encoder = freegaze.fit(recordings, "runs/mouse")  # doctest: +SKIP
    >>> freegaze.evaluate(encoder, recordings).table  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from freegaze.errors import FreegazeError as FreegazeError
    from freegaze.evaluation.evaluate import evaluate as evaluate
    from freegaze.fitted.storage import load_encoder as load_encoder
    from freegaze.recording.recording import Recording as Recording
    from freegaze.sources import open_recordings as open_recordings
    from freegaze.workflow import fit as fit

__version__ = "0.1.0"

_HOMES = {
    "FreegazeError": "freegaze.errors",
    "Recording": "freegaze.recording.recording",
    "evaluate": "freegaze.evaluation.evaluate",
    "fit": "freegaze.workflow",
    "load_encoder": "freegaze.fitted.storage",
    "open_recordings": "freegaze.sources",
}

__all__ = ["FreegazeError", "Recording", "evaluate", "fit", "load_encoder", "open_recordings"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that ``import freegaze`` is quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'freegaze' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
