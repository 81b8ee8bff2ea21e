"""Scored bins and scores as xarray objects; needs xarray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from freegaze.files.artifact import strict_json
from freegaze.fitted.xarray_objects import BIN, NEURON, RATES, prediction_to_xarray, require_xarray
from freegaze.metrics.metric import METRICS

if TYPE_CHECKING:
    from freegaze.evaluation.evaluation import Evaluation
    from freegaze.evaluation.scored_session import ScoredSession

_UNITS = {"rate_hz": "Hz", "n_bins": "bin", "n_bins_tracked": "bin"}
_ENDINGS = ("", "_low", "_high", "_tracked", "_tracked_low", "_tracked_high")
_PLAIN = (str, int, float)  # types that netCDF stores as attributes


def session_to_xarray(session: ScoredSession) -> Any:
    """Return the scored bins of a session as a ``Dataset`` of dimensions ``bin`` and ``neuron``.

    Args:
        session: The scored bins.

    Returns:
        ``rates`` (predicted), ``observed``, each reference under its name, and ``baseline`` of each
        neuron. Beside ``bin`` and ``neuron``, the coordinates ``segment``, ``is_trial`` and
        ``is_tracked`` describe each bin. Attributes are ``session_id``, ``bin_width_s`` and
        ``response_kind``.

    Raises:
        DataError: If xarray is not installed.
    """
    xarray = require_xarray()
    both = (BIN, NEURON)
    observed = {"long_name": "recorded response", "units": RATES["units"]}
    baseline = {"long_name": "mean training response", "units": RATES["units"]}
    references = {
        name: (both, rates, {"long_name": f"expected response: {name}", "units": RATES["units"]})
        for name, rates in session.references.items()
    }
    return xarray.Dataset(
        {
            "rates": prediction_to_xarray(session.prediction),
            "observed": (both, session.observed, observed),
            "baseline": (NEURON, session.baseline, baseline),
            **references,
        },
        coords={
            "segment": (BIN, session.segment_ids),
            "is_trial": (BIN, session.is_trial),
            "is_tracked": (BIN, session.is_tracked),
        },
        attrs={
            "session_id": session.session_id,
            "bin_width_s": session.bin_width_s,
            "response_kind": str(session.response_kind),
        },
    )


def scores_to_xarray(evaluation: Evaluation) -> Any:
    """Return the scores as a ``Dataset`` of the dimension ``neuron``, one variable per score.

    Args:
        evaluation: Any evaluation.

    Returns:
        One variable per column of the table, with the attributes ``units`` and ``long_name`` for
        registered metrics. ``session_id`` and ``unit_id`` are coordinates, as neurons of different
        sessions may have one name. The attribute ``summary`` is the whole summary as JSON; its
        plain values (``role``, ``draws``, ``level``) are attributes too.

    Raises:
        DataError: If xarray is not installed.
    """
    xarray = require_xarray()
    names = ("session_id", "unit_id")
    table = evaluation.table
    summary = dict(evaluation.summary)
    about = {key: value for key, value in summary.items() if type(value) in _PLAIN}
    return xarray.Dataset(
        {
            column: (
                NEURON,
                _plain_array(table[column].to_numpy()),
                _attributes(column),
            )
            for column in table.columns
            if column not in names
        },
        coords={name: (NEURON, table[name].to_numpy().astype(np.str_)) for name in names},
        attrs={**about, "summary": strict_json(summary)},
    )


def _plain_array(values: np.ndarray) -> np.ndarray:
    """Return objects as text of fixed length, which netCDF can hold, and numbers as they are."""
    return values if values.dtype.kind in "biuf" else values.astype(np.str_)


def _attributes(column: str) -> dict[str, str]:
    """Return the attributes of a column: of its metric, or its unit alone."""
    for name in METRICS:
        for ending in _ENDINGS:
            if column == name + ending:
                metric = METRICS.get(name)
                return {
                    "long_name": (metric.label + ending.replace("_", " ")),
                    "units": metric.unit,
                }
    return {"units": _UNITS[column]} if column in _UNITS else {}
