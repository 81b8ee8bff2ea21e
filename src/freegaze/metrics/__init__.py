"""Scores of predictions: pure functions of arrays of shape (time, neuron).

``scores`` has all scores of a recording with their intervals, ``comparison`` the paired difference
of two models, ``nulls`` what chance would score, ``ceilings`` what could be reached, and ``paper``
the original's numbers. Scores are found by name in ``metric.METRICS``.
"""
