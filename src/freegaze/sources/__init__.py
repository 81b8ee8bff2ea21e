"""Sources of recordings: one file or folder per format or data set, found by name."""

from freegaze.sources.source import (
    SOURCES,
    AbstractSource,
    detect_source,
    open_recordings,
    register_source,
)

__all__ = [
    "SOURCES",
    "AbstractSource",
    "detect_source",
    "open_recordings",
    "register_source",
]
