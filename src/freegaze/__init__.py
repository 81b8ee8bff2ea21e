"""Fit and explain encoding models of visual cortex in freely moving animals.

The public names stand in ``__init__.pyi``; each is imported when it is first used, so that
``import freegaze`` loads neither torch nor numpy.

Example:
    >>> import freegaze
    >>> recordings = freegaze.open_recordings("simulation", "data/mouse")
    >>> encoder = freegaze.fit(recordings, "runs/new", model="glm")
    >>> evaluation = freegaze.evaluate(encoder, recordings)
    >>> {"unit_id", "correlation", "correlation_low"} <= set(evaluation.table.columns)
    True
"""

from lazy_loader import attach_stub

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
