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


class ClaimError(FreegazeError):
    """Another process works on what this one needs, or has taken it over."""


class NumericsError(FreegazeError):
    """A computation gave numbers that are not finite."""


class StopRequestError(BaseException):
    """The process was requested to stop; work that can be continued keeps what it has.

    It is no error of the work, so that whoever reports errors of the work lets it pass.
    """


class DataWarning(UserWarning):
    """A file was read, but part of it was left out or had to be interpreted."""
