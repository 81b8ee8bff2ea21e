"""Sources of recordings: one file or folder per format or data set, found by name."""

from freegaze.sources.source import (
    SOURCES,
    AbstractSource,
    describe_sources,
    detect_source,
    open_recordings,
    register_source,
)

__all__ = [
    "SOURCES",
    "AbstractSource",
    "describe_sources",
    "detect_source",
    "open_recordings",
    "register_source",
]
