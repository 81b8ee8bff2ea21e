"""Errors that freegaze reports to its users.

Every message says what was expected, what came, where (file, session, field, line) and what to do.
At the command line they print as one line with exit status 2; anything else is a bug.
"""

from __future__ import annotations


class FreegazeError(Exception):
    """An error that the user can correct."""


class ConfigError(FreegazeError):
    """A configuration names something unknown, or gives a value of the wrong kind."""


class DataError(FreegazeError):
    """A file or array lacks what a recording needs, or is broken."""


class ShapeError(DataError):
    """Two arrays that must agree in shape do not."""


class RegistryError(FreegazeError):
    """A model, source or metric of that name does not exist, or exists twice."""


class CheckpointError(FreegazeError):
    """A run folder or weight file is missing, broken, or belongs to something else."""


class NumericsError(FreegazeError):
    """A computation gave numbers that are not finite."""


class DataWarning(UserWarning):
    """A file was read, but part of it was left out or had to be interpreted."""
